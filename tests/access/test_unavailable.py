"""Who cannot be written to: the three reasons why are not told apart by any answer or side effect.

What tells a closed account is that its profile is gone, for everybody; of the other two nothing does.
How long each takes is measured by `make bench ARGS=unavailable`.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import httpx
import pytest

from overture import ids
from overture.actions import closing, members, network
from overture.actions.members import PreferenceChanges
from overture.core.ids import MemberId, TokenId
from overture.live.told import NetworkTold, concerns
from overture.store import outbox, tokens
from overture.store.db import Tx, all_rows
from overture.store.tokens import TokenRow
from tests.cast import Town
from tests.web.conftest import Browser, Place

REASONS = ("blocked", "optout", "closing")
Told = Mapping[str, Any]


@dataclass
class Sender:
    """Someone who writes to one who cannot be written to, by the API and in the browser."""

    place: Place
    browser: Browser
    token: str
    to: MemberId
    handle: str

    async def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}"} | more.pop("headers", {})
        http = self.place.browser().http
        return await http.request(method, f"/api/v1{path}", headers=headers, **more)

    async def writes(self) -> Told:
        """Every way of asking and of writing that names the recipient by id."""
        letter = {"to": self.to, "subject": "Hello", "body": "A word with you"}
        key = {"Idempotency-Key": "one"}
        contact = f"/members/{self.to}/contact"
        return {
            "contact": _said(await self.call("GET", contact)),
            "contact of a pool": _said(await self.call("GET", f"{contact}?pool=recruiter")),
            "letter": _said(await self.call("POST", "/conversations", json=letter, headers=key)),
            "again": _said(await self.call("POST", "/conversations", json=letter, headers=key)),
            "other": _said(
                await self.call("POST", "/conversations", json=letter | {"body": "x"}, headers=key)
            ),
            "for nothing": _said(
                await self.call("POST", "/conversations", json=letter | {"max_credits": 0})
            ),
            "of a pool": _said(
                await self.call("POST", "/conversations", json=letter | {"pool": "recruiter"})
            ),
        }

    async def meets(self) -> Told:
        """What one sees and does of a member who is there, in the browser and else."""
        form = {"to": self.handle, "subject": "Hi", "body": "A word", "key": "two", "price": "1"}
        pages = self.browser
        return {
            "profile": _said(await self.call("GET", f"/members/{self.handle}")),
            "found": _said(await self.call("GET", f"/members?q={self.handle}")),
            "profile's page": _said(await pages.get(f"/in/{self.handle}")),
            "letter's page": _said(await pages.get(f"/compose?to={self.handle}")),
            "checked": _said(await pages.post("/compose/check", form, live="1")),
            "kept": _said(await pages.post("/compose/draft", form, live="1")),
            "sent": _said(await pages.post("/compose", form)),
            "sent by a script": _said(await pages.post("/compose", form, live="1")),
            "who is here": _said(await pages.get(f"/here?ids={self.to}")),
            "invited": _said(
                await self.call("POST", "/connections", json={"member_id": self.to, "note": "Hi"})
            ),
            "invited again": _said(
                await self.call("POST", "/connections", json={"member_id": self.to})
            ),
            "profile then": _said(await pages.get(f"/in/{self.handle}")),
            "reported": _said(
                await self.call("POST", "/reports", json={"member_id": self.to, "reason": "spam"})
            ),
        }

    async def sees(self) -> Told:
        """All that is shown to the sender of themselves afterwards."""
        paths = ("/me/ledger", "/me/premium", "/connections?state=sent", "/search/messages?q=word")
        boxes = ("inbox", "requests", "sent", "unread", "archived", "spam")
        told = {path: _said(await self.call("GET", path)) for path in paths}
        told |= {box: _said(await self.call("GET", f"/conversations?box={box}")) for box in boxes}
        pages = ("/inbox", "/compose", "/premium", "/network/sent", "/settings/inmail")
        told |= {page: _said(await self.browser.get(page)) for page in pages}
        packed = zipfile.ZipFile(io.BytesIO((await self.call("GET", "/me/export")).content))
        told["export"] = {name: _masked(packed.read(name).decode()) for name in packed.namelist()}
        return told

    async def left(self) -> Told:
        """Whatever lies in the database of the sender, table by table, whoever may see it."""
        found: dict[str, Any] = {}

        async def look(tx: Tx) -> None:
            for table, column in await all_rows(tx, _TABLES):
                statement = (
                    f"select to_jsonb(t)::text from {table} t where t.{column} = %s order by 1"
                )
                rows = await all_rows(tx, statement, (self.browser.id,))
                found[f"{table}.{column}"] = sorted(_masked(row[0]) for row in rows)

        await self.place.town.look(look)
        return found


_TABLES = """
    select c.table_name, c.column_name
    from information_schema.columns c
    join information_schema.tables t using (table_schema, table_name)
    where c.table_schema = 'public' and t.table_type = 'BASE TABLE' and c.data_type = 'uuid'
        and c.column_name in ('owner_id', 'member_id', 'sender_id', 'reporter_id')
