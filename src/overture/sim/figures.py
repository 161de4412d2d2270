"""What comes out of the lab: the same figures for every policy, with intervals over seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan, sqrt
from statistics import fmean, stdev

import numpy as np

from overture.core.credits import Kind
from overture.core.policy import Policy
from overture.core.text import Sentence
from overture.sim.columns import KINDS
from overture.sim.deeds import Fate
from overture.sim.people import COLLUDER, HOARDER, HONEST, SPAMMER
from overture.sim.tally import WEEKLY, Counts, Tally


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure's name in JSON, what it says in words, and whether it is a share."""

    name: str
    title: Sentence
    share: bool = False
    digits: int = 2
    short: str = ""


MEASURES = (
    Measure("answer_rate", Sentence("Letters that were answered"), share=True),
    Measure("answered_in_30_days", Sentence("… within 30 days"), share=True),
    Measure("accepted", Sentence("Answers that accept"), share=True),
    Measure("hours_to_answer", Sentence("Hours until half of the answers came"), digits=0),
    Measure("sent", Sentence("Letters sent, a member and month")),
    Measure("unmet", Sentence("Letters not sent for want of a credit"), share=True),
    Measure("refused", Sentence("Letters sent that this policy would have refused"), share=True),
    Measure("wasted", Sentence("Letters never answered, a member and month")),
    Measure("received", Sentence("Letters received, a member and week")),
    Measure("received_reachable", Sentence("… a member who can be written to"), digits=2),
    Measure("received_busiest", Sentence("… at least, by the busiest hundredth"), digits=0),
    Measure("granted", Sentence("Credits granted, a hundred members and month"), digits=1),
    Measure("spent", Sentence("… spent"), digits=1),
    Measure("returned", Sentence("… returned by answers"), digits=1),
    Measure("expired", Sentence("… expired"), digits=1),
    Measure("forfeited", Sentence("… forfeited with plans that ended"), digits=1),
    Measure("cut", Sentence("… never granted, for the cap"), digits=1),
    Measure("answers_per_credit", Sentence("Answers for each credit spent")),
    Measure("spam_received", Sentence("Spam received, a member and year")),
    Measure("spam_weeks", Sentence("Weeks in which a member received spam"), share=True),
    Measure("spam_free", Sentence("Spam that cost nothing"), share=True),
    Measure("colluder_letters", Sentence("Letters to strangers, a colluder and year"), digits=1),
    Measure("hoarder_letters", Sentence("… who hoards alike, without accomplices"), digits=1),
    Measure("farmed", Sentence("Returned credits that accomplices returned"), share=True),
    Measure("parked", Sentence("Credits parked as waiting refunds, a colluder at most"), digits=1),
)
PLAN_MEASURES = (
    Measure("members", Sentence("Members, of a thousand"), digits=1, short="‰ of all"),
    Measure("sent", Sentence("Letters a month"), short="Letters"),
    Measure("answer_rate", Sentence("Answered"), share=True, short="Answered"),
    Measure("answers_per_credit", Sentence("Answers a credit"), short="a credit"),
    Measure("ran_out", Sentence("Months in which one ran out"), share=True, short="Ran out"),
    Measure("dry_weeks", Sentence("Weeks without credit"), share=True, short="Dry weeks"),
    Measure("expired", Sentence("Lost to expiry, a month"), short="Expired"),
    Measure("cut", Sentence("Lost to the cap, a month"), short="Cut"),
)
BY_MONTH = (
    Measure("answer_rate", Sentence("Letters that were answered"), share=True),
    Measure("spam_weeks", Sentence("Weeks in which a member received spam"), share=True),
)


@dataclass(frozen=True, slots=True)
class Run:
    """The figures of one run; a figure that has no meaning, such as a rate of nothing, is NaN."""

    overall: Mapping[str, float]
    plans: Mapping[str, Mapping[str, float]]
    months: Mapping[str, Sequence[float]]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over seeds; the truth of the model lies within `half` of it 19 times of 20.

    NaN where there is no figure, and where one seed alone tells of no spread.
    """

    mean: float
    half: float


@dataclass(frozen=True, slots=True)
class Figures:
    """One policy's figures over all seeds."""

    policy: str
    overall: Mapping[str, Estimate]
    plans: Mapping[str, Mapping[str, Estimate]]
    months: Mapping[str, Sequence[Estimate]]


