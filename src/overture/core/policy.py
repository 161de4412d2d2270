"""The policy: every number of the rules, as data.

A policy document is TOML with dated versions. A version says from when it holds; the past is judged
by the version of its time, so a `PolicyBook` is asked with an instant.
"""

import json
import re
import tomllib
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from difflib import get_close_matches
from enum import StrEnum
from itertools import pairwise
from typing import TypeVar, cast

from overture.core.places import Path, places
from overture.core.text import Sentence

E = TypeVar("E", bound=StrEnum)

# What the first version holds from where its document does not say.
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
DOCUMENT_CHARS_MAX = 100_000
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_TITLE_CHARS_MAX = 100
_SHOWN_MAX = 10**30
# What to write where a mistake was made: the lines of the preset `seed`.
_EXAMPLES = {
    "holds_from": "2027-01-01T00:00:00Z",
    "expiry_days": "120",
    "refund_days": "90",
    "topups": "false",
    "decline_unlocks": "true",
    "follow_ups": "false",
    "open_profile_daily": "25",
    "recipient_requires_premium": "true",
    "subject_chars_max": "200",
    "body_chars_max": "2000",
    "reminder_aim_hours": "48",
    "reminder_latest_hours": "72",
    "waking_from": "08:00:00",
    "waking_until": "21:00:00",
    "name": '"premium_career"',
    "title": '"Premium Career"',
    "pool": '"premium"',
    "allotment": "5",
    "cap": "15",
    "grants_on": '"anniversary"',
    "id": '"interested"',
    "text": '"Interested, tell me more"',
    "outcome": '"accepted"',
    "about": '"What these rules are for."',
    "versions": "[[versions]]",
    "plans": "[[versions.plans]]",
    "quick_replies": "[[versions.quick_replies]]",
}


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


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong in a policy document: a sentence that says what was expected, or what to write.

    `line` counts from 1 and is None where the whole document is meant; `place` names the table, as
    `versions 1, plans 2`, and is empty for the document's own; `example` is a line that would do.
    """

    sentence: Sentence
    line: int | None = None
    place: str = ""
    example: str = ""

    def __str__(self) -> str:  # pyright: ignore[reportImplicitOverride]
        where = ", ".join(each for each in (self.line and f"line {self.line}", self.place) if each)
        told = f"{where}: {self.sentence}" if where else str(self.sentence)
        return f"{told} Write, for example: {self.example}" if self.example else told


class PolicyProblem(ValueError):
    """A policy that cannot be taken. The text is for the operator, a sentence a line."""

    def __init__(self, *found: Mistake | str) -> None:
        told = (
            each
            if isinstance(each, Mistake)
            else Mistake(each if isinstance(each, Sentence) else Sentence(each))
            for each in found
        )
        self.mistakes = tuple(sorted(told, key=lambda each: each.line or 0))
        super().__init__("\n".join(map(str, self.mistakes)))


def parse(document: str) -> PolicyBook:
    """Reads a policy document.

    Raises PolicyProblem with every mistake that it finds: broken TOML, an unknown or missing name, a
    number out of range, versions out of order, or a later version that drops a plan. Nothing else.
    """
    if len(document) > DOCUMENT_CHARS_MAX:
        raise PolicyProblem(
            Sentence(
                "The document has %(count)s characters; a policy has at most %(most)s.",
                count=len(document),
                most=DOCUMENT_CHARS_MAX,
            )
        )
    mistakes: list[Mistake] = []
    tree = _tree(document)
    lines = places(document)
    top = _Section(tree, (), lines, mistakes)
    _ = top.text("name", ""), top.text("about", "")
    parts = top.sections("versions")
    top.nothing_else()
    versions = [_version(section, first=not number) for number, section in enumerate(parts)]
    if not versions and not mistakes:
        mistakes.append(Mistake(_NO_VERSION))
    if not mistakes:
        mistakes += [
            Mistake(sentence, lines.get(("versions", number)), f"versions {number}")
            for number, sentence in _out_of_order(versions)
        ]
    if mistakes:
        raise PolicyProblem(*mistakes)
    return PolicyBook(tuple(versions))


def book_of(versions: Sequence[Policy]) -> PolicyBook:
    """A book of these versions, in order. Raises PolicyProblem where they do not follow each other."""
    if not versions:
        raise PolicyProblem(_NO_VERSION)
    if wrong := [Mistake(sentence) for _, sentence in _out_of_order(versions)]:
        raise PolicyProblem(*wrong)
    return PolicyBook(tuple(versions))


_NO_VERSION = Sentence("The policy has no version: write at least one [[versions]] table.")


def _out_of_order(versions: Sequence[Policy]) -> Iterator[tuple[int, Sentence]]:
    """The number, from 1, of each version that cannot follow the one before it, and why."""
    for number, (earlier, later) in enumerate(pairwise(versions), 2):
        if later.holds_from <= earlier.holds_from:
            yield (
                number,
                Sentence(
                    "The versions are not in order: %(later)s does not come after %(earlier)s.",
                    later=f"{later.holds_from:%Y-%m-%d %H:%M:%S}",
                    earlier=f"{earlier.holds_from:%Y-%m-%d %H:%M:%S}",
                ),
            )
        for plan in earlier.plans.values():
            kept = later.plans.get(plan.name)
            if kept is None or kept.pool != plan.pool:
                yield (
                    number,
                    Sentence(
                        "The version of %(date)s drops the plan %(plan)s, or moves it to another "
                        "pool; members may still hold it. Write it again, in the pool %(pool)s.",
                        date=f"{later.holds_from:%Y-%m-%d}",
                        plan=plan.name,
                        pool=plan.pool,
                    ),
                )


def _tree(document: str) -> Mapping[str, object]:
    try:
        return tomllib.loads(document)
    except tomllib.TOMLDecodeError as problem:
        told = re.fullmatch(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", str(problem))
        line = int(told[2] or document.count("\n") + 1) if told else None
        reason = told[1] if told else str(problem)
    except RecursionError:
        line, reason = None, "too many brackets within each other"
    except (ValueError, OverflowError):
        # Numbers of thousands of digits, which the library does not catch.
        line, reason = None, "a number is too long"
    raise PolicyProblem(
        Mistake(Sentence("The policy is not valid TOML: %(reason)s.", reason=reason), line)
    )


def _version(section: "_Section", *, first: bool) -> Policy:
    plans = [_plan(part) for part in section.sections("plans")]
    if not plans and section.sound:
        section.wrong(
            "plans", Sentence("There are no plans: write at least one."), _example("plans")
        )
    section.no_repeats("plans", "name", [plan.name for plan in plans])
    replies = tuple(_quick_reply(part) for part in section.sections("quick_replies"))
    section.no_repeats("quick_replies", "id", [reply.id for reply in replies])
    if section.flag("topups"):
        section.wrong(
            "topups",
            Sentence("`topups` must be false: credits cannot be bought beyond the allotment."),
            _example("topups"),
        )
    policy = Policy(
        holds_from=section.instant("holds_from", BEGINNING if first else None),
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
    if section.sound and policy.reminder_latest < policy.reminder_aim:
        section.wrong(
            "reminder_latest_hours",
            Sentence(
                "The reminder's latest hour lies before its aim. Write %(aim)s or more, or lower "
                "`reminder_aim_hours`.",
                aim=policy.reminder_aim // timedelta(hours=1),
            ),
        )
    if section.sound and policy.waking_until <= policy.waking_from:
        section.wrong(
            "waking_until",
            Sentence(
                "The waking hours end before they begin. Write a time of the same day after "
                "%(begin)s.",
                begin=policy.waking_from.isoformat(),
            ),
        )
    section.nothing_else()
    return policy


def _plan(section: "_Section") -> Plan:
    plan = Plan(
        name=section.code("name"),
        title=section.text("title", chars_max=_TITLE_CHARS_MAX),
        pool=section.code("pool"),
        allotment=section.count("allotment", 1, 100_000),
        cap=section.count("cap", 1, 1_000_000),
        grants_on=section.one_of("grants_on", GrantsOn, GrantsOn.ANNIVERSARY),
    )
    if section.sound and plan.cap < plan.allotment:
        section.wrong(
            "cap",
            Sentence(
                "The cap of %(cap)s is smaller than the monthly allotment of %(allotment)s. Write a "
                "cap of %(allotment)s or more, or a smaller allotment.",
                cap=plan.cap,
                allotment=plan.allotment,
            ),
        )
    section.nothing_else()
    return plan


def _quick_reply(section: "_Section") -> QuickReply:
    reply = QuickReply(
        id=section.code("id"),
        text=section.text("text"),
        outcome=section.one_of("outcome", Outcome, None),
    )
    section.nothing_else()
    return reply


class _Section:
    """One table of the document; remembers what was read, so that a misspelt name is a mistake.

    What is wrong is noted, and reading goes on with something that would have been right.
    """

    def __init__(
        self,
        tree: Mapping[str, object],
        path: Path,
        lines: Mapping[Path, int],
        mistakes: list[Mistake],
    ) -> None:
        self.sound = True
        self._path = path
        self._tree = tree
        self._lines = lines
        self._mistakes = mistakes
        self._known: list[str] = []
        self._missing: list[str] = []

    def sections(self, name: str) -> "list[_Section]":
        found = self._take(name, [])
        parts = cast("list[object]", found) if isinstance(found, list) else [None]
        tables = [cast("dict[str, object]", part) for part in parts if isinstance(part, dict)]
        if len(tables) < len(parts):
            self._expected(name, Sentence("`%(name)s` must be a list of tables, not %(found)s."))
        return [
            _Section(part, (*self._path, name, number), self._lines, self._mistakes)
            for number, part in enumerate(tables, 1)
        ]

    def text(self, name: str, default: str | None = None, chars_max: int = 10_000) -> str:
        value = self._take(name, default)
        if isinstance(value, str) and (value.strip() or default is not None):
            if len(value) <= chars_max:
                return value
            self._expected(
                name,
                Sentence(
                    "`%(name)s` must have at most %(most)s characters; it has %(count)s.",
                    name=name,
                    most=chars_max,
                    count=len(value),
                ),
            )
        elif value is not None:
            self._expected(name, Sentence("`%(name)s` must be a text, not %(found)s."))
        return default or "?"

    def code(self, name: str) -> str:
        """What the API and the ledger know something by."""
        value = self._take(name, None)
        if isinstance(value, str) and _NAME.fullmatch(value):
            return value
        if value is not None:
            self._expected(
                name,
                Sentence(
                    "`%(name)s` must be 1 to 40 of a-z, 0-9, '_' and '-', and begin with a letter or "
                    "digit, not %(found)s."
                ),
            )
        return "?"

    def flag(self, name: str) -> bool:
        value = self._take(name, None)
        if value is not None and not isinstance(value, bool):
            self._expected(name, Sentence("`%(name)s` must be true or false, not %(found)s."))
        return value is True

    def count(self, name: str, least: int, most: int) -> int:
        value = self._take(name, None)
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        if value is not None:
            self._expected(
                name,
                Sentence(
                    "`%(name)s` must be a whole number from %(least)s to %(most)s, not %(found)s.",
                    name=name,
                    least=least,
                    most=most,
                    found=_shown(value),
                ),
            )
        return least

    def instant(self, name: str, default: datetime | None) -> datetime:
        value = self._take(name, default)
        # A day less at either end of the calendar, so that it has a place in every time zone.
        if (
            isinstance(value, datetime)
            and value.tzinfo
            and date.min.year < value.year < date.max.year
        ):
            return value.astimezone(UTC)
        if value is not None:
            self._expected(
                name, Sentence("`%(name)s` must be an instant with its offset, not %(found)s.")
            )
        return BEGINNING

    def time_of_day(self, name: str) -> time:
        value = self._take(name, None)
        if isinstance(value, time):
            return value
        if value is not None:
            self._expected(name, Sentence("`%(name)s` must be a time of day, not %(found)s."))
        return time()

    def one_of(self, name: str, kinds: type[E], default: E | None) -> E:
        value = self._take(name, default)
        for kind in kinds:
            if value == kind:
                return kind
        if value is not None:
            self._expected(
                name,
                Sentence(
                    "`%(name)s` must be one of %(kinds)s, not %(found)s.",
                    name=name,
                    kinds=", ".join(f'"{kind}"' for kind in kinds),
                    found=_shown(value),
                ),
            )
        return next(iter(kinds))

    def no_repeats(self, list_name: str, name: str, values: Sequence[str]) -> None:
        for number, value in enumerate(values, 1):
            if value != "?" and value in values[: number - 1]:
                self.sound = False
                path = (*self._path, list_name, number)
                self._mistakes.append(
                    Mistake(
                        Sentence(
                            "`%(name)s` %(value)s stands here twice. Write another one, or leave "
                            "one of the two out.",
                            name=name,
                            value=_shown(value),
                        ),
                        self._line((*path, name)),
                        _told(path),
                    )
                )

    def wrong(self, name: str, sentence: Sentence, example: str = "") -> None:
        self.sound = False
        line = self._line((*self._path, name))
        self._mistakes.append(Mistake(sentence, line, _told(self._path), example))

    def nothing_else(self) -> None:
        """To be asked last: names that were not asked for are mistakes, and so are those not found."""
        for name in self._tree:
            if name in self._known:
                continue
            near = get_close_matches(name, self._known, 1)
            self._missing = [each for each in self._missing if each not in near]
            self.wrong(
                name,
                Sentence(
                    "`%(name)s` is unknown here. Did you mean `%(near)s`?",
                    name=_shortened(name),
                    near=near[0],
                )
                if near
                else Sentence(
                    "`%(name)s` is unknown here. Known are %(known)s.",
                    name=_shortened(name),
                    known=", ".join(self._known),
                ),
            )
        for name in self._missing:
            self.wrong(name, Sentence("`%(name)s` is missing.", name=name), _example(name))

    def _expected(self, name: str, sentence: Sentence) -> None:
        """Notes what was expected, and what to write."""
        values = sentence.values or {"name": name, "found": _shown(self._tree.get(name))}
        self.wrong(name, Sentence(sentence.template, **values), _example(name))

    def _take(self, name: str, default: object) -> object:
        """What stands there; None where it is missing, which is noted."""
        self._known.append(name)
        if name not in self._tree and default is None:
            self.sound = False
            self._missing.append(name)
        return self._tree.get(name, default)

    def _line(self, path: Path) -> int | None:
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path)


def _told(path: Path) -> str:
    """`versions 1, plans 2`"""
    pairs = zip(path[::2], path[1::2], strict=False)
    return ", ".join(f"{name} {number}" for name, number in pairs)


def _example(name: str) -> str:
    told = _EXAMPLES[name]
    return told if told.startswith("[") else f"{name} = {told}"


def _shown(value: object) -> str:
    """A value as the document has it, shortened."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return json.dumps(_shortened(value), ensure_ascii=False)
        case list():
            return "[…]"
        case dict():
            return "{…}"
        case int() if abs(value) > _SHOWN_MAX:
            return "…"
        case _:
            return _shortened(str(value))


def _shortened(text: str) -> str:
    shown = "".join(
        char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text[:41]
    )
    return shown if len(text) <= 40 else shown[:39] + "…"
