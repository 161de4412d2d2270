"""CSV as it is met: preambles, encodings, line numbers, rows without an end."""

import codecs
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overture.linkedin.records import Problem
from overture.linkedin.tables import FIELD_CHARS_MAX, ROW_CHARS_MAX, table

NEEDED = frozenset({"name"})


def rows_of(content: str | bytes) -> list:
    data = content if isinstance(content, bytes) else content.encode()
    return list(table("people.csv", io.BytesIO(data), NEEDED))


def names_in(content: str | bytes) -> list[str]:
    return [row["name"] for row in rows_of(content)]


def test_rows_are_read_below_the_header():
    assert names_in("Name,Town\nMina,Saltmarsh\nOtto,Inkwell\n") == ["Mina", "Otto"]


def test_a_preamble_is_passed_over_even_when_its_quotation_marks_do_not_match():
    assert names_in('Notes:\n"it is 5" wide\n\nName\nMina\n') == ["Mina"]


def test_lines_are_counted_through_preamble_blank_lines_and_quoted_line_breaks():
    rows = rows_of('Notes:\n\nName,Town\n"Mi\nna",x\n\nOtto,y\r\nWren,z\r\n')
    assert [row.line for row in rows] == [4, 7, 8]


def test_a_file_without_the_columns_is_one_problem():
    (problem,) = rows_of("Who,Where\nMina,Saltmarsh\n")
    assert problem == Problem("people.csv", 1, "no line names the columns that are needed (name)")


def test_an_empty_file_is_one_problem():
    assert [type(row) for row in rows_of("")] == [Problem]


def test_a_file_of_a_header_alone_has_no_rows():
    assert rows_of("Name,Town\n") == []


def test_semicolons_may_stand_between_columns():
    assert names_in("Name;Town\nFernsby, Mina;Saltmarsh\n") == ["Fernsby, Mina"]


@pytest.mark.parametrize(
    "encoded",
    [
        "Name\r\nZoë\r\n".encode(),
        codecs.BOM_UTF8 + "Name\nZoë\n".encode(),
        codecs.BOM_UTF16_LE + "Name\nZoë\n".encode("utf-16-le"),
        codecs.BOM_UTF16_BE + "Name\nZoë\n".encode("utf-16-be"),
        "Name\nZoë\n".encode("utf-16-le"),
        "Name\nZoë\n".encode("cp1252"),
        "Name\rZoë\r".encode(),
    ],
    ids=["utf-8", "bom", "utf-16-le", "utf-16-be", "utf-16 unmarked", "windows", "old mac"],
)
def test_the_encoding_is_found(encoded):
    assert names_in(encoded) == ["Zoë"]


def test_a_stray_byte_of_windows_does_not_spoil_the_rest():
    assert names_in("Name\nZoë\n".encode() + b"Zo\xeb \x96 x\n") == ["Zoë", "Zoë – x"]


def test_a_row_with_too_many_columns_is_a_problem_and_the_next_goes_in():
    problem, row = rows_of("Name,Town\nFernsby, Mina,Saltmarsh\nOtto,Inkwell\n")
    assert problem.reason == "the row has 3 columns where the header has 2"
    assert row["name"] == "Otto"


def test_a_comma_too_many_at_the_end_is_none():
    assert names_in("Name,Town\nMina,Saltmarsh,,\n") == ["Mina"]


def test_a_row_cut_short_is_a_problem():
    (problem,) = rows_of("Town,Name\nSaltmarsh\n")
    assert problem.reason == "the row is cut short: 1 of 2 columns"


def test_a_column_that_is_absent_is_empty():
    (row,) = rows_of("Name,Town\nMina\n")
    assert (row["town"], row["country"]) == ("", "")


def test_a_field_of_a_megabyte_is_read():
    name = "x" * (FIELD_CHARS_MAX - 10)
    assert names_in(f"Name\n{name}\n") == [name]


def test_a_row_without_its_last_quotation_mark_swallows_no_other():
    bad, rest, otto = rows_of('Name,Town\n"Mina\n,Saltmarsh,x\n"Otto",Inkwell\n')
    assert bad == Problem("people.csv", 2, "the quotation marks do not match")
    assert (rest.line, otto.line, otto["name"]) == (3, 4, "Otto")


def test_a_field_without_an_end_is_a_problem_and_reading_goes_on():
    rows = rows_of('Town,Name\nx,"' + ("x" * 99 + "\n") * (FIELD_CHARS_MAX // 99) + "x,Otto\n")
    assert rows[0] == Problem("people.csv", 2, "the quotation marks do not match")
    assert (rows[-1].line, rows[-1]["name"]) == (FIELD_CHARS_MAX // 99 + 2, "Otto")


def test_a_row_without_an_end_does_not_fill_the_memory():
    rows = rows_of("Name\n" + '"\n",' * (ROW_CHARS_MAX // 4 + 9))
    assert isinstance(rows[0], Problem)


def test_rows_without_an_end_are_not_read_over_and_over():
    # Each of these lines begins a row that none of the others ends.
    rows = rows_of("Name\n" + 'x","\n' * (ROW_CHARS_MAX // 4))
    assert rows[-1].reason == "too many such rows: the rest was not read"
    assert len(rows) < 9


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_rows_or_problems(noise):
    rows_of(b"Name,Town\n" + noise)
    rows_of(noise)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r")), max_size=6))
def test_what_a_spreadsheet_writes_is_read_back(names):
    import csv

    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([["Name"], *([name] for name in names)])
    assert names_in(text.getvalue()) == names
