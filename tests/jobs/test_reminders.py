"""The reminder: one, while there is reason for it, at an hour at which it is welcome."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from overture.actions import closing, conversations, members, network, reminders
from overture.actions.conversations import Ask
from overture.core.ids import ConversationId, MemberId
from overture.core.policy import Outcome
from overture.core.sending import Respond, Withdraw
from overture.store import decisions, installation, jobs
from overture.store.db import Tx, all_rows
from tests.cast import SIGN_UP
from tests.jobs.conftest import Worked

CAREER = {"premium": "premium_career"}


async def letter(worked: Worked) -> tuple[MemberId, MemberId, ConversationId]:
    ada = await worked.town.member("ada", **CAREER)
    grace = await worked.town.member("grace", **CAREER)
    sent = await worked.town.sends(ada, grace)
    assert isinstance(sent, str)
    return ada, grace, ConversationId(sent)


async def test_it_comes_once_at_48_hours(worked: Worked):
    _, grace, sent = await letter(worked)

    await worked.passes(hours=47.99)
    assert await worked.told("inmail.reminded") == []
    await worked.passes(days=365)

    (told,) = await worked.told("inmail.reminded")
    assert told[1] == SIGN_UP + timedelta(hours=48)
    assert sent.encode() in told[2]
    assert grace.encode() in told[2]
    rows = await worked.town.look(
        lambda tx: all_rows(
            tx, "select owner_id, reminded_at from inbox where reminded_at is not null"
        )
    )
    assert rows == [(grace, SIGN_UP + timedelta(hours=48))]


async def test_it_waits_for_the_morning_where_the_recipient_lives(worked: Worked):
    ada = await worked.town.member("ada", **CAREER)
    grace = await worked.town.member("grace", **CAREER)
    change = members.ProfileChanges(time_zone="Asia/Tokyo")
    await worked.town.do(lambda tx: members.update(tx, grace, change, worked.town.now))
    worked.town.pass_by(hours=4)  # 14:00 UTC, 23:00 in Tokyo
    await worked.town.sends(ada, grace)

    await worked.passes(days=4)

    (told,) = await worked.told("inmail.reminded")
    assert told[1].isoformat() == "2025-02-02T23:00:00+00:00"


async def test_who_moved_meanwhile_is_reminded_in_their_new_morning(worked: Worked):
    _, grace, _ = await letter(worked)  # due at 10:00 UTC, which is 02:00 in Los Angeles
    change = members.ProfileChanges(time_zone="America/Los_Angeles")
    await worked.town.do(lambda tx: members.update(tx, grace, change, worked.town.now))

    await worked.passes(days=4)

    (told,) = await worked.told("inmail.reminded")
    assert told[1].isoformat() == "2025-02-02T16:00:00+00:00"


async def _answers(worked: Worked, ada: MemberId, grace: MemberId, sent: ConversationId) -> None:
    await worked.town.acts(Respond(grace, sent, Outcome.DECLINED))


async def _withdraws(worked: Worked, ada: MemberId, grace: MemberId, sent: ConversationId) -> None:
    await worked.town.acts(Withdraw(ada, sent))


async def _blocks(worked: Worked, ada: MemberId, grace: MemberId, sent: ConversationId) -> None:
    await worked.town.do(lambda tx: network.block(tx, grace, ada, now=worked.town.now))


async def _is_blocked(worked: Worked, ada: MemberId, grace: MemberId, sent: ConversationId) -> None:
    await worked.town.do(lambda tx: network.block(tx, ada, grace, now=worked.town.now))


async def _opts_out(worked: Worked, ada: MemberId, grace: MemberId, sent: ConversationId) -> None:
    change = members.PreferenceChanges(accept_inmail=False)
    await worked.town.do(lambda tx: members.change_preferences(tx, grace, change, worked.town.now))


async def _leaves(worked: Worked, ada: MemberId, grace: MemberId, sent: ConversationId) -> None:
    await worked.town.do(lambda tx: closing.close(tx, grace, worked.town.now, worked.town.book))


async def _connects(worked: Worked, ada: MemberId, grace: MemberId, sent: ConversationId) -> None:
    await worked.town.do(lambda tx: network.upsert_pairs(tx, [(ada, grace)], worked.town.now))


async def _is_suspended(
    worked: Worked, ada: MemberId, grace: MemberId, sent: ConversationId
) -> None:
    await worked.town.do(lambda tx: decisions.suspend(tx, grace, worked.town.now))


async def _sender_is_suspended(
    worked: Worked, ada: MemberId, grace: MemberId, sent: ConversationId
) -> None:
    await worked.town.do(lambda tx: decisions.suspend(tx, ada, worked.town.now))


@pytest.mark.parametrize(
    "gone",
    [
        _answers,
        _withdraws,
        _blocks,
        _is_blocked,
        _opts_out,
        _leaves,
        _connects,
        _is_suspended,
        _sender_is_suspended,
    ],
    ids=lambda gone: gone.__name__.strip("_"),
)
async def test_none_comes_once_the_reason_is_gone(worked: Worked, gone: Any):
    ada, grace, sent = await letter(worked)
    await worked.passes(hours=24)

    await gone(worked, ada, grace, sent)

    await worked.passes(days=30)
    assert await worked.told("inmail.reminded") == []


async def test_none_comes_where_the_answer_is_just_being_committed(worked: Worked):
    _, grace, sent = await letter(worked)
    worked.town.pass_by(hours=48)
    answer = Ask(Respond(grace, sent, Outcome.DECLINED))
    reminding: list[asyncio.Task[None]] = []

    async def slowly(tx: Tx) -> None:
        await conversations.act(tx, [answer], worked.town.now, worked.town.book)
        reminding.append(asyncio.create_task(worked.runner.play(worked.town.now)))
        await until_somebody_waits(worked)

    await worked.town.db.writing(slowly)
    await reminding[0]

    assert await worked.told("inmail.reminded") == []


async def test_who_leaves_while_they_are_reminded_waits_for_it(worked: Worked):
    _, grace, _ = await letter(worked)
    await worked.passes(hours=1)
    leaving: list[asyncio.Task[object]] = []
    attempts = {"reminding": 0, "leaving": 0}

    async def leave(tx: Tx) -> None:
        attempts["leaving"] += 1
        await closing.close(tx, grace, worked.town.now, worked.town.book)

    async def remind(tx: Tx) -> None:
        attempts["reminding"] += 1
        due = await jobs.take(tx, reminders.QUEUE, SIGN_UP + timedelta(days=3), limit=9)
        leaving.append(asyncio.create_task(worked.town.db.writing(leave)))
        await until_somebody_waits(worked)
        await reminders.remind(tx, due, SIGN_UP + timedelta(hours=48), worked.town.book)

    await worked.town.db.writing(remind)
    await leaving[0]

    # Neither met the other in a way that only a second attempt resolves.
    assert attempts == {"reminding": 1, "leaving": 1}
    assert len(await worked.told("inmail.reminded")) == 1


async def until_somebody_waits(worked: Worked) -> None:
    """Until a transaction waits for the row of another."""
    waiting = """
        select from pg_stat_activity
        where wait_event_type = 'Lock' and datname = current_database()
    """
    async with asyncio.timeout(30):
        while not await worked.town.look(lambda tx: all_rows(tx, waiting)):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_what_is_too_late_after_an_outage_is_left_out(worked: Worked):
    await letter(worked)
    worked.town.pass_by(hours=73)
    # The clock went on while nothing worked.
    now = worked.town.now
    await worked.town.do(lambda tx: installation.set_test_clock(tx, now))

    await worked.passes(hours=1)

    assert await worked.told("inmail.reminded") == []
