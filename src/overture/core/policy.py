"""The policy: every number of the rules, as data.

A policy document is TOML with dated versions. A version says from when it holds; the past is judged
by the version of its time, so a `PolicyBook` is asked with an instant.
"""

import tomllib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import TypeVar, cast

E = TypeVar("E", bound=StrEnum)


class GrantsOn(StrEnum):
    ANNIVERSARY = "anniversary"
    FIRST_OF_MONTH = "first_of_month"


class Outcome(StrEnum):
    """What a response makes of a pending InMail."""

    ACCEPTED = "accepted"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a subscription buys: credits of one pool, so many a month, up to a cap."""

    name: str
    title: str
    pool: str
    allotment: int
    cap: int
    grants_on: GrantsOn = GrantsOn.ANNIVERSARY


@dataclass(frozen=True, slots=True)
class QuickReply:
    id: str
    text: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Policy:
    """One version of the rules' numbers; the preset `seed` explains each."""

    holds_from: datetime
    plans: Mapping[str, Plan]
    expiry: timedelta
    refund_window: timedelta
    decline_unlocks: bool
    follow_ups: bool
    open_profile_daily: int
    recipient_requires_premium: bool
    subject_chars_max: int
    body_chars_max: int
    reminder_aim: timedelta
    reminder_latest: timedelta
    waking_from: time
    waking_until: time
    quick_replies: tuple[QuickReply, ...]
    pools: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        # The order of the pools is the order in which their first plans stand in the document.
        object.__setattr__(self, "pools", tuple(dict.fromkeys(p.pool for p in self.plans.values())))

    def quick_reply(self, reply_id: str) -> QuickReply | None:
        return next((reply for reply in self.quick_replies if reply.id == reply_id), None)

    def plans_of(self, pool: str) -> tuple[Plan, ...]:
        return tuple(plan for plan in self.plans.values() if plan.pool == pool)


@dataclass(frozen=True, slots=True)
class PolicyBook:
    """Dated versions of a policy, oldest first. The first also judges all that came before it."""

    versions: tuple[Policy, ...]
    starts: tuple[datetime, ...] = field(init=False)

    def __post_init__(self) -> None:
        assert self.versions, "a policy book holds at least one version"
        object.__setattr__(self, "starts", tuple(v.holds_from for v in self.versions))

    def at(self, instant: datetime) -> Policy:
        if len(self.versions) == 1:
            return self.versions[0]
        return self.versions[max(bisect_right(self.starts, instant) - 1, 0)]

    def change_after(self, instant: datetime) -> datetime | None:
        """When the version that holds at `instant` is replaced; None while nothing replaces it."""
        place = max(bisect_right(self.starts, instant), 1)
        return self.starts[place] if place < len(self.starts) else None


class PolicyProblem(ValueError):
    """A policy document that cannot be taken; the text is a sentence for the operator."""


def parse(document: str) -> PolicyBook:
    """Reads a policy document.

    Raises PolicyProblem with a sentence that names the place: broken TOML, an unknown or missing
    name, a number out of range, versions out of order, or a later version that drops a plan.
    """
    try:
        tree = tomllib.loads(document)
    except tomllib.TOMLDecodeError as problem:
        raise PolicyProblem(f"The policy is not valid TOML: {problem}.") from problem
    top = _Section("the policy", tree)
    _ = top.text("name", ""), top.text("about", "")
    versions = tuple(_version(section) for section in top.sections("versions"))
    top.nothing_else()
    return book_of(versions)


def book_of(versions: Sequence[Policy]) -> PolicyBook:
    """A book of these versions, in order. Raises PolicyProblem where they do not follow each other."""
    if not versions:
        raise PolicyProblem("The policy has no version: write at least one [[versions]] table.")
    for earlier, later in pairwise(versions):
        if later.holds_from <= earlier.holds_from:
            raise PolicyProblem(
                f"The versions are not in order: {later.holds_from:%Y-%m-%d} does not come after "
                f"{earlier.holds_from:%Y-%m-%d}."
            )
        for plan in earlier.plans.values():
            kept = later.plans.get(plan.name)
            if kept is None or kept.pool != plan.pool:
                raise PolicyProblem(
                    f"The version of {later.holds_from:%Y-%m-%d} drops the plan {plan.name}, or "
                    "moves it to another pool; members may still hold it."
                )
    return PolicyBook(tuple(versions))


