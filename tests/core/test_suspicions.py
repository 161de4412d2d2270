"""What looks like abuse: each rule at its edge."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from overture.core.ids import ConversationId, MemberId
from overture.core.suspicions import (
    Kind,
    Returned,
    closest,
    of_letters,
    of_links,
    of_refunds,
    opens_again,
)

ADA, BOB, EVE = (MemberId(name) for name in ("ada", "bob", "eve"))
JOINED = datetime(2025, 1, 1, tzinfo=UTC)
SOON, LATER = timedelta(seconds=40), timedelta(hours=9)


def ids(count: int) -> list[ConversationId]:
    return [ConversationId(str(number)) for number in range(count)]


def found(refunds: list[Returned], returned: dict[MemberId, int] | None = None):
    return of_refunds(
        refunds,
        returned=returned or {},
        joined_at={ADA: JOINED, BOB: JOINED + timedelta(hours=3)},
        member=ADA,
        same_network=frozenset({BOB}),
    )


def test_ten_letters_that_say_the_same_are_suspicious_and_nine_are_not():
    assert of_letters(ids(9)) is None
    evidence = of_letters(ids(12))
    assert evidence is not None
    assert (evidence.kind, evidence.weight) == (Kind.SAME_LETTER, 12)
    assert evidence.conversations == tuple(ids(12)[-5:])


def test_ten_letters_that_lead_to_one_place_are_suspicious_and_nine_are_not():
    assert of_links("shop.example", ids(9)) is None
    evidence = of_links("shop.example", ids(10))
    assert evidence is not None
    assert (evidence.kind, evidence.weight, evidence.place) == (Kind.LINKS, 10, "shop.example")


def test_refunds_by_few_who_answer_at_once_are_suspicious():
    evidence = found([Returned(BOB, SOON)] * 6)

    assert evidence is not None
    (partner,) = evidence.partners
    assert (evidence.weight, partner.member_id, partner.refunds) == (6, BOB, 6)
    assert (partner.median_seconds, partner.joined_together, partner.same_network) == (
        40,
        True,
        True,
    )
    assert found([Returned(BOB, SOON)] * 5) is None


def test_refunds_by_few_who_answer_as_people_do_are_so_only_where_they_go_both_ways():
    slow = [Returned(BOB, LATER)] * 6

    assert found(slow) is None
    evidence = found(slow, {BOB: 4})
    assert evidence is not None
    assert evidence.partners[0].returned == 4


def test_refunds_by_many_are_good_letters():
    many = [Returned(MemberId(f"m{number}"), SOON) for number in range(40)]

    assert found(many) is None
    assert found(many + [Returned(BOB, SOON)] * 6) is None


@given(st.lists(st.sampled_from([ADA, BOB, EVE, "x", "y", "z"])))
def test_the_closest_are_few_and_brought_most(partners):
    refunds = [Returned(MemberId(each), SOON) for each in partners]

    few = closest(refunds)

    assert len(few) <= 3
    if few:
        assert len(partners) >= 6
        assert sum(each in few for each in partners) >= 0.8 * len(partners)


def test_what_was_dismissed_comes_back_with_twice_as_much():
    assert not opens_again(19, dismissed_weight=10)
    assert opens_again(20, dismissed_weight=10)
    assert opens_again(10, dismissed_weight=0)
