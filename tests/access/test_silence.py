"""Receipts, typing and who is here never leak against a preference: whatever two members do, the one is
shown the same whether the other reads, types and looks in, or does nothing of it.

Two pairs live the same life, but that in one of them Grace also reads, types and is there, always at a
moment when Ada may not see that. Then all that can be told to Ada is compared: API, pages, streams,
mails, export; and to the operator's endpoints.
"""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import httpx
import psycopg
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from overture import ids
from overture.actions import inbox, members, network, notifying, webhook_events
from overture.actions.members import PreferenceChanges
from overture.api.app import BASE
from overture.api.events import _pieces
from overture.core.conversations import State
from overture.core.ids import ConversationId, MemberId, MessageId, TokenId
from overture.core.policy import Outcome
from overture.core.sending import Respond, Withdraw, Write
from overture.live.told import Ended, SeenByOthers, concerns
from overture.store import live, outbox, presence, tokens
from overture.store import network as network_store
from overture.store.db import one_row
from overture.store.tokens import TokenRow
from overture.web.events import _patches
from overture.words import words_of
from tests.access.alike import all_alike, masked, said
from tests.web.conftest import Browser, Place, place_in

# What both pairs do, in whatever order; what is not possible then changes nothing.
ACTS = (
    "ada off",
    "ada on",
    "grace off",
    "grace on",
    "accepts",
    "declines",
    "withdraws",
    "connect",
    "disconnect",
    "blocks",
    "ada writes",
    "grace writes",
    "looks in",
)
# Of one pair alone: each is Grace's.
SECRETLY = ("reads", "opens", "sees a picture", "types", "types on the page", "is here")


