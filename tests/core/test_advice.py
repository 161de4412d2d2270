"""Advice on letters: what is said, what is not, and that a good letter is left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overture.core.advice import HINTS_MAX, Kind, Person, advice, tail

SAM = Person("Sam Lindholm", "Design director", "Nightwatch Health")
YUKI = Person("Yuki Tanaka", "Head of product design", "Fjord Analytics")

GOOD = """Hi Yuki,

your write-up on reading charts under stress is the clearest I have seen. I lead design at Nightwatch \
Health, where nurses look at our dashboards all night.

Would a short call next week suit you?"""


def kinds(
    body: str, *, recipient: Person | None = YUKI, subject: str = "", copies: int = 0
) -> list[Kind]:
    found = advice(body, sender=SAM, recipient=recipient, subject=subject, copies=copies)
    return [hint.kind for hint in found]


def test_a_good_letter_is_left_alone() -> None:
    assert kinds(GOOD) == []


@pytest.mark.parametrize("body", ["", "Hi", "Hi Yuki,\n\nwe are looking for"])
def test_nothing_is_said_of_a_letter_that_has_only_begun(body: str) -> None:
    assert kinds(body) == []


@pytest.mark.parametrize(
    "left_in",
    [
        "{first_name}",
        "{{ name }}",
        "[name]",
        "[Your Company]",
        "<first name>",
        "%FIRSTNAME%",
        "XXXX",
        "[RECIPIENT NAME]",
        "[INSERT_TOPIC]",
    ],
)
def test_a_placeholder_is_pointed_out_even_in_a_short_letter(left_in: str) -> None:
    (hint,) = advice(f"Hi {left_in},", sender=SAM, recipient=YUKI)
    assert (hint.kind, hint.found) == (Kind.PLACEHOLDER, left_in)
    assert Kind.PLACEHOLDER in kinds(GOOD, subject=f"For {left_in}")


@pytest.mark.parametrize("fine", ["[1] and [sic]", "f(x) {", "a < b > c", "50% of them, 20% of us"])
def test_brackets_of_other_kinds_are_no_placeholder(fine: str) -> None:
    assert kinds(fine) == []


@pytest.mark.parametrize(
    ("greeting", "named"), [("Hi Jonas,", "Jonas"), ("Dear Ms Duarte:", "Ms Duarte")]
)
def test_somebody_elses_name_in_the_greeting_is_pointed_out(greeting: str, named: str) -> None:
    (hint,) = advice(greeting, sender=SAM, recipient=YUKI)
    assert (hint.kind, hint.found) == (Kind.OTHER_NAME, named)


@pytest.mark.parametrize(
    "greeting",
    [
        "Hi Yuki,",
        "Dear Ms Tanaka,",
        "Hello there,",
        "Hi all,",
        "Dear Yuuki,",
        "Hi \u96ea,",
        "Hey,",
        "Good morning YUKI!",
        "Hi Yuki - a question",
    ],
)
def test_their_own_name_or_none_is_fine(greeting: str) -> None:
    assert kinds(greeting) == []


def test_short_forms_and_accents_of_a_name_are_theirs() -> None:
    assert kinds("Hi Tom,", recipient=Person("Tom\u00e1s Herrera")) == []
    assert kinds("Hi Tomas,", recipient=Person("Tom\u00e1s Herrera")) == []


def test_a_letter_that_could_go_to_anyone_is_asked_why_to_this_person() -> None:
    anyone = GOOD.replace(
        "your write-up on reading charts under stress is the clearest I have seen.",
        "there is a great opportunity that might be of interest.",
    )
    assert kinds(anyone) == [Kind.WHY_YOU]
    assert kinds(anyone.replace("opportunity", "opportunity beside Fjord Analytics")) == []
    assert kinds(anyone, recipient=None) == []


def test_the_name_in_the_greeting_alone_is_no_reason() -> None:
    body = "Hi Yuki,\n\nI am a designer from Bergen with a question for many people. May I ask it?"
    assert kinds(body) == [Kind.WHY_YOU]


def test_who_writes_is_asked_for_where_the_letter_does_not_say() -> None:
    body = "Hi Yuki,\n\nyour write-up on charts is very clear. Would a call next week suit you?"
    assert kinds(body) == [Kind.WHO_I_AM]
    assert kinds(body + "\n\nSam") == []
    assert kinds(body + " I work on dashboards for hospitals.") == []


def test_one_clear_ask_is_enough() -> None:
    assert kinds(GOOD.replace("Would a short call next week suit you?", "Regards")) == [Kind.ASK]
    assert kinds(GOOD.replace("Would a short call next week suit you?", "Let me know.")) == []
    asked = GOOD + " Or the one after? Or do you prefer mail? And is the team hiring?"
    (hint,) = advice(asked, sender=SAM, recipient=YUKI)
    assert (hint.kind, hint.count) == (Kind.MANY_ASKS, 4)


def test_length_has_its_measure_in_code_points() -> None:
    flag = "\N{PARTY POPPER}"
    assert len(GOOD) < 380
    assert kinds(GOOD + "\n\n" + flag * (398 - len(GOOD))) == []
    assert kinds(GOOD + "\n\n" + flag * (399 - len(GOOD))) == [Kind.LONG]
    many = GOOD + ("\n\n" + flag * 330) * 3
    assert kinds(many) == [Kind.VERY_LONG]


def test_a_wall_of_text_is_better_parted() -> None:
    wall = GOOD.replace("\n\nWould", " " + "We have much to tell. " * 18 + "Would")
    assert Kind.WALL in kinds(wall)


def test_shouting_and_links_put_people_off_but_abbreviations_do_not() -> None:
    assert kinds(GOOD + " A GREAT OFFER, TODAY ONLY, FOR EVERYONE HERE!") == [Kind.SHOUTING]
    assert kinds(GOOD + "!!!") == [Kind.SHOUTING]
    assert kinds(GOOD, subject="LAST CHANCE TODAY, GREAT PRICE") == [Kind.SHOUTING]
    assert kinds(GOOD + " (NASA, HTTP, JSON)") == []
    links = " ".join(f"https://example.com/{n}" for n in range(3))
    assert kinds(GOOD + "\n\n" + links) == [Kind.LINKS]
    assert kinds(GOOD + "\n\nhttps://example.com/1") == []


def test_the_same_text_to_many_is_told_so() -> None:
    assert kinds(GOOD, copies=3) == [Kind.COPIED]
    assert kinds(GOOD, copies=2) == []


def test_copies_are_told_by_what_follows_the_greeting() -> None:
    assert tail(GOOD) == tail(GOOD.replace("Yuki", "Ana")) != ""
    assert tail("Hi Yuki,\n\nthanks!") == ""


GERMAN = """Guten Tag Frau Tanaka,

