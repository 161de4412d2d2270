"""What the console's lab tries: policies on invented members or on the installation's own history, one
trial after another.

Each has a process of its own, so that the server answers meanwhile. A trial on invented members is
decided by what was asked alone: whichever of several server processes is asked comes to the same, and
keeps the last few.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from logging import getLogger
from multiprocessing import get_context
from typing import TYPE_CHECKING, TypeVar

from overture import policies, sim
from overture.core.policy import Policy, PolicyBook, PolicyProblem
from overture.core.text import Sentence
from overture.store.db import Database, Tx
from overture.web.context import CALLED, Found, Trial, Trying, Whose

if TYPE_CHECKING:
    from overture.sim.figures import Run
    from overture.sim.knobs import Knobs
    from overture.sim.lab import Experiment, Outcome
    from overture.sim.report import Say
    from overture.store.history import History

KEPT = 8
SEEDS = 3
# Some 25 MB of memory, and some seconds for each policy. The command takes any history.
LETTERS_MAX = 50_000
# Members go on writing: what was found of them is looked for anew after so long.
FRESH_FOR = timedelta(minutes=10)

log = getLogger(__name__)
T = TypeVar("T")


def trials(url: str) -> "Trials | None":
    """None where the extra is not installed. `url` is the database's."""
    return Trials(url) if sim.is_installed() else None


@dataclass(slots=True)
class _Under:
    """A trial that is under way, or was."""

    trial: Trial
    tried: Mapping[str, Policy]
    own: PolicyBook
    until: datetime
    total: int
    done: int = 0
    # What it came to, or why it cannot be tried.
    outcome: "Outcome | None" = None
    letters: int | None = None
    why: Sentence | None = None
    task: "asyncio.Task[None] | None" = None

    def is_stale(self, now: datetime) -> bool:
        ours = self.trial.whose is not Whose.INVENTED
        return ours and self.task is not None and self.task.done() and now - self.until > FRESH_FOR


