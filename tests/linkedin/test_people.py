"""Who is who: addresses, and lists of recipients."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overture.linkedin.people import people, profile_key
from overture.linkedin.records import Person

IN = "https://www.linkedin.com/in/"


@pytest.mark.parametrize(
    "url",
    [
        "https://www.linkedin.com/in/mina-fernsby",
        "https://www.linkedin.com/in/mina-fernsby/",
        "http://linkedin.com/in/mina-fernsby",
        "https://uk.linkedin.com/in/Mina-Fernsby",
        "https://www.linkedin.com/in/mina-fernsby/en",
        "https://www.linkedin.com/in/mina-fernsby/de-de/?trk=x#top",
        "www.linkedin.com/in/mina-fernsby",
        "HTTPS://WWW.LINKEDIN.COM/IN/MINA-FERNSBY",
        "https://www.linkedin.com/in/mina%2Dfernsby",
        " https://www.linkedin.com/mwlite/in/mina-fernsby ",
    ],
)
def test_every_spelling_of_an_address_has_one_key(url):
    assert profile_key(url) == "mina-fernsby"


def test_an_encoded_slug_and_a_plain_one_are_the_same():
    assert profile_key(IN + "zo%C3%AB") == profile_key(IN + "zoe\u0308") == "zoë"


@pytest.mark.parametrize(
    "url",
    [
        *("", "mina-fernsby", "https://www.linkedin.com/company/ink", IN, IN + "a%2Fb"),
        *("https://example.com/in/mina", "https://notlinkedin.com/in/mina", "https://[/in/mina"),
        *("https://linkedin.com.example.com/in/mina", "ftp://linkedin.com/in/mina", "x" * 100_000),
        "https://www.linkedin.com/pub/mina/1/2/3",
    ],
)
def test_what_is_no_profile_has_no_key(url):
    assert profile_key(url) is None


@given(st.text() | st.text().map(IN.__add__))
def test_a_key_is_its_own_key(url):
    key = profile_key(url)
    if key is not None and "%" not in key:
        assert profile_key(IN + key) == key


@pytest.mark.parametrize("between", [",", ", ", ";", "; ", " "])
def test_recipients_pair_with_their_addresses_however_joined(between):
    assert people("Otto Quill, Wren Hollow", f"{IN}otto{between}{IN}wren") == (
        Person("Otto Quill", IN + "otto", "otto"),
        Person("Wren Hollow", IN + "wren", "wren"),
    )


def test_one_recipient_may_have_commas_in_the_name():
    assert people("Wren Hollow, of Tidewater", IN + "wren")[0].name == "Wren Hollow, of Tidewater"


def test_letters_after_a_name_are_no_name():
    found = people("Wren Hollow, PhD, Otto Quill, MBA", f"{IN}wren,{IN}otto")
    assert [one.name for one in found] == ["Wren Hollow, PhD", "Otto Quill, MBA"]


def test_a_deleted_member_among_recipients_is_one_without_an_address():
    assert people("Otto Quill,LinkedIn Member,Wren Hollow", f"{IN}otto,{IN}wren") == (
        Person("Otto Quill", IN + "otto", "otto"),
        Person("Wren Hollow", IN + "wren", "wren"),
        Person("LinkedIn Member", "", None),
    )


def test_an_empty_place_among_addresses_is_the_deleted_members():
    found = people("LinkedIn Member,Otto Quill", f",{IN}otto")
    assert [one.key for one in found] == [None, "otto"]


def test_nobody_gets_anothers_name_where_the_lists_differ():
    found = people("Quill, Hollow, of the sea", f"{IN}otto,{IN}wren")
    assert [(one.name, one.key) for one in found] == [("", "otto"), ("", "wren")]


def test_one_who_is_named_twice_is_there_once():
    assert len(people("Otto Quill, Otto Quill", f"{IN}otto {IN}otto")) == 1


def test_without_addresses_there_are_names():
    assert [one.name for one in people("Otto Quill, Wren Hollow, PhD", "")] == [
        "Otto Quill",
        "Wren Hollow, PhD",
    ]


def test_nobody_is_nobody():
    assert people("", "") == ()


@given(st.text(), st.text())
def test_any_lists_are_people_without_repetition(names, urls):
    found = people(names, urls)
    keys = [one.key for one in found if one.key]
    assert len(keys) == len(set(keys))
    assert all(one.label for one in found)
