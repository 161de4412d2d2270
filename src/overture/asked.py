"""Which request is being answered, for the log and the figures: its id, its route, its conversation.

Nothing else of it: a path may hold what opens an account, and a name anybody's words.
"""

import re
from contextvars import ContextVar
from dataclasses import dataclass

from overture import ids

# In place of a route, where none was found: what was asked for instead is anybody's invention.
NO_ROUTE = "none"

_ID = re.compile(r"[0-9A-Za-z-]{8,64}")
_CONVERSATION = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")


@dataclass(slots=True)
class Asked:
    """`given` is the id that a proxy gave it; `route` is the route as it is declared, without ids,
    links and names."""

    given: str | None
    route: str = NO_ROUTE
    conversation: str | None = None

    @property
    def id(self) -> str:
        """Made when it is first asked for: most requests have nothing to tell."""
        if self.given is None:
            self.given = ids.new()
        return self.given


_asked: ContextVar[Asked | None] = ContextVar("asked", default=None)


def begin(given: bytes | None) -> Asked:
    """A request comes, with the id that a proxy gave it, if one did that is believed."""
    text = None if given is None else given.decode("latin-1")
    made = Asked(text if text is not None and _ID.fullmatch(text) else None)
    _ = _asked.set(made)
    return made


def found(route: str, conversation: object = None) -> None:
    """A face found what is asked for, and in which conversation, if its address names one."""
    asked = _asked.get()
    if asked is None:
        return
    asked.route = route
    if isinstance(conversation, str) and _CONVERSATION.fullmatch(conversation):
        asked.conversation = conversation


def now() -> Asked | None:
    """The request that is being answered; None in what happens by itself."""
    return _asked.get()
