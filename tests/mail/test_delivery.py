"""Notices on their way: to a real server over STARTTLS, once each, and in nobody else's way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from overture.clock import TestClock
from overture.core import seals
from overture.core.jobs import DONE, Again, Job
from overture.core.replies import addresses
from overture.jobs.runner import Outside
from overture.mail.message import Letterhead
from overture.mail.outgoing import Outgoing
from overture.mail.post import Ready
from overture.mail.smtp import Smtp
from overture.store import installation, jobs
from overture.store.db import all_rows
from tests.cast import SIGN_UP, town_in
from tests.mail.conftest import Server
from tests.mail.town import Mailtown, says, text_of
from tests.work import SECRET, runner_in

CAREER = {"premium": "premium_career"}
REPLIES = addresses("r+*@inmail.example.org")


@pytest.fixture
async def smtptown(
    database_url: str, tmp_path: Path, server: Server, smtp_to: Callable[..., Smtp]
) -> AsyncIterator[Mailtown]:
    """A town whose mails go to the server."""
    async with town_in(database_url) as town:
        await town.do(lambda tx: installation.set_test_clock(tx, SIGN_UP))
        runner = runner_in(town, smtp=smtp_to(server), reply_address="r+*@inmail.example.org")
        yield Mailtown(town, tmp_path, runner)


async def parked(town: Mailtown) -> list[tuple[object, ...]]:
    statement = "select queue, problem from jobs where parked_at is not null"
    return await town.town.look(lambda tx: all_rows(tx, statement))


async def passes_real_time(town: Mailtown) -> None:
    await town.town.do(
        lambda tx: tx.execute("update jobs set not_before = '-infinity', held_until = '-infinity'")
    )
    town.runner._rests.clear()


async def test_a_letter_reaches_its_reader_over_starttls(smtptown: Mailtown, server: Server):
    ada = await smtptown.member("ada", "Ada Byron", **CAREER)
    grace = await smtptown.member("grace", "Grace Hopper", **CAREER)
    server.taken.clear()
    await smtptown.sends(ada, grace, "May I?", "Compilers")

    await smtptown.passes()

    (taken,) = server.taken
    assert taken.over_tls
    assert taken.to == "grace@example.org"
    assert says(taken.message, "Ada Byron wrote you an InMail", "May I?")
    # What cannot be delivered tells whose address it was, and nothing else.
    seal = REPLIES.seal_in(taken.sender)
    assert seal is not None
    assert seals.permits_bounce(SECRET, seal, member=grace, address="grace@example.org")
    assert await smtptown.rows("select from jobs where queue like 'mail%'") == []


async def claimed(town: Mailtown) -> list[Job]:
    """The mails that are due by now, taken by nobody."""
    while await town.runner.maker.step():
        pass
    now, lease = town.town.now, timedelta(0)
    return await town.town.do(lambda tx: jobs.claim(tx, "mail", now, limit=9, lease=lease))


async def test_a_mail_that_is_sent_again_is_the_same(smtptown: Mailtown, server: Server):
    """The process ends after the server took the mail, and before that is written down."""
    ada = await smtptown.member("ada", **CAREER)
    grace = await smtptown.member("grace", **CAREER)
    server.taken.clear()
    await smtptown.sends(ada, grace)
    (job,) = await claimed(smtptown)
    queue = (await smtptown.runner.queues())["mail"]
    assert isinstance(queue, Outside)

    assert [await queue.run(job), await queue.run(job)] == [DONE, DONE]

    first, second = [taken.message for taken in server.taken]
    assert first["message-id"] == second["message-id"]
    assert text_of(first) == text_of(second)


async def test_a_mailbox_that_is_nobodys_gets_no_more_mails(smtptown: Mailtown, server: Server):
    ada = await smtptown.member("ada", **CAREER)
    grace = await smtptown.member("grace", **CAREER)
    server.answers["RCPT"] = "550 5.1.1 <grace@example.org>: unknown"
    await smtptown.sends(ada, grace)
    await smtptown.passes()
    assert await parked(smtptown) == [("mail", "The mail server refused it for good: 550 5.1.1.")]

    server.answers.clear()
    server.taken.clear()
    await smtptown.passes(days=3)

    assert [each for each in server.taken if each.to == "grace@example.org"] == []
    assert await smtptown.rows("select why from failing_addresses") == [("5.1.1",)]


async def test_a_mail_server_that_hangs_delays_nothing_else(
    smtptown: Mailtown, server: Server, smtp_to: Callable[..., Smtp]
):
    ada = await smtptown.member("ada", **CAREER)
    grace = await smtptown.member("grace", **CAREER)
    server.hangs = True
    patient, soon = smtptown.runner, smtp_to(server, seconds=0.5)
    smtptown.runner = runner_in(smtptown.town, smtp=soon, reply_address="r+*@inmail.example.org")
    await smtptown.sends(ada, grace)

    await smtptown.passes(hours=48)

    reminded = await smtptown.rows("select from inbox where reminded_at is not null")
    assert len(reminded) == 1
    waiting = await smtptown.rows("select problem from jobs where queue = 'mail' order by number")
    assert waiting[0] == ("The mail server took too long.",)
    server.hangs = False
    smtptown.runner = patient
    await passes_real_time(smtptown)
    await smtptown.passes()
    subjects = [each.message["subject"] for each in server.taken if each.to == "grace@example.org"]
    assert any("InMail from Ada" in subject for subject in subjects)


async def test_no_transaction_is_open_while_the_server_has_a_mail(smtptown: Mailtown):
    ada = await smtptown.member("ada", **CAREER)
    grace = await smtptown.member("grace", **CAREER)
    await smtptown.sends(ada, grace)
    seen: list[int] = []
    town = smtptown.town

    class Looking:
        async def send(self, mail: Ready) -> Again:
            rows = await town.look(
                lambda tx: all_rows(
                    tx,
                    "select from pg_stat_activity where state like 'idle in transaction%'"
                    " and datname = current_database()",
                )
            )
            seen.append(len(rows))
            return Again("It was only looked at.")

    outgoing = Outgoing(
        town.db,
        TestClock(),
        town.book,
        SECRET,
        Looking(),
        Letterhead("https://overture.example", "no-reply@overture.example", "overture.example"),
        None,
    )
    due = await claimed(smtptown)
    outcomes = await asyncio.gather(*(outgoing.notice(job) for job in due))

    assert due
    assert seen == [0] * len(due)
    assert all(isinstance(each, Again) for each in outcomes)
