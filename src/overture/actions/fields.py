"""What people fill in: texts cleaned field by field, or what is wrong with each."""

from dataclasses import dataclass, field
from functools import cache
from zoneinfo import available_timezones

from overture.core.text import BadText


@dataclass(frozen=True, slots=True)
class Invalid:
    """Input that cannot be taken: each field that is to blame, and one sentence about it."""

    errors: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Fields:
    """Collects what is wrong, so that a person is told of all of it at once."""

    errors: list[tuple[str, str]] = field(default_factory=list)

    def take(self, name: str, cleaned: str | BadText) -> str:
        if isinstance(cleaned, BadText):
            self.refuse(name, cleaned.sentence)
            return ""
        return cleaned

    def refuse(self, name: str, sentence: str) -> None:
        self.errors.append((name, sentence))

    @property
    def invalid(self) -> Invalid | None:
        return Invalid(tuple(self.errors)) if self.errors else None


def time_zone(raw: str) -> str | BadText:
    """A name of the IANA time zone database, such as Europe/Berlin."""
    if raw in _time_zones():
        return raw
    return BadText("This is no time zone. Take an IANA name such as Europe/Berlin or UTC.")


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())
