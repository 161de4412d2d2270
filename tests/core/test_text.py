"""What members may write, and how it is counted."""

from __future__ import annotations

import pytest

from overture.core import text
from overture.core.text import BadText


def ok(value: str | BadText) -> str:
    assert isinstance(value, str), value
    return value


def test_line_ends_become_one_and_letters_compose() -> None:
    assert ok(text.body("a\r\nb\rc\nd", 2000)) == "a\nb\nc\nd"
    assert ok(text.body("e\u0301", 2000)) == "\u00e9"


def test_a_body_is_counted_in_code_points_after_composing() -> None:
    assert ok(text.body("\U0001f600" * 2000, 2000))
    assert isinstance(text.body("\U0001f600" * 2001, 2000), BadText)
    assert len(ok(text.body("e\u0301" * 2000, 2000))) == 2000
    assert len(ok(text.body("\r\n" * 1999 + "a", 2000))) == 2000
    # NFC never lengthens what it composes, but some signs are two code points for good.
    assert isinstance(text.body("\u0958" * 1001, 2000), BadText)
    assert ok(text.body("\u0958" * 1000, 2000))


@pytest.mark.parametrize("blank", ["", " ", "\n\t \n", "\u3000", "\u00a0\u2003"])
def test_a_body_has_something_in_it(blank: str) -> None:
    assert isinstance(text.body(blank, 2000), BadText)
    assert ok(text.body(blank + ".", 2000)) == blank + "."


@pytest.mark.parametrize("char", ["\x00", "\x07", "\x1b", "\x7f", "\x85", "\ud800"])
def test_control_characters_and_surrogates_are_refused(char: str) -> None:
    assert isinstance(text.body(f"a{char}b", 2000), BadText)
    assert isinstance(text.line(f"a{char}b", 200), BadText)


def test_newline_and_tab_are_fine_in_a_body_but_not_in_a_line() -> None:
    assert ok(text.body("a\n\tb", 2000)) == "a\n\tb"
    assert isinstance(text.line("a\nb", 200), BadText)
    assert isinstance(text.line("a\rb", 200), BadText)


@pytest.mark.parametrize("code", [*range(0x202A, 0x202F), *range(0x2066, 0x206A)])
def test_direction_controls_are_refused_in_lines_and_kept_in_bodies(code: int) -> None:
    assert isinstance(text.line(f"a{chr(code)}b", 200), BadText)
    assert ok(text.body(f"a{chr(code)}b", 2000)) == f"a{chr(code)}b"


@pytest.mark.parametrize("code", [0x200E, 0x200F, 0x200D, 0x202F, 0x2065, 0x206A])
def test_their_neighbours_are_taken(code: int) -> None:
    assert ok(text.line(f"a{chr(code)}b", 200))


def test_a_subject_is_optional_and_at_most_200() -> None:
    assert ok(text.line("", 200)) == ""
    assert ok(text.line("é" * 200, 200))
    assert isinstance(text.line("é" * 201, 200), BadText)
    assert isinstance(text.line("  ", 200, required=True), BadText)


@pytest.mark.parametrize("handle", ["ab", "a-", "0-0", "a" * 40])
def test_handles_that_are_taken(handle: str) -> None:
    assert ok(text.handle(handle)) == handle


@pytest.mark.parametrize(
    "handle", ["", "a", "-a", "a" * 41, "Ada", "a_b", "a.b", "ä1", "ab\n", "a b"]
)
def test_handles_that_are_not(handle: str) -> None:
    assert isinstance(text.handle(handle), BadText)


def test_searching_does_not_mind_accents_case_or_spaces() -> None:
    assert text.fold("  Ångström \t ÉCLAIR ") == "angstrom eclair"
