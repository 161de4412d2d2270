"""Cursors: what comes back is what went in, and nothing else is taken."""

from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest

from overture.store.pages import BadCursor, decode, encode, page_of

AT = datetime(2025, 1, 31, 10, 0, 0, 123456, UTC)
ID = UUID("0195e6a0-0000-7000-8000-000000000001")


def test_a_cursor_gives_back_its_parts():
    assert decode(encode(AT, str(ID)), tuple[datetime, UUID]) == (AT, ID)
    assert decode(encode(-5, 0.1 + 0.2, "ä"), tuple[int, float, str]) == (-5, 0.1 + 0.2, "ä")


def test_an_instant_of_any_zone_is_the_same_instant():
    elsewhere = AT.astimezone(timezone(timedelta(hours=9)))

    assert encode(elsewhere) == encode(AT)


def raw(text: bytes) -> str:
    return urlsafe_b64encode(text).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "ä",
        "\ud800",
        "A" * 600,
        encode(AT, str(ID)) + "=",
        encode(AT, str(ID)) + "A",
        encode(AT, str(ID)) + "\n",
        encode(AT),
        encode(AT, str(ID), 1),
        encode(1, str(ID)),
        encode(AT, "no id"),
        encode(AT, str(ID).upper()),
        raw(b"\xff\xfe"),
        raw(b"[" * 300),
        raw(b"null"),
        raw(b'{"at": 1}'),
        raw(b'["2025-01-31T10:00:00","%s"]' % str(ID).encode()),
        raw(b'["2025-01-31T10:00:00.123456Z", "%s"]' % str(ID).encode()),
        raw(b'["0001-01-01T00:00:00+14:00","%s"]' % str(ID).encode()),
    ],
)
def test_what_is_no_cursor_of_this_shape_is_refused(cursor):
    with pytest.raises(BadCursor):
        decode(cursor, tuple[datetime, UUID])


@pytest.mark.parametrize(
    ("part", "shape"),
    [(2**63, tuple[int]), (-(2**63) - 1, tuple[int]), (True, tuple[int]), ("a\0b", tuple[str])],
)
def test_what_the_database_has_no_value_for_is_refused(part, shape):
    with pytest.raises(BadCursor):
        decode(encode(part), shape)


def test_a_page_with_more_behind_it_has_a_cursor_and_the_last_one_has_none():
    rows = [3, 2, 1]

    page = page_of(rows, 2, str, lambda row: (row,))
    last = page_of(rows, 3, str, lambda row: (row,))

    assert page.items == ["3", "2"]
    assert page.next is not None
    assert decode(page.next, tuple[int]) == (2,)
    assert last.items == ["3", "2", "1"]
    assert last.next is None
