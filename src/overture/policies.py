"""Policies as files, and as what an installation keeps of them.

Every version that ever held is kept as a document of its own, in one canonical form, so that two
versions are the same when their texts are. The past is never judged anew: a version holds from an
instant on that lies ahead of all that was done when it was recorded, far enough for every process to
learn of it; see `CurrentBook`.
"""

import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from itertools import pairwise
from pathlib import Path

from overture.clock import Clock, RealClock, TestClock, real_now
from overture.core.differences import Difference, differences, values
from overture.core.policy import BEGINNING, Policy, PolicyBook, PolicyProblem, book_of, parse
from overture.core.text import Sentence
from overture.store import audit
from overture.store import policies as store
from overture.store.db import Tx

DEFAULT = "seed"
# How old what a process knows of the policies may be when it acts by them.
KNOWN_FOR = timedelta(seconds=10)
# How soon a version may hold at the earliest: by then each process has learnt of it, also where a
# commit is slow and clocks of several machines differ by some seconds.
NOTICE = timedelta(minutes=1)
# Until when it can be taken back, so that each has learnt of that too.
SETTLED = timedelta(seconds=30)
# What is counted ahead from a version must still be dates.
LAST_YEAR = 2900


def presets() -> dict[str, str]:
    """The documents that come with Overture, by name."""
    found = {
        file.name.removesuffix(".toml"): file.read_text(encoding="utf-8")
        for file in _folder().iterdir()
        if file.name.endswith(".toml")
    }
    return dict(sorted(found.items()))


def about(document: str) -> str:
    """What a policy document says of itself, empty when nothing."""
    return str(tomllib.loads(document).get("about", ""))


def document_of(name_or_file: str) -> str:
    """The document of a preset, or of a file. Raises PolicyProblem when there is none."""
    known = presets()
    if name_or_file in known:
        return known[name_or_file]
    path = Path(name_or_file).expanduser()
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise PolicyProblem(
            f"There is no policy {name_or_file}: it is neither a file nor one of "
            f"{', '.join(known)}."
        ) from None
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "it is not UTF-8"
        raise PolicyProblem(f"The policy {path} cannot be read: {reason}.") from None


def load(name_or_file: str) -> PolicyBook:
    """A preset or a file, parsed: whatever takes a policy by its name reads it here.

    Raises PolicyProblem.
    """
    return parse(document_of(name_or_file))


def preset_of(version: Policy) -> str | None:
    """The preset that says the same; None where none does."""
    return next((name for name, each in _preset_policies().items() if _same(each, version)), None)


@cache
def _preset_policies() -> dict[str, Policy]:
    """The presets as they hold in the end, the default first."""
    found = {name: parse(document).versions[-1] for name, document in presets().items()}
    return dict(sorted(found.items(), key=lambda each: (each[0] != DEFAULT, each[0])))


