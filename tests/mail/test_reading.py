"""Mails read: a corpus of what programs of the world send, and whatever else may come.

Each mail of tests/mail/corpus was made in the shape of one program; `expected.toml` says what it is.
"""

from __future__ import annotations

import tomllib
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from overture.mail.incoming import charsets, checks, flowed, headers, markup, words
from overture.mail.incoming.checks import Checked
from overture.mail.incoming.reading import MAIL_BYTES_MAX, Mail, Sort, read

CORPUS = Path(__file__).parent / "corpus"
EXPECTED = tomllib.loads((CORPUS / "expected.toml").read_text())
OURS = ("@inmail.example.org",)
BODY_CHARS_MAX = 2_000


def mail(name: str) -> bytes:
    return (CORPUS / f"{name}.eml").read_bytes()


def outcome(read_mail: Mail) -> str:
    if read_mail.sort is Sort.BOUNCE:
        return f"bounce {read_mail.why}"
    if read_mail.sort is not Sort.LETTER:
        return read_mail.sort.value
    if not read_mail.text:
        return "empty"
    return "too long" if len(read_mail.text) > BODY_CHARS_MAX else "letter"


def test_the_corpus_is_whole() -> None:
    assert {each.stem for each in CORPUS.glob("*.eml")} == set(EXPECTED)
    assert len(EXPECTED) >= 60


@pytest.mark.parametrize("name", EXPECTED)
def test_a_mail_is_read_as_what_it_is(name: str) -> None:
    expected = EXPECTED[name]
    found = read(mail(name), OURS)

    assert outcome(found) == expected.get("outcome", "letter")
    if "text" in expected:
        assert found.text == expected["text"]
    assert [each.name for each in found.files] == expected.get("files", [])


@pytest.mark.parametrize("name", EXPECTED)
def test_line_ends_make_no_difference(name: str) -> None:
    """A mail server hands it over with CRLF, a Maildir keeps it with LF."""
    bare = mail(name).replace(b"\r\n", b"\n")
    assert outcome(read(bare, OURS)) == EXPECTED[name].get("outcome", "letter")
    assert read(bare, OURS).text == EXPECTED[name].get("text", read(bare, OURS).text)


# Whatever comes ----------------------------------------------------------------------------------


@given(st.binary(max_size=3_000))
def test_no_bytes_raise(raw: bytes) -> None:
    assert isinstance(read(raw, OURS), Mail)


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """A mail of the corpus with pieces taken out, put in, doubled, or from another one."""
    raw = mail(draw(st.sampled_from(SPOILT)))[:20_000]
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(raw)))
        end = draw(st.integers(start, min(len(raw), start + 200)))
        piece = draw(
            st.binary(max_size=40)
            | st.sampled_from(FRAGMENTS)
            | st.just(raw[start:end] * 2)
            | st.just(mail(draw(st.sampled_from(SPOILT)))[start:end])
        )
        raw = raw[:start] + piece + raw[end:]
    return raw


# The large ones are slow to spoil, and no richer.
SPOILT = [name for name in sorted(EXPECTED) if len(mail(name)) < 10_000]
FRAGMENTS = [
    b"\r\n\r\n",
    b"\n",
    b"\0",
    b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n",
    b"Content-Type: message/rfc822\r\n\r\n",
    b"Content-Type: multipart/report; boundary*=utf-8''%00\r\n",
    b"Content-Transfer-Encoding: base64\r\n",
    b"Content-Transfer-Encoding: x-uuencode\r\n\r\nbegin 644 x\r\n#86)C\r\n",
    b"Content-Type: text/plain; charset=undefined\r\n",
    b"Content-Type: text/plain; charset*0*=idna''%FF\r\n",
    b"Content-Disposition: attachment; filename*0*=x''%; filename*1=%zz\r\n",
    b"=?utf-8?Q?=FF?=",
    b"=?hex?B?zz?=",
    b"Auto-Submitted: \r\n",
    b"Return-Path: <>\r\n",
    b"\xff\xfe",
    "\u202e\uff1a".encode(),
    b"<!--",
    b"</div><blockquote>",
]


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)
@given(spoiled())
def test_no_spoiled_mail_raises(raw: bytes) -> None:
    found = read(raw, OURS)
    assert not set(found.text) & {"\0", "\x1b", "\ud800"}


@settings(deadline=None)
@given(st.text(max_size=400), st.text(max_size=30))
def test_no_text_raises(text: str, charset: str) -> None:
    words.own(text, OURS)
    words.unquoted(text)
    markup.plain(text)
    flowed.unflowed(text, delsp=True)
    charsets.decoded(text.encode("utf-8", "replace"), charset)
    headers.addresses(text)
    headers.moment(text)
    headers.words(text)
    checks.checked([text], "mx", text)


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(["> ", "a ", "\n", "--", "__", "On ", ":", "@inmail.example.org", "12:30 "])
    )
)
def test_what_is_left_of_a_text_is_a_part_of_it(pieces: list[str]) -> None:
    """Nothing is made up, and what was left once is left again."""
    text = "".join(pieces)
    left = words.own(text, OURS)
    assert all(line in text for line in left.split("\n"))
    assert left == words.tidy(left)


