"""The agents live on the real rules; what they come to is the same every time, and moves as it must."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import cache

import pytest

from overture.core.credits import Kind
from overture.core.policy import Policy
from overture.sim import figures
from overture.sim.by_columns import ByColumns
from overture.sim.columns import Small, Terms
from overture.sim.deeds import Decided, Fate, Letters
from overture.sim.figures import Run
from overture.sim.knobs import Knobs
from overture.sim.people import SPAMMER
from overture.sim.play import play
from overture.sim.tally import Tally
from tests.cast import policy
from tests.sim.histories import Line, lines

SEED = policy("seed").versions[-1]
# So many things happen in a small town that all of the rules are asked.
BUSY = Knobs(
    premium_share=0.6,
    open_profile_share=0.3,
    spammer_share=0.02,
    colluder_share=0.15,
    follow_up_share=0.5,
    cancel_share=0.2,
    upgrade_share=0.1,
    downgrade_share=0.1,
    return_share=0.5,
    delay_spread=3,
    campaign_months=2,
    spam_daily=20,
    warm_up_months=1,
)


def strict(base: Policy) -> Policy:
    """Whatever a preset leaves open is shut, and the other way about."""
    return replace(
        base,
        decline_unlocks=not base.decline_unlocks,
        recipient_requires_premium=not base.recipient_requires_premium,
        open_profile_daily=3,
        expiry=timedelta(days=20),
        refund_window=timedelta(days=5),
    )


class Kept:
    """All that was decided in a run: every fate, and every account's ledger."""

    def __init__(self, rules: Policy, *, on_core: bool, months: int = 1) -> None:
        self._terms = Terms.of(rules)
        self.fates: list[list[int]] = []
        self.ledgers: dict[int, list[Line]] = {}
        self.tally, decider = play(
            rules, BUSY, members=120, months=months, seed=5, on_core=on_core, watch=self._see
        )
        self.balance = decider.balance.tolist()

    def _see(self, decided: Decided) -> None:
        self.fates.append(decided.fates.tolist())
        for written in decided.written:
            for who, line in lines(written, self._terms):
                self.ledgers.setdefault(who, []).append(line)


@pytest.mark.parametrize("name", ["seed", "linkedin-premium", "sales-navigator", "recruiter"])
def test_columns_decide_every_letter_as_the_rules_do(name: str) -> None:
    rules = policy(name).versions[-1]

    for policy_ in (rules, strict(rules)) if name in ("seed", "recruiter") else (rules,):
        by_core, by_columns = Kept(policy_, on_core=True), Kept(policy_, on_core=False)

        assert by_columns.fates == by_core.fates
        assert by_columns.ledgers == by_core.ledgers
        assert by_columns.balance == by_core.balance
        assert sum(map(len, by_core.fates)) > 1000


def test_between_them_the_presets_and_their_opposites_meet_every_fate() -> None:
    recruiter = policy("recruiter").versions[-1]
    met = {
        fate
        for rules, months in ((SEED, 1), (recruiter, 4), (strict(SEED), 1), (strict(recruiter), 1))
        for day in Kept(rules, on_core=False, months=months).fates
        for fate in day
    }

    assert met == set(Fate)


def test_a_planted_difference_in_a_decision_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    by_core = Kept(strict(SEED), on_core=True)
    original = ByColumns._without_price  # pyright: ignore[reportPrivateUsage]

    def lenient(self: ByColumns, letters: Letters) -> Small:
        fates = original(self, letters)
        fates[fates == Fate.OPEN_PROFILE_LIMIT] = Fate.FREE
        return fates

    monkeypatch.setattr(ByColumns, "_without_price", lenient)

    assert Kept(strict(SEED), on_core=False).fates != by_core.fates


# What must move, and where -----------------------------------------------------------------------


@cache
def lived(rules: str, members: int = 1500) -> tuple[Run, Tally]:
    """A town under the seed's rules, or under them with one thing changed."""
    made = CHANGED[rules]()
    knobs = Knobs(spammer_share=0.02, colluder_share=0.03, campaign_months=3, warm_up_months=2)
    tally, _ = play(made, knobs, members=members, months=3, seed=3)
    return figures.of_run(made, tally, members), tally


