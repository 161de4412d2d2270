"""Whether two letters say the same, told from their sketches alone."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from overture.core.likeness import SKETCH_HASHES, are_alike, likeness, sketch_of, without_names

LETTER = """Hello Grace,

I have followed what you build for a while, and above all your talk on compilers. We are looking for
somebody who brings order into 30 years of code, in a small team that is given the time to do it well.
Would you have half an hour next week, so that I can tell you more of it?

Kind regards, Ada"""
OTHER = """Dear Alan,

your paper on machines that answer questions has kept us up at night. My students would love to
discuss its third part with whoever wrote it; the seminar meets on Thursdays and pays the train.
Shall I send you the dates for this term?"""
WORDS = st.lists(st.sampled_from([f"w{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(400)]))


def test_who_changes_names_and_numbers_alone_sends_the_same_letter():
    one = sketch_of(LETTER, ["Grace Hopper", "Ada Lovelace"])
    other = LETTER.replace("Grace", "Edsger").replace("30", "25").upper()

    assert sketch_of(other, ["Edsger Dijkstra", "Ada Lovelace"]) == one


def test_a_few_other_words_make_no_other_letter():
    other = LETTER.replace("compilers", "databases").replace("half an hour", "a quarter of an hour")

    assert are_alike(sketch_of(LETTER, ["Grace"]), sketch_of(other, ["Grace"]))


def test_another_letter_is_another_one():
    assert likeness(sketch_of(LETTER, ["Grace"]), sketch_of(OTHER, ["Alan"])) < 0.1
    assert not are_alike(sketch_of(LETTER, ["Grace"]), sketch_of(OTHER, ["Alan"]))


def test_a_line_says_too_little_to_be_like_another():
    assert sketch_of("Shall we meet?", []) == b""
    assert not are_alike(b"", b"")
    assert not are_alike(sketch_of(LETTER, []), b"")


def test_a_name_is_left_out_however_it_is_written():
    said = "Since Jose met MÜLLER, Grace and a gracious mueller-like José write."

    left = without_names(said, "José Müller")

    assert left == "Since … met …, Grace and a gracious mueller-like … write."


def test_a_sketch_holds_no_words_and_is_small():
    sketch = sketch_of(LETTER * 20, [])

    assert len(sketch) == 8 * SKETCH_HASHES
    assert b"compilers" not in sketch


@given(WORDS, WORDS)
def test_likeness_is_even_handed_and_near_what_it_stands_for(one, other):
    mine, theirs = sketch_of(" ".join(one), []), sketch_of(" ".join(other), [])

    found = likeness(mine, theirs)
    assert found == likeness(theirs, mine)
    assert 0 <= found <= 1
    assert are_alike(mine, theirs) == (found >= 0.6)
    if mine:
        assert likeness(mine, mine) == 1
        assert are_alike(mine, mine)


@given(WORDS.filter(lambda words: len(words) >= 40), st.integers(0, 10))
def test_what_is_told_is_near_the_share_of_what_they_have_in_common(words, changed):
    other = [f"x{word}" if place < changed else word for place, word in enumerate(words)]
    pairs, others = (set(pairwise(w)) for w in (words, other))
    truth = len(pairs & others) / len(pairs | others)

    told = likeness(sketch_of(" ".join(words), []), sketch_of(" ".join(other), []))

    assert abs(told - truth) < 0.3
