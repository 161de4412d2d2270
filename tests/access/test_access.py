"""Who may see what: every route of the API and of the web app, asked by everybody, beside the table.

`python -m tests.access.test_access DATABASE_URL` prints the tables as they are; a difference is to be
looked at before it becomes the table.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence

from tests.access.asks import Ask
from tests.access.world import (
    ROLES,
    SECRETS,
    TABLE,
    Answer,
    World,
    api_routes,
    taken_from_anywhere,
    web_routes,
    world_in,
)

# Who is neither of the two whom something belongs to.
STRANGERS = ("member", "blocked", "basic")
Table = Mapping[str, Mapping[str, Sequence[str]]]


def test_the_table_names_every_route_and_no_other():
    table = written()

    for face, routes in (("api", api_routes()), ("web", web_routes())):
        assert set(routes) - set(table[face]) == set(), "not in the table"
        assert set(table[face]) - set(routes) == set(), "in the table, and nowhere else"


async def test_everybody_may_what_the_table_says_and_nobody_sees_more(database_url: str):
    table = written()
    wrong: list[str] = []

    async with world_in(database_url) as world:
        for face, rows in table.items():
            for route, cells in rows.items():
                wrong += await _wrong_in(world, face, route, cells)

    assert not wrong, "\n".join(wrong)


async def _wrong_in(world: World, face: str, route: str, cells: Sequence[str]) -> list[str]:
    ask = _ask_of(world, face, route)
    wrong: list[str] = []
    for role, cell in zip(ROLES, cells, strict=True):
        before = world.changed
        answer = await _answer(world, face, route, role, ask)
        if ask.secret and role in STRANGERS and world.changed != before:
            wrong.append(f"{route} changes something for {role}")
        if answer.told != cell:
            wrong.append(
                f"{route} of {role}: {answer.told} instead of {cell}: {answer.body[:300]!r}"
            )
        if seen := _overseen(answer, role, ask):
            wrong.append(f"{route} shows {', '.join(seen)} to {role}")
        if ask.secret and role in STRANGERS:
            unknown = await _answer(world, face, route, role, ask.stranger())
            if _shape(answer) != _shape(unknown):
                wrong.append(f"{route} tells {role} what is there from what is not")
    if face == "web" and route.startswith("POST ") and route not in taken_from_anywhere():
        for site in ("cross-site", "same-site", "none"):
            answer = await world.web(route, "owner", ask, site)
            if answer.status != 403:
                wrong.append(f"{route} takes a form from {site or 'nowhere'}: {answer.status}")
    return wrong


def _overseen(answer: Answer, role: str, ask: Ask) -> list[str]:
    """What the answer shows of others' own."""
    whole = f"{answer.headers} {answer.body.decode('utf-8', 'replace')}"
    # A session that has grown stale is still its member's; and who has the link in the letter's mail
    # has the mail.
    who = {"owner": "grace", "scope": "grace", "party": ask.party}.get(role, "")
    who = "grace" if "seal" in ask.path else who
    # What those who run the site read: what was reported to them, and what was said against them,
    # and what they decided themselves.
    operators = {"canary-report", "canary-address", "canary-complaint", "canary-decision"}
    if ask.body == {"reason": "A test"}:
        # A conversation is opened for a reason, which is written down.
        operators |= {"canary-talk"}
    allowed = operators if role == "operator" else set[str]()
    return [
        secret
        for secret, theirs in SECRETS.items()
        if secret in whole and who not in theirs and secret not in allowed
    ]


def _shape(answer: Answer) -> tuple[int, Mapping[str, str], bytes]:
    """All that can be told apart of two answers: without the ids that were asked for."""
    return answer.status, answer.headers, _ID.sub(b"ID", answer.body)


_ID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def written() -> Table:
    found = tomllib.loads(TABLE.read_text())
    return {
        face: {route: row.split() for route, row in found[face].items()} for face in ("api", "web")
    }


def _ask_of(world: World, face: str, route: str) -> Ask:
    return world.asks.get(f"{face} {route}", Ask())


async def _answer(world: World, face: str, route: str, role: str, ask: Ask) -> Answer:
    return await (world.api if face == "api" else world.web)(route, role, ask)


async def as_it_is(database_url: str) -> None:
    async with world_in(database_url) as world:
        for face, routes in (("api", api_routes()), ("web", web_routes())):
            columns = " ".join(f"{role[:7]:7}" for role in ROLES).rstrip()
            print(f"\n[{face}]\n#{'':74}{columns}")
            for route in routes:
                ask = _ask_of(world, face, route)
                told = [(await _answer(world, face, route, role, ask)).told for role in ROLES]
                row = " ".join(f"{each:7}" for each in told).rstrip()
                key = f'"{route}"'
                print(f'{key:72} = "{row}"')


if __name__ == "__main__":
    asyncio.run(as_it_is(sys.argv[1]))
