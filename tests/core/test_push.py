"""Where notices may go, and by which key they are known."""

import pytest

from overture.core.push import PushAddress, encoded, push_address, signing_key, topic
from overture.core.seals import Secret
from overture.core.text import BadText

KEY = encoded(b"\x04" + b"k" * 64)
AUTH = encoded(b"a" * 16)
ENDPOINT = "https://push.example/send/abc"


def test_a_place_on_the_public_internet_is_taken():
    taken = push_address(ENDPOINT, KEY, AUTH, ())

    assert taken == PushAddress(ENDPOINT, b"\x04" + b"k" * 64, b"a" * 16)


@pytest.mark.parametrize(
    ("endpoint", "key", "auth"),
    [
        ("http://push.example/send", KEY, AUTH),
        ("https://localhost/send", KEY, AUTH),
        ("https://127.0.0.1/send", KEY, AUTH),
        ("https://169.254.169.254/latest/meta-data", KEY, AUTH),
        ("https://[2606:4700::1111]/send", KEY, AUTH),
        ("https://user@push.example/send", KEY, AUTH),
        (f"https://push.example/{'x' * 1000}", KEY, AUTH),
        ("", KEY, AUTH),
        (ENDPOINT, "", AUTH),
        (ENDPOINT, encoded(b"\x02" + b"k" * 32), AUTH),
        (ENDPOINT, encoded(b"\x05" + b"k" * 64), AUTH),
        (ENDPOINT, KEY, encoded(b"a" * 15)),
        (ENDPOINT, KEY, "ä"),
        (ENDPOINT, KEY + "A=B", AUTH),
    ],
)
def test_what_is_no_place_of_a_push_service_is_not(endpoint: str, key: str, auth: str):
    assert isinstance(push_address(endpoint, key, auth, ()), BadText)


def test_a_host_that_the_operator_allows_may_be_anywhere():
    assert isinstance(push_address("http://10.0.0.7/send", KEY, AUTH, {"10.0.0.7"}), PushAddress)


def test_the_key_is_the_installations_own_and_stays():
    mine, other = Secret(b"one"), Secret(b"another")

    assert signing_key(mine) == signing_key(mine) != signing_key(other)
    assert len(signing_key(mine)) == 32


def test_a_topic_tells_nothing_and_fits():
    assert topic("/inbox/1") == topic("/inbox/1") != topic("/inbox/2")
    assert len(topic("/inbox/1")) == 32
    assert "inbox" not in topic("/inbox/1")
