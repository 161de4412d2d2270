"""Rate limits, in this process's memory, by real time.

A sliding window of two counters a key: the last minute's count weighs as much as of it still lies
in the window. Exact enough to be fair, two numbers to keep. (The library `limits` was tried: its
memory storage starts a thread for each hundredth of a second in use, which walks over all keys.)
"""

from dataclasses import dataclass
from math import ceil
from time import monotonic

WINDOW_SECONDS = 60.0
# Keys that nobody used for a while are dropped once there are this many.
KEYS_MAX = 20_000


@dataclass(slots=True)
class _Count:
    window: int
    now: int = 0
    before: int = 0


class RateLimit:
    """At most `per_minute` hits a key in any minute; 0 for no limit."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._counts: dict[str, _Count] = {}

    def hit(self, key: str) -> int:
        """Counts a hit: 0 where there is room for it, else the seconds until there is again."""
        if not self._per_minute:
            return 0
        at = monotonic() / WINDOW_SECONDS
        window = int(at)
        count = self._counts.get(key)
        if count is None:
            self._forget_idle(window)
            count = self._counts[key] = _Count(window)
        if window != count.window:
            count.before = count.now if window == count.window + 1 else 0
            count.now = 0
            count.window = window
        passed = at - window
        # A little more, for what fractions lose in rounding.
        if count.before * (1 - passed) + count.now + 1 <= self._per_minute + 1e-6:
            count.now += 1
            return 0
        return self._seconds_until_room(count, passed)

    def _seconds_until_room(self, count: _Count, passed: float) -> int:
        # The part of this window, or else of the next, at which the old hits weigh little enough.
        room = self._per_minute - 1 - count.now
        free_at = 1 - room / count.before if room >= 0 else 2 - (self._per_minute - 1) / count.now
        return max(ceil((free_at - passed) * WINDOW_SECONDS - 1e-6), 1)

    def _forget_idle(self, window: int) -> None:
        if len(self._counts) >= KEYS_MAX:
            idle = [key for key, count in self._counts.items() if count.window < window - 1]
            for key in idle:
                del self._counts[key]
