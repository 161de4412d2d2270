"""One world to ask everything in: who asks, what there is to ask for, and what each route is asked."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from overture import ids
from overture.actions import drafts, files, members, photos
from overture.actions.drafts import Place
from overture.api.app import BASE, api_app, operations
from overture.api.context import make_context
from overture.api.reference import published
from overture.app import faces
from overture.clock import TestClock, real_now
from overture.context import share
from overture.core import seals
from overture.core.findings import Finding
from overture.core.ids import (
    ConversationId,
    FileId,
    MemberId,
    MessageId,
    PasskeyId,
    TokenId,
)
from overture.core.refusals import Refusal
from overture.core.sending import Done, Write
from overture.core.suspicions import Evidence, Kind
from overture.front import Surface, front, hosts_of
from overture.handover import Host
from overture.push.encryption import public_key
from overture.store import (
    accounts,
    installation,
    operators,
    passkeys,
    sessions,
    suspicions,
    tokens,
)
from overture.store.db import Tx, all_rows, one_row
from overture.store.photos import Photo
from overture.store.tokens import TokenRow
from overture.web.app import handlers, web_app
from overture.web.context import Push, make_site
from overture.web.visit import SESSION_COOKIE, cookie_name
from tests.access.asks import Ask, Things, api_asks, web_asks
from tests.actions.test_files import PDF
from tests.actions.test_photos import picture
from tests.cast import SIGN_UP, Town, town_in
from tests.work import SECRET, runner_in

# A name for which browsers make passkeys.
HOST = "overture.localhost"
TABLE = Path(__file__).with_name("table.toml")
# Who asks, in the order of the table's columns.
ROLES = (
    "anonymous",
    "owner",
    "party",
    "member",
    "blocked",
    "basic",
    "scope",
    "expired",
    "revoked",
    "operator",
)
# Written where only some may read it; whoever else is shown one has seen too much.
ADDRESS = "canary-address@overture.example"
SECRETS = {
    "canary-letter": {"grace", "ada"},
    "canary-talk": {"grace", "bob"},
    "canary-file": {"grace", "bob"},
    "canary-draft": {"grace"},
    "canary-note": {"grace", "dora"},
    "canary-report": {"bob"},
    "canary-decision": {"grace"},
    "canary-complaint": {"grace"},
    "canary-address": {"grace"},
    "canary-passkey": {"grace"},
}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def told(self) -> str:
        """In one word, as the table has it."""
        to = self.headers.get("location", "") or self.headers.get("x-go", "")
        if self.status == 303:
            for page in ("/login", "/confirm"):
                if to == page or to.startswith((f"{page}?", f"{page}/")):
                    return page[1:]
        return str(self.status)


@dataclass
class World:
    """`api` and `web` ask the whole server; nothing that is asked for changes anything.

    `changed` counts the rows that it would have changed so far.
    """

    app: Any
    town: Town
    cookie_name: str
    members: dict[str, MemberId]
    tokens: dict[str, str]
    cookies: dict[str, str]
    asks: dict[str, Ask]
    changed: int = 0

    async def api(self, route: str, role: str, ask: Ask) -> Answer:
        method, _, path = route.partition(" ")
        token = self.tokens.get(self._token_of(role, method, ask))
        headers = {**ask.headers}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        body = b""
        if isinstance(ask.body, bytes):
            body = ask.body
        elif ask.body is not None:
            body = json.dumps(ask.body).encode()
            headers["content-type"] = "application/json"
        where = BASE + _filled(path, ask.path)
        return await call(self.app, method, where, ask.query, headers=headers, body=body)

    async def web(self, route: str, role: str, ask: Ask, site: str = "same-origin") -> Answer:
        method, _, path = route.partition(" ")
        headers = {**ask.headers, "sec-fetch-site": site, "sec-fetch-dest": "image"}
        if role == "operator":
            # To a page a token is nothing: who runs the installation signs in, as everybody does.
            headers["authorization"] = f"Bearer {self.tokens['operator:read']}"
        who = ask.party if role == "party" else role
        if (cookie := self.cookies.get(who)) is not None:
            headers["cookie"] = f"{self.cookie_name}={cookie}"
        body = b""
        if method == "POST":
            headers["content-type"] = "application/x-www-form-urlencoded"
            body = urlencode(ask.body or {}).encode()
        where = _filled(path, ask.path)
        return await call(self.app, method, where, ask.query, headers=headers, body=body)

    def _token_of(self, role: str, method: str, ask: Ask) -> str:
        if role in ("scope", "operator"):
            return f"{role}:{'read' if method == 'GET' else 'write'}"
        return ask.party if role == "party" else role


def _filled(path: str, values: Mapping[str, str]) -> str:
    return re.sub(r"{(\w+)(?::\w+)?}", lambda found: values[found[1]], path)


async def call(
    app: Any,
    method: str,
    path: str,
    query: str = "",
    *,
    headers: Mapping[str, str],
    body: bytes = b"",
) -> Answer:
    """Asks the application itself; of a stream, what comes first."""
    status, said, parts = 0, dict[str, str](), list[bytes]()
    given = [{"type": "http.request", "body": body}]
    gone = asyncio.Event()

    async def receive() -> Any:
        if given:
            return given.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        nonlocal status, said
        if message["type"] == "http.response.start":
            status = message["status"]
            said = {name.decode(): value.decode("latin-1") for name, value in message["headers"]}
            return
        parts.append(message.get("body", b""))
        if said.get("content-type", "").startswith("text/event-stream"):
            gone.set()

    sent = {"host": HOST, "content-length": str(len(body)), **headers}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    await app(scope, receive, send)
    return Answer(status, said, b"".join(parts))


def api_routes() -> list[str]:
    described = operations()
    return [f"{each.method} {each.path}" for each in [*described, *published(described)]]


def web_routes() -> list[str]:
    return [f"{each.method} {each.path}" for each in handlers()]


def taken_from_anywhere() -> set[str]:
    """What a form of another site may post to."""
    return {f"{each.method} {each.path}" for each in handlers() if each.from_anywhere}


# The world ----------------------------------------------------------------------------------------


@asynccontextmanager
async def world_in(database_url: str, scheme: str = "http") -> AsyncGenerator[World]:
    public_url = f"{scheme}://{HOST}"
    async with town_in(database_url) as town:
        await town.do(lambda tx: installation.set_test_clock(tx, SIGN_UP))
        shared = share(town.db, TestClock(), town.book, runner_in(town).play)
        context = make_context(
            shared,
            requests_per_minute=0,
            writes_per_minute=0,
            webhook_allow_hosts=["127.0.0.1"],
        )
        push = Push(partial(public_key, SECRET), frozenset())
        # Also without TLS: who may is asked here, not where it goes.
        # With a host site that may show pages in frames: who is asked as in a window, is shown none.
        made = make_site(
            shared,
            public_url=public_url,
            secret=SECRET,
            host=Host("https://host.example", ("a secret that nobody knows, of 32 bytes",)),
            embed_origins=("https://host.example",),
            examine=_nothing_found,
        )
        site = replace(made, push=push)
        surface = Surface(hosts=hosts_of((), public_url, "127.0.0.1"), https=site.https)
        app = front(faces(api_app(context), web_app(site)), surface)
        world = World(app, town, cookie_name(site, SESSION_COOKIE), {}, {}, {}, {})
        await _people(world)
        await _things(world)
        await shared.hub.start()
        _undo_everything(world)
        yield world
        await shared.hub.stop()
        await site.drain()
        await context.drain()


async def _nothing_found() -> list[Finding]:
    return []


def _undo_everything(world: World) -> None:
    """From now on every transaction does its work whole and is rolled back: whatever is asked, and by
    whom, the next one finds the same world."""
    db = world.town.db
    writing = db.writing

    async def undone(work: Callable[[Tx], Awaitable[Any]]) -> Any:
        async def whole(tx: Tx) -> None:
            before = await _changed(tx)
            result = await work(tx)
            await tx.execute("set constraints all immediate")
            world.changed += await _changed(tx) - before
            raise _Undone(result)

        try:
            await writing(whole)
        except _Undone as undone:
            return undone.result

    db.writing = undone  # type: ignore[method-assign]


async def _changed(tx: Tx) -> int:
    """How many rows this transaction changed, and those before it that were not added up yet."""
    row = await one_row(tx, _CHANGED)
    assert row is not None
    return row[0]


_CHANGED = """
    select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::int from pg_stat_xact_user_tables