@dataclass
class Two:
    """Ada, who wrote to Grace, and Grace; `open` is the pair in which Grace does more."""

    place: Place
    ada: Browser
    grace: Browser
    token: str
    here: ConversationId
    open: bool
    on: dict[str, bool] = field(default_factory=lambda: {"ada": True, "grace": True})
    connected: bool = False
    blocked: bool = False

    async def state(self) -> State:
        thread = await self.place.town.look(lambda tx: inbox.thread(tx, self._id("ada"), self.here))
        assert not isinstance(thread, str), thread
        return thread.row.state

    async def shows(self, act: str) -> bool:
        """Whether Ada may see this of Grace now."""
        if not all(self.on.values()):
            return False
        state = await self.state()
        if act in ("reads", "opens", "sees a picture"):
            return state not in (State.PENDING, State.WITHDRAWN)
        return not self.blocked and (self.connected or state in (State.ACCEPTED, State.DECLINED))

    def _id(self, who: str) -> MemberId:
        found = self.ada.id if who == "ada" else self.grace.id
        assert found is not None
        return found

    async def does(self, act: str) -> None:
        town, ada, grace = self.place.town, self._id("ada"), self._id("grace")
        match act.split():
            case [who, ("on" | "off") as how]:
                self.on[who] = how == "on"
                member = self._id(who)
                change = PreferenceChanges(receipts_and_typing=how == "on")
                await town.do(lambda tx: members.change_preferences(tx, member, change, town.now))
            case ["accepts"]:
                await town.acts(Respond(grace, self.here, Outcome.ACCEPTED))
            case ["declines"]:
                await town.acts(Respond(grace, self.here, Outcome.DECLINED))
            case ["withdraws"]:
                await town.acts(Withdraw(ada, self.here))
            case ["connect"]:
                self.connected = True
                await town.do(lambda tx: network.upsert_pairs(tx, [(ada, grace)], town.now))
            case ["disconnect"]:
                self.connected = False
                await town.do(lambda tx: network.disconnect(tx, grace, ada, town.now))
            case ["blocks"]:
                self.blocked = True
                await town.do(lambda tx: network_store.add_block(tx, grace, ada, town.now))
            case [who, "writes"]:
                await town.acts(Write(self._id(who), self.here, MessageId(ids.new()), "And so on"))
            case _:
                await self.grace.get("/inbox")

    async def does_secretly(self, act: str) -> None:
        town, grace = self.place.town, self._id("grace")
        last = await self._last()
        match act:
            case "reads":
                await town.do(lambda tx: inbox.read(tx, grace, self.here, last, town.now))
            case "opens":
                answer = await self.grace.get(f"/inbox/{self.here}")
                assert answer.status_code == 200
                await self.grace.post(f"/inbox/{self.here}/read", {"up_to": last})
            case "sees a picture":
                own = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "image"}
                params = {"up_to": last}
                await self.grace.http.get(f"/inbox/{self.here}/seen", params=params, headers=own)
            case "types":
                await town.do(lambda tx: inbox.typing(tx, grace, self.here))
            case "types on the page":
                await self.grace.post(f"/inbox/{self.here}/typing")
            case _:
                await town.do(lambda tx: presence.note(tx, [grace]))

    async def _last(self) -> MessageId:
        statement = "select id::text from messages where conversation_id = %s order by number desc"
        row = await self.place.town.look(lambda tx: one_row(tx, statement, (self.here,)))
        assert row is not None
        return MessageId(row[0])

    async def shown(self) -> dict[str, Any]:
        """All that Ada can ask for."""
        grace = self._id("grace")
        paths = (
            f"/conversations/{self.here}",
            f"/conversations/{self.here}/messages",
            "/conversations?box=sent",
            "/conversations?box=inbox",
            "/connections",
            f"/members/{grace}",
            f"/members/{grace}/contact",
            "/search/messages?q=so",
        )
        found = {path: said(await self._calls(path)) for path in paths}
        pages = ("/inbox", f"/inbox/{self.here}", f"/in/{grace}", f"/here?ids={grace}", "/network")
        found |= {path: said(await self.ada.get(path, follow_redirects=True)) for path in pages}
        packed = zipfile.ZipFile(io.BytesIO((await self._calls("/me/export")).content))
        found["export"] = {name: masked(packed.read(name).decode()) for name in packed.namelist()}
        return {masked(name): value for name, value in found.items()}

    async def _calls(self, path: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}"}
        return await self.ada.http.get(BASE + path, headers=headers)

    async def told(self, after: int) -> dict[str, Any]:
        """What Ada's streams and mails bring of what happened since, and what endpoints are told."""
        place, ada = self.place, self._id("ada")
        both = {ada, self._id("grace")}
        rows = await place.town.look(lambda tx: outbox.within(tx, [(after + 1, 10**9)], 1000))
        rows = [row for row in rows if row.owner in both]
        hers = [
            each
            for row in rows
            for member, each in concerns(row.kind, row.owner, row.payload)
            if member == ada and not isinstance(each, (Ended, SeenByOthers))
        ]
        secret = self.ada.http.cookies["session"]
        viewer = await place.site.sessions.submit(sha256(secret.encode()).hexdigest())
        assert viewer is not None
        pieces = await _pieces(place.site.hub, ada, [(None, each) for each in hers])
        patches = await _patches(place.site, viewer, words_of("en", "UTC"), hers)
        jobs = await place.town.look(lambda tx: notifying.plan(tx, rows))
        bodies = [body for row in rows if (body := webhook_events.body_of(row)) is not None]
        return {
            "stream": masked(str(pieces)),
            "pages": masked(patches),
            "mails": masked(str([(job.queue, job.payload) for job in jobs if job.owner == ada])),
            "endpoints": masked(str([(body.type, body.data) for body in bodies])),
        }


async def two_in(place: Place, *, open: bool) -> Two:
    """Who just wrote to whom: their names are the same, but for what tells the pairs apart."""
    mark = "blocked" if open else "optout"
    number = next(_NUMBERS)
    ada = await place.member(f"from-{mark}-{number}", premium="premium_career")
    grace = await place.member(f"to-{mark}-{number}", premium="premium_career")
    assert ada.id is not None
    assert grace.id is not None
    sent = await place.town.sends(ada.id, grace.id)
    secret = f"token-{ids.new()}"
    row = TokenRow(TokenId(ids.new()), ada.id, ("read", "write"), "", None)
    digest = sha256(secret.encode()).digest()
    await place.town.do(lambda tx: tokens.add(tx, row, digest))
    return Two(place, ada, grace, secret, ConversationId(sent), open)


