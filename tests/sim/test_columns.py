"""Accounts as columns keep the same books as `core.credits`: account by account, entry by entry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from overture.core.credits import Kind, Reason
from overture.core.cycles import months_after
from overture.core.policy import Policy
from overture.sim import columns
from overture.sim.columns import DAY, Accounts, Result
from tests.cast import policy
from tests.sim.histories import by_columns, by_core, kinds_in, lives

PRESETS = ("seed", "linkedin-premium", "sales-navigator", "recruiter")
DAYS = 150


def preset(name: str) -> Policy:
    return policy(name).versions[-1]


def hasty(name: str) -> Policy:
    """Lots die within days, answers are soon too late, and the caps are tight."""
    base = preset(name)
    plans = {key: replace(plan, cap=plan.allotment + 2) for key, plan in base.plans.items()}
    return replace(base, plans=plans, expiry=timedelta(days=9), refund_window=timedelta(days=3))


@pytest.mark.parametrize(
    ("make", "name"),
    [*((preset, name) for name in PRESETS), (hasty, "seed"), (hasty, "sales-navigator")],
)
def test_random_lives_come_to_the_same_ledgers(make: Callable[[str], Policy], name: str) -> None:
    rules = make(name)
    histories = lives(rules, seed=7, count=25, days=DAYS)

    ledgers, accounts = by_core(rules, histories, DAYS)
    told, held, results = by_columns(rules, histories, DAYS)

    assert told == ledgers
    assert held.balance.tolist() == [account.balance for account in accounts]
    assert held.deferred.tolist() == [len(account.deferred) for account in accounts]
    # Nothing of it is equal because it never happened.
    assert len({kind for kind, _ in kinds_in(ledgers)}) == len(Kind) - 1
    happened = {reason for _, reason in kinds_in(ledgers)}
    assert happened >= {Reason.CAP, Reason.ALREADY_GRANTED, Reason.CANCELED, Reason.PLAN_CHANGE}
    assert results[Result.NO_CREDITS] > 0
    assert results[Result.NOT_PREMIUM] > 0


def expires_a_day_late(accounts: type[Accounts]) -> Callable[..., object]:
    original = accounts._dying_today

    def late(self: Accounts, openings: object) -> columns.Acts:
        acts = original(self, openings)
        return replace(acts, at=acts.at + DAY)

    return late


def forgets_the_cap(accounts: type[Accounts]) -> Callable[..., object]:
    return lambda self, who: np.full(len(who), 1_000_000, np.int32)


def lets_waiting_refunds_wait(accounts: type[Accounts]) -> Callable[..., object]:
    return lambda self, who, at: None


def grants_again_at_once(accounts: type[Accounts]) -> Callable[..., object]:
    original = accounts._start

    def start(self: Accounts, who: object, at: object, plan: object, reason: Reason) -> None:
        self._granted_at[:] = -columns.NEVER
        original(self, who, at, plan, reason)

    return start


@pytest.mark.parametrize(
    ("method", "plant"),
    [
        ("_dying_today", expires_a_day_late),
        ("_room", forgets_the_cap),
        ("_enter_deferred", lets_waiting_refunds_wait),
        ("_start", grants_again_at_once),
    ],
)
def test_a_planted_difference_is_found(
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    plant: Callable[[type[Accounts]], Callable[..., object]],
) -> None:
    rules = hasty("seed")
    histories = lives(rules, seed=7, count=25, days=60)
    ledgers, _ = by_core(rules, histories, 60)
    assert by_columns(rules, histories, 60)[0] == ledgers

    monkeypatch.setattr(Accounts, method, plant(Accounts))

    assert by_columns(rules, histories, 60)[0] != ledgers


def test_months_are_counted_as_the_rules_count_them() -> None:
    starts = [datetime(2028, 1, 31, 10, tzinfo=UTC) + timedelta(hours=7 * n) for n in range(500)]
    at = np.array([start.timestamp() for start in starts]).astype(np.int64)
    for months in (0, 1, 11, 13, 49):
        told = columns.months_after(at, np.full(len(at), months, np.int32))
        assert told.tolist() == [months_after(start, months).timestamp() for start in starts]
