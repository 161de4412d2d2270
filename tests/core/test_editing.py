"""Who may change or take back what they wrote, and until when."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from overture.core.conversations import Kind, State
from overture.core.editing import EDIT_WINDOW, Written, no_deletion, no_edit
from overture.core.refusals import Refusal

NOW = datetime(2026, 11, 25, 10, tzinfo=UTC)
CHAT = Written(
    mine=True,
    number=3,
    sent_at=NOW - timedelta(minutes=5),
    deleted=False,
    kind=Kind.INMAIL,
    state=State.ACCEPTED,
    begun=True,
    connected=False,
    blocked=False,
)
LETTER = replace(CHAT, number=1, state=State.PENDING)


def test_one_changes_and_deletes_ones_own_words():
    assert no_edit(CHAT, NOW) is None
    assert no_deletion(CHAT, NOW) is None


def test_fifteen_minutes_are_long_enough_and_no_more():
    last = CHAT.sent_at + EDIT_WINDOW

    assert no_edit(CHAT, last) is None
    assert no_edit(CHAT, last + timedelta(microseconds=1)) is Refusal.TOO_LATE_TO_CHANGE
    assert no_deletion(CHAT, last + timedelta(microseconds=1)) is Refusal.TOO_LATE_TO_CHANGE


def test_nobody_changes_anothers_words():
    assert no_edit(replace(CHAT, mine=False), NOW) is Refusal.NOT_YOUR_MESSAGE
    assert no_deletion(replace(CHAT, mine=False), NOW) is Refusal.NOT_YOUR_MESSAGE


def test_what_is_deleted_stays_so():
    assert no_edit(replace(CHAT, deleted=True), NOW) is Refusal.MESSAGE_DELETED


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("blocked", [True, False])
def test_a_letter_stands_whatever_became_of_it(state: State, blocked: bool):
    letter = replace(LETTER, state=state, blocked=blocked)

    assert no_edit(letter, NOW) is Refusal.LETTER_STAYS
    assert no_deletion(letter, NOW) is Refusal.LETTER_STAYS


def test_the_first_message_of_a_direct_conversation_is_no_letter():
    direct = replace(CHAT, kind=Kind.DIRECT, state=State.OPEN, number=1, connected=True)

    assert no_edit(direct, NOW) is None
    assert no_deletion(direct, NOW) is None


@pytest.mark.parametrize(
    "shut",
    [
        replace(CHAT, blocked=True),
        replace(CHAT, reachable=False),
        replace(CHAT, state=State.DECLINED),
        replace(CHAT, kind=Kind.DIRECT, state=State.CLOSED),
    ],
)
def test_new_words_need_an_open_conversation_and_taking_back_needs_none(shut: Written):
    assert no_edit(shut, NOW) is Refusal.CONVERSATION_CLOSED
    assert no_deletion(shut, NOW) is None


def test_who_declined_may_still_write_and_so_change():
    assert no_edit(replace(CHAT, state=State.DECLINED, begun=False), NOW) is None