def of_run(policy: Policy, tally: Tally, members: int) -> Run:
    months = len(tally.fates)
    fates, answers = tally.fates, tally.answers
    sent = fates[..., Fate.PAID] + fates[..., Fate.FREE]
    honest_sent, honest_answers = sent[:, HONEST].sum(), answers[:, HONEST].sum()
    colluders, hoarders = _accounts(tally, COLLUDER), _accounts(tally, HOARDER)
    unmet = fates[:, HONEST, :, Fate.NO_CREDITS].sum()
    weekly = np.arange(WEEKLY + 1)
    hundred = members * months / 100
    spent, refunds = tally.kind(Kind.SPEND), tally.kind(Kind.REFUND)
    spam = sent[:, SPAMMER].sum()
    spam_free = fates[:, SPAMMER, :, Fate.FREE].sum()
    overall = {
        "answer_rate": _over(honest_answers, honest_sent),
        "answered_in_30_days": _over(tally.within_month[:, HONEST].sum(), honest_sent),
        "accepted": _over(answers[:, HONEST, :, 1].sum(), honest_answers),
        "hours_to_answer": _quantile(tally.delays, 0.5),
        "sent": honest_sent / members / months,
        "unmet": _over(unmet, unmet + honest_sent),
        "wasted": (honest_sent - honest_answers) / members / months,
        "received": _over((weekly * tally.received).sum(), tally.member_weeks),
        "received_reachable": _over((weekly * tally.received).sum(), tally.reachable_weeks),
        "received_busiest": _quantile(tally.received, 0.99),
        "granted": tally.kind(Kind.GRANT).sum() / hundred,
        "spent": spent.sum() / hundred,
        "returned": refunds.sum() / hundred,
        "expired": tally.kind(Kind.EXPIRE).sum() / hundred,
        "forfeited": tally.kind(Kind.FORFEIT).sum() / hundred,
        "cut": _cut(tally).sum() / hundred,
        "answers_per_credit": _over(honest_answers, spent[:, HONEST].sum()),
        "spam_received": spam / members / months * 12,
        "spam_weeks": _over(tally.spammed_weeks.sum(), tally.weeks_of_month.sum()),
        "spam_free": _over(spam_free, spam),
        "colluder_letters": _over(sent[:, COLLUDER].sum() * 12 / months, colluders),
        "hoarder_letters": _over(sent[:, HOARDER].sum() * 12 / months, hoarders),
        "farmed": _over(tally.farmed_back.sum(), tally.returning),
        "parked": _over(tally.parked_most, colluders),
    }
    plans = {
        plan.title: _of_plan(tally, place, members)
        for place, plan in enumerate(policy.plans.values())
    }
    by_month = {
        "answer_rate": [
            _over(answers[month, HONEST].sum(), sent[month, HONEST].sum())
            for month in range(months)
        ],
        "spam_weeks": [
            _over(tally.spammed_weeks[month], tally.weeks_of_month[month])
            for month in range(months)
        ],
    }
    return Run({name: float(value) for name, value in overall.items()}, plans, by_month)


def over_seeds(policy: str, runs: Sequence[Run]) -> Figures:
    first = runs[0]
    return Figures(
        policy,
        {name: estimate([run.overall[name] for run in runs]) for name in first.overall},
        {
            plan: {name: estimate([run.plans[plan][name] for run in runs]) for name in told}
            for plan, told in first.plans.items()
        },
        {
            name: [estimate(each) for each in zip(*(run.months[name] for run in runs), strict=True)]
            for name in first.months
        },
    )


def difference(runs: Sequence[Run], others: Sequence[Run]) -> Mapping[str, Estimate]:
    """By how much the others' figures lie above these, seed by seed: both met the same members."""
    return {
        name: estimate(
            [
                other.overall[name] - run.overall[name]
                for run, other in zip(runs, others, strict=True)
            ]
        )
        for name in runs[0].overall
    }


def estimate(values: Sequence[float]) -> Estimate:
    told = [value for value in values if value == value]  # noqa: PLR0124 (NaN is not itself)
    if len(told) < 2:
        return Estimate(told[0] if told else nan, nan)
    return Estimate(fmean(told), _t(len(told) - 1) * stdev(told) / sqrt(len(told)))


def _of_plan(tally: Tally, place: int, members: int) -> dict[str, float]:
    months = len(tally.fates)
    sent = tally.fates[:, HONEST, place, : Fate.FREE + 1].sum()
    answers = tally.answers[:, HONEST, place].sum()
    spent = tally.kind(Kind.SPEND)[:, HONEST, place].sum()
    held = tally.members[:, place].sum()
    told = {
        "members": 1000 * held / months / members,
        "sent": _over(sent, held),
        "answer_rate": _over(answers, sent),
        "answers_per_credit": _over(answers, spent),
        "ran_out": _over(tally.ran_out[:, place].sum(), held),
        "dry_weeks": _over(tally.dry_weeks[place], tally.weeks[place]),
        "expired": _over(tally.kind(Kind.EXPIRE)[:, HONEST, place].sum(), held),
        "cut": _over(_cut(tally)[:, HONEST, place].sum(), held),
    }
    return {name: float(value) for name, value in told.items()}


def _cut(tally: Tally) -> Counts:
    """What grants did not bring because of the cap."""
    return tally.cut[..., KINDS.index(Kind.GRANT)]


def _accounts(tally: Tally, role: int) -> int:
    return int(tally.accounts_of_role[role])


def _quantile(counts: Counts, share: float) -> float:
    """The least number, of those counted, at or below which so many lie."""
    reached = np.flatnonzero(np.cumsum(counts) >= share * counts.sum())
    return float(reached[0]) if counts.any() else nan


def _over(part: float, whole: float) -> float:
    return float(part / whole) if whole else nan


def _t(freedom: int) -> float:
    """Student's t for two-sided 95 %, by the degrees of freedom."""
    return _T[freedom - 1] if freedom <= len(_T) else 1.96


_T = (
    12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