"""


def _said(answer: httpx.Response) -> tuple[int, dict[str, str], str]:
    headers = {name: value for name, value in answer.headers.items() if name != "content-length"}
    return answer.status_code, {n: _masked(v) for n, v in headers.items()}, _masked(answer.text)


def _masked(text: str) -> str:
    """Without what tells any two members apart: their ids and names, and what is drawn from these;
    and without instants."""
    for pattern, instead in _MASKS.items():
        text = pattern.sub(instead, text)
    return text


_MASKS: Mapping[re.Pattern[str], str] = {
    re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"): "ID",
    re.compile(r"(?i)to-(?:blocked|optout|closing)"): "WHOM",
    re.compile(r"(?i)from-(?:blocked|optout|closing)"): "WHO",
    re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])"): "LINK",
    re.compile(r"\b20\d\d-\d\d-\d\dT[\d:.]+\d(?:Z|\+00:00)"): "AT",
    re.compile(r'(?<="sequence": )\d+'): "N",
    # The waves over a profile, and the colour behind initials.
    re.compile(r'<svg class="cover".*?</svg>', re.DOTALL): "COVER",
    re.compile(r'(?<=class="av )(s\d+) h\d'): r"\1",
}


async def sender_to(place: Place, reason: str, **plans: str) -> Sender:
    """A member who writes, and one who for this reason cannot be written to."""
    town = place.town
    browser = await place.member(f"from-{reason}", **plans)
    to = await town.member(f"to-{reason}", premium="premium_career")
    opened = PreferenceChanges(open_profile=True, accept_inmail=reason != "optout")
    await town.do(lambda tx: members.change_preferences(tx, to, opened, town.now))
    assert browser.id is not None
    sender = browser.id
    if reason == "blocked":
        await town.do(lambda tx: network.block(tx, to, sender, town.now))
    if reason == "closing":
        await town.do(lambda tx: closing.close(tx, to, town.now, town.book))
    secret = f"token-{ids.new()}"
    row = TokenRow(TokenId(ids.new()), sender, ("read", "write"), "", None)
    await town.do(lambda tx: tokens.add(tx, row, sha256(secret.encode()).digest()))
    return Sender(place, browser, secret, to, f"to-{reason}")


@pytest.mark.parametrize("plans", [{"premium": "premium_career"}, {}], ids=["premium", "basic"])
async def test_nothing_tells_why_one_cannot_be_written_to(place: Place, plans: dict[str, str]):
    senders = [await sender_to(place, reason, **plans) for reason in REASONS]

    written = [await each.writes() for each in senders]
    assert written[0]["letter"][0] == 403
    assert '"code":"recipient_unavailable"' in written[0]["letter"][2]
    await _all_alike([*zip(REASONS, written, strict=True)])
    await _all_alike([(r, await s.sees()) for r, s in zip(REASONS, senders, strict=True)])
    await _all_alike([(r, await s.left()) for r, s in zip(REASONS, senders, strict=True)])

    both = senders[:2]
    met = [await each.meets() for each in both]
    assert met[0]["invited"][0] == 201
    assert met[0]["sent"][0] == 422
    await _all_alike([*zip(REASONS, met, strict=False)])
    await _all_alike([(r, await s.sees()) for r, s in zip(REASONS, both, strict=False)])
    # What others do with an invitation says which of the two saw it; the sender is told the same.
    await _all_alike(
        [(r, _without_outbox(await s.left())) for r, s in zip(REASONS, both, strict=False)]
    )
    assert await _streamed(place.town, both[0]) == await _streamed(place.town, both[1])


async def test_of_a_letter_that_waits_nothing_tells_that_it_will_not_be_answered(place: Place):
    plan = {"premium": "premium_career"}
    seen: list[tuple[str, Any]] = []
    for reason, ends in _ENDS.items():
        ada = await place.member(f"from-{reason}", **plan)
        grace = await place.town.member(f"to-{reason}", **plan)
        assert ada.id is not None
        sent = await place.town.sends(ada.id, grace)
        await place.town.do(lambda tx, ends=ends, a=ada.id, g=grace: ends(tx, place.town, g, a))
        answers = [
            _said(await ada.get(f"/inbox/{sent}")),
            _said(await ada.get("/inbox")),
            _said(await ada.post(f"/inbox/{sent}/typing")),
            _said(await ada.post(f"/inbox/{sent}/messages", {"body": "Well?", "key": "x"})),
            _said(await ada.get(f"/compose?to=to-{reason}")),
            _said(await ada.post(f"/inbox/{sent}/withdraw", {"key": "y"})),
            _said(await ada.get(f"/inbox/{sent}")),
        ]
        seen.append((reason, dict(enumerate(answers))))
    await _all_alike(seen)


async def _blocks(tx: Tx, town: Town, grace: MemberId, ada: MemberId) -> object:
    return await network.block(tx, grace, ada, town.now)


async def _opts_out(tx: Tx, town: Town, grace: MemberId, _ada: MemberId) -> object:
    no_more = PreferenceChanges(accept_inmail=False)
    return await members.change_preferences(tx, grace, no_more, town.now)


async def _does_nothing(_tx: Tx, _town: Town, _grace: MemberId, _ada: MemberId) -> object:
    return None


_ENDS: Mapping[str, Callable[..., Any]] = {
    "closing": _does_nothing,
    "blocked": _blocks,
    "optout": _opts_out,
}


async def _all_alike(told: list[tuple[str, Told]]) -> None:
    (first, said), *others = told
    for reason, each in others:
        assert each.keys() == said.keys()
        for what in said:
            where = _first_difference(str(each[what]), str(said[what]))
            assert not where, f"{what}: {reason} is not as {first}: {where}"


def _first_difference(one: str, other: str) -> str:
    at = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
    if at is None and len(one) == len(other):
        return ""
    at = min(len(one), len(other)) if at is None else at
    return f"…{one[at - 60 : at + 60]}… instead of …{other[at - 60 : at + 60]}…"


def _without_outbox(left: Told) -> Told:
    return {name: rows for name, rows in left.items() if not name.startswith("outbox.")}


async def _streamed(town: Town, sender: Sender) -> list[object]:
    """What the sender's own streams are told of all that happened, without whom it names."""
    rows = await town.look(lambda tx: outbox.within(tx, [(1, 10**9)], 1000))
    told = [
        each
        for row in rows
        for member, each in concerns(row.kind, row.owner, row.payload)
        if member == sender.browser.id
    ]
    return [NetworkTold(MemberId("")) if isinstance(each, NetworkTold) else each for each in told]