def _version(section: "_Section") -> Policy:
    plans = [_plan(part) for part in section.sections("plans")]
    if not plans:
        raise PolicyProblem(f"{section.place} has no plans.")
    if len({plan.name for plan in plans}) < len(plans):
        raise PolicyProblem(f"{section.place} names a plan twice.")
    replies = tuple(_quick_reply(part) for part in section.sections("quick_replies"))
    if len({reply.id for reply in replies}) < len(replies):
        raise PolicyProblem(f"{section.place} names a quick reply twice.")
    if section.flag("topups"):
        raise PolicyProblem(
            "`topups` must be false: credits cannot be bought beyond the allotment."
        )
    policy = Policy(
        holds_from=section.instant("holds_from"),
        plans={plan.name: plan for plan in plans},
        expiry=timedelta(days=section.count("expiry_days", 1, 3660)),
        refund_window=timedelta(days=section.count("refund_days", 0, 3660)),
        decline_unlocks=section.flag("decline_unlocks"),
        follow_ups=section.flag("follow_ups"),
        open_profile_daily=section.count("open_profile_daily", 0, 1000),
        recipient_requires_premium=section.flag("recipient_requires_premium"),
        subject_chars_max=section.count("subject_chars_max", 1, 1000),
        body_chars_max=section.count("body_chars_max", 1, 20_000),
        reminder_aim=timedelta(hours=section.count("reminder_aim_hours", 1, 2400)),
        reminder_latest=timedelta(hours=section.count("reminder_latest_hours", 1, 2400)),
        waking_from=section.time_of_day("waking_from"),
        waking_until=section.time_of_day("waking_until"),
        quick_replies=replies,
    )
    if policy.reminder_latest < policy.reminder_aim:
        raise PolicyProblem(f"{section.place}: the reminder's latest hour lies before its aim.")
    if policy.waking_until <= policy.waking_from:
        raise PolicyProblem(f"{section.place}: the waking hours end before they begin.")
    section.nothing_else()
    return policy


def _plan(section: "_Section") -> Plan:
    plan = Plan(
        name=section.text("name"),
        title=section.text("title"),
        pool=section.text("pool"),
        allotment=section.count("allotment", 1, 100_000),
        cap=section.count("cap", 1, 1_000_000),
        grants_on=section.one_of("grants_on", GrantsOn, GrantsOn.ANNIVERSARY),
    )
    if plan.cap < plan.allotment:
        raise PolicyProblem(f"{section.place}: the cap is smaller than the monthly allotment.")
    section.nothing_else()
    return plan


def _quick_reply(section: "_Section") -> QuickReply:
    reply = QuickReply(
        id=section.text("id"),
        text=section.text("text"),
        outcome=section.one_of("outcome", Outcome, None),
    )
    section.nothing_else()
    return reply


class _Section:
    """One table of the document; remembers what was read, so that a misspelt name is an error."""

    def __init__(self, place: str, tree: Mapping[str, object]) -> None:
        self.place = place
        self._left = dict(tree)

    def sections(self, name: str) -> "list[_Section]":
        found = self._left.pop(name, None)
        if found is not None and not isinstance(found, list):
            raise PolicyProblem(f"{self.place}: `{name}` must be a list of tables.")
        parts = cast("list[object]", found or [])
        tables = [cast("dict[str, object]", part) for part in parts if isinstance(part, dict)]
        if len(tables) < len(parts):
            raise PolicyProblem(f"{self.place}: `{name}` must be a list of tables.")
        return [_Section(f"{name} {n} of {self.place}", part) for n, part in enumerate(tables, 1)]

    def text(self, name: str, default: str | None = None) -> str:
        value = self._take(name, default)
        if not isinstance(value, str) or (not value.strip() and default is None):
            raise PolicyProblem(f"{self.place}: `{name}` must be a text.")
        return value

    def flag(self, name: str) -> bool:
        value = self._take(name, None)
        if not isinstance(value, bool):
            raise PolicyProblem(f"{self.place}: `{name}` must be true or false.")
        return value

    def count(self, name: str, least: int, most: int) -> int:
        value = self._take(name, None)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise PolicyProblem(
                f"{self.place}: `{name}` must be a whole number from {least} to {most}."
            )
        return value

    def instant(self, name: str) -> datetime:
        value = self._take(name, None)
        if not isinstance(value, datetime) or value.tzinfo is None:
            raise PolicyProblem(f"{self.place}: `{name}` must be an instant with its offset.")
        return value.astimezone(UTC)

    def time_of_day(self, name: str) -> time:
        value = self._take(name, None)
        if not isinstance(value, time):
            raise PolicyProblem(f"{self.place}: `{name}` must be a time of day, such as 08:00:00.")
        return value

    def one_of(self, name: str, kinds: type[E], default: E | None) -> E:
        value = self._take(name, default)
        try:
            return kinds(str(value))
        except ValueError:
            raise PolicyProblem(
                f"{self.place}: `{name}` must be one of {', '.join(kinds)}."
            ) from None

    def nothing_else(self) -> None:
        if self._left:
            raise PolicyProblem(f"{self.place}: unknown name `{next(iter(self._left))}`.")

    def _take(self, name: str, default: object) -> object:
        value = self._left.pop(name, default)
        if value is None:
            raise PolicyProblem(f"{self.place}: `{name}` is missing.")
        return value
