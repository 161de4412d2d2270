"""A suspended member does nothing and gets nothing, loses nothing, and the ledger stays true."""

from __future__ import annotations

from typing import Any

import pytest

from overture import ids
from overture.actions import credits as statements
from overture.actions import decisions, ledger, members, network
from overture.actions.decisions import Act
from overture.actions.fields import Invalid
from overture.core.conversations import State
from overture.core.decisions import Ground, Measure
from overture.core.ids import ConversationId, DecisionId, MemberId, MessageId
from overture.core.policy import Outcome
from overture.core.refusals import Refusal
from overture.core.sending import Done, Refused, Respond, Start, Withdraw, Write
from overture.store import audit, outbox
from overture.store.db import all_rows
from overture.store.decisions import Decision
from overture.store.outbox import Row
from tests.cast import Town, town_in

CAREER = {"premium": "premium_career"}


@pytest.fixture
async def town(database_url):
    async with town_in(database_url) as made:
        yield made


async def decides(town: Town, member: MemberId, measure: Measure, why: str = "Spam.") -> Any:
    act = Act("token:test", ids.new(), DecisionId(ids.new()), town.now)
    return await town.do(
        lambda tx: decisions.decide(tx, act, member, measure, ground=Ground.TERMS, statement=why)
    )


async def suspends(town: Town, member: MemberId) -> None:
    assert isinstance(await decides(town, member, Measure.SUSPENSION), Decision)


async def lifts(town: Town, member: MemberId) -> None:
    assert isinstance(await decides(town, member, Measure.LIFTED), Decision)


async def entries(town: Town, member: MemberId) -> list[str]:
    page = await town.look(
        lambda tx: statements.ledger(
            tx, member, None, cursor=None, limit=100, now=town.now, book=town.book
        )
    )
    assert not isinstance(page, Refusal)
    return [f"{each.entry.at:%d %b} {each.entry.kind} {each.entry.credits}" for each in page.items]


async def nothing_is_wrong_in_the_books(town: Town) -> None:
    found = await town.look(lambda tx: ledger.verify(tx, town.now, town.book))
    assert found.sound, found.discrepancies


async def test_a_suspended_member_does_nothing_in_conversations(town):
    ada, grace = await town.member("ada", **CAREER), await town.member("grace", **CAREER)
    sent = await town.sends(ada, grace)
    assert not isinstance(sent, Refusal)
    await suspends(town, ada)

    for command in (
        Start(ada, grace, ConversationId(ids.new()), MessageId(ids.new()), "Hello"),
        Write(ada, sent, MessageId(ids.new()), "Hello"),
        Withdraw(ada, sent),
        Respond(ada, sent, Outcome.ACCEPTED),
    ):
        assert await town.acts(command) == Refused(Refusal.SUSPENDED)
    await lifts(town, ada)
    assert isinstance(await town.acts(Withdraw(ada, sent)), Done)


async def test_nobody_can_write_to_a_suspended_member_and_cannot_tell_why(town):
    ada, grace = await town.member("ada", **CAREER), await town.member("grace", **CAREER)
    friend = await town.member("friend")
    await town.do(lambda tx: network.upsert_pairs(tx, [(ada, friend)], town.now))
    assert not isinstance(await town.sends(friend, ada), Refusal)
    await suspends(town, ada)

    assert await town.sends(grace, ada) is Refusal.RECIPIENT_UNAVAILABLE
    assert await town.sends(friend, ada) is Refusal.RECIPIENT_UNAVAILABLE
    await lifts(town, ada)
    assert not isinstance(await town.sends(grace, ada), Refusal)
    assert not isinstance(await town.sends(friend, ada), Refusal)


