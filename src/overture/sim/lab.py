"""The lab's bench: policies beside one another, over several seeds, on as many cores as there are."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context

from overture.core.policy import Policy
from overture.sim import figures
from overture.sim.figures import Estimate, Figures, Run
from overture.sim.knobs import Knobs
from overture.sim.play import play

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Experiment:
    """What is to be tried: policies by name, all on the same members with the same wishes."""

    policies: Mapping[str, Policy]
    members: int
    months: int
    seed: int
    seeds: int
    knobs: Knobs


@dataclass(frozen=True, slots=True)
class Outcome:
    """Figures of each policy, and by how much those of the later ones differ from the first's."""

    experiment: Experiment
    figures: Sequence[Figures]
    differences: Sequence[Mapping[str, Estimate]]


def run(
    experiment: Experiment,
    *,
    processes: int | None = None,
    progress: Progress = lambda _d, _t: None,
) -> Outcome:
    """Plays every policy with every seed. Deterministic: only the experiment decides what comes out."""
    asked = [
        (name, seed)
        for seed in range(experiment.seed, experiment.seed + experiment.seeds)
        for name in experiment.policies
    ]
    runs: dict[tuple[str, int], Run] = {}
    processes = min(processes or os.cpu_count() or 1, len(asked))
    if processes == 1:
        for name, seed in asked:
            before, total = 100 * len(runs), 100 * len(asked)

            def further(done: int, of: int, before: int = before, total: int = total) -> None:
                progress(before + 100 * done // of, total)

            runs[name, seed] = one(experiment, name, seed, further)
    else:
        # Not forked: the caller may have threads, and a database.
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            waiting = {pool.submit(one, experiment, *each): each for each in asked}
            for done in as_completed(waiting):
                runs[waiting[done]] = done.result()
                progress(len(runs), len(asked))
    by_policy = [
        [runs[name, seed] for each, seed in asked if each == name] for name in experiment.policies
    ]
    return Outcome(
        experiment,
        [
            figures.over_seeds(name, told)
            for name, told in zip(experiment.policies, by_policy, strict=True)
        ],
        [figures.difference(by_policy[0], told) for told in by_policy[1:]],
    )


def one(
    experiment: Experiment, name: str, seed: int, progress: Progress = lambda _d, _t: None
) -> Run:
    policy = experiment.policies[name]
    tally, _ = play(
        policy,
        experiment.knobs,
        members=experiment.members,
        months=experiment.months,
        seed=seed,
        progress=progress,
    )
    return figures.of_run(policy, tally, experiment.members)
