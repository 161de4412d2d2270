"""Who is told of reading and typing, as tables."""

import pytest

from overture.core.conversations import Kind, State
from overture.core.receipts import presence_is_shown, receipts_are_shown, typing_is_shown

UNANSWERED = {State.PENDING, State.WITHDRAWN, State.UNDELIVERABLE}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("begun", [True, False])
def test_receipts_are_shown_but_to_the_sender_of_what_was_not_answered(state: State, begun: bool):
    shown = receipts_are_shown(both_on=True, begun=begun, state=state)

    assert shown is not (begun and state in UNANSWERED)
    assert not receipts_are_shown(both_on=False, begun=begun, state=state)


@pytest.mark.parametrize(
    ("kind", "state", "connected", "by_who_began", "by_the_other"),
    [
        (Kind.DIRECT, State.OPEN, True, True, True),
        (Kind.DIRECT, State.CLOSED, False, False, False),
        (Kind.DIRECT, State.IMPORTED, True, True, True),
        (Kind.DIRECT, State.IMPORTED, False, False, False),
        (Kind.INMAIL, State.PENDING, False, False, False),
        # Connecting makes writing free; the sender still sees nothing before the answer.
        (Kind.INMAIL, State.PENDING, True, True, False),
        (Kind.INMAIL, State.ACCEPTED, False, True, True),
        # Who declined may still write.
        (Kind.INMAIL, State.DECLINED, False, False, True),
        (Kind.INMAIL, State.WITHDRAWN, True, False, False),
        (Kind.INMAIL, State.UNDELIVERABLE, False, False, False),
    ],
)
def test_typing_is_shown_where_a_message_could_follow(
    kind: Kind, state: State, *, connected: bool, by_who_began: bool, by_the_other: bool
):
    for begun, expected in ((True, by_who_began), (False, by_the_other)):
        for both_on, blocked in ((True, False), (False, False), (True, True)):
            shown = typing_is_shown(
                both_on=both_on,
                begun=begun,
                kind=kind,
                state=state,
                connected=connected,
                blocked=blocked,
            )
            assert shown is (expected and both_on and not blocked)


@pytest.mark.parametrize(
    ("both_on", "connected", "accepted", "blocked", "expected"),
    [
        (True, True, False, False, True),
        (True, False, True, False, True),
        (True, False, False, False, False),
        (False, True, True, False, False),
        (True, True, True, True, False),
    ],
)
def test_presence_is_shown_to_those_who_may_write_and_goes_with_receipts(
    *, both_on: bool, connected: bool, accepted: bool, blocked: bool, expected: bool
):
    shown = presence_is_shown(
        both_on=both_on, connected=connected, accepted=accepted, blocked=blocked
    )
    assert shown is expected
