"""The ledger: the entries of an account, and whether its books are as the rules would have them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from overture.actions import ledger as actions
from overture.actions import statements
from overture.actions.ledger import Verification
from overture.actions.statements import Held, Show
from overture.core.credits import Entry
from overture.core.ids import MemberId
from overture.core.refusals import Refusal
from overture.core.text import Sentence
from overture.store import console, verifications
from overture.store import credits as store
from overture.store.console import Dossier
from overture.store.db import Tx
from overture.web import statements as sentences
from overture.web.ops.people import member_asked, named
from overture.web.ops.sections import Section
from overture.web.visit import ANEW, Absent, Answer, Go, No, Page, Visit, Who, page

SECTION = Section("ledger", icon="book-open-check", label=Sentence("Ledger"))

ROWS = 100
# What can be replayed while somebody waits; for more there is the command line.
VERIFY_ALL_MAX = 5_000


@dataclass(frozen=True, slots=True)
class Row:
    """An entry, and what the member reads of it."""

    entry: Entry
    said: str


@page("/ops/ledger", who=Who.OPERATOR)
async def ledger(visit: Visit) -> Answer:
    who = visit.query.get("member", "").strip()
    found = await member_asked(visit.tx, who) if who else None
    if found is not None:
        return Go(f"/ops/ledger/{found}")
    values = {
        "verified": (await verifications.last(visit.tx)).get("ledger"),
        "too_many": await store.has_more_accounts(visit.tx, VERIFY_ALL_MAX),
        "who": who,
        "unknown": bool(who),
    }
    return Page("ops/ledger.html", values)


@page("/ops/ledger/{member:uuid}", who=Who.OPERATOR)
async def account(visit: Visit) -> Answer:
    """One pool of a member's, the newest entries first."""
    found = await _dossier(visit)
    held = await statements.held(visit.tx, found.id, visit.now, visit.site.book)
    pool, show = _pool(held, visit.query.get("pool")), _show(visit)
    values: dict[str, Any] = {
        "m": found,
        "held": held,
        "pool": pool,
        "show": show,
        "shows": _shows(visit),
        "rows": (),
        "next": None,
        "first": None,
        "again": "cursor" not in visit.query,
    }
    if pool is not None:
        cursor = visit.query.get("cursor") or None
        lines = await statements.statement(
            visit.tx,
            found.id,
            pool,
            show,
            cursor=cursor,
            limit=ROWS,
            now=visit.now,
            book=visit.site.book,
        )
        assert not isinstance(lines, Refusal), "the pool is one that is held"
        values["rows"] = [
            Row(each.entry, str(sentences.say(each, visit.words, visit.site.book)))
            for each in lines.items
        ]
        asked = {"pool": pool, "show": show.value}
        values["next"] = lines.next and _url(found.id, asked | {"cursor": lines.next})
        values["first"] = _url(found.id, asked) if cursor else None
    return Page("ops/ledger_account.html", values, parts={ANEW: "ops/patches/ledger.html"})


@page("/ops/ledger/{member:uuid}/verify", who=Who.OPERATOR)
async def verify(visit: Visit) -> Answer:
    """Replays one member's accounts from what they wished and sent."""
    found = await _dossier(visit)
    checked = await actions.verify_member(visit.tx, found.id, visit.now, visit.site.book)
    return await _verified(visit.tx, checked, found)


@page("/ops/ledger/verify", who=Who.OPERATOR, transaction=False)
async def verify_all(visit: Visit) -> Answer:
    """The whole ledger, where there is not too much of it."""
    site = visit.site

    async def check(tx: Tx) -> Page | None:
        if await store.has_more_accounts(tx, VERIFY_ALL_MAX):
            return None
        checked = await actions.verify(tx, await site.clock.now(tx), site.book)
        return await _verified(tx, checked, None)

    done = await site.db.reading(check)
    if done is None:
        sentence = visit.words.gettext(
            "That takes too long to wait for: run it on the command line."
        )
        return No(sentence, 422, "/ops/ledger")
    return done


async def _verified(tx: Tx, checked: Verification, member: Dossier | None) -> Page:
    wrong = [each.member for each in checked.discrepancies if each.member is not None]
    names = await named(tx, wrong)
    values = {
        "m": member,
        "checked": checked,
        "wrong": [
            (each, names.get(each.member) if each.member else None)
            for each in checked.discrepancies
        ],
    }
    return Page("ops/ledger_verified.html", values)


async def _dossier(visit: Visit) -> Dossier:
    found = await console.dossier(visit.tx, visit.id("member", MemberId))
    if found is None:
        raise Absent
    return found


def _pool(held: Sequence[Held], asked: str | None) -> str | None:
    pools = [each.pool for each in held]
    return asked if asked in pools else next(iter(pools), None)


def _show(visit: Visit) -> Show:
    wanted = visit.query.get("show", "")
    return Show(wanted) if wanted in list(Show) else Show.ALL


def _shows(visit: Visit) -> Sequence[tuple[Show, str]]:
    _ = visit.words.gettext
    return [
        (Show.ALL, _("All")),
        (Show.SPENT, _("Spent")),
        (Show.RETURNED, _("Returned")),
        (Show.GRANTED, _("Granted")),
        (Show.EXPIRED, _("Expired")),
        (Show.OTHER, _("Other")),
    ]


def _url(member: MemberId, asked: dict[str, str]) -> str:
    return f"/ops/ledger/{member}?{urlencode(asked)}"
