"""Receipts, typing and presence: who is told what the other side has read, and that it is there.

Source: docs/rules.md, "Receipts and typing".
"""

from overture.core.conversations import Kind, State

# The recipient of such an InMail has not answered: whether they looked at it stays theirs to tell,
# also once it was withdrawn or can no longer be delivered.
_UNANSWERED = frozenset({State.PENDING, State.WITHDRAWN, State.UNDELIVERABLE})


def receipts_are_shown(*, both_on: bool, begun: bool, state: State) -> bool:
    """Whether a member sees what the other side has read; `begun` is of the one who would see it.

    The switch is mutual: who turns it off neither gives nor sees.
    """
    return both_on and not (begun and state in _UNANSWERED)


def typing_is_shown(
    *, both_on: bool, begun: bool, kind: Kind, state: State, connected: bool, blocked: bool
) -> bool:
    """Whether the other side sees a member typing; `begun` is of the one who types.

    Only where a message could follow: what is closed to a member stays silent too. `blocked` means
    in either direction.
    """
    if blocked or not receipts_are_shown(both_on=both_on, begun=not begun, state=state):
        return False
    if state is State.ACCEPTED or (state is State.DECLINED and not begun):
        return True
    return connected and (kind is Kind.DIRECT or state is State.PENDING)


def presence_is_shown(*, both_on: bool, connected: bool, accepted: bool, blocked: bool) -> bool:
    """Whether two members see of each other that they are here now.

    It goes with receipts and typing, in one mutual switch, and only between those who may write to each
    other anyway: a connection, or a conversation that was `accepted`. `blocked` means in either
    direction.
    """
    return both_on and not blocked and (connected or accepted)
