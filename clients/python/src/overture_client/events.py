"""The event stream, read line by line: what happened, and from where to go on after a break."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """What happened. `id` is where to go on from: pass it as `after` to a stream of later."""

    kind: str
    data: Any
    id: str | None


@dataclass(slots=True)
class Reading:
    """Makes events of lines. `last_id` also moves with what tells of nothing."""

    last_id: str | None
    _kind: str = ""
    _data: list[str] = field(default_factory=list[str])

    def take(self, line: str) -> Iterator[Event]:
        if not line:
            if self._data:
                yield Event(
                    self._kind or "message", json.loads("\n".join(self._data)), self.last_id
                )
            self._kind, self._data = "", []
            return
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id" and "\0" not in value:
            self.last_id = value or None
        elif name == "event":
            self._kind = value
        elif name == "data":
            self._data.append(value)

    def broken(self) -> None:
        """What was begun is told anew by the next stream."""
        self._kind, self._data = "", []