@dataclass(frozen=True, slots=True)
class Preset:
    """What a preset says of itself, and how it differs from the default."""

    about: str
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One value in every preset; empty in one that does not have it."""

    name: str
    label: Sentence
    values: tuple[str, ...]

    @property
    def differs(self) -> bool:
        return len(set(self.values)) > 1


@dataclass(frozen=True, slots=True)
class SideBySide:
    presets: dict[str, Preset]
    rows: list[Row]


def side_by_side() -> SideBySide:
    """The presets, the default first, as a table of what each says, and what makes each another one."""
    found, documents = _preset_policies(), presets()
    told = {name: {value.name: value for value in values(each)} for name, each in found.items()}
    labels = {value.name: value.label for each in told.values() for value in each.values()}
    return SideBySide(
        {
            name: Preset(about(documents[name]), differences(found[DEFAULT], policy))
            for name, policy in found.items()
        },
        [
            Row(
                name,
                label,
                tuple(each[name].value if name in each else "" for each in told.values()),
            )
            for name, label in labels.items()
        ],
    )


def instant_of(text: str) -> datetime:
    """A date, which is its midnight in UTC, or an instant with its offset. Raises PolicyProblem."""
    try:
        if len(text) == len("2027-01-01"):
            return datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise PolicyProblem(
        Sentence(
            "%(text)s is no date. Write a day, such as 2027-01-01, or an instant with its offset, such "
            "as 2027-01-01T09:00:00+01:00.",
            text=text[:40],
        )
    )


# --- What an installation keeps -----------------------------------------------------------------


async def in_force(tx: Tx) -> PolicyBook | None:
    """Every version that the installation has recorded; None when it has none yet."""
    recorded = await store.recorded(tx)
    if not recorded:
        return None
    return book_of([parse(document).versions[0] for _, document in recorded])


@dataclass(slots=True)
class Known:
    """When the policies were read, by the clock that versions are dated by, and what they were then."""

    read_at: datetime = BEGINNING
    mark: str = ""


class CurrentBook(PolicyBook):
    """The installation's book as a process has it, which goes on while the process runs.

    What it says of the past never changes, and what it says of the next minute neither: it is read
    again where it was read longer than `KNOWN_FOR` ago, and no version holds before `NOTICE`.
    """

    known: Known  # pyright: ignore[reportUninitializedInstanceVariable]

    def __init__(self, book: PolicyBook) -> None:
        super().__init__(book.versions)
        # A book is frozen for all others.
        object.__setattr__(self, "known", Known())

    def is_known(self) -> bool:
        """Whether it was read lately; not where the clock was set back since."""
        return timedelta(0) <= real_now() - self.known.read_at < KNOWN_FOR

    async def look(self, tx: Tx) -> None:
        """Reads what has changed, if anything has."""
        asked_at = real_now()
        mark = await store.mark(tx)
        if mark != self.known.mark and (book := await in_force(tx)) is not None:
            # What stays is the same object: whoever asks whether two instants have one version may.
            held = {written(version): version for version in self.versions}
            versions = tuple(held.get(written(each), each) for each in book.versions)
            object.__setattr__(self, "versions", versions)
            object.__setattr__(self, "starts", book.starts)
        self.known.mark, self.known.read_at = mark, asked_at


class CurrentRealClock(RealClock):
    """The real clock, which whoever acts by the book asks: with it the book is as new as it must be."""

    def __init__(self, book: CurrentBook) -> None:
        self._book = book

    def at_once(self) -> datetime | None:  # pyright: ignore[reportImplicitOverride]
        return super().at_once() if self._book.is_known() else None

    async def now(self, tx: Tx) -> datetime:  # pyright: ignore[reportImplicitOverride]
        now = await super().now(tx)
        if not self._book.is_known():
            await self._book.look(tx)
        return now


class CurrentTestClock(TestClock):
    """The same for a test clock: it may be moved past any version at any time."""

    def __init__(self, book: CurrentBook) -> None:
        self._book = book

    async def now(self, tx: Tx) -> datetime:  # pyright: ignore[reportImplicitOverride]
        now = await super().now(tx)
        await self._book.look(tx)
        return now


def current(book: PolicyBook, *, test_clock: bool) -> tuple[CurrentBook, Clock]:
    """The book of a process that runs, and the clock that keeps it current."""
    held = CurrentBook(book)
    return held, CurrentTestClock(held) if test_clock else CurrentRealClock(held)


async def put_in_force(tx: Tx, chosen: PolicyBook | None, now: datetime) -> PolicyBook:
    """Makes the policy that a server is started with hold from now on; returns all that ever held.

    None leaves what is recorded, or takes the default; so does the policy that was chosen so before,
    whatever has been applied meanwhile. Raises PolicyProblem when the chosen policy cannot follow the
    one in force, such as when it drops a plan.
    """
    await store.lock(tx)
    before = await in_force(tx)
    if before is None:
        after = _first(chosen or load(DEFAULT))
    elif chosen is None or await store.choice(tx) == _whole(chosen):
        return before
    else:
        after = _followed(before, chosen, now)
    if chosen is not None:
        await store.choose(tx, _whole(chosen))
    await _record(tx, before, after)
    return after


@dataclass(frozen=True, slots=True)
class Step:
    """A version that comes, what it follows, and what changes with it. `until`: when the next one
    replaces it."""

    version: Policy
    before: Policy
    differences: tuple[Difference, ...]
    until: datetime | None


def steps(book: PolicyBook) -> list[Step]:
    """Each version but the first, with what changed, or will change, with it."""
    return [
        Step(version, before, differences(before, version), book.change_after(version.holds_from))
        for before, version in pairwise(book.versions)
    ]


def state(version: Policy, book: PolicyBook, now: datetime) -> str:
    """Where a version of a book stands: `past`, `in_force` or `to_come`."""
    if version is book.at(now):
        return "in_force"
    return "to_come" if version.holds_from > now else "past"


def proposed(
    before: PolicyBook, chosen: PolicyBook, *, starts_at: datetime | None, now: datetime
) -> tuple[PolicyBook, list[Step]]:
    """What applying a policy would make of the book, and the versions that it would add.

    A policy of one version holds from `starts_at` on, or as soon as may be. One of several says itself
    when each holds: what it says of the time from then on is taken, and of the past nothing. Raises
    PolicyProblem where it cannot take effect then, or nothing would change.
    """
    earliest = earliest_start(now)
    if starts_at is not None and starts_at.year >= LAST_YEAR:
        raise PolicyProblem(Sentence("Choose an instant before the year %(year)s.", year=LAST_YEAR))
    if starts_at is not None and starts_at < earliest:
        raise PolicyProblem(
            Sentence(
                "A policy cannot take effect at %(asked)s: the past is never judged anew, and every "
                "server needs a minute to learn of it. The earliest is %(earliest)s.",
                asked=starts_at.isoformat().replace("+00:00", "Z"),
                earliest=told_instant(earliest),
            )
        )
    if starts_at is not None and len(chosen.versions) > 1:
        raise PolicyProblem(
            Sentence(
                "This policy has %(count)s versions, which say themselves when they take effect: leave "
                "the date away, or keep one version.",
                count=len(chosen.versions),
            )
        )
    coming = [version for version in chosen.versions if version.holds_from > earliest]
    if starts_at is not None:
        coming = [replace(chosen.at(earliest), holds_from=starts_at.astimezone(UTC))]
    elif len(coming) < len(chosen.versions):
        coming.insert(0, replace(chosen.at(earliest), holds_from=earliest))
    known = dict(zip(before.starts, before.versions, strict=True))
    after = before
    for version in coming:
        there = known.get(version.holds_from)
        if there is not None and not _same(there, version):
            raise PolicyProblem(
                Sentence(
                    "Another version takes effect at %(at)s already. Withdraw it first, or choose "
                    "another instant.",
                    at=told_instant(version.holds_from),
                )
            )
        if there is None and not _same(after.at(version.holds_from), version):
            parts = (*after.versions, version)
            after = book_of(sorted(parts, key=lambda each: each.holds_from))
    added = [step for step in steps(after) if step.version.holds_from not in known]
    if not added:
        raise PolicyProblem(
            Sentence("Nothing would change: the installation has this policy already.")
        )
    return after, added


async def apply(
    tx: Tx,
    chosen: PolicyBook,
    *,
    starts_at: datetime | None,
    actor: str,
    audit_id: str,
    now: datetime,
) -> list[Step]:
    """Records a policy, which takes effect at `starts_at`, or as soon as may be; notes it in the audit
    log. See `proposed` for what is taken and when it is refused."""
    await store.lock(tx)
    recorded = await in_force(tx)
    before = recorded or _first(load(DEFAULT))
    after, added = proposed(before, chosen, starts_at=starts_at, now=now)
    await _record(tx, recorded, after)
    detail = [
        {
            "holds_from": step.version.holds_from,
            "changes": [str(each.sentence) for each in step.differences],
        }
        for step in added
    ]
    await audit.record(
        tx, audit_id, now, actor=actor, action="policy.applied", detail={"versions": detail}
    )
    return added


async def withdraw(
    tx: Tx, starts_at: datetime | None, *, actor: str, audit_id: str, now: datetime
) -> Policy:
    """Takes a version back that has not taken effect, and notes it in the audit log with its text.

    `starts_at` names it; None is the only one that is to come. Raises PolicyProblem.
    """
    await store.lock(tx)
    before = await in_force(tx) or _first(load(DEFAULT))
    gone = _to_withdraw(before, starts_at, now)
    await _record(tx, before, book_of([each for each in before.versions if each is not gone]))
    detail = {"holds_from": gone.holds_from, "document": written(gone)}
    await audit.record(tx, audit_id, now, actor=actor, action="policy.withdrawn", detail=detail)
    return gone


def earliest_start(now: datetime) -> datetime:
    """The whole second from which on a policy that is applied now can hold."""
    return (now + NOTICE + timedelta(microseconds=999_999)).replace(microsecond=0)


def can_be_withdrawn(version: Policy, now: datetime) -> bool:
    return version.holds_from >= now + SETTLED


def told_instant(at: datetime) -> str:
    """2027-01-01T00:00:00Z, as it can be written again."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def written(policy: Policy, *, dated: bool = True) -> str:
    """One version as a document, always in the same words; `parse` reads it back.

    Without its date it is for whoever edits it: that is chosen when it is applied.
    """
    lines = [
        "[[versions]]",
        *([f"holds_from = {policy.holds_from.astimezone(UTC).isoformat()}"] if dated else ()),
        f"expiry_days = {policy.expiry.days}",
        f"refund_days = {policy.refund_window.days}",
        "topups = false",
        f"decline_unlocks = {_flag(policy.decline_unlocks)}",
        f"follow_ups = {_flag(policy.follow_ups)}",
        f"open_profile_daily = {policy.open_profile_daily}",
        f"recipient_requires_premium = {_flag(policy.recipient_requires_premium)}",
        f"subject_chars_max = {policy.subject_chars_max}",
        f"body_chars_max = {policy.body_chars_max}",
        f"reminder_aim_hours = {policy.reminder_aim // timedelta(hours=1)}",
        f"reminder_latest_hours = {policy.reminder_latest // timedelta(hours=1)}",
        f"waking_from = {policy.waking_from.isoformat()}",
        f"waking_until = {policy.waking_until.isoformat()}",
    ]
    for plan in policy.plans.values():
        lines += [
            "",
            "[[versions.plans]]",
            f"name = {_quoted(plan.name)}",
            f"title = {_quoted(plan.title)}",
            f"pool = {_quoted(plan.pool)}",
            f"allotment = {plan.allotment}",
            f"cap = {plan.cap}",
            f"grants_on = {_quoted(plan.grants_on)}",
        ]
    for reply in policy.quick_replies:
        lines += [
            "",
            "[[versions.quick_replies]]",
            f"id = {_quoted(reply.id)}",
            f"text = {_quoted(reply.text)}",
            f"outcome = {_quoted(reply.outcome)}",
        ]
    return "\n".join(lines) + "\n"


