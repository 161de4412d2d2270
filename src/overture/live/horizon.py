"""How far the outbox was read, although its numbers are not committed in their order.

An event's number is handed out before its transaction commits, so one that was not there yet may
appear below others that were read long ago. Numbers that were passed over are gaps, looked into again
with every reading, until the event appears or it is certain that none will.
"""

from collections.abc import Iterable, Sequence

Range = tuple[int, int]

LAST = 2**63 - 1


class Horizon:
    """What was read: everything up to `top` but the `gaps`, ascending ranges with both ends in."""

    def __init__(self, top: int, gaps: Iterable[Range] = ()) -> None:
        self.top = top
        self.gaps: list[Range] = list(gaps)

    @property
    def settled(self) -> int:
        """Everything up to this number was read, or will never be: a place to go on from."""
        return self.gaps[0][0] - 1 if self.gaps else self.top

    def wanted(self) -> list[Range]:
        """The ranges to look into: the gaps, and all that follows."""
        return [*self.gaps, (self.top + 1, LAST)]

    def saw(self, sequences: Sequence[int]) -> None:
        """These numbers, ascending and each for the first time, were read."""
        for sequence in sequences:
            if sequence > self.top:
                if sequence > self.top + 1:
                    self.gaps.append((self.top + 1, sequence - 1))
                self.top = sequence
            else:
                self._fill(sequence)

    def give_up(self, up_to: int) -> None:
        """Nothing will appear any more in the gaps up to this number."""
        self.gaps = [(max(first, up_to + 1), last) for first, last in self.gaps if last > up_to]

    def _fill(self, sequence: int) -> None:
        for place, (first, last) in enumerate(self.gaps):
            if first <= sequence <= last:
                parts = [(first, sequence - 1), (sequence + 1, last)]
                self.gaps[place : place + 1] = [part for part in parts if part[0] <= part[1]]
                return