async def test_nobody_but_the_operator_finds_a_suspended_member(town):
    ada, grace = await town.member("ada", **CAREER), await town.member("grace", **CAREER)

    async def found(viewer: MemberId | None, q: str) -> bool:
        page = await town.look(
            lambda tx: members.search(tx, viewer, q, cursor=None, limit=10, now=town.now)
        )
        assert not isinstance(page, Invalid)
        return ada in [each.id for each in page.items]

    assert [await found(grace, q) for q in ("ada", "")] == [True, True]
    await suspends(town, ada)

    assert [await found(grace, q) for q in ("ada", "")] == [False, False]
    # Whom a host site tells over its members is still among them.
    assert await found(None, "")


async def test_a_letter_that_waits_can_still_be_answered_and_the_credit_comes_back(town):
    ada, grace = await town.member("ada", **CAREER), await town.member("grace", **CAREER)
    alan = await town.member("alan", **CAREER)
    to_grace, to_alan = await town.sends(ada, grace), await town.sends(ada, alan)
    assert not isinstance(to_grace, Refusal)
    assert not isinstance(to_alan, Refusal)
    await suspends(town, ada)

    assert isinstance(await town.accepts(grace, to_grace), Done)
    written = await town.acts(Write(alan, to_alan, MessageId(ids.new()), "Gladly"))
    assert isinstance(written, Refused)
    assert written.code is Refusal.RECIPIENT_UNAVAILABLE
    declined = await town.acts(Respond(alan, to_alan, Outcome.DECLINED))
    assert isinstance(declined, Done)
    assert declined.conversation.state is State.DECLINED

    assert (await entries(town, ada))[-2:] == ["31 Jan refund 1", "31 Jan refund 1"]
    await nothing_is_wrong_in_the_books(town)


async def test_the_ledger_is_the_same_as_without_the_suspension(town):
    ada, twin = await town.member("ada", **CAREER), await town.member("twin", **CAREER)
    grace = await town.member("grace", **CAREER)
    for each in (ada, twin):
        assert not isinstance(await town.sends(each, grace), Refusal)
    town.pass_by(days=10)
    await suspends(town, ada)
    town.pass_by(days=130)
    assert await entries(town, ada) == await entries(town, twin)
    await lifts(town, ada)
    town.pass_by(days=40)

    assert await entries(town, ada) == await entries(town, twin)
    assert not isinstance(await town.sends(ada, twin), Refusal)
    await nothing_is_wrong_in_the_books(town)


async def test_a_suspension_is_told_audited_and_ends(town):
    ada = await town.member("ada", **CAREER)

    await suspends(town, ada)
    assert await decides(town, ada, Measure.SUSPENSION) is Refusal.ALREADY_SUSPENDED
    await lifts(town, ada)
    assert await decides(town, ada, Measure.LIFTED) is Refusal.NOT_SUSPENDED
    assert await decides(town, MemberId(ids.new()), Measure.WARNING) is Refusal.NO_SUCH_MEMBER

    log = await town.look(lambda tx: audit.newest(tx, cursor=None, limit=10))
    assert [(e.action, e.member, e.actor) for e in log.items if e.action.startswith("member")] == [
        ("member.reinstated", ada, "token:test"),
        ("member.suspended", ada, "token:test"),
    ]
    assert "Spam" not in str([each.detail for each in log.items])
    events: list[Row] = await town.look(lambda tx: outbox.within(tx, [(1, 10**6)], 1000))
    assert [
        e.kind for e in events if e.kind.startswith(("decision", "member.susp", "member.re"))
    ] == [
        "decision.made",
        "member.suspended",
        "decision.made",
        "member.reinstated",
    ]


async def test_a_send_that_was_under_way_does_not_outrun_the_suspension(town):
    """Both take the member's row: whichever comes second sees what the first did."""
    ada, grace = await town.member("ada", **CAREER), await town.member("grace", **CAREER)
    await suspends(town, ada)

    assert await town.sends(ada, grace) is Refusal.SUSPENDED
    rows = await town.look(lambda tx: all_rows(tx, "select id from conversations"))
    assert rows == []