def scarce() -> Policy:
    plans = {
        name: replace(plan, allotment=max(plan.allotment // 5, 1), cap=max(plan.cap // 5, 1))
        for name, plan in SEED.plans.items()
    }
    return replace(SEED, plans=plans)


CHANGED = {
    "seed": lambda: SEED,
    "scarce": scarce,
    "short-lived": lambda: replace(SEED, expiry=timedelta(days=20)),
    "no refunds": lambda: replace(SEED, refund_window=timedelta(0)),
    "open to all": lambda: replace(SEED, recipient_requires_premium=False),
    "declines shut": lambda: replace(SEED, decline_unlocks=False),
    "no open profiles": lambda: replace(SEED, open_profile_daily=0),
}


def test_the_same_seed_brings_the_same_figures_and_another_seed_others() -> None:
    def once(seed: int) -> Run:
        tally, _ = play(SEED, BUSY, members=300, months=1, seed=seed)
        return figures.of_run(SEED, tally, 300)

    assert repr(once(4)) == repr(once(4))
    assert repr(once(4)) != repr(once(5))


def test_credits_that_came_are_spent_lost_or_held() -> None:
    _, tally = lived("seed")
    came = tally.kind(Kind.GRANT).sum() + tally.kind(Kind.REFUND).sum()
    went = sum(tally.kind(kind).sum() for kind in (Kind.SPEND, Kind.EXPIRE, Kind.FORFEIT))

    assert tally.held_first is not None
    assert tally.held_last is not None
    assert came - went == tally.held_last.sum() - tally.held_first.sum()


def test_with_dearer_letters_fewer_are_written_and_more_of_them_answered() -> None:
    usual, dear = lived("seed")[0], lived("scarce")[0]

    assert dear.overall["sent"] < usual.overall["sent"]
    assert dear.overall["unmet"] > usual.overall["unmet"]
    assert dear.overall["wasted"] < usual.overall["wasted"]
    assert dear.overall["answer_rate"] > usual.overall["answer_rate"]
    for plan, told in usual.plans.items():
        assert dear.plans[plan]["ran_out"] > told["ran_out"]


def test_credits_that_live_shorter_are_lost_more() -> None:
    usual, short = lived("seed")[0], lived("short-lived")[0]

    assert short.overall["expired"] > usual.overall["expired"]
    assert short.overall["cut"] < usual.overall["cut"]
    assert short.overall["unmet"] >= usual.overall["unmet"]


def test_what_is_never_refunded_does_not_come_back() -> None:
    assert lived("seed")[0].overall["returned"] > 0
    assert lived("no refunds")[0].overall["returned"] == 0


def test_where_all_may_receive_each_receives_less() -> None:
    usual, wide = lived("seed")[0], lived("open to all")[0]

    assert wide.overall["received_reachable"] < usual.overall["received_reachable"] / 2


def test_accomplices_keep_credits_alive_unless_a_decline_shuts_the_door() -> None:
    usual, shut = lived("seed")[0], lived("declines shut")[0]

    assert usual.overall["farmed"] > 0
    assert shut.overall["farmed"] < usual.overall["farmed"]
    # What dies within weeks is renewed for months by those who have accomplices.
    short = lived("short-lived")[0]
    assert short.overall["colluder_letters"] > 1.2 * short.overall["hoarder_letters"]


def test_without_free_letters_spam_has_to_be_paid() -> None:
    (usual, open_), (closed, shut) = lived("seed"), lived("no open profiles")

    assert usual.overall["spam_free"] > 0
    assert closed.overall["spam_free"] == 0
    # Those without a subscription: their letters are counted behind the plans'.
    assert open_.fates[:, SPAMMER, -1, Fate.FREE].sum() > 0
    assert shut.fates[:, SPAMMER, -1, : Fate.FREE + 1].sum() == 0
