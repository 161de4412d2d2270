"""Policies as files, and as what an installation keeps of them.

Every version that ever held is kept as a document of its own, in one canonical form, so that two
versions are the same when their texts are. The past is never judged anew: another policy holds from
the moment on at which it is chosen.
"""

import json
import tomllib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from overture.core.policy import Policy, PolicyBook, PolicyProblem, book_of, parse
from overture.store import policies as store
from overture.store.db import Tx

DEFAULT = "seed"


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
    """A preset or a file, parsed. Raises PolicyProblem."""
    return parse(document_of(name_or_file))


async def in_force(tx: Tx) -> PolicyBook | None:
    """Every version that the installation has recorded; None when it has none yet."""
    recorded = await store.recorded(tx)
    if not recorded:
        return None
    return book_of([parse(document).versions[0] for _, document in recorded])


async def put_in_force(tx: Tx, chosen: PolicyBook | None, now: datetime) -> PolicyBook:
    """Makes the chosen policy hold from now on, and returns the book of all that ever held.

    None leaves what is recorded, or takes the default. Raises PolicyProblem when the chosen policy
    cannot follow the one in force, such as when it drops a plan.
    """
    await store.lock(tx)
    before = await in_force(tx)
    if before is None:
        after = _first(chosen or load(DEFAULT))
    elif chosen is None:
        return before
    else:
        after = _followed(before, chosen, now)
    old = before.versions if before else ()
    await store.drop(tx, [v.holds_from for v in old if v not in after.versions])
    await store.record(tx, [(v.holds_from, written(v)) for v in after.versions if v not in old])
    return after


def written(policy: Policy) -> str:
    """One version as a document, always in the same words; `parse` reads it back."""
    lines = [
        "[[versions]]",
        f"holds_from = {policy.holds_from.astimezone(UTC).isoformat()}",
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
    return book_of([replace(first, holds_from=min(first.holds_from, _BEGINNING)), *later])


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


def _same(one: Policy, other: Policy) -> bool:
    return written(replace(one, holds_from=other.holds_from)) == written(other)


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _quoted(text: str) -> str:
    # A JSON string is a TOML string, but for the one control character that JSON lets stand.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
