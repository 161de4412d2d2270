"""The machine has teeth: each mistake that is planted in `core` is found, and without any none is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from overture.core import contact, credits, cycles, sending
from overture.core.conversations import State
from overture.core.credits import Account, Change, Kind, Reason, Subscription
from overture.core.refusals import Refusal
from tests.machine import Life

Patch = pytest.MonkeyPatch
SECOND = timedelta(seconds=1)
# Most are found within ten runs; the rarest take about a hundred.
RUNS_MAX = 600

_Ledger = credits._Ledger


def _refund_twice(patch: Patch) -> None:
    once = credits.give_back

    def twice(account: Account, now: Any, book: Any, **how: Any) -> Change:
        first = once(account, now, book, **how)
        second = once(first.account, now, book, **how)
        return Change(second.account, (*first.entries, *second.entries))

    patch.setattr(credits, "give_back", twice)


def _lots_live_a_second_longer(patch: Patch) -> None:
    at = credits.PolicyBook.at
    patch.setattr(_Ledger, "open_lot", _with_book(at, SECOND))


def _lots_die_a_second_early(patch: Patch) -> None:
    patch.setattr(_Ledger, "open_lot", _with_book(credits.PolicyBook.at, -SECOND))


def _with_book(at: Any, more: timedelta) -> Any:
    open_lot = _Ledger.open_lot

    def opened(self: Any, *args: Any, **how: Any) -> None:
        book = self.book
        versions = tuple(replace(v, expiry=v.expiry + more) for v in book.versions)
        self.book = replace(book, versions=versions)
        open_lot(self, *args, **how)
        self.book = book

    return opened


def _expired_lots_stay(patch: Patch) -> None:
    """A lot that dies together with another one is forgotten."""

    def expire(self: Any) -> None:
        if self.lots and self.lots[0].expires_at <= self.at:
            lot = self.lots.pop(0)
            self.balance -= lot.remaining
            credits_lost = max(1, lot.remaining - 1)
            self.write(Kind.EXPIRE, Reason.EXPIRED, credits=-credits_lost, lot=lot.number)

    patch.setattr(_Ledger, "_expire", expire)


def _newest_lot_first(patch: Patch) -> None:
    take_one = _Ledger.take_one

    def take_newest(self: Any) -> int:
        self.lots.insert(0, self.lots.pop())
        number = take_one(self)
        self.lots.sort(key=credits._spending_order)
        return number

    patch.setattr(_Ledger, "take_one", take_newest)


def _cap_ignored_on_refund(patch: Patch) -> None:
    patch.setattr(_Ledger, "room", lambda self: 1)


def _cap_ignored_on_grant(patch: Patch) -> None:
    def grant(self: Any, plan: Any, reason: Any) -> None:
        self.granted_at[plan.name] = self.at
        self.open_lot(Kind.GRANT, reason, plan.allotment)

    patch.setattr(_Ledger, "_grant", grant)


def _two_grants_around_a_plan_change(patch: Patch) -> None:
    change_plan = _Ledger.change_plan

    def changed(self: Any, plan: Any) -> None:
        change_plan(self, plan)
        self._grant(plan, Reason.CYCLE)

    patch.setattr(_Ledger, "change_plan", changed)


def _hopping_allowed(patch: Patch) -> None:
    patch.setattr(credits, "months_after", lambda instant, months: instant)


def _no_grant_for_a_day_longer_than_a_month(patch: Patch) -> None:
    months_after = cycles.months_after
    patch.setattr(
        credits,
        "months_after",
        lambda instant, months: months_after(instant, months) + timedelta(days=1),
    )


def _deferred_refunds_lost(patch: Patch) -> None:
    patch.setattr(_Ledger, "enter_deferred", lambda self: self.deferred.clear())


def _deferred_refunds_never_enter(patch: Patch) -> None:
    patch.setattr(_Ledger, "enter_deferred", lambda self: None)


def _deferred_refunds_outlive_a_cancel(patch: Patch) -> None:
    forfeit_all = _Ledger._forfeit_all

    def keeping(self: Any, reason: Any) -> None:
        waiting = list(self.deferred)
        forfeit_all(self, reason)
        self.deferred.extend(waiting)

    patch.setattr(_Ledger, "_forfeit_all", keeping)


def _refund_after_the_window(patch: Patch) -> None:
    _give_back_with(patch, timedelta(seconds=1))


def _no_refund_in_the_last_second(patch: Patch) -> None:
    _give_back_with(patch, timedelta(microseconds=-1))


def _give_back_with(patch: Patch, more: timedelta) -> None:
    give_back = credits.give_back
    patch.setattr(
        credits,
        "give_back",
        lambda account, now, book, *, refundable_until, **how: give_back(
            account, now, book, refundable_until=refundable_until + more, **how
        ),
    )


def _refund_without_a_subscription(patch: Patch) -> None:
    """The end of the subscription is forgotten once the credits are gone."""
    give_back = credits.give_back

    def generous(account: Account, now: Any, book: Any, **how: Any) -> Change:
        settled = credits.settle(account, now, book)
        if settled.account.subscription is None and settled.account.granted_at:
            plan = next(iter(settled.account.granted_at))
            revived = replace(settled.account, subscription=Subscription(plan, now))
            change = give_back(revived, now, book, **how)
            ended = replace(change.account, subscription=None, next_due_at=None)
            return Change(ended, (*settled.entries, *change.entries))
        return give_back(account, now, book, **how)

    patch.setattr(credits, "give_back", generous)


def _month_ends_on_the_28th(patch: Patch) -> None:
    months_after = cycles.months_after
    patch.setattr(
        cycles,
        "months_after",
        lambda instant, months: months_after(instant.replace(day=min(instant.day, 28)), months),
    )


def _anniversaries_drift(patch: Patch) -> None:
    """Counted from the last grant instead of the sign-up: 31 Jan, 28 Feb, 28 Mar."""

    def after_the_last(self: Any, instant: Any) -> Any:
        held = self.subscription
        if held is None:
            return None
        last = max([held.since, *self.granted_at.values()])
        while last <= instant:
            last = cycles.months_after(last, 1)
        return last

    patch.setattr(_Ledger, "_next_grant_after", after_the_last)


def _cancel_keeps_the_balance(patch: Patch) -> None:
    patch.setattr(_Ledger, "end", lambda self: setattr(self, "subscription", None))


def _upgrade_keeps_the_balance(patch: Patch) -> None:
    patch.setattr(_Ledger, "change_plan", lambda self, plan: self.start(plan, Reason.PLAN_CHANGE))


def _grant_before_the_expiry(patch: Patch) -> None:
    play = _Ledger.play

    def granting_first(self: Any, instant: Any) -> None:
        expire = self._expire
        self._expire = lambda: None
        play(self, instant)
        self._expire = expire
        expire()
        self.enter_deferred()

    patch.setattr(_Ledger, "play", granting_first)


def _settled_at_the_time_of_looking(patch: Patch) -> None:
    settled = credits._settled

    def late(account: Account, now: Any, book: Any) -> Any:
        ledger = settled(account, now, book)
        ledger.entries = [replace(entry, at=now) for entry in ledger.entries]
        return ledger

    patch.setattr(credits, "_settled", late)


def _charge_without_entry(patch: Patch) -> None:
    spend = credits.spend

    def silent(account: Account, now: Any, book: Any, **how: Any) -> Change | Refusal:
        change = spend(account, now, book, **how)
        if isinstance(change, Refusal):
            return change
        kept = tuple(entry for entry in change.entries if entry.kind is not Kind.SPEND)
        return Change(change.account, kept)

    patch.setattr(credits, "spend", silent)


def _entry_without_charge(patch: Patch) -> None:
    charge = sending.Desk._charge

    def forgetful(self: Any, conversation: Any, *args: Any, **how: Any) -> Any:
        made = charge(self, conversation, *args, **how)
        conversation.refundable_until = []
        return made

    patch.setattr(sending.Desk, "_charge", forgetful)


def _pending_does_not_block(patch: Patch) -> None:
    patch.setattr(contact, "_unanswered", lambda writer, pair, policy: None)


def _one_free_letter_more_a_day(patch: Patch) -> None:
    decide = contact._to_open_profile
    patch.setattr(
        contact,
        "_to_open_profile",
        lambda wallet, into, now, policy: decide(
            wallet, into, now, replace(policy, open_profile_daily=policy.open_profile_daily + 1)
        ),
    )


def _free_letters_counted_for_a_month(patch: Patch) -> None:
    patch.setattr(contact, "OPEN_PROFILE_WINDOW", timedelta(days=30))


def _a_reopened_thread_refunds_again(patch: Patch) -> None:
    write_on = contact.write_on

    def responding(
        writer: Any, other: Any, pair: Any, conversation: Any, *a: Any, **how: Any
    ) -> Any:
        found = write_on(writer, other, pair, conversation, *a, **how)
        reopens = conversation.state is State.DECLINED and not conversation.begun_by(writer.id)
        return replace(found, responds=True) if found.allowed and reopens else found

    patch.setattr(contact, "write_on", responding)


def _a_withdrawal_refunds(patch: Patch) -> None:
    withdraw = sending.Desk.withdraw

    def refunding(self: Any, conversation: Any) -> None:
        for until in conversation.refundable_until:
            account = self.accounts[conversation.sender][conversation.pool]
            self._store_account(
                credits.give_back(
                    account,
                    self.now,
                    self.book,
                    inmail_id=conversation.id,
                    refundable_until=until,
                )
            )
        withdraw(self, conversation)

    patch.setattr(sending.Desk, "withdraw", refunding)


def _blocked_members_can_write(patch: Patch) -> None:
    begin = contact.begin
    patch.setattr(
        contact,
        "begin",
        lambda writer, other, pair, *args, **how: begin(
            writer, other, replace(pair, blocked_writer=False), *args, **how
        ),
    )


def _premium_is_not_asked_of_the_recipient(patch: Patch) -> None:
    price = contact._price

    def lenient(other: Any, *args: Any, **how: Any) -> Any:
        return price(replace(other, premium_until=credits.FOREVER), *args, **how)

    patch.setattr(contact, "_price", lenient)


def _the_send_takes_another_pool_than_told(patch: Patch) -> None:
    preview = sending.Desk.preview
    patch.setattr(
        sending.Desk,
        "preview",
        lambda self, viewer, to, pool, paced=None: preview(self, viewer, to, None, paced),
    )


MISTAKES: list[Callable[[Patch], None]] = [
    _refund_twice,
    _lots_live_a_second_longer,
    _lots_die_a_second_early,
    _expired_lots_stay,
    _newest_lot_first,
    _cap_ignored_on_refund,
    _cap_ignored_on_grant,
    _two_grants_around_a_plan_change,
    _hopping_allowed,
    _no_grant_for_a_day_longer_than_a_month,
    _deferred_refunds_lost,
    _deferred_refunds_never_enter,
    _deferred_refunds_outlive_a_cancel,
    _refund_after_the_window,
    _no_refund_in_the_last_second,
    _refund_without_a_subscription,
    _month_ends_on_the_28th,
    _anniversaries_drift,
    _cancel_keeps_the_balance,
    _upgrade_keeps_the_balance,
    _grant_before_the_expiry,
    _settled_at_the_time_of_looking,
    _charge_without_entry,
    _entry_without_charge,
    _pending_does_not_block,
    _one_free_letter_more_a_day,
    _free_letters_counted_for_a_month,
    _a_reopened_thread_refunds_again,
    _a_withdrawal_refunds,
    _blocked_members_can_write,
    _premium_is_not_asked_of_the_recipient,
    _the_send_takes_another_pool_than_told,
]


def _play(runs: int) -> None:
    """The same lives each time; the first broken promise ends it, and nobody needs a short one."""
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=runs,
            stateful_step_count=50,
            derandomize=True,
            database=None,
            deadline=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        ),
    )


@pytest.mark.parametrize("plant", MISTAKES, ids=lambda plant: plant.__name__.strip("_"))
def test_a_planted_mistake_is_found(plant: Callable[[Patch], None]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        plant(patch)
        with pytest.raises(AssertionError):
            _play(RUNS_MAX)


def test_without_a_mistake_nothing_is_found() -> None:
    _play(60)
