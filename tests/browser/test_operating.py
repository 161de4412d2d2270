"""What an operator does in the console from day to day, by mouse or by keyboard, on real pages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from playwright.sync_api import expect

from overture import ids
from overture.actions import reports
from overture.core.ids import ReportId
from overture.core.jobs import NewJob
from overture.store import jobs, operators
from overture.store.db import Tx, all_rows
from tests.browser.network import Member, Network
from tests.browser.people import NARROW, Person

CAREER = "premium_career"
Visit = Callable[..., Person]


@pytest.fixture
def otto(network: Network, visit: Visit) -> Person:
    """An operator in the console."""
    member = network.member("Otto")
    otto = visit(member)

    async def enter(tx: Tx) -> None:
        _ = await operators.add(tx, member.id)
        shown = "update sessions set factor_at = now() where member_id = %s returning id"
        for (session,) in await all_rows(tx, shown, (member.id,)):
            assert await operators.enter(tx, member.id, session)

    network.do(enter)
    return otto


def reported(network: Network, by: Member, member: Member) -> None:
    conversation = network.letter(member, by, "Buy my pills, they are the best.", "Pills")
    network.do(
        lambda tx: reports.report(
            tx,
            by.id,
            ReportId(ids.new()),
            member=member.id,
            conversation=conversation,
            reason=reports.Reason.SPAM,
            note="",
            now=network.now,
        )
    )


def test_a_report_is_decided_by_keyboard(network: Network, otto: Person, visit: Visit) -> None:
    ada, mallory = network.member("Ada", premium=CAREER), network.member("Mallory", premium=CAREER)
    reported(network, ada, mallory)
    page = otto.opens("/ops/reports")

    page.keyboard.press("j")
    page.keyboard.press("Enter")
    otto.sees("Buy my pills, they are the best.")
    page.locator("input[value=none]").check()
    expect(page.get_by_label("What the member reads")).to_be_hidden()
    page.get_by_label("Warn").check()
    page.get_by_label("What the reporter reads").fill("Thank you. Something was done.")
    page.get_by_label("What the member reads").fill("Advertising breaks the terms.")
    page.keyboard.press("Control+Enter")

    otto.sees("Both sides are told")
    otto.is_at("/ops/reports")
    expect(page.get_by_role("link", name="Spam or advertising")).to_have_count(0)
    theirs = visit(mallory, viewport=NARROW)
    theirs.opens("/settings/decisions")
    theirs.sees("Advertising breaks the terms.")


def test_what_was_given_up_is_done_again_by_keyboard(network: Network, otto: Person) -> None:
    async def give_up(tx: Tx) -> None:
        await jobs.add(tx, [NewJob("a-test", otto.me.id, "1", network.now, {})])
        (job,) = await jobs.claim(tx, "a-test", network.now, limit=1, lease=timedelta(minutes=1))
        await jobs.park(tx, job, "The server hung up.")

    page = otto.opens("/ops/jobs")
    otto.sees("Nothing was given up.")

    network.do(give_up)
    # It comes by itself.
    otto.sees("The server hung up.")
    page.keyboard.press("j")
    page.keyboard.press("Enter")

    otto.sees("It is done again")
    otto.sees("Nothing was given up.")
    assert network.count("select count(*) from jobs where parked_at is not null") == 0
