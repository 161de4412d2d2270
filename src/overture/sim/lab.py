"""The lab's bench: policies beside one another, over several seeds, on as many cores as there are."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from datetime import datetime
from multiprocessing import get_context

from overture.core.policy import Policy, PolicyBook
from overture.sim import figures, fit, replay
from overture.sim.figures import Estimate, Figures, Run
from overture.sim.knobs import Knobs
from overture.sim.play import play
from overture.store.history import History

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
    """Figures of each policy, and by how much those of the later ones differ from the first's.

    `about` says for programs what was played.
    """

    title: str
    about: Mapping[str, object]
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
    return outcome_of(experiment, runs)


def outcome_of(experiment: Experiment, runs: Mapping[tuple[str, int], Run]) -> Outcome:
    """What all runs of an experiment, by policy and seed, amount to."""
    seeds = range(experiment.seed, experiment.seed + experiment.seeds)
    by_policy = [[runs[name, seed] for seed in seeds] for name in experiment.policies]
    about = {
        "members": experiment.members,
        "months": experiment.months,
        "seed": experiment.seed,
        "seeds": experiment.seeds,
        "knobs": asdict(experiment.knobs),
    }
    return _outcome(_title(experiment), about, experiment.policies, by_policy)


def of_history(
    history: History,
    own: PolicyBook,
    others: Mapping[str, PolicyBook],
    until: datetime,
    progress: Progress = lambda _d, _t: None,
) -> Outcome:
    """A deployment's history as it was, and beside it under other policies. Raises PolicyProblem."""
    books = {AS_IT_WAS: own, **others}
    runs: list[list[Run]] = []
    for number, book in enumerate(books.values()):

        def further(done: int, of: int, number: int = number) -> None:
            progress(number * of + done, len(books) * of)

        replayed = replay.replay(history, book, until, further)
        runs.append([replay.run_of(history, replayed, book, until)])
    title = f"{len(history.letters):,} letters of the deployment's own history, replayed"
    about = {"letters": len(history.letters), "until": until.isoformat()}
    return _outcome(title, about, list(books), runs)


def fitted(knobs: Knobs, history: History, own: PolicyBook, until: datetime) -> Knobs:
    """The knobs as the deployment's history tells them; see `fit`."""
    replayed = replay.replay(history, own, until)
    run = replay.run_of(history, replayed, own, until)
    return fit.fitted(knobs, own.at(until), run, history.habits, len(history.letters))


AS_IT_WAS = "as it was"


def _outcome(
    title: str, about: Mapping[str, object], names: Iterable[str], runs: Sequence[Sequence[Run]]
) -> Outcome:
    return Outcome(
        title,
        about,
        [figures.over_seeds(name, told) for name, told in zip(names, runs, strict=True)],
        [figures.difference(runs[0], told) for told in runs[1:]],
    )


def _title(experiment: Experiment) -> str:
    seeds = "one seed" if experiment.seeds == 1 else f"{experiment.seeds} seeds"
    months = "1 month" if experiment.months == 1 else f"{experiment.months} months"
    return f"{experiment.members:,} members for {months}, {seeds} from {experiment.seed} on"


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
