"""Who cannot be written to: the three reasons why are not told apart by any answer or side effect.

What tells a closed account is that its profile is gone, for everybody; of the other two nothing does.
How long each takes is measured by `make bench ARGS=unavailable`.
"""

from __future__ import annotations

import io
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
from tests.access.alike import Told, all_alike, masked, said
from tests.cast import Town
from tests.web.conftest import Browser, Place

REASONS = ("blocked", "optout", "closing")


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
            "contact": said(await self.call("GET", contact)),
            "contact of a pool": said(await self.call("GET", f"{contact}?pool=recruiter")),
            "letter": said(await self.call("POST", "/conversations", json=letter, headers=key)),
            "again": said(await self.call("POST", "/conversations", json=letter, headers=key)),
            "other": said(
                await self.call("POST", "/conversations", json=letter | {"body": "x"}, headers=key)
            ),
            "for nothing": said(
                await self.call("POST", "/conversations", json=letter | {"max_credits": 0})
            ),
            "of a pool": said(
                await self.call("POST", "/conversations", json=letter | {"pool": "recruiter"})
            ),
        }

    async def meets(self) -> Told:
        """What one sees and does of a member who is there, in the browser and else."""
        form = {"to": self.handle, "subject": "Hi", "body": "A word", "key": "two", "price": "1"}
        pages = self.browser
        return {
            "profile": said(await self.call("GET", f"/members/{self.handle}")),
            "found": said(await self.call("GET", f"/members?q={self.handle}")),
            "profile's page": said(await pages.get(f"/in/{self.handle}")),
            "letter's page": said(await pages.get(f"/compose?to={self.handle}")),
            "checked": said(await pages.post("/compose/check", form, live="1")),
            "kept": said(await pages.post("/compose/draft", form, live="1")),
            "sent": said(await pages.post("/compose", form)),
            "sent by a script": said(await pages.post("/compose", form, live="1")),
            "who is here": said(await pages.get(f"/here?ids={self.to}")),
            "invited": said(
                await self.call("POST", "/connections", json={"member_id": self.to, "note": "Hi"})
            ),
            "invited again": said(
                await self.call("POST", "/connections", json={"member_id": self.to})
            ),
            "profile then": said(await pages.get(f"/in/{self.handle}")),
            "reported": said(
                await self.call("POST", "/reports", json={"member_id": self.to, "reason": "spam"})
            ),
        }

    async def sees(self) -> Told:
        """All that is shown to the sender of themselves afterwards."""
        paths = ("/me/ledger", "/me/premium", "/connections?state=sent", "/search/messages?q=word")
        boxes = ("inbox", "requests", "sent", "unread", "archived", "spam")
        told = {path: said(await self.call("GET", path)) for path in paths}
        told |= {box: said(await self.call("GET", f"/conversations?box={box}")) for box in boxes}
        pages = ("/inbox", "/compose", "/premium", "/network/sent", "/settings/inmail")
        told |= {page: said(await self.browser.get(page)) for page in pages}
        packed = zipfile.ZipFile(io.BytesIO((await self.call("GET", "/me/export")).content))
        told["export"] = {name: masked(packed.read(name).decode()) for name in packed.namelist()}
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
                found[f"{table}.{column}"] = sorted(masked(row[0]) for row in rows)

        await self.place.town.look(look)
        return found


_TABLES = """
    select c.table_name, c.column_name
    from information_schema.columns c
    join information_schema.tables t using (table_schema, table_name)
    where c.table_schema = 'public' and t.table_type = 'BASE TABLE' and c.data_type = 'uuid'
        and c.column_name in ('owner_id', 'member_id', 'sender_id', 'reporter_id')
"""


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
    all_alike([*zip(REASONS, written, strict=True)])
    all_alike([(r, await s.sees()) for r, s in zip(REASONS, senders, strict=True)])
    all_alike([(r, await s.left()) for r, s in zip(REASONS, senders, strict=True)])

    both = senders[:2]
    met = [await each.meets() for each in both]
    assert met[0]["invited"][0] == 201
    assert met[0]["sent"][0] == 422
    all_alike([*zip(REASONS, met, strict=False)])
    all_alike([(r, await s.sees()) for r, s in zip(REASONS, both, strict=False)])
    # What others do with an invitation says which of the two saw it; the sender is told the same.
    all_alike([(r, _without_outbox(await s.left())) for r, s in zip(REASONS, both, strict=False)])
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
            said(await ada.get(f"/inbox/{sent}")),
            said(await ada.get("/inbox")),
            said(await ada.post(f"/inbox/{sent}/typing")),
            said(await ada.post(f"/inbox/{sent}/messages", {"body": "Well?", "key": "x"})),
            said(await ada.get(f"/compose?to=to-{reason}")),
            said(await ada.post(f"/inbox/{sent}/withdraw", {"key": "y"})),
            said(await ada.get(f"/inbox/{sent}")),
        ]
        seen.append((reason, dict(enumerate(answers))))
    all_alike(seen)


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