def _folder() -> Traversable:
    """In a wheel the presets lie inside the package; in a checkout beside `src`."""
    inside = resources.files("overture") / "policies"
    return inside if inside.is_dir() else Path(__file__).parents[2] / "policies"


def _first(chosen: PolicyBook) -> PolicyBook:
    """As it is; its first version, which judges all that came before it too, from the beginning."""
    first, *later = chosen.versions
    return book_of([replace(first, holds_from=min(first.holds_from, BEGINNING)), *later])


def _followed(before: PolicyBook, chosen: PolicyBook, now: datetime) -> PolicyBook:
    """What has held stays; what the chosen policy says of now and the future follows."""
    versions = [v for v in before.versions[1:] if v.holds_from <= now]
    versions.insert(0, before.versions[0])
    wanted = chosen.at(now)
    if not _same(versions[-1], wanted):
        # A test clock may stand where the last one began.
        start = max(now, versions[-1].holds_from + timedelta(microseconds=1))
        versions.append(replace(wanted, holds_from=start))
    settled = max(now, versions[-1].holds_from)
    versions += [v for v in chosen.versions[1:] if v.holds_from > settled]
    return book_of(versions)


def _to_withdraw(book: PolicyBook, starts_at: datetime | None, now: datetime) -> Policy:
    coming = [each for each in book.versions[1:] if each.holds_from > now]
    if starts_at is None and len(coming) > 1:
        raise PolicyProblem(
            Sentence(
                "Several versions are to come. Say which one by its date: %(dates)s.",
                dates=", ".join(told_instant(each.holds_from) for each in coming),
            )
        )
    found = next((each for each in coming if starts_at in (None, each.holds_from)), None)
    if found is None and starts_at in book.starts:
        raise PolicyProblem(
            Sentence(
                "The version of %(at)s has taken effect, and what was done since is judged by it. "
                "Apply another policy instead.",
                at=told_instant(starts_at or now),
            )
        )
    if found is None:
        raise PolicyProblem(
            Sentence("No version is to come that could be withdrawn.")
            if starts_at is None
            else Sentence(
                "No version takes effect at %(at)s. `overture policy list` shows those that do.",
                at=told_instant(starts_at),
            )
        )
    if not can_be_withdrawn(found, now):
        raise PolicyProblem(
            Sentence(
                "The version of %(at)s takes effect in less than %(seconds)s seconds, too soon for "
                "every server to learn otherwise. Apply another policy instead.",
                at=told_instant(found.holds_from),
                seconds=int(SETTLED.total_seconds()),
            )
        )
    return found


async def _record(tx: Tx, before: PolicyBook | None, after: PolicyBook) -> None:
    old: Sequence[Policy] = before.versions if before else ()
    await store.drop(tx, [v.holds_from for v in old if v not in after.versions])
    await store.record(tx, [(v.holds_from, written(v)) for v in after.versions if v not in old])


def _whole(book: PolicyBook) -> str:
    return "\n".join(map(written, book.versions))


def _same(one: Policy, other: Policy) -> bool:
    return written(one, dated=False) == written(other, dated=False)


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _quoted(text: str) -> str:
    # A JSON string is a TOML string, but for the one control character that JSON lets stand.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
