"""Seals: nobody else can make one, and none is worth anything for what it was not made for."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overture.core import seals
from overture.core.ids import ConversationId, MemberId
from overture.core.seals import Secret

SECRET = Secret(b"s" * 32)
ADA = MemberId("01930000-0000-7000-8000-00000000000a")
BOB = MemberId("01930000-0000-7000-8000-00000000000b")
LETTER = ConversationId("01930001-0002-7003-8004-000000000005")
# Begun within the same millisecond, so that the beginnings of their ids are the same.
TWIN = ConversationId("01930001-0002-7fff-8004-000000000006")
UNTIL = datetime(2025, 5, 1, 10, tzinfo=UTC)

reply = seals.for_reply(SECRET, member=ADA, conversation=LETTER, address="ada@example.org")
answer = seals.for_answer(
    SECRET, member=ADA, conversation=LETTER, address="ada@example.org", until=UNTIL
)
unsubscribe = seals.for_unsubscribing(SECRET, member=ADA, kind="digest")
bounce = seals.for_bounce(SECRET, member=ADA, address="ada@example.org")
EVERY = [reply, answer, unsubscribe, bounce]


def replies(seal: str, **other: object) -> bool:
    meant = {"member": ADA, "conversation": LETTER, "address": "ada@example.org"}
    return seals.permits_reply(SECRET, seal, **(meant | other))


def test_a_reply_address_leads_to_its_conversation() -> None:
    claim = seals.reply_claim(reply)
    assert claim is not None
    assert claim.member == ADA
    assert claim.first <= LETTER <= claim.last
    assert replies(reply)


def test_a_reply_address_leaves_room_for_a_beginning() -> None:
    """64 characters are what stands before an @; mail servers may change their case."""
    assert len(reply) == 61
    assert all(re.fullmatch("[a-z2-7]+", each) for each in EVERY)
    assert replies(reply.upper())
    assert seals.reply_claim(reply.upper()) == seals.reply_claim(reply)


@pytest.mark.parametrize(
    "other",
    [
        {"member": BOB},
        {"conversation": TWIN},
        {"address": "ada@example.net"},
    ],
)
def test_a_reply_address_is_for_nothing_else(other: dict[str, str]) -> None:
    assert not replies(reply, **other)
    # The same address, written in another case, is the same.
    assert replies(reply, address="Ada@Example.org")


def test_another_installation_makes_other_seals() -> None:
    theirs = Secret(b"t" * 32)
    assert not seals.permits_reply(
        theirs, reply, member=ADA, conversation=LETTER, address="ada@example.org"
    )
    assert seals.unsubscribing(theirs, unsubscribe) is None


def test_an_answer_link_says_whose_it_is_and_until_when() -> None:
    claim = seals.answer_claim(answer)
    assert claim == seals.AnswerClaim(ADA, LETTER, UNTIL)
    assert seals.permits_answer(SECRET, answer, claim, address="ADA@example.org")
    assert not seals.permits_answer(SECRET, answer, claim, address="new@example.org")


def test_a_link_cannot_be_made_to_hold_longer() -> None:
    longer = seals.AnswerClaim(ADA, LETTER, UNTIL + timedelta(days=1))
    assert not seals.permits_answer(SECRET, answer, longer, address="ada@example.org")


def test_an_unsubscribing_link_says_whose_and_which_mails() -> None:
    assert seals.unsubscribing(SECRET, unsubscribe) == (ADA, "digest")
    assert seals.unsubscribing(SECRET, unsubscribe.upper()) == (ADA, "digest")


def test_a_return_address_says_whose_address_fails() -> None:
    assert seals.bounce_claim(bounce) == ADA
    assert seals.permits_bounce(SECRET, bounce, member=ADA, address="ada@example.org")
    assert not seals.permits_bounce(SECRET, bounce, member=ADA, address="new@example.org")
    assert not seals.permits_bounce(SECRET, bounce, member=BOB, address="ada@example.org")


def opens_anything(seal: str) -> bool:
    """Whether any check takes it for what it is not: each is asked about what `seal` claims."""
    claim = seals.answer_claim(seal)
    return (
        replies(seal)
        or (claim and seals.permits_answer(SECRET, seal, claim, address="ada@example.org"))
        or seals.unsubscribing(SECRET, seal) is not None
        or seals.permits_bounce(SECRET, seal, member=ADA, address="ada@example.org")
    )


@pytest.mark.parametrize("seal", EVERY)
def test_a_seal_with_any_letter_changed_opens_nothing(seal: str) -> None:
    assert opens_anything(seal)
    for place, letter in enumerate(seal):
        changed = seal[:place] + ("b" if letter == "a" else "a") + seal[place + 1 :]
        assert not opens_anything(changed), place
    assert not opens_anything(seal[:-1])
    assert not opens_anything(seal + "a")


def test_no_purpose_passes_for_another() -> None:
    """A kind of mail may be named so that the seal carries the very bytes of another purpose."""
    named = seals.for_unsubscribing(SECRET, member=ADA, kind="kinds!")
    assert not replies(named)
    assert seals.reply_claim(named) is not None
    assert seals.unsubscribing(SECRET, bounce) is None
    assert seals.unsubscribing(SECRET, reply) is None


@given(st.text(max_size=120) | st.text("abcdefghijklmnopqrstuvwxyz234567=", max_size=120))
def test_what_nobody_sealed_opens_nothing(text: str) -> None:
    seals.reply_claim(text)
    seals.bounce_claim(text)
    assert not opens_anything(text)


def test_the_secret_shows_itself_to_nobody() -> None:
    assert "s" * 8 not in f"{SECRET} {SECRET!r}"