Ihr Text \u00fcber Diagramme bei Fjord Analytics hat mir gefallen. H\u00e4tten Sie morgen Zeit?"""
ARABIC = (
    "\u0645\u0631\u062d\u0628\u0627 \u064a\u0648\u0643\u064a\u060c\n\n"
    + "\u0623\u0639\u062c\u0628\u0646\u064a \u0645\u0642\u0627\u0644\u0643 \u0639\u0646 Fjord "
    + "\u0643\u062b\u064a\u0631\u0627\u061b \u0647\u0644 \u0644\u062f\u064a\u0643 "
    + "\u0648\u0642\u062a \u0644\u0645\u0643\u0627\u0644\u0645\u0629\u061f"
)


@pytest.mark.parametrize("body", [GERMAN, ARABIC])
def test_letters_in_other_languages_are_not_measured_by_english_words(body: str) -> None:
    assert kinds(body) == []


def test_three_hints_are_enough_and_the_gravest_come_first() -> None:
    bad = (
        "Hi Jonas,\n\nthis is a GREAT OFFER for EVERYONE who wants MONEY!!! "
        "www.a.example www.b.example www.c.example "
    ) + "and there is more of it " * 60
    found = kinds(bad, copies=9)
    assert len(found) == HINTS_MAX
    assert found[0] is Kind.OTHER_NAME
    assert found == sorted(found, key=list(Kind).index)


@given(st.text(max_size=300), st.text(max_size=40), st.text(max_size=40))
def test_no_text_is_too_odd_for_it(body: str, name: str, subject: str) -> None:
    found = advice(body, sender=Person(name), recipient=Person(name, name), subject=subject)
    assert len(found) <= HINTS_MAX
    assert len(tail(body)) <= len(body)
