"""Policies as files, and as what an installation keeps of them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from overture import app, ids, policies
from overture.actions import credits, ledger
from overture.clock import real_now
from overture.core.credits import Kind
from overture.core.policy import PolicyBook, PolicyProblem, parse
from overture.core.refusals import Refusal
from overture.store import audit, installation
from overture.store.db import Database
from tests.cast import Town

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
async def db(database_url) -> AsyncIterator[Database]:
    made = await Database.open(database_url, connections=2)
    yield made
    await made.close()


async def choose(db: Database, chosen: PolicyBook | None, now: datetime = NOW) -> PolicyBook:
    """What an installation that is started with this policy then goes by, as it is recorded."""
    book = await db.writing(lambda tx: policies.put_in_force(tx, chosen, now))
    assert await db.reading(policies.in_force) == book
    return book


def expiries(book: PolicyBook) -> list[tuple[datetime, int]]:
    return [(version.holds_from, version.expiry.days) for version in book.versions]


def book(*versions: tuple[datetime, int]) -> PolicyBook:
    """The seed with these numbers of days until a lot expires, each from an instant on."""
    seed = policies.load("seed").versions[0]
    return PolicyBook(
        tuple(
            replace(seed, holds_from=holds_from, expiry=timedelta(days=days))
            for holds_from, days in versions
        )
    )


BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
LAST_YEAR = NOW - timedelta(days=365)
NEXT_YEAR = NOW + timedelta(days=365)


@pytest.mark.parametrize("name", policies.presets())
def test_a_version_is_written_and_read_back(name):
    for version in policies.load(name).versions:
        assert parse(policies.written(version)).versions == (version,)


def test_a_title_of_any_characters_is_written_and_read_back():
    seed = policies.load("seed").versions[0]
    replies = [replace(seed.quick_replies[0], text='“Yes” \\ "no"\n\t\x7f\x01 – 🦊')]

    version = replace(seed, quick_replies=tuple(replies))

    assert parse(policies.written(version)).versions == (version,)


async def test_a_new_installation_takes_the_chosen_policy_as_it_is(db):
    chosen = book((BEGINNING, 100), (LAST_YEAR, 110), (NEXT_YEAR, 130))
    assert await choose(db, chosen) == chosen


async def test_a_new_installation_takes_the_seed_when_none_is_chosen(db):
    assert await choose(db, None) == policies.load("seed")


async def test_the_same_policy_again_records_nothing(db):
    first = await choose(db, policies.load("seed"))
    assert await choose(db, policies.load("seed"), NOW + timedelta(days=1)) == first
    assert await choose(db, None, NOW + timedelta(days=2)) == first


async def test_another_policy_holds_from_now_on(db):
    await choose(db, book((BEGINNING, 100)))
    after = await choose(db, book((BEGINNING, 90)))
    assert expiries(after) == [(BEGINNING, 100), (NOW, 90)]

    back = await choose(db, book((BEGINNING, 100)), NOW + timedelta(days=1))
    assert expiries(back) == [(BEGINNING, 100), (NOW, 90), (NOW + timedelta(days=1), 100)]


async def test_a_file_changes_the_future_and_never_the_past(db):
    await choose(db, book((BEGINNING, 100), (NEXT_YEAR, 130)))

    after = await choose(db, book((BEGINNING, 50), (LAST_YEAR, 100), (NEXT_YEAR, 140)))

    assert expiries(after) == [(BEGINNING, 100), (NEXT_YEAR, 140)]


async def test_two_changes_while_a_test_clock_stands_both_count(db):
    await choose(db, book((BEGINNING, 100)))
    await choose(db, book((BEGINNING, 90)))
    after = await choose(db, book((BEGINNING, 80)))

    just_after = NOW + timedelta(microseconds=1)
    assert expiries(after) == [(BEGINNING, 100), (NOW, 90), (just_after, 80)]
    assert await choose(db, book((BEGINNING, 80))) == after


async def test_a_policy_that_drops_a_plan_cannot_follow(db):
    before = await choose(db, policies.load("seed"))
    seed = policies.load("seed").versions[0]
    plans = {name: plan for name, plan in seed.plans.items() if name != "recruiter_lite"}

    with pytest.raises(PolicyProblem, match="drops the plan recruiter_lite"):
        await choose(db, PolicyBook((replace(seed, plans=plans),)))
    assert await choose(db, None) == before


# Applied from a date on -----------------------------------------------------------------------------


async def apply(
    db: Database, chosen: PolicyBook, starts_at: datetime | None = None, now: datetime = NOW
) -> list[policies.Step]:
    return await db.writing(
        lambda tx: policies.apply(
            tx, chosen, starts_at=starts_at, actor="command line", audit_id=ids.new(), now=now
        )
    )


async def withdraw(db: Database, starts_at: datetime | None = None, now: datetime = NOW) -> None:
    await db.writing(
        lambda tx: policies.withdraw(
            tx, starts_at, actor="command line", audit_id=ids.new(), now=now
        )
    )


async def recorded(db: Database) -> list[tuple[datetime, int]]:
    found = await db.reading(policies.in_force)
    assert found is not None
    return expiries(found)


SOON = NOW + timedelta(minutes=1)


async def test_a_policy_is_applied_from_a_date_on_and_the_past_stays(db):
    await choose(db, book((BEGINNING, 100)))

    (step,) = await apply(db, book((BEGINNING, 90)), NEXT_YEAR)

    assert [each.sentence for each in step.differences] == [
        "Lots die after 90 days instead of 100: lots that exist keep their date."
    ]
    assert await recorded(db) == [(BEGINNING, 100), (NEXT_YEAR, 90)]


async def test_a_policy_without_a_date_holds_as_soon_as_every_server_knows_it(db):
    await choose(db, book((BEGINNING, 100)))

    await apply(db, book((BEGINNING, 90)), now=NOW + timedelta(microseconds=1))

    assert await recorded(db) == [(BEGINNING, 100), (SOON + timedelta(seconds=1), 90)]


@pytest.mark.parametrize("starts_at", [LAST_YEAR, NOW, SOON - timedelta(seconds=1)])
async def test_a_policy_cannot_take_effect_in_the_past_or_at_once(db, starts_at):
    before = expiries(await choose(db, book((BEGINNING, 100))))

    with pytest.raises(PolicyProblem, match="The earliest is 2026-03-01T12:01:00Z"):
        await apply(db, book((BEGINNING, 90)), starts_at)
    assert await recorded(db) == before

    await apply(db, book((BEGINNING, 90)), SOON)
    assert await recorded(db) == [*before, (SOON, 90)]


async def test_a_document_of_several_versions_says_itself_when_they_hold(db):
    await choose(db, book((BEGINNING, 100)))
    several = book((BEGINNING, 50), (LAST_YEAR, 90), (NEXT_YEAR, 80))

    with pytest.raises(PolicyProblem, match="has 3 versions, which say themselves"):
        await apply(db, several, NEXT_YEAR)
    await apply(db, several)

    assert await recorded(db) == [(BEGINNING, 100), (SOON, 90), (NEXT_YEAR, 80)]


async def test_what_a_document_repeats_is_not_recorded_again(db):
    await choose(db, book((BEGINNING, 100)))
    await apply(db, book((BEGINNING, 100), (NEXT_YEAR, 80)))
    assert await recorded(db) == [(BEGINNING, 100), (NEXT_YEAR, 80)]

    with pytest.raises(PolicyProblem, match="Nothing would change"):
        await apply(db, book((BEGINNING, 100), (NEXT_YEAR, 80)))


async def test_two_versions_do_not_take_effect_at_one_instant(db):
    await choose(db, book((BEGINNING, 100)))
    await apply(db, book((BEGINNING, 90)), NEXT_YEAR)

    with pytest.raises(PolicyProblem, match="Another version takes effect at 2027-03-01T12:00:00Z"):
        await apply(db, book((BEGINNING, 80)), NEXT_YEAR)
    (step,) = await apply(db, book((BEGINNING, 80)), NEXT_YEAR - timedelta(days=1))

    assert step.until == NEXT_YEAR


async def test_a_plan_that_a_coming_version_brings_cannot_be_forgotten_by_a_later_one(db):
    await choose(db, policies.load("seed"))
    seed = policies.load("seed").versions[0]
    extra = replace(seed.plans["premium_career"], name="premium_extra", title="Premium Extra")
    more = PolicyBook((replace(seed, plans={**seed.plans, "premium_extra": extra}),))
    await apply(db, more, NEXT_YEAR)

    with pytest.raises(PolicyProblem, match="drops the plan premium_extra"):
        await apply(db, policies.load("recruiter"), NEXT_YEAR + timedelta(days=1))
    await apply(db, policies.load("recruiter"), NEXT_YEAR - timedelta(days=1))


async def test_a_version_is_withdrawn_before_it_takes_effect_and_not_after(db):
    await choose(db, book((BEGINNING, 100)))
    await apply(db, book((BEGINNING, 90)), NEXT_YEAR)

    late = NEXT_YEAR - timedelta(seconds=29)
    with pytest.raises(PolicyProblem, match="takes effect in less than 30 seconds"):
        await withdraw(db, now=late)
    with pytest.raises(PolicyProblem, match=r"has taken effect, and what was done since"):
        await withdraw(db, NEXT_YEAR, now=NEXT_YEAR)
    with pytest.raises(PolicyProblem, match="No version is to come"):
        await withdraw(db, now=NEXT_YEAR)
    assert await recorded(db) == [(BEGINNING, 100), (NEXT_YEAR, 90)]

    await withdraw(db, now=late - timedelta(seconds=1))
    assert await recorded(db) == [(BEGINNING, 100)]


async def test_of_several_versions_to_come_one_is_named(db):
    await choose(db, book((BEGINNING, 100)))
    await apply(db, book((BEGINNING, 90)), SOON)
    await apply(db, book((BEGINNING, 80)), NEXT_YEAR)

    dates = re.escape("2026-03-01T12:01:00Z, 2027-03-01T12:00:00Z")
    with pytest.raises(PolicyProblem, match=f"Say which one by its date: {dates}"):
        await withdraw(db)
    with pytest.raises(PolicyProblem, match="No version takes effect at 2027-03-02T12:00:00Z"):
        await withdraw(db, NEXT_YEAR + timedelta(days=1))

    await withdraw(db, SOON)
    assert await recorded(db) == [(BEGINNING, 100), (NEXT_YEAR, 80)]


async def test_who_applied_and_withdrew_what_stands_in_the_audit_log(db):
    await choose(db, book((BEGINNING, 100)))
    await apply(db, book((BEGINNING, 90)), NEXT_YEAR)
    await withdraw(db)

    page = await db.reading(lambda tx: audit.newest(tx, cursor=None, limit=10))

    withdrawn, applied = page.items
    assert (applied.action, applied.actor) == ("policy.applied", "command line")
    (version,) = applied.detail["versions"]
    assert version["holds_from"].startswith("2027-03-01T12:00:00")
    assert version["changes"][0].startswith("Lots die after 90 days instead of 100")
    assert withdrawn.action == "policy.withdrawn"
    (gone,) = parse(withdrawn.detail["document"]).versions
    assert (gone.holds_from, gone.expiry.days) == (NEXT_YEAR, 90)


async def test_a_refusal_leaves_nothing_behind(db):
    await choose(db, book((BEGINNING, 100)))

    with pytest.raises(PolicyProblem):
        await apply(db, book((BEGINNING, 100)))

    page = await db.reading(lambda tx: audit.newest(tx, cursor=None, limit=10))
    assert page.items == []


async def test_the_same_policy_at_the_next_start_does_not_undo_what_was_applied(db):
    await choose(db, book((BEGINNING, 100)))
    await apply(db, book((BEGINNING, 90)), SOON)
    await apply(db, book((BEGINNING, 80)), NEXT_YEAR)

    assert expiries(await choose(db, book((BEGINNING, 100)), SOON)) == [
        (BEGINNING, 100),
        (SOON, 90),
        (NEXT_YEAR, 80),
    ]

    # Another one is a new wish.
    after = SOON + timedelta(days=1)
    assert expiries(await choose(db, book((BEGINNING, 70)), after)) == [
        (BEGINNING, 100),
        (SOON, 90),
        (after, 70),
    ]


# Learnt by those who run ---------------------------------------------------------------------------


async def test_a_process_learns_of_a_version_before_it_holds(database_url, db):
    await choose(db, book((BEGINNING, 100)), real_now())
    async with app.opened(database_url, connections=2) as running:
        now = await running.db.reading(running.clock.now)
        assert running.clock.at_once() is not None
        (step,) = await apply(db, book((BEGINNING, 90)), now=now)
        assert step.version.holds_from - now >= 2 * policies.KNOWN_FOR

        # As when it has not asked for so long.
        running.book.known.read_at -= policies.KNOWN_FOR
        assert running.clock.at_once() is None
        old = running.book.versions[0]
        await running.db.reading(running.clock.now)

        assert running.book.at(step.version.holds_from).expiry.days == 90
        assert running.book.at(now) is old
        assert running.book.change_after(now) == step.version.holds_from

        # And of its being taken back.
        await withdraw(db, now=now)
        running.book.known.read_at -= policies.KNOWN_FOR
        await running.db.reading(running.clock.now)
        assert running.book.versions == (old,)


async def test_a_clock_that_was_set_back_is_not_trusted(database_url, db):
    await choose(db, book((BEGINNING, 100)), real_now())
    async with app.opened(database_url, connections=2) as running:
        await running.db.reading(running.clock.now)
        assert running.book.is_known()

        running.book.known.read_at += timedelta(hours=1)

        assert not running.book.is_known()


async def test_on_a_test_clock_a_version_is_known_at_the_next_look(database_url, db):
    await choose(db, book((BEGINNING, 100)))
    await db.writing(lambda tx: installation.set_test_clock(tx, NOW))
    async with app.opened(database_url, connections=2) as running:
        await running.db.reading(running.clock.now)
        await apply(db, book((BEGINNING, 90)))
        await db.writing(lambda tx: installation.set_test_clock(tx, NEXT_YEAR))

        now = await running.db.reading(running.clock.now)

        assert running.book.at(now).expiry.days == 90


# The past ------------------------------------------------------------------------------------------


async def test_whatever_is_applied_the_ledger_of_the_past_stays(db):
    """Sent, answered and granted under the old version; looked at only under the new one."""
    town = Town(db, await choose(db, policies.load("seed"), LAST_YEAR), LAST_YEAR)
    ada = await town.member("ada", premium="premium_career")
    grace = await town.member("grace", premium="premium_career")
    letter = await town.sends(ada, grace)
    assert not isinstance(letter, Refusal)
    town.pass_by(days=20)

    harsh = replace(
        policies.load("seed").versions[0], expiry=timedelta(days=5), refund_window=timedelta(0)
    )
    (step,) = await apply(db, PolicyBook((harsh,)), now=town.now)
    after = await db.reading(policies.in_force)
    assert after is not None
    town.book = after
    town.pass_by(days=30)
    await town.accepts(grace, letter)

    page = await db.reading(
        lambda tx: credits.ledger(
            tx, ada, None, cursor=None, limit=100, now=town.now, book=town.book
        )
    )
    # The letter keeps its 90 days, and each lot the days of its time.
    entries = [each.entry for each in page.items]
    assert (Kind.REFUND, 1) in [(each.kind, each.credits) for each in entries]
    lots = [each for each in entries if each.expires_at is not None]
    changes_at = step.version.holds_from
    assert [each.expires_at - each.at for each in lots] == [
        timedelta(days=120 if each.at < changes_at else 5) for each in lots
    ]
    assert {each.at < changes_at for each in lots} == {True, False}
    checked = await db.reading(lambda tx: ledger.verify(tx, town.now, town.book))
    assert checked.sound, checked.discrepancies