# Hostile in size ----------------------------------------------------------------------------------


def letter(body: bytes, kind: bytes = b"text/plain") -> bytes:
    return b"From: grace@example.net\nContent-Type: %s; charset=utf-8\n\n%s" % (kind, body)


HOSTILE = {
    "a line above a quotation that never ends": letter(b"On " + b"schrieb " * 500_000 + b":\n> x"),
    "a million quoted lines": letter(b"> \n" * 1_000_000),
    "a header in the text that never ends": letter(b"a:\n" * 500_000),
    "one rule": letter(b"-" * 2_000_000),
    "deep html": letter(b"<div>" * 400_000, b"text/html"),
    "open tags": letter(b"<a " * 400_000, b"text/html"),
    "open comments": letter(b"<!--" * 400_000, b"text/html"),
    "misnested tags": letter(b"<table><b><div>" * 100_000, b"text/html"),
    "encoded words in the text": letter(b"=?utf-8?q?" * 200_000),
    "encoded words in the subject": b"Subject: " + b"=?utf-8?q?a" * 20_000 + b"\n\nx",
    "comments in comments": b"From: " + b"(" * 100_000 + b"\n\nx",
    "parameters": b'Content-Type: text/plain; x="' + b";" * 200_000 + b"\n\nx",
    "parts": b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\n" * 500_000,
    "mails in mails": b"Content-Type: message/rfc822\n\n" * 50_000,
    "headers": b"A: b\n" * 1_000_000,
    "all of it header": b"X" * MAIL_BYTES_MAX + b"\n\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_mail_is_read_within_seconds(name: str) -> None:
    """Each takes minutes, hours or all memory where it is read without limits; the run's own limit on a
    hanging test is the judge."""
    assert read(HOSTILE[name], OURS).sort in (Sort.LETTER, Sort.TOO_LARGE)


# What mail servers found out ----------------------------------------------------------------------

PASSED = (
    "mx.example.org; dkim=pass header.d=example.net; dmarc=pass (p=none) header.from=example.net"
)
FAILED = "mx.example.org 1; spf=fail smtp.mailfrom=x; dmarc=fail header.from=example.net"


@pytest.mark.parametrize(
    ("results", "trusts", "verdict"),
    [
        ([PASSED], "mx.example.org", Checked.PASSED),
        ([PASSED.upper()], "mx.example.org", Checked.PASSED),
        ([FAILED], "mx.example.org", Checked.FAILED),
        # Nobody is believed who is not named, whatever they say.
        ([PASSED], None, Checked.UNKNOWN),
        ([FAILED], None, Checked.UNKNOWN),
        ([PASSED], "mx.example.com", Checked.UNKNOWN),
        ([PASSED.replace("mx.", "not-mx.")], "mx.example.org", Checked.UNKNOWN),
        # The latest one stands first: what came with the mail cannot hide it.
        ([FAILED, PASSED], "mx.example.org", Checked.FAILED),
        ([PASSED, FAILED], "mx.example.org", Checked.PASSED),
        # A comment is no result, and another domain's result says nothing of this sender.
        (["mx.example.org; none (dmarc=pass)"], "mx.example.org", Checked.UNKNOWN),
        (
            [PASSED.replace("header.from=example.net", "header.from=example.com")],
            "mx.example.org",
            Checked.UNKNOWN,
        ),
        ([], "mx.example.org", Checked.UNKNOWN),
    ],
)
def test_only_the_operators_own_mail_server_is_believed(
    results: list[str], trusts: str | None, verdict: Checked
) -> None:
    assert checks.checked(results, trusts, "grace@example.net") is verdict


def test_who_a_mail_is_from_has_to_be_plain() -> None:
    """Two readings of one header are how one passes for somebody else."""

    def sender(*lines: str) -> str:
        return read("".join(f"From: {each}\n" for each in lines).encode() + b"\nx", OURS).sender

    assert sender("Grace Okafor <Grace@example.net>") == "grace@example.net"
    assert sender('"grace@example.net" <grace@example.net>') == "grace@example.net"
    assert sender("grace@example.net <mallory@example.com>") == ""
    assert sender("grace@example.net", "mallory@example.com") == ""


def test_a_mail_made_by_pythons_own_library_is_read() -> None:
    made = EmailMessage()
    made["From"], made["To"] = "Grace <grace@example.net>", "r+x@inmail.example.org"
    made["Message-ID"] = "<1@example.net>"
    made.set_content("Yes – gladly.\n\n-- \nGrace\n")
    made.add_alternative("<p>Yes – gladly.</p>", subtype="html")
    made.add_attachment("a list\n", filename="list.txt")

    found = read(made.as_bytes(), OURS)
    assert (found.text, found.id, found.sender) == (
        "Yes – gladly.",
        "1@example.net",
        "grace@example.net",
    )
    assert [(each.name, each.content) for each in found.files] == [("list.txt", b"a list\n")]
