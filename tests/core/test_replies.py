"""The addresses at which mail comes back."""

from __future__ import annotations

import pytest

from overture.core.replies import Addresses, addresses


def test_a_seal_is_found_again_in_its_address() -> None:
    ours = addresses("r+*@Inmail.example.org")
    assert ours == Addresses("r+", "inmail.example.org")
    assert ours.of("abc234") == "r+abc234@inmail.example.org"
    assert ours.seal_in("R+ABC234@INMAIL.example.org.") == "abc234"
    assert addresses("*@reply.example.org").seal_in("abc234@reply.example.org") == "abc234"


@pytest.mark.parametrize(
    "address",
    [
        "r+abc234@mail.example.org",
        "r+abc234@x.inmail.example.org",
        "abc234@inmail.example.org",
        "r+abc234",
        "@",
        "",
    ],
)
def test_other_addresses_have_no_seal(address: str) -> None:
    assert addresses("r+*@inmail.example.org").seal_in(address) is None


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ("reply@example.org", "has no *"),
        ("*", "has no *"),
        ("r+*x@example.org", "has no *"),
        ("reply+*@example.org", "more than 3"),
        ("r *@example.org", "cannot have"),
        ("*@", "cannot have"),
        ("*@exa\nmple.org", "cannot have"),
    ],
)
def test_a_form_that_cannot_be_is_told(form: str, why: str) -> None:
    with pytest.raises(ValueError, match=why.replace("*", r"\*")):
        addresses(form)


def test_every_form_leaves_room_for_the_longest_seal() -> None:
    assert len(addresses("rp+*@example.org").of("a" * 61).partition("@")[0]) == 64