_NUMBERS = iter(range(10, 100_000))


@pytest.fixture(scope="module")
def stage(databases) -> Iterator[tuple[asyncio.Runner, Place]]:
    url = databases.fresh()
    with asyncio.Runner() as runner:
        stack = place_in(url)
        place = runner.run(stack.__aenter__())
        yield runner, place
        runner.run(stack.__aexit__(None, None, None))
    databases.drop(url)


@given(
    acts=st.lists(
        st.tuples(st.sampled_from(ACTS), st.lists(st.sampled_from(SECRETLY), max_size=2)),
        max_size=5,
    ),
    at_last=st.sampled_from(SECRETLY),
    hides=st.sampled_from(("ada off", "grace off")),
)
@settings(max_examples=15, phases=(Phase.explicit, Phase.reuse, Phase.generate))
def test_nobody_is_shown_what_the_other_does_not_want_to_show(stage, acts, at_last, hides):
    runner, place = stage
    runner.run(live_alike(place, acts, at_last, hides))


async def live_alike(place: Place, acts: list[Any], at_last: str, hides: str) -> None:
    before = (await place.town.look(outbox.ends))[1]
    pairs = [await two_in(place, open=True), await two_in(place, open=False)]
    with psycopg.connect(place.site.db.url, autocommit=True) as heard:
        heard.execute(f"listen {live.TYPING}")
        for act, secretly in [("looks in", [at_last]), *acts, (hides, [at_last])]:
            # While the letter waits the rules hide it without a preference.
            told = act != hides or await pairs[0].shows("reads")
            for pair in pairs:
                await pair.does(act if told else "looks in")
            for each in secretly:
                if not await pairs[0].shows(each):
                    await pairs[0].does_secretly(each)
        if await pairs[0].shows("is here"):
            # Whoever is here once it may be seen, is seen.
            await place.town.do(lambda tx: tx.execute("delete from presence"))
        notices = list(heard.notifies(timeout=0.01))
    assert not notices, "typing was told"
    shown = [("open", await pairs[0].shown()), ("closed", await pairs[1].shown())]
    all_alike(shown)
    all_alike([("open", await pairs[0].told(before)), ("closed", await pairs[1].told(before))])


def test_where_both_want_it_the_other_is_shown_it(stage):
    runner, place = stage
    runner.run(shown_where_wanted(place))


def test_what_was_read_in_silence_is_not_told_afterwards(stage):
    runner, place = stage
    runner.run(silent_for_good(place))


async def silent_for_good(place: Place) -> None:
    pairs = [await two_in(place, open=True), await two_in(place, open=False)]
    for act in ("accepts", "ada writes", "grace off"):
        for pair in pairs:
            await pair.does(act)
    await pairs[0].does_secretly("reads")
    for pair in pairs:
        await pair.does("grace on")
    all_alike([("open", await pairs[0].shown()), ("closed", await pairs[1].shown())])

    # What is read from now on is told, with all before it.
    await pairs[0].does("ada writes")
    await pairs[0].does_secretly("reads")
    assert '"seen_up_to":"ID"' in (await pairs[0].shown())["/conversations/ID"][2]


async def shown_where_wanted(place: Place) -> None:
    """The other side of it: without this, nothing might ever be told of anything."""
    pair = await two_in(place, open=True)
    await pair.does("accepts")
    await pair.does("ada writes")
    before = (await place.town.look(outbox.ends))[1]
    assert await pair.shows("reads")

    with psycopg.connect(place.site.db.url, autocommit=True) as heard:
        heard.execute(f"listen {live.TYPING}")
        await pair.does_secretly("types")
        assert len(list(heard.notifies(timeout=60, stop_after=1))) == 1
    await pair.does_secretly("reads")
    await pair.does_secretly("is here")

    shown, told = await pair.shown(), await pair.told(before)
    assert '"seen_up_to":"ID"' in shown["/conversations/ID"][2]
    assert "Read" in shown["/inbox/ID"][2]
    assert "receipt" in told["stream"]
    assert told["mails"] == told["endpoints"] == "[]"
