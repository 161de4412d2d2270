"""The credit rules, each at its edges; the worked example of docs/rules.md, to the second."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from overture.core import credits
from overture.core.credits import Account, Change, Entry, Kind, Reason, Subscription
from overture.core.ids import ConversationId, MemberId
from overture.core.policy import PolicyBook, book_of
from overture.core.refusals import Refusal
from tests.cast import SIGN_UP, policy
from tests.machine import early, tight

SEED = policy("seed")
SECOND = timedelta(seconds=1)
MONTHLY = "linkedin-premium"


def utc(month: int, day: int, *time: int, year: int = 2025) -> datetime:
    return datetime(year, month, day, *time, tzinfo=UTC)


@dataclass
class Purse:
    """One account, driven by the test; `entries` is its whole ledger."""

    book: PolicyBook = SEED
    pool: str = "premium"
    account: Account = field(init=False)
    entries: list[Entry] = field(default_factory=list)
    sent_at: dict[str, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.account = Account(MemberId("ada"), self.pool, datetime(2000, 1, 1, tzinfo=UTC))

    @property
    def balance(self) -> int:
        return self.account.balance

    @property
    def last(self) -> Entry:
        return self.entries[-1]

    def chooses(self, plan: str, at: datetime) -> None:
        self._take(credits.choose(self.account, self.book.at(at).plans[plan], at, self.book))

    def cancels(self, at: datetime) -> None:
        self._take(credits.cancel_at_period_end(self.account, at, self.book))

    def cancels_now(self, at: datetime) -> None:
        self._take(credits.cancel_now(self.account, at, self.book))

    def spends(self, inmail: str, at: datetime) -> Refusal | None:
        self.sent_at[inmail] = at
        change = credits.spend(self.account, at, self.book, inmail_id=ConversationId(inmail))
        if isinstance(change, Refusal):
            return change
        self._take(change)
        return None

    def is_answered(self, inmail: str, at: datetime) -> None:
        sent_at = self.sent_at[inmail]
        self._take(
            credits.give_back(
                self.account,
                at,
                self.book,
                inmail_id=ConversationId(inmail),
                refundable_until=sent_at + self.book.at(sent_at).refund_window,
            )
        )

    def is_adjusted(self, count: int, at: datetime) -> Refusal | None:
        change = credits.adjust(self.account, at, self.book, credits=count, reason="goodwill")
        if isinstance(change, Refusal):
            return change
        self._take(change)
        return None

    def is_looked_at(self, at: datetime) -> None:
        self._take(credits.settle(self.account, at, self.book))

    def lines(self, since: datetime) -> list[tuple[datetime, str, int, int, int]]:
        """When, what, by how much, what was cut, and the balance then."""
        return [
            (e.at, f"{e.kind}/{e.reason}", e.credits, e.forfeited, e.balance)
            for e in self.entries
            if e.at >= since
        ]

    def _take(self, change: Change) -> None:
        self.account = change.account
        self.entries += change.entries


def career(at: datetime = SIGN_UP) -> Purse:
    purse = Purse()
    purse.chooses("premium_career", at)
    return purse


# The worked example ------------------------------------------------------------------------------


def example(answered_at: datetime) -> Purse:
    purse = career()
    assert purse.spends("A", utc(2, 10, 9)) is None
    purse.is_answered("A", answered_at)
    assert purse.spends("B", utc(5, 20)) is None
    purse.is_looked_at(utc(6, 30, 10))
    return purse


def test_the_worked_example_entry_for_entry() -> None:
    purse = example(answered_at=utc(5, 11, 9))

    told = [
        (e.at, e.kind, e.credits, e.forfeited, e.reason, e.lot, e.expires_at, e.balance)
        for e in purse.entries
    ]
    assert told == [
        (SIGN_UP, "grant", 5, 0, "sign_up", 1, utc(5, 31, 10), 5),
        (utc(2, 10, 9), "spend", -1, 0, "inmail", 1, None, 4),
        (utc(2, 28, 10), "grant", 5, 0, "cycle", 2, utc(6, 28, 10), 9),
        (utc(3, 31, 10), "grant", 5, 0, "cycle", 3, utc(7, 29, 10), 14),
        (utc(4, 30, 10), "grant", 1, 4, "cap", 4, utc(8, 28, 10), 15),
        (utc(5, 11, 9), "defer", 0, 0, "response", None, None, 15),
        (utc(5, 20), "spend", -1, 0, "inmail", 1, None, 14),
        (utc(5, 20), "refund", 1, 0, "deferred", 5, utc(9, 17), 15),
        (utc(5, 31, 10), "expire", -3, 0, "expired", 1, None, 12),
        (utc(5, 31, 10), "grant", 3, 2, "cap", 6, utc(9, 28, 10), 15),
        (utc(6, 28, 10), "expire", -5, 0, "expired", 2, None, 10),
        (utc(6, 30, 10), "grant", 5, 0, "cycle", 7, utc(10, 28, 10), 15),
    ]
    assert [e.number for e in purse.entries] == list(range(1, 13))


def test_the_worked_example_a_second_too_late() -> None:
    purse = example(answered_at=utc(5, 11, 9, 0, 1))

    assert purse.lines(utc(5, 11))[:2] == [
        (utc(5, 11, 9, 0, 1), "no_refund/too_late", 0, 0, 15),
        (utc(5, 20), "spend/inmail", -1, 0, 14),
    ]


def test_the_worked_example_goes_on_with_an_upgrade() -> None:
    purse = example(answered_at=utc(5, 11, 9))
    purse.chooses("premium_business", utc(7, 3, 12))

    assert purse.lines(utc(7, 1)) == [
        (utc(7, 3, 12), "forfeit/plan_change", -15, 0, 0),
        (utc(7, 3, 12), "grant/plan_change", 15, 0, 15),
    ]
    assert credits.next_grant(purse.account, utc(7, 3, 12), SEED) == (utc(8, 3, 12), 15)


# Grants and anniversaries ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sign_up", "anniversaries"),
    [
        (utc(1, 31, 10), [(2, 28), (3, 31), (4, 30), (5, 31)]),
        (utc(1, 31, 10, year=2024), [(2, 29), (3, 31), (4, 30), (5, 31)]),
        (utc(1, 29, 10), [(2, 28), (3, 29), (4, 29), (5, 29)]),
        (utc(2, 28, 10), [(3, 28), (4, 28), (5, 28), (6, 28)]),
        (utc(11, 30, 10, year=2024), [(12, 30), (1, 30), (2, 28), (3, 30)]),
    ],
)
def test_anniversaries_are_counted_from_the_sign_up(
    sign_up: datetime, anniversaries: list[tuple[int, int]]
) -> None:
    purse = career(sign_up)
    purse.is_looked_at(sign_up + timedelta(days=130))

    grants = [e.at for e in purse.entries if e.kind is Kind.GRANT][1:5]
    assert [(at.month, at.day) for at in grants] == anniversaries
    assert all(at.time() == sign_up.time() for at in grants)


def test_a_grant_comes_at_its_second_and_not_before() -> None:
    purse = career()
    purse.is_looked_at(utc(2, 28, 9, 59, 59))
    assert purse.balance == 5
    purse.is_looked_at(utc(2, 28, 10))
    assert purse.balance == 10


def test_what_the_cap_cuts_off_is_told() -> None:
    purse = career()
    purse.is_looked_at(utc(4, 30, 10))

    assert purse.lines(utc(3, 31)) == [
        (utc(3, 31, 10), "grant/cycle", 5, 0, 15),
        (utc(4, 30, 10), "grant/cap", 0, 5, 15),
    ]
    assert purse.last.lot is None


def test_a_plan_of_the_first_of_the_month_grants_then() -> None:
    purse = Purse(policy(MONTHLY), "sales_navigator")
    purse.chooses("sales_navigator_core", utc(1, 20, 15))
    purse.is_looked_at(utc(3, 1))

    assert [e.at for e in purse.entries] == [utc(1, 20, 15), utc(2, 1), utc(3, 1)]
    assert credits.renews_at(purse.account, utc(3, 25)) == utc(4, 20, 15)


def test_a_policy_that_begins_on_a_day_of_grants_brings_them() -> None:
    purse = Purse(tight(), "small")
    purse.chooses("pair", utc(4, 15))
    purse.is_looked_at(utc(6, 2))

    assert [e.at for e in purse.entries if e.kind is Kind.GRANT] == [
        utc(4, 15),
        utc(5, 15),
        utc(6, 1),
    ]


# Expiry and spending -----------------------------------------------------------------------------


def test_a_lot_is_unusable_from_its_expiry_on() -> None:
    purse, late = career(), career()
    for each in (purse, late):
        each.cancels(utc(5, 30, 12))
    assert purse.spends("A", utc(5, 31, 9, 59, 59)) is None
    assert purse.last.lot == 1

    assert late.spends("A", utc(5, 31, 10)) is Refusal.NO_CREDITS


def test_the_lot_that_expires_first_pays_even_if_it_is_younger() -> None:
    first = SEED.versions[0]
    short = replace(first, holds_from=utc(2, 15), expiry=timedelta(days=30))
    purse = Purse(book_of([first, short]))
    purse.chooses("premium_career", SIGN_UP)
    purse.spends("A", utc(3, 1))

    assert purse.last.lot == 2
    assert purse.entries[1].expires_at == utc(3, 30, 10)


def test_of_lots_that_expire_together_the_older_pays() -> None:
    purse = career()
    purse.spends("A", utc(2, 1))
    purse.is_answered("A", utc(2, 28, 10))
    assert [lot.number for lot in purse.account.lots] == [1, 2, 3]
    assert purse.account.lots[1].expires_at == purse.account.lots[2].expires_at

    for number in range(4):
        purse.spends(f"B{number}", utc(3, 1))
    purse.spends("C", utc(3, 1))
    assert purse.last.lot == 2


def test_without_credits_nothing_is_spent() -> None:
    purse = career()
    for number in range(5):
        assert purse.spends(str(number), utc(2, 1)) is None
    before = purse.account
    assert purse.spends("one more", utc(2, 1)) is Refusal.NO_CREDITS
    assert purse.account == before


# Refunds -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("late", "kind", "reason"),
    [(0, "refund", "response"), (1, "no_refund", "too_late")],
)
def test_a_response_on_day_ninety_returns_the_credit(late: int, kind: str, reason: str) -> None:
    purse = career()
    purse.spends("A", utc(2, 10, 9))
    for number in range(10):
        purse.spends(str(number), utc(4, 20))
    at = utc(5, 11, 9) + late * SECOND
    purse.is_answered("A", at)

    assert (purse.last.at, purse.last.kind, purse.last.reason) == (at, kind, reason)
    assert purse.last.expires_at == (None if late else at + timedelta(days=120))


def test_refunds_that_wait_enter_the_oldest_first() -> None:
    purse = career()
    purse.spends("A", utc(2, 10))
    purse.spends("B", utc(2, 11))
    purse.is_looked_at(utc(4, 30, 10))
    purse.spends("C", utc(4, 30, 11))
    purse.is_adjusted(1, utc(4, 30, 12))
    purse.is_answered("B", utc(5, 1))
    purse.is_answered("A", utc(5, 2))
    assert [each.inmail_id for each in purse.account.deferred] == ["B", "A"]

    purse.spends("D", utc(5, 3))
    purse.spends("E", utc(5, 3))
    assert [(e.kind, e.inmail_id) for e in purse.entries[-4:]] == [
        ("spend", "D"),
        ("refund", "B"),
        ("spend", "E"),
        ("refund", "A"),
    ]


def test_a_grant_comes_before_the_refunds_that_wait() -> None:
    purse = career()
    purse.spends("A", utc(3, 10))
    purse.is_looked_at(utc(5, 1))
    purse.is_answered("A", utc(5, 2))
    assert purse.last.kind is Kind.DEFER

    purse.is_looked_at(utc(5, 31, 10))
    assert purse.lines(utc(5, 31)) == [
        (utc(5, 31, 10), "expire/expired", -4, 0, 11),
        (utc(5, 31, 10), "grant/cap", 4, 1, 15),
    ]
    purse.is_looked_at(utc(6, 28, 10))
    assert purse.lines(utc(6, 28)) == [
        (utc(6, 28, 10), "expire/expired", -5, 0, 10),
        (utc(6, 28, 10), "refund/deferred", 1, 0, 11),
    ]


def test_a_response_after_the_end_refunds_nothing() -> None:
    purse = career()
    purse.spends("A", utc(2, 10))
    purse.cancels_now(utc(2, 11))
    purse.is_answered("A", utc(2, 12))

    assert (purse.last.kind, purse.last.reason, purse.balance) == (
        "no_refund",
        "no_subscription",
        0,
    )


def test_a_response_after_a_return_refunds_again() -> None:
    purse = career()
    purse.spends("A", utc(2, 10))
    purse.cancels_now(utc(2, 11))
    purse.chooses("premium_business", utc(2, 12))
    purse.is_answered("A", utc(2, 13))

    assert (purse.last.kind, purse.balance) == ("refund", 16)


# The end of a subscription -----------------------------------------------------------------------


def test_a_cancel_takes_effect_with_the_period() -> None:
    purse = career()
    purse.cancels(utc(2, 10))
    assert purse.balance == 5
    assert purse.account.subscription == Subscription(
        "premium_career", SIGN_UP, ends_at=utc(2, 28, 10)
    )
    purse.is_looked_at(utc(2, 28, 9, 59, 59))
    assert purse.balance == 5
    purse.is_looked_at(utc(2, 28, 10))

    assert purse.lines(utc(2, 10)) == [(utc(2, 28, 10), "forfeit/canceled", -5, 0, 0)]
    assert purse.account.subscription is None
    assert credits.next_grant(purse.account, utc(3, 1), SEED) is None


def test_at_the_period_s_very_instant_a_cancel_is_of_the_next_period() -> None:
    purse = career()
    purse.cancels(utc(2, 28, 10))
    assert purse.balance == 10
    assert purse.account.subscription is not None
    assert purse.account.subscription.ends_at == utc(3, 31, 10)


def test_what_expires_at_the_end_expires_and_the_rest_is_forfeited() -> None:
    purse = career()
    purse.cancels(utc(5, 30))
    purse.is_looked_at(utc(6, 1))

    assert purse.lines(utc(5, 30)) == [
        (utc(5, 31, 10), "expire/expired", -5, 0, 10),
        (utc(5, 31, 10), "forfeit/canceled", -10, 0, 0),
    ]


def test_waiting_refunds_are_lost_with_a_cancel() -> None:
    purse = career()
    purse.spends("A", utc(3, 10))
    purse.is_looked_at(utc(5, 1))
    purse.is_answered("A", utc(5, 2))
    purse.cancels_now(utc(5, 3))

    assert purse.lines(utc(5, 3)) == [(utc(5, 3), "forfeit/canceled", -15, 1, 0)]
    assert purse.account.deferred == ()


def test_choosing_the_current_plan_withdraws_a_cancel() -> None:
    purse = career()
    purse.cancels(utc(2, 10))
    purse.chooses("premium_career", utc(2, 11))
    purse.is_looked_at(utc(3, 1))

    assert purse.balance == 10
    assert purse.account.subscription == Subscription("premium_career", SIGN_UP)


# Plan changes ------------------------------------------------------------------------------------


def business(at: datetime = SIGN_UP) -> Purse:
    purse = Purse()
    purse.chooses("premium_business", at)
    return purse


def test_a_downgrade_waits_for_the_period_s_end() -> None:
    purse = business()
    purse.chooses("premium_career", utc(2, 10))
    assert purse.balance == 15
    purse.is_looked_at(utc(3, 28, 10))

    assert purse.lines(utc(2, 10)) == [
        (utc(2, 28, 10), "forfeit/plan_change", -15, 0, 0),
        (utc(2, 28, 10), "grant/plan_change", 5, 0, 5),
        (utc(3, 28, 10), "grant/cycle", 5, 0, 10),
    ]


def test_a_plan_of_the_same_size_counts_as_a_downgrade() -> None:
    purse = Purse(early(), "small")
    purse.chooses("two", SIGN_UP)
    purse.chooses("pair", utc(2, 10))
    assert purse.account.subscription == Subscription(
        "two", SIGN_UP, next_plan="pair", changes_at=utc(2, 28, 10)
    )


def test_a_cancel_replaces_a_waiting_downgrade() -> None:
    purse = business()
    purse.chooses("premium_career", utc(2, 10))
    purse.cancels(utc(2, 11))
    purse.is_looked_at(utc(3, 1))
    assert purse.account.subscription is None


def test_an_upgrade_ends_a_waiting_cancel() -> None:
    purse = career()
    purse.cancels(utc(2, 10))
    purse.chooses("premium_business", utc(2, 11))
    assert purse.account.subscription == Subscription("premium_business", utc(2, 11))
    assert purse.balance == 15


def test_an_upgrade_forfeits_what_waits() -> None:
    purse = career()
    purse.spends("A", utc(3, 10))
    purse.is_looked_at(utc(5, 1))
    purse.is_answered("A", utc(5, 2))
    purse.chooses("premium_business", utc(5, 3))

    assert purse.lines(utc(5, 3)) == [
        (utc(5, 3), "forfeit/plan_change", -15, 1, 0),
        (utc(5, 3), "grant/plan_change", 15, 0, 15),
    ]


# Hopping -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("back", "granted"),
    [(utc(2, 1), 0), (utc(2, 28, 9, 59, 59), 0), (utc(2, 28, 10), 5), (utc(3, 15), 5)],
)
def test_a_plan_grants_once_a_month_however_often_it_is_chosen(
    back: datetime, granted: int
) -> None:
    purse = career()
    purse.cancels_now(utc(1, 31, 11))
    purse.chooses("premium_career", back)

    assert purse.balance == granted
    reason = "grant/sign_up" if granted else "forfeit/already_granted"
    assert purse.lines(back) == [(back, reason, granted, 5 - granted, granted)]
    assert credits.next_grant(purse.account, back, SEED) == (
        credits.anniversary_after(back, back),
        5,
    )


def test_a_withheld_allotment_is_no_grant_that_withholds_the_next() -> None:
    purse = career()
    purse.cancels_now(utc(2, 1))
    purse.chooses("premium_career", utc(2, 20))
    purse.cancels_now(utc(2, 21))
    purse.chooses("premium_career", utc(2, 28, 10))
    assert purse.balance == 5


def test_a_grant_cut_to_nothing_by_the_cap_is_a_grant() -> None:
    purse = career()
    purse.is_looked_at(utc(4, 30, 10))
    assert (purse.last.kind, purse.last.credits) == ("grant", 0)
    purse.cancels_now(utc(5, 1))
    purse.chooses("premium_career", utc(5, 29))

    assert purse.last.reason == Reason.ALREADY_GRANTED


def test_hopping_between_plans_grants_each_once_a_month() -> None:
    purse = career()
    purse.chooses("premium_business", utc(2, 1))
    purse.cancels_now(utc(2, 2))
    purse.chooses("premium_career", utc(2, 3))
    assert purse.balance == 0
    purse.chooses("premium_business", utc(2, 4))
    assert purse.balance == 0
    assert purse.last.forfeited == 15


def test_a_downgrade_back_within_the_month_grants_nothing_then() -> None:
    purse = career(utc(1, 15))
    purse.is_looked_at(utc(2, 15))
    purse.chooses("premium_business", utc(2, 16))
    purse.chooses("premium_career", utc(2, 17))
    purse.is_looked_at(utc(4, 16))

    # Career was granted on 15 February last, so 16 March is more than a month later.
    assert purse.lines(utc(3, 1)) == [
        (utc(3, 16), "forfeit/plan_change", -15, 0, 0),
        (utc(3, 16), "grant/plan_change", 5, 0, 5),
        (utc(4, 16), "grant/cycle", 5, 0, 10),
    ]


# Adjustments -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "answer", "balance"),
    [
        (10, None, 15),
        (11, Refusal.ADJUSTS_ABOVE_CAP, 5),
        (-5, None, 0),
        (-6, Refusal.ADJUSTS_BELOW_ZERO, 5),
    ],
)
def test_an_adjustment_keeps_within_nothing_and_the_cap(
    count: int, answer: Refusal | None, balance: int
) -> None:
    purse = career()
    assert purse.is_adjusted(count, utc(2, 1)) is answer
    assert purse.balance == balance


def test_an_adjustment_needs_a_subscription() -> None:
    purse = career()
    purse.cancels_now(utc(2, 1))
    assert purse.is_adjusted(1, utc(2, 2)) is Refusal.ADJUSTS_NO_SUBSCRIPTION


def test_what_is_taken_expires_first_and_what_is_added_lives_120_days() -> None:
    purse = career()
    purse.is_adjusted(2, utc(3, 1))
    assert purse.last.expires_at == utc(6, 29)
    purse.is_adjusted(-7, utc(3, 2))

    assert [(lot.number, lot.remaining) for lot in purse.account.lots] == [(2, 3), (3, 2)]
    assert (purse.last.credits, purse.last.lot, purse.last.balance) == (-7, None, 5)


def test_room_made_by_an_adjustment_lets_a_waiting_refund_in() -> None:
    purse = career()
    purse.spends("A", utc(3, 10))
    purse.is_looked_at(utc(5, 1))
    purse.is_answered("A", utc(5, 2))
    purse.is_adjusted(-1, utc(5, 3))
    assert [e.kind for e in purse.entries[-2:]] == ["adjust", "refund"]


# Lateness, and what is told before --------------------------------------------------------------


@pytest.mark.parametrize("every", [timedelta(hours=7), timedelta(days=1), timedelta(days=59)])
def test_looking_often_or_once_gives_the_same_ledger(every: timedelta) -> None:
    once, often = career(), career()
    at = utc(2, 10)
    for purse in (once, often):
        purse.spends("A", at)
    while (at := at + every) < utc(12, 15):
        often.is_looked_at(at)
    for purse in (once, often):
        purse.cancels(utc(12, 15))
        purse.is_looked_at(utc(2, 1, year=2026))

    assert once.entries == often.entries
    assert len(once.entries) > 20


def test_clocks_that_differ_do_not_turn_time_back() -> None:
    purse = career()
    purse.spends("A", utc(2, 10, 9))
    purse.spends("B", utc(2, 10, 8, 59, 59))
    assert purse.last.at == utc(2, 10, 9)


def test_the_forecast_of_a_cancel_is_what_is_lost() -> None:
    purse = career()
    purse.spends("A", utc(2, 10))
    change = credits.cancel_at_period_end(purse.account, utc(2, 11), SEED)
    assert credits.lost_by(change, SEED) == (4, 0)
    assert credits.lost_by(credits.cancel_now(purse.account, utc(3, 1), SEED), SEED) == (9, 0)
