"""One run: a policy, so many members, so many months, one seed."""

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np

from overture.core.cycles import months_after
from overture.core.policy import Policy
from overture.sim.agents import AFTERWARDS, FIRST_DAY, MOST_DAILY, Town
from overture.sim.by_columns import ByColumns
from overture.sim.by_core import ByCore
from overture.sim.columns import DAY, Small
from overture.sim.deeds import Decided, Decider
from overture.sim.knobs import Knobs
from overture.sim.people import draw
from overture.sim.tally import Tally

Watch = Callable[[Decided], None]


def play(
    policy: Policy,
    knobs: Knobs,
    *,
    members: int,
    months: int,
    seed: int,
    on_core: bool = False,
    watch: Watch = lambda _: None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> tuple[Tally, Decider]:
    """The counts of a run, and how the accounts stand in its end.

    `on_core` decides every act by `core.sending`, one after another: slow, and the same.
    """
    days = _days(knobs.warm_up_months, months)
    warm_up = int((days < 0).argmin())
    people = draw(policy, knobs, members, seed, first_days=min(30, warm_up), days=len(days))
    decider: Decider = (
        ByCore(policy, people, FIRST_DAY)
        if on_core
        else ByColumns(policy, people, FIRST_DAY, 2 * MOST_DAILY)
    )
    tally = Tally(days, FIRST_DAY, len(policy.plans), people)
    town = Town(policy, knobs, people, decider=decider, tally=tally, seed=seed)
    for done in range(len(days)):
        tally.begin_day(FIRST_DAY + done, people, decider.plan, decider.balance)
        watch(town.live())
        progress(done + 1, len(days))
    return tally, decider


def _days(warm_up: int, months: int) -> Small:
    """Of each day, which measured month it lies in: -1 before them, and after."""
    first = datetime.fromtimestamp(FIRST_DAY * DAY, UTC)
    bounds = [(months_after(first, warm_up + each) - first).days for each in range(months + 1)]
    days = np.full(bounds[-1] + AFTERWARDS, -1, np.int32)
    for month, (begin, end) in enumerate(pairwise(bounds)):
        days[begin:end] = month
    return days