"""


class _Undone(Exception):
    def __init__(self, result: Any) -> None:
        super().__init__()
        self.result = result


PLAN = {"premium": "premium_career"}
PEOPLE = {
    "grace": PLAN,
    "ada": PLAN,
    "bob": {},
    "dora": {},
    "emil": {},
    "hugo": PLAN,
    "mallory": PLAN,
    "carol": {},
    "otto": {},
}
_AS = {
    "owner": "grace",
    "member": "hugo",
    "blocked": "mallory",
    "basic": "carol",
    "operator": "otto",
}


async def _people(world: World) -> None:
    town = world.town
    for handle, plans in PEOPLE.items():
        world.members[handle] = await town.member(handle, **plans)
    grace = world.members["grace"]
    email = ADDRESS
    changes = members.ProfileChanges(email=email, headline="Compilers", company="Navy")
    await town.do(lambda tx: members.update(tx, grace, changes, town.now))

    async def accounts_of_all(tx: Tx) -> None:
        for handle, member in world.members.items():
            own = email if handle == "grace" else f"{handle}@overture.example"
            await accounts.take_address(tx, own, member)
            await accounts.add(tx, member, email=own, password=None, verified=True)

    await town.do(accounts_of_all)
    for name, handle in [*((each, each) for each in PEOPLE), *_AS.items()]:
        world.tokens[name] = await _token(town, world.members[handle], "read", "write")
        world.cookies[name] = await _session(town, world.members[handle])
    await _opens_the_console(world, "otto")
    # Of the owner's: what does not suffice, or does no more.
    world.tokens["scope:read"] = await _token(town, grace, "write")
    world.tokens["scope:write"] = await _token(town, grace, "read")
    long_ago = real_now() - timedelta(seconds=1)
    world.tokens["expired"] = await _token(town, grace, "read", "write", expires_at=long_ago)
    world.tokens["revoked"] = await _token(town, grace, "read", "write")
    revoked = sha256(world.tokens["revoked"].encode()).digest()
    row = await town.look(
        lambda tx: one_row(tx, "select id from tokens where hash = %s", (revoked,))
    )
    assert row is not None
    await town.do(lambda tx: tokens.revoke(tx, TokenId(row[0])))
    for scope in ("read", "write"):
        world.tokens[f"operator:{scope}"] = await _token(town, None, "read", "write")
    world.cookies["expired"] = await _session(town, grace)
    hashed = sha256(world.cookies["expired"].encode()).hexdigest()
    await town.do(
        lambda tx: tx.execute(
            "update sessions set expires_at = now() where hash = decode(%s, 'hex')", (hashed,)
        )
    )
    # What suffices for less: some pages want to know again who it is.
    world.cookies["scope"] = await _session(town, grace)
    stale = sha256(world.cookies["scope"].encode()).hexdigest()
    await town.do(
        lambda tx: tx.execute(
            "update sessions set proved_at = now() - interval '1 day' where hash = decode(%s, 'hex')",
            (stale,),
        )
    )
    world.cookies["revoked"] = await _session(town, grace)
    digest = sha256(world.cookies["revoked"].encode()).hexdigest()
    await town.do(lambda tx: sessions.end(tx, digest))


async def _opens_the_console(world: World, handle: str) -> None:
    """They have shown a second factor only now, in every browser."""
    member = world.members[handle]

    async def enter(tx: Tx) -> None:
        assert await operators.add(tx, member)
        await tx.execute("update sessions set factor_at = now() where member_id = %s", (member,))
        rows = await all_rows(tx, "select id from sessions where member_id = %s", (member,))
        for (session,) in rows:
            assert await operators.enter(tx, member, session)

    await world.town.do(enter)


async def _token(town: Town, member: MemberId | None, *scopes: str, expires_at: Any = None) -> str:
    secret = f"token-{ids.new()}"
    row = TokenRow(TokenId(ids.new()), member, scopes, "", expires_at)
    await town.do(lambda tx: tokens.add(tx, row, sha256(secret.encode()).digest()))
    return secret


async def _session(town: Town, member: MemberId, agent: str = "Mozilla/5.0") -> str:
    secret = f"session-{ids.new()}"
    digest = sha256(secret.encode()).hexdigest()
    await town.do(
        lambda tx: sessions.add(
            tx, member, session=str(ids.new()), sha256=digest, client="", agent=agent
        )
    )
    return secret


async def _things(world: World) -> None:
    """What there is to ask for, and how each route is asked for it."""
    town, at = world.town, world.members
    grace, bob = at["grace"], at["bob"]
    pairs = [[grace, bob], [grace, at["dora"]]]
    await _said(world, "operator", "PUT /connections", {"pairs": pairs})
    note = {"member_id": grace, "note": "canary-note"}
    invitation = (await _said(world, "emil", "POST /connections", note))["id"]
    await _said(world, "grace", f"PUT /blocks/{at['mallory']}", None)
    # The letter that waits.
    letter = {"to": grace, "subject": "canary-letter", "body": "canary-letter"}
    pending = (await _said(world, "ada", "POST /conversations", letter))["conversation"]["id"]
    # The talk of two who know each other, with a file.
    talk = {"to": bob, "body": "canary-talk"}
    said = await _said(world, "grace", "POST /conversations", talk)
    open_, message = said["conversation"]["id"], said["message"]["id"]
    new = await files.examine([files.Upload(FileId(ids.new()), "canary-file.pdf", PDF)])
    assert not isinstance(new, Refusal)
    with_file = Write(bob, ConversationId(open_), MessageId(ids.new()), "canary-talk", files=new)
    assert isinstance(await town.acts(with_file), Done)
    file = new[0].file.id
    place = Place.reply(ConversationId(open_))
    await town.do(lambda tx: drafts.save(tx, grace, place, body="canary-draft", now=town.now))
    report = {"member_id": grace, "reason": "spam", "note": "canary-report"}
    report_id = (await _said(world, "bob", "POST /reports", report))["id"]
    why = {"member_id": grace, "statement": "canary-decision"}
    decision, other = [
        (await _said(world, "operator", "POST /operator/warnings", why))["id"] for _ in range(2)
    ]
    complaint = {"about": "decision", "id": other, "text": "canary-complaint"}
    complaint_id = (await _said(world, "grace", "POST /me/complaints", complaint))["id"]
    links = Evidence(Kind.LINKS, 12, (ConversationId(open_),), "links.example")
    await town.do(lambda tx: suspicions.put(tx, grace, links, town.now, again=True))
    # What is the owner's own.
    face = await photos.make(picture())
    assert isinstance(face, Photo)
    await town.do(lambda tx: photos.put(tx, grace, face, town.now))
    passkey, session = PasskeyId(ids.new()), str(ids.new())

    async def own(tx: Tx) -> None:
        await passkeys.add(
            tx,
            grace,
            passkey,
            name="canary-passkey",
            credential=b"c",
            public_key=b"k",
            uses=0,
            transports=[],
        )
        await sessions.add(
            tx, grace, session=session, sha256=sha256(b"x").hexdigest(), client="", agent=""
        )

    await town.do(own)
    endpoint = await _said(
        world, "operator", "POST /operator/webhooks", {"url": "http://127.0.0.1:9/"}
    )
    unsubscribe = seals.for_unsubscribing(SECRET, member=grace, kind="inmail")
    seal = seals.for_answer(
        SECRET,
        member=grace,
        conversation=ConversationId(pending),
        address=ADDRESS,
        until=town.now + seals.ANSWER_LINKS_HOLD,
    )
    things = Things(
        members=at,
        pending=pending,
        open=open_,
        message=message,
        file=file,
        invitation=invitation,
        photo=face.version,
        passkey=passkey,
        session=session,
        seal=seal,
        unsubscribe=unsubscribe,
        endpoint=endpoint["endpoint"]["id"],
        decision=decision,
        complaint=complaint_id,
        report=report_id,
        now=town.now.isoformat(),
    )
    world.asks.update({f"api {route}": ask for route, ask in api_asks(things).items()})
    world.asks.update({f"web {route}": ask for route, ask in web_asks(things).items()})


async def _said(world: World, who: str, route: str, body: Any) -> Any:
    answer = await world.api(route, who, Ask(body=body))
    assert answer.status < 300, (route, answer)
    return json.loads(answer.body) if answer.body else None
