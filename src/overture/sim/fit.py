"""Knobs fitted to a deployment's own figures, so that the invented members resemble its members."""

from collections.abc import Mapping
from dataclasses import replace
from math import isfinite, log

from overture.core.policy import Policy
from overture.sim import figures
from overture.sim.figures import Run
from overture.sim.knobs import Knobs
from overture.sim.play import play
from overture.store.history import Habits

# Enough members for a rate to be told to a per cent or so.
_MEMBERS, _MONTHS, _TRIES = 2000, 2, 4
# Below so many letters a deployment's rates say little.
LETTERS_MIN = 50


def fitted(knobs: Knobs, policy: Policy, own: Run, habits: Habits, letters: int) -> Knobs:
    """The same knobs, but for what the deployment's history tells better.

    Shares of plans and of who can be written to are taken as they are, wishes as what was sent; the
    odds of an answer and its delay are turned until a small simulation comes to the history's rates.
    `own` are the history's figures under the policy that held.
    """
    by_title = {plan.title: name for name, plan in policy.plans.items()}
    told = {by_title[title]: figures for title, figures in own.plans.items() if title in by_title}
    shares = {name: figures["members"] for name, figures in told.items()}
    if sum(shares.values()) > 0:
        knobs = replace(
            knobs, plan_shares=shares, premium_share=min(sum(shares.values()) / 1000, 1.0)
        )
    knobs = replace(knobs, wishes={**knobs.wishes, **_wishes(told)})
    if habits.members:
        knobs = replace(knobs, opted_out_share=habits.opted_out / habits.members)
    if habits.premium:
        knobs = replace(knobs, open_profile_share=habits.open_profiles / habits.premium)
    rate, hours = own.overall["answer_rate"], own.overall["hours_to_answer"]
    if letters < LETTERS_MIN or not 0 < rate < 1 or not isfinite(hours):
        return knobs
    for _ in range(_TRIES):
        tally, _ = play(
            policy, replace(knobs, warm_up_months=1), members=_MEMBERS, months=_MONTHS, seed=1
        )
        found = figures.of_run(policy, tally, _MEMBERS).overall
        if not 0 < found["answer_rate"] < 1:
            break
        odds = knobs.answer_base + _logit(rate) - _logit(found["answer_rate"])
        # An answer of the agents comes on the next day at the earliest.
        delay = knobs.delay_median_hours * max(hours, 1) / max(found["hours_to_answer"], 1)
        knobs = replace(knobs, answer_base=odds, delay_median_hours=min(max(delay, 0.1), 24.0 * 60))
    return knobs


def _wishes(told: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    return {name: each["sent"] for name, each in told.items() if isfinite(each["sent"])}


def _logit(share: float) -> float:
    return log(share / (1 - share))
