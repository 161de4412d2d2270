"""Webhooks: filters, addresses of endpoints, secrets that overlap, ids and signatures."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from overture.core.ids import EndpointId
from overture.core.text import BadText
from overture.core.webhooks import (
    EventType,
    SigningSecret,
    endpoint_url,
    event_id,
    filters,
    host_name,
    rotated,
    secret_text,
    signatures,
    wants,
)

NOW = datetime(2025, 1, 31, 10, tzinfo=UTC)
ENDPOINT = EndpointId("01a206ae-50e2-768d-8c9c-477b24b2b656")


def secret(byte: int) -> str:
    return secret_text(bytes([byte]) * 32)


# Filters --------------------------------------------------------------------------------------------


def test_an_endpoint_wants_a_type_a_noun_or_all():
    assert wants(["inmail.sent"], "inmail.sent")
    assert not wants(["inmail.sent"], "inmail.responded")
    assert wants(["inmail.*"], "inmail.responded")
    assert not wants(["inmail.*"], "message.sent")
    assert all(wants(["*"], kind) for kind in EventType)
    assert not wants([], "inmail.sent")


def test_every_type_can_be_wanted_alone_with_its_noun_and_with_all():
    assert set(EventType) < set(filters())
    assert {"*", "inmail.*", "member.*", "credits.*"} < set(filters())


# Addresses ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org",
        "https://hooks.example.org/overture?site=7",
        "https://EXAMPLE.org:8443/a/b",
        "https://example.org./",
        "https://xn--bcher-kva.example/",
        "https://8.8.8.8/",
        "https://[2606:4700:4700::1111]/",
    ],
)
def test_an_address_on_the_internet_is_taken_as_it_is(url):
    assert endpoint_url(f" {url} ", ()) == url


@pytest.mark.parametrize(
    "url",
    [
        *("", "example.org", "/hooks", "//example.org/", "https:", "https://", "https:///hooks"),
        *(
            "ftp://example.org/",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "gopher://example.org",
        ),
        *("http://example.org/", "HTTP://example.org/", "http://8.8.8.8/"),
        *(
            "https://user:word@example.org/",
            "https://example.org@127.0.0.1/",
            "https://@example.org",
        ),
        *(
            "https://example.org/#part",
            "https://example.org/ a",
            "https://example.org\\@127.0.0.1/",
        ),
        *(
            "https://exa mple.org/",
            "https://exam\nple.org/",
            "https://ex\tample.org/",
            "https://é.org",
        ),
        *(
            "https://example.org:99999/",
            "https://example.org:port/",
            "https://-a.org",
            "https://a..b",
        ),
        *(
            "https://localhost/",
            "https://localhost./",
            "https://app.localhost/",
            "https://LOCALHOST",
        ),
        *("https://127.0.0.1/", "https://127.1/", "https://2130706433/", "https://0x7f.1/"),
        *("https://0x7f000001/", "https://0177.0.0.1/", "https://0/", "https://127.0.0.1./"),
        *("https://10.0.0.1/", "https://169.254.169.254/latest/", "https://0.0.0.0/"),
        *("https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://[fe80::1%25eth0]/"),
        *("https://[2002:7f00:1::]/", "https://[64:ff9b::7f00:1]/", "https://[::127.0.0.1]/"),
        *("https://[fec0::1]/", "https://[ff0e::1]/", "https://[::]/", "https://[1.2.3.4]/"),
        "https://example.org/" + "a" * 2000,
    ],
)
def test_any_other_address_is_refused_with_a_sentence(url):
    refused = endpoint_url(url, ())
    assert isinstance(refused, BadText)
    assert refused.sentence.endswith(".")


def test_a_host_that_is_allowed_may_be_anywhere_and_without_tls():
    allowed = {host_name(each) for each in ("hooks.internal", "10.0.0.7", "[::1]", "LocalHost")}

    for url in (
        "http://hooks.internal/",
        "https://hooks.internal:8443/",
        "http://10.0.0.7/",
        "http://[::1]:8000/",
        "http://localhost:9000/",
        "http://HOOKS.internal./",
    ):
        assert endpoint_url(url, allowed) == url
    for url in (
        "http://10.0.0.8/",
        "https://10.0.0.8/",
        "http://a.hooks.internal/",
        "http://[::2]/",
    ):
        assert isinstance(endpoint_url(url, allowed), BadText)


# Ids, secrets, signatures ---------------------------------------------------------------------------


def test_an_id_is_the_same_for_one_event_and_endpoint_alone():
    other = EndpointId("01a206ae-50e2-768d-8c9c-477b24b2b657")
    known = event_id(ENDPOINT, 7, NOW)

    assert known == event_id(ENDPOINT, 7, NOW)
    later = NOW + timedelta(microseconds=1)
    assert len({known, event_id(ENDPOINT, 8, NOW), event_id(other, 7, NOW)}) == 3
    # Data restored from a backup give out numbers anew, for what happened since.
    assert known != event_id(ENDPOINT, 7, later)
    assert "." not in known


def test_what_is_signed_is_verified_and_nothing_else_is():
    now = datetime.now(UTC)
    body = b'{"type":"inmail.sent"}'
    timestamp, signature = signatures([SigningSecret(secret(1))], "an-id", body, now)
    headers = {
        "webhook-id": "an-id",
        "webhook-timestamp": timestamp,
        "webhook-signature": signature,
    }

    assert Webhook(secret(1)).verify(body, headers) == {"type": "inmail.sent"}
    for other, changed in (
        (body + b" ", headers),
        (body, headers | {"webhook-id": "another"}),
        (body, headers | {"webhook-timestamp": str(int(timestamp) - 1)}),
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret(1)).verify(other, changed)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret(2)).verify(body, headers)


def test_secrets_before_the_last_sign_until_their_time_and_one_may_overlap_another():
    hours = timedelta(hours=1)
    first = [SigningSecret(secret(1))]
    second = rotated(first, secret(2), 24 * hours, NOW)
    third = rotated(second, secret(3), 2 * hours, NOW + 12 * hours)

    def signers(at: datetime) -> int:
        return len(signatures(third, "id", b"", at)[1].split())

    # The second overlap is shorter, and holds for both that went before.
    assert [each.text for each in third] == [secret(3), secret(2), secret(1)]
    assert signers(NOW + 13 * hours) == 3
    assert signers(NOW + 14 * hours) == 1
    at_once = rotated(third, secret(4), timedelta(0), NOW + 13 * hours)
    assert [each.text for each in at_once] == [secret(4)]


def test_a_secret_is_in_no_representation():
    assert secret(1)[6:] not in repr(SigningSecret(secret(1)))