class Trials:
    """Implements `web.context.Lab`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._under: dict[tuple[Trial, str], _Under] = {}
        self._one_at_a_time = asyncio.Lock()

    def ask(
        self, trial: Trial, tried: Mapping[str, Policy], own: PolicyBook, now: datetime
    ) -> Trying:
        """How a trial stands, which begins when it is asked for first."""
        key = trial, "".join(map(policies.written, tried.values()))
        under = self._under.get(key)
        if under is None or under.is_stale(now):
            book = PolicyBook(own.versions)
            under = self._under[key] = _Under(trial, tried, book, now, _steps(trial, tried))
            under.task = asyncio.create_task(self._run(under))
            ended = [old for old, each in self._under.items() if each.task and each.task.done()]
            for old in ended[: max(len(self._under) - KEPT, 0)]:
                del self._under[old]
        if under.outcome is not None:
            return Trying(under.total, under.total, show=_shown(under, under.outcome))
        if under.task is not None and under.task.done():
            # It is tried anew when it is asked for once more.
            del self._under[key]
            if under.why is None:
                log.error("a trial of the lab failed", exc_info=under.task.exception())
            return Trying(under.done, under.total, failed=True, why=under.why)
        return Trying(under.done, under.total)

    async def _run(self, under: _Under) -> None:
        from overture.sim import lab  # noqa: PLC0415 (the extra is there by now)

        async with self._one_at_a_time:
            # Not forked: this process has threads, and connections.
            pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))

            def elsewhere(work: Callable[..., T], *given: object) -> asyncio.Future[T]:
                return asyncio.get_running_loop().run_in_executor(pool, work, *given)

            try:
                if under.trial.whose is Whose.OUR_OWN:
                    found = await elsewhere(
                        _of_history, self._url, under.own, under.tried, under.until
                    )
                    if isinstance(found, Sentence):
                        under.why = found
                    else:
                        under.outcome, under.letters = found
                    return
                experiment = _experiment(under)
                if under.trial.whose is Whose.LIKE_OURS:
                    fitted = await elsewhere(_fitted, self._url, under.own, under.until)
                    if isinstance(fitted, Sentence):
                        under.why = fitted
                        return
                    knobs, under.letters = fitted
                    experiment = replace(experiment, knobs=knobs)
                    under.done += 1
                runs = dict[tuple[str, int], "Run"]()
                for seed in range(experiment.seed, experiment.seed + experiment.seeds):
                    for name in experiment.policies:
                        runs[name, seed] = await elsewhere(lab.one, experiment, name, seed)
                        under.done += 1
                under.outcome = lab.outcome_of(experiment, runs)
            finally:
                # Whoever stops the server does not wait for what nobody will see.
                pool.shutdown(wait=False, cancel_futures=True)


def _steps(trial: Trial, tried: Mapping[str, Policy]) -> int:
    if trial.whose is Whose.OUR_OWN:
        return 1
    return len(tried) * SEEDS + (trial.whose is Whose.LIKE_OURS)


def _experiment(under: _Under) -> "Experiment":
    from overture.sim.knobs import Knobs  # noqa: PLC0415
    from overture.sim.lab import Experiment  # noqa: PLC0415

    trial = under.trial
    return Experiment(
        dict(under.tried), trial.members, trial.months, seed=trial.seed, seeds=SEEDS, knobs=Knobs()
    )


def _shown(under: _Under, outcome: "Outcome") -> "Callable[[Say], Found]":
    """The figures as a page has them, in the words of whoever looks."""
    from overture.sim import lab, report  # noqa: PLC0415

    def show(say: "Say") -> Found:
        said = {name: say(sentence) for name, sentence in CALLED.items()}
        said[lab.AS_IT_WAS] = say(Sentence("as it was"))
        figures = [
            replace(each, policy=said.get(each.policy, each.policy)) for each in outcome.figures
        ]
        told = replace(outcome, figures=figures)
        first, *others = report.tables(told, say=say)
        # The first one's title says in English what was asked.
        tables = [("", *first[1:]), *others]
        return Found(list(report.charts(told, say).values()), tables, under.letters, under.until)

    return show


# In the process of a trial ------------------------------------------------------------------------


def _of_history(
    url: str, own: PolicyBook, tried: Mapping[str, Policy], until: datetime
) -> "tuple[Outcome, int] | Sentence":
    from overture.sim import lab  # noqa: PLC0415

    recorded = asyncio.run(_recorded(url, until))
    if isinstance(recorded, Sentence):
        return recorded
    # As if each had always held.
    books = {name: PolicyBook((policy,)) for name, policy in tried.items()}
    try:
        return lab.of_history(recorded, own, books, until), len(recorded.letters)
    except PolicyProblem as problem:
        return problem.mistakes[0].sentence


def _fitted(url: str, own: PolicyBook, until: datetime) -> "tuple[Knobs, int] | Sentence":
    from overture.sim import lab  # noqa: PLC0415
    from overture.sim.knobs import Knobs  # noqa: PLC0415

    recorded = asyncio.run(_recorded(url, until))
    if isinstance(recorded, Sentence):
        return recorded
    return lab.fitted(Knobs(), recorded, own, until), len(recorded.letters)


async def _recorded(url: str, until: datetime) -> "History | Sentence":
    from overture.store.history import history, letters_up_to  # noqa: PLC0415

    async def read(tx: Tx) -> "History | Sentence":
        count = await letters_up_to(tx, LETTERS_MAX + 1)
        if count > LETTERS_MAX:
            return Sentence(
                "There are more than %(most)s letters to strangers, too many for this page. The "
                "command plays them all: overture simulate, with --replay or --fit.",
                most=LETTERS_MAX,
            )
        if not count:
            return Sentence("Nobody has written to a stranger yet: there is nothing to go by.")
        return await history(tx, until)

    db = await Database.open(url, connections=2)
    try:
        return await db.reading(read)
    finally:
        await db.close()
