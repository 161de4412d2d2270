"""What becomes of an account by itself: the advice, exactly, and what comes next."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from overture.core import credits
from overture.core.credits import Account, Deferred, Kind, Reason
from overture.core.forecast import forecast, lost
from overture.core.ids import ConversationId, MemberId
from overture.core.policy import PolicyBook
from overture.core.refusals import Refusal
from tests.cast import SIGN_UP, policy
from tests.machine import early, tight

SEED = policy("seed")
BOOKS = {"seed": SEED, "tight": tight(), "early": early(), "sales": policy("sales-navigator")}
NEVER_HELD = Account(MemberId("ada"), "premium", datetime(2000, 1, 1, tzinfo=UTC))


def subscribed(plan: str = "premium_business", at: datetime = SIGN_UP) -> Account:
    return credits.choose(NEVER_HELD, SEED.at(at).plans[plan], at, SEED).account


def sent(account: Account, count: int, at: datetime, book: PolicyBook = SEED) -> Account:
    for number in range(count):
        change = credits.spend(account, at, book, inmail_id=ConversationId(str(number)))
        assert not isinstance(change, Refusal)
        account = change.account
    return account


def test_nine_sends_keep_what_would_expire_and_what_would_not_fit() -> None:
    """The page's own example: 39 held, 6 of them expire two days before 15 come, 45 at most."""
    account = subscribed(at=datetime(2026, 5, 3, 10, tzinfo=UTC))
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    lots = tuple(
        credits.Lot(number, granted_at, granted_at + timedelta(days=120), 15, remaining)
        for number, (granted_at, remaining) in enumerate(
            [
                (datetime(2026, 8, 3, 10, tzinfo=UTC), 6),
                (datetime(2026, 9, 3, 10, tzinfo=UTC), 15),
                (datetime(2026, 10, 3, 10, tzinfo=UTC), 15),
                (datetime(2026, 11, 3, 10, tzinfo=UTC), 3),
            ],
            start=4,
        )
    )
    account = replace(account, settled_at=now, lots=lots, next_due_at=lots[0].expires_at)

    told = forecast(account, now, SEED)

    assert told is not None
    assert told.sends == 9
    assert told.at == datetime(2026, 12, 3, 10, tzinfo=UTC)
    assert [(each.at.day, each.credits) for each in told.expiring] == [(1, -6)]
    assert told.grant is not None
    assert (told.grant.credits, told.grant.forfeited) == (12, 3)


def test_with_room_there_is_nothing_to_lose() -> None:
    told = forecast(subscribed(), SIGN_UP, SEED)

    assert told is not None
    assert told.sends == 0
    assert told.grant is not None
    assert told.grant.credits == 15


def test_without_a_subscription_there_is_nothing_to_tell() -> None:
    assert forecast(NEVER_HELD, SIGN_UP, SEED) is None
    ended = credits.cancel_now(subscribed(), SIGN_UP, SEED).account
    assert forecast(ended, SIGN_UP, SEED) is None


def test_before_the_end_all_would_have_to_be_sent() -> None:
    ending = credits.cancel_at_period_end(subscribed(), SIGN_UP, SEED).account

    told = forecast(ending, SIGN_UP, SEED)

    assert told is not None
    assert told.sends == 15
    assert told.grant is None
    assert told.ending is not None
    assert (told.ending.reason, told.ending.credits) == (Reason.CANCELED, -15)
    assert told.later == ()


def test_a_downgrade_takes_what_is_left_and_brings_the_new_allotment() -> None:
    career = SEED.at(SIGN_UP).plans["premium_career"]
    waiting = credits.choose(subscribed(), career, SIGN_UP, SEED).account

    told = forecast(waiting, SIGN_UP, SEED)

    assert told is not None
    assert told.sends == 15
    assert told.ending is not None
    assert told.ending.reason == Reason.PLAN_CHANGE
    assert told.grant is not None
    assert told.grant.credits == 5


def test_refunds_that_wait_take_the_room_that_a_send_makes() -> None:
    """At the cap with two waiting: two sends let them in, fifteen more make room for the grant."""
    now = SIGN_UP + timedelta(days=85)
    account = credits.settle(subscribed(), now, SEED).account
    assert account.balance == 45
    waiting = tuple(Deferred(ConversationId(f"inmail {n}"), now) for n in range(2))

    told = forecast(replace(account, deferred=waiting), now, SEED)

    assert told is not None
    assert told.sends == 17


def test_the_period_after_the_renewal_is_told_as_well() -> None:
    now = SIGN_UP + timedelta(days=100)

    told = forecast(credits.settle(subscribed(), now, SEED).account, now, SEED)

    assert told is not None
    assert told.at == datetime(2025, 5, 31, 10, tzinfo=UTC)
    assert [(e.at, e.kind, e.credits) for e in told.later] == [
        (datetime(2025, 6, 28, 10, tzinfo=UTC), Kind.EXPIRE, -15)
    ]


@st.composite
def lives(draw: st.DrawFn) -> tuple[Account, datetime, PolicyBook]:
    """An account after some time of sends, answers, plans and cancels."""
    book = BOOKS[draw(st.sampled_from(sorted(BOOKS)))]
    now = draw(st.sampled_from([SIGN_UP, datetime(2025, 4, 30, 23, tzinfo=UTC)]))
    plans = list(book.at(now).plans.values())
    plan = draw(st.sampled_from(plans))
    account = replace(NEVER_HELD, pool=plan.pool)
    account = credits.choose(account, plan, now, book).account
    letters: list[tuple[ConversationId, datetime]] = []
    steps = st.tuples(st.sampled_from("sssaaawwwwpc"), st.integers(1, 40))
    for step, number in draw(st.lists(steps, max_size=25)):
        if step == "w":
            now += timedelta(days=number, hours=number)
            account = credits.settle(account, now, book).account
        elif step == "p":
            plan = [p for p in plans if p.pool == account.pool][number % 2 - 1]
            account = credits.choose(account, book.at(now).plans[plan.name], now, book).account
        elif step == "c" and account.subscription:
            account = credits.cancel_at_period_end(account, now, book).account
        elif step == "s":
            for _ in range(min(number, account.balance)):
                letters.append((ConversationId(str(len(letters))), now))
                account = sent(account, 1, now, book)
        else:
            for _ in range(min(number, len(letters))):
                inmail, at = letters.pop(0)
                until = at + book.at(at).refund_window
                change = credits.give_back(
                    account, now, book, inmail_id=inmail, refundable_until=until
                )
                account = change.account
    return account, now, book


@given(lives())
def test_doing_exactly_so_loses_none_and_one_fewer_loses_some(
    life: tuple[Account, datetime, PolicyBook],
) -> None:
    account, now, book = life

    told = forecast(account, now, book)

    if told is None:
        assert account.subscription is None
        return

    def lost_after(sends: int) -> int:
        return lost(credits.settle(sent(account, sends, now, book), told.at, book).entries)

    assert lost_after(told.sends) == 0
    assert all(lost_after(fewer) for fewer in range(told.sends))


@given(lives())
def test_what_is_told_is_what_comes(life: tuple[Account, datetime, PolicyBook]) -> None:
    account, now, book = life

    told = forecast(account, now, book)

    if told is not None:
        assert now < told.at
        until = told.later[-1].at if told.later else told.at
        assert told.entries + told.later == credits.settle(account, until, book).entries
        grant = credits.next_grant(account, now, book)
        if told.grant is not None:
            assert grant == (told.at, told.grant.credits)
