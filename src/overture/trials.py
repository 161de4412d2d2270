"""What the console's lab tries: policies on invented members, one trial after another.

The agents live in a process of their own, so that the server answers meanwhile. A trial is decided by
what was asked alone: whichever of several server processes is asked comes to the same, and keeps the
last few.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from logging import getLogger
from multiprocessing import get_context
from typing import TYPE_CHECKING

from overture import policies, sim
from overture.core.policy import Policy
from overture.web.context import Found, Trial, Trying

if TYPE_CHECKING:
    from overture.sim.figures import Run
    from overture.sim.lab import Experiment

KEPT = 8
SEEDS = 3

log = getLogger(__name__)


def trials() -> "Trials | None":
    """None where the extra is not installed."""
    return Trials() if sim.is_installed() else None


@dataclass(slots=True)
class _Under:
    """A trial that is under way, or was."""

    experiment: "Experiment"
    runs: "dict[tuple[str, int], Run]" = field(default_factory=dict[tuple[str, int], "Run"])
    task: "asyncio.Task[None] | None" = None

    @property
    def total(self) -> int:
        return len(self.experiment.policies) * self.experiment.seeds


class Trials:
    """Implements `web.context.Lab`."""

    def __init__(self) -> None:
        self._under: dict[tuple[Trial, str], _Under] = {}
        self._one_at_a_time = asyncio.Lock()

    def ask(self, trial: Trial, tried: Mapping[str, Policy]) -> Trying:
        """How a trial stands, which begins when it is asked for first."""
        key = trial, "".join(map(policies.written, tried.values()))
        under = self._under.get(key)
        if under is None:
            under = self._under[key] = _Under(_experiment(trial, tried))
            under.task = asyncio.create_task(self._run(under))
            ended = [old for old, each in self._under.items() if each.task and each.task.done()]
            for old in ended[: max(len(self._under) - KEPT, 0)]:
                del self._under[old]
        done = len(under.runs)
        if done == under.total:
            return Trying(done, done, show=_shown(under))
        if under.task is not None and under.task.done():
            # It is tried anew when it is asked for once more.
            del self._under[key]
            log.error("a trial of the lab failed", exc_info=under.task.exception())
            return Trying(done, under.total, failed=True)
        return Trying(done, under.total)

    async def _run(self, under: _Under) -> None:
        from overture.sim import lab  # noqa: PLC0415 (the extra is there by now)

        experiment, loop = under.experiment, asyncio.get_running_loop()
        async with self._one_at_a_time:
            # Not forked: this process has threads, and connections.
            pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
            try:
                for seed in range(experiment.seed, experiment.seed + experiment.seeds):
                    for name in experiment.policies:
                        run = await loop.run_in_executor(pool, lab.one, experiment, name, seed)
                        under.runs[name, seed] = run
            finally:
                # Whoever stops the server does not wait for what nobody will see.
                pool.shutdown(wait=False, cancel_futures=True)


def _experiment(trial: Trial, tried: Mapping[str, Policy]) -> "Experiment":
    from overture.sim.knobs import Knobs  # noqa: PLC0415
    from overture.sim.lab import Experiment  # noqa: PLC0415

    return Experiment(
        dict(tried), trial.members, trial.months, seed=trial.seed, seeds=SEEDS, knobs=Knobs()
    )


def _shown(under: _Under) -> Callable[[Callable[[str], str]], Found]:
    """The figures as a page has them, in the words of whoever looks."""
    from overture.sim import lab, report  # noqa: PLC0415

    outcome = lab.outcome_of(under.experiment, under.runs)

    def show(say: Callable[[str], str]) -> Found:
        first, *others = report.tables(outcome, say=say)
        # The first one's title says in English what was asked.
        return Found(list(report.charts(outcome, say).values()), [("", *first[1:]), *others])

    return show
