"""The lab's knobs: all that the model of members assumes, with a home and a reason for each number.

A file of knobs is TOML with some of these names. docs/lab.md tells which rest on something published
and which are assumptions. What the rules say is in the policy, and in no knob.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import cast


class KnobProblem(ValueError):
    """Knobs that cannot be taken; the text is a sentence for the operator."""


def _plan_shares() -> dict[str, float]:
    return {
        "premium_career": 0.5,
        "premium_business": 0.3,
        "sales_navigator_core": 0.1,
        "recruiter_lite": 0.1,
    }


def _wishes() -> dict[str, float]:
    return {
        "premium_career": 4.0,
        "premium_business": 10.0,
        "sales_navigator_core": 40.0,
        "recruiter_lite": 30.0,
    }


@dataclass(frozen=True, slots=True)
class Knobs:
    """Shares are from 0 to 1. What a table of plans does not name has 1, and 0.8 of its allotment."""

    # Who is there.
    premium_share: float = 0.25
    plan_shares: Mapping[str, float] = field(default_factory=_plan_shares)
    open_profile_share: float = 0.15  # of those with Premium
    opted_out_share: float = 0.06
    spammer_share: float = 0.005  # who ever spams; each for `spammer_days`, at any time
    spammer_days: int = 60
    paying_spammer_share: float = 0.5  # of the spammers; they take the plan with most credits
    colluder_share: float = 0.005  # and as many who hoard alike, but without accomplices

    # What moves senders. A wish is a letter that one would write, if one could.
    wishes: Mapping[str, float] = field(default_factory=_wishes)  # a month, by plan
    wish_spread: float = 0.9  # sigma of its logarithm, over members
    choosiness: float = 1.5  # how many more profiles are looked through where credits are scarce
    care: float = 0.3  # how much more effort a scarce credit is worth
    follow_up_share: float = 0.2
    follow_up_after_days: int = 7
    weekend: float = 0.25  # how much is written on a Saturday or Sunday, against the mean day

    # What moves recipients.
    attention: float = 4.0  # letters a week that one reads
    attention_spread: float = 0.6
    popularity_spread: float = 0.8  # sigma of the logarithm of how often one is written to
    answer_base: float = -1.6  # log odds of an answer to a middling letter that is read
    taste_spread: float = 0.8
    fit_weight: float = 2.0
    effort_weight: float = 1.0
    mood_weight: float = 1.5
    mood_loss: float = 0.1  # by one spam letter that is read
    mood_recovery: float = 0.15  # of what is missing, in a week
    decline_share: float = 0.45  # of the answers to middling letters
    delay_median_hours: float = 20.0
    delay_spread: float = 1.5
    reminded_share: float = 0.12  # of the answers a reminder brings, in addition

    # How a letter fares by its length and its day, against the mean letter.
    length_shares: tuple[float, ...] = (0.10, 0.45, 0.30, 0.15)  # up to 400, 800, 1,200, more
    length_effects: tuple[float, ...] = (1.22, 1.03, 0.94, 0.89)
    friday_effect: float = 0.96
    saturday_effect: float = 0.92

    # What spammers and colluders do.
    spam_daily: int = 10  # to Open Profiles, and at most as many that are paid for
    spam_effect: float = -1.5  # on the log odds of an answer, beside the missing fit and effort
    campaign_months: int = 6  # hoarders write nothing, and then all at once
    campaign_days: int = 10
    campaign_daily: int = 40

    # How members come and go, a month.
    cancel_share: float = 0.02
    upgrade_share: float = 0.01
    downgrade_share: float = 0.005
    return_share: float = 0.05

    # How long the members have been at it when the measuring begins, so that credits die as they do.
    warm_up_months: int = 4


def read(document: str, base: Knobs | None = None) -> Knobs:
    """Knobs from TOML, over those of `base`. Raises KnobProblem with a sentence."""
    try:
        tree = tomllib.loads(document)
    except tomllib.TOMLDecodeError as problem:
        raise KnobProblem(f"The knobs are not valid TOML: {problem}.") from problem
    base = base or Knobs()
    known = {each.name for each in fields(Knobs)}
    for name, value in tree.items():
        if name not in known:
            raise KnobProblem(f"There is no knob `{name}`.")
        base = replace(base, **{name: _taken(name, value, getattr(base, name))})
    return _checked(base)


def written(knobs: Knobs) -> str:
    """As a document that `read` takes."""
    tables, lines = list[str](), list[str]()
    for each in fields(Knobs):
        value = getattr(knobs, each.name)
        if isinstance(value, Mapping):
            plans = cast("Mapping[str, float]", value)
            told = "\n".join(f"{name} = {float(share)!r}" for name, share in plans.items())
            tables.append(f"\n[{each.name}]\n{told}")
        elif isinstance(value, tuple):
            numbers = cast("tuple[float, ...]", value)
            lines.append(f"{each.name} = [{', '.join(repr(number) for number in numbers)}]")
        else:
            lines.append(f"{each.name} = {value!r}")
    return "\n".join(lines + tables) + "\n"


def _taken(name: str, value: object, like: object) -> object:
    if isinstance(like, Mapping):
        table = cast("dict[str, object]", value) if isinstance(value, dict) else None
        if table is None or not all(_is_number(each) for each in table.values()):
            raise KnobProblem(f"The knob `{name}` is a table of numbers, by plan.")
        return {plan: float(cast("float", each)) for plan, each in table.items()}
    if isinstance(like, tuple):
        numbers = cast("list[object]", value) if isinstance(value, list) else []
        if len(numbers) != 4 or not all(_is_number(each) for each in numbers):
            raise KnobProblem(f"The knob `{name}` is a list of four numbers.")
        return tuple(float(cast("float", each)) for each in numbers)
    if isinstance(like, int):
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise KnobProblem(f"The knob `{name}` is a whole number, not below 0.")
        return value
    if not _is_number(value):
        raise KnobProblem(f"The knob `{name}` is a number.")
    return float(cast("float", value))


def _checked(knobs: Knobs) -> Knobs:
    for each in fields(Knobs):
        value = getattr(knobs, each.name)
        if each.name.endswith("_share") and not 0 <= value <= 1:
            raise KnobProblem(f"The knob `{each.name}` is a share, from 0 to 1.")
    numbers = [*knobs.plan_shares.values(), *knobs.wishes.values(), *knobs.length_shares]
    if min(numbers) < 0 or sum(knobs.length_shares) == 0:
        raise KnobProblem("Shares and wishes are not below 0, and some length has a share.")
    if min(knobs.campaign_months, knobs.follow_up_after_days) < 1:
        raise KnobProblem("`campaign_months` and `follow_up_after_days` are at least 1.")
    return knobs


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
