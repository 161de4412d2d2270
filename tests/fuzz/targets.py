"""Every parser of bytes from strangers, each as a function that takes any bytes and must not raise.

A target asserts what its parser promises of whatever it took. `make fuzz` lets a fuzzer look for bytes
that break it, guided by the code that they reach; what it found lies in `findings`, and is tried by the
tests.
"""

from __future__ import annotations

import asyncio
import io
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from PIL import Image
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from uvicorn.config import Config
from uvicorn.server import ServerState

from overture import policies, words
from overture.actions import files, links, photos
from overture.actions import pictures as unpacking
from overture.actions.files import Upload
from overture.actions.replies import Addressed
from overture.api import inputs
from overture.api.app import operations
from overture.api.problems import Problem
from overture.context import NotUnderstood
from overture.core import addresses, browsers, likeness, push, replies, seals, text
from overture.core import webhooks as endpoints
from overture.core.accounts import folded
from overture.core.files import NewFile, clean_name
from overture.core.ids import ConversationId, FileId, MemberId
from overture.core.policy import PolicyProblem, parse
from overture.core.refusals import Refusal
from overture.core.seals import Secret
from overture.core.text import BadText
from overture.front import Surface, front
from overture.linkedin import cleaning, dates, markup, people, plans
from overture.linkedin.archive import ArchiveRefused, Limits, open_archive
from overture.linkedin.records import Problem as RowProblem
from overture.linkedin.tables import table
from overture.mail.incoming import bounces, charsets, checks, flowed, headers, pipe, taking
from overture.mail.incoming import markup as mail_markup
from overture.mail.incoming import words as own_words
from overture.mail.incoming.reading import Mail, read
from overture.payments import stripe
from overture.protocol import http_only, protocol_with
from overture.store import pages
from overture.store.pages import BadCursor
from overture.web import prose

Target = Callable[[bytes], None]

HERE = Path(__file__).parent
TESTS = HERE.parent
OURS = ("@inmail.example.org",)
SECRET = Secret(b"of this fuzzer's own, and of no other")
_SURROGATES = re.compile("[\ud800-\udfff]")


def _text(data: bytes) -> str:
    """Any text; what is no UTF-8 becomes lone surrogates, as in a JSON that has them."""
    return data.decode(errors="surrogateescape")


def _parts(data: bytes, count: int) -> list[str]:
    """So many texts out of one, which lines of `~` set apart; of such as were decoded before."""
    parts = data.decode(errors="replace").split("\n~\n", count - 1)
    return [*parts, *[""] * (count - len(parts))]


def _is_text(*given: str) -> None:
    """What is kept and shown can be written as UTF-8, and into PostgreSQL."""
    for each in given:
        assert "\0" not in each, repr(each[:200])
        assert _SURROGATES.search(each) is None, repr(each[:200])


# Mail ---------------------------------------------------------------------------------------------


_ADDRESSED = Addressed(MemberId("m"), ConversationId("c"), "grace@example.org")


def mail(data: bytes) -> None:
    found = read(data, OURS)
    assert isinstance(found, Mail)
    # What is kept of it; the rest is compared alone.
    _is_text(found.text, found.why)
    folded(found.sender)
    taking._key(data, found, _ADDRESSED)
    _is_text(*(clean_name(each.name) for each in found.files))
    checks.checked(found.results, "mx.example.org", found.sender)
    pipe.recipient(None, {}, data, replies.addresses("r+*@inmail.example.org"))
    # What the members' own messages go through as well.
    text.body(found.text, 2000)


def mail_words(data: bytes) -> None:
    said, charset = _parts(data, 2)
    left = own_words.own(said, OURS)
    _is_text(left)
    assert left == own_words.tidy(left)
    own_words.unquoted(said)
    mail_markup.plain(said)
    for delsp in (True, False):
        flowed.unflowed(said, delsp=delsp)
    _is_text(own_words.tidy(charsets.decoded(data, charset)))
    headers.addresses(said)
    headers.moment(said)
    headers.words(said)
    bounces._failing(said)
    checks.checked([said], "mx.example.org", charset)


# Archives -----------------------------------------------------------------------------------------


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="overture-fuzz-"))


def archive(data: bytes) -> None:
    path = _folder() / "export.zip"
    path.write_bytes(data)
    limits = Limits(entries_max=200, unpacked_bytes_max=4 << 20)
    with suppress(ArchiveRefused), open_archive(path, limits) as opened:
        _read_all(opened)


def tables(data: bytes) -> None:
    """The files of an archive: the first byte says which one, and the rest is its content."""
    names = ["Profile.csv", "Connections.csv", "Invitations.csv", "messages.csv", "Positions.csv",
             "Receipts_v2.csv"]  # fmt: skip
    name = names[data[0] % len(names)] if data else names[0]
    path = _folder() / "table.zip"
    with zipfile.ZipFile(path, "w") as written:
        written.writestr(name, data[1:])
    with suppress(ArchiveRefused), open_archive(path) as opened:
        _read_all(opened)
    for each in table("any.csv", io.BytesIO(data), frozenset({"from", "content"})):
        assert isinstance(each, RowProblem) or each["from"] is not None


def _read_all(opened: Any) -> None:
    opened.owner()
    opened.suggested_plan()
    for rows in ("connections", "invitations", "messages", "positions", "receipts"):
        for row in getattr(opened, rows)():
            _texts_of(row)


def _texts_of(row: Any) -> None:
    for name in getattr(row, "__slots__", ()):
        value = getattr(row, name)
        if isinstance(value, str):
            _is_text(value)
        elif hasattr(value, "__slots__"):
            _texts_of(value)


def archive_texts(data: bytes) -> None:
    names, urls = _parts(data, 2)
    for raw in (names, markup.html_to_text(names)):
        _is_text(cleaning.clean_body(raw), cleaning.clean_line(raw))
    for read_instant in (dates.moment, dates.day, dates.month):
        read_instant(names)
    people.profile_key(urls)
    people.people(names, urls)
    plans.plan_of(names)


# The API ------------------------------------------------------------------------------------------


@cache
def _operations() -> Any:
    described = operations()
    return [each for each in described if each.decode], [each for each in described if each.query]


def bodies(data: bytes) -> None:
    with_body, _ = _operations()
    number, raw = (data[0], data[1:]) if data else (0, b"")
    try:
        body = inputs.body_of(with_body[number % len(with_body)], raw, b"application/json")
    except Problem as problem:
        _is_a_no(problem)
    else:
        assert body is not None


def queries(data: bytes) -> None:
    _, with_query = _operations()
    number, raw = (data[0], data[1:]) if data else (0, b"")
    try:
        inputs.query_of(with_query[number % len(with_query)], raw)
        for operation in _operations()[0]:
            for kind in operation.parameters.values():
                inputs.path_value(kind, _text(raw))
    except Problem as problem:
        _is_a_no(problem)


def _is_a_no(problem: Problem) -> None:
    assert 400 <= problem.status < 500, problem
    problem.body()


def cursors(data: bytes) -> None:
    given = _text(data)
    for shape in (tuple[datetime, UUID], tuple[int, UUID], tuple[int], tuple[UUID], tuple[str]):
        with suppress(BadCursor):
            parts = pages.decode(given, shape)
            assert pages.encode(*parts) == given


# HTTP ---------------------------------------------------------------------------------------------


class _Wire(asyncio.Transport):
    """A connection that keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def write_eof(self) -> None:
        pass

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)}.get(name, default)

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass


@cache
def _served() -> tuple[asyncio.AbstractEventLoop, Config]:
    application = front(_form_reader, Surface(hosts=("overture.example",)))
    config = http_only(application, protocol_with(10))
    config.load()
    return asyncio.new_event_loop(), config


async def _form_reader(scope: Any, receive: Any, send: Any) -> None:
    """Reads what comes as the pages do."""
    status = 204
    try:
        form: FormData = await Request(scope, receive).form(
            max_files=5, max_fields=200, max_part_size=1 << 16
        )
        await form.close()
    except (MultiPartException, HTTPException, ClientDisconnect):
        status = 400
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def http(data: bytes) -> None:
    """A connection: the first byte says in how large pieces the rest comes."""
    loop, config = _served()
    size = (data[0] or 1) * 4 if data else 1
    wire = _Wire()
    faults: list[Any] = []
    loop.set_exception_handler(lambda _, told: faults.append(told))

    async def come() -> None:
        protocol = config.http_protocol_class(
            config=config, server_state=ServerState(), app_state={}, _loop=loop
        )
        protocol.connection_made(wire)
        for start in range(1, len(data), size):
            protocol.data_received(data[start : start + size])
            await asyncio.sleep(0)
        for _ in range(8):
            await asyncio.sleep(0)
        protocol.connection_lost(None)
        for _ in range(3):
            await asyncio.sleep(0)

    loop.run_until_complete(come())
    assert not faults, faults
    statuses = re.findall(rb"^HTTP/1\.1 (\d{3})", bytes(wire.written), re.MULTILINE)
    assert not wire.written or statuses
    assert all(status < b"500" for status in statuses), statuses


def header_values(data: bytes) -> None:
    given = _text(data)
    latin = data.decode("latin-1")
    assert words.wanted_language(latin) in words.LANGUAGES
    browsers.told_of(latin)
    addresses.is_public(given)
    from overture.front import _Clients, _is_ours

    client = _Clients(["127.0.0.0/8", "10.0.0.0/8"]).behind(("127.0.0.1", 9), [data])
    assert client[0]
    _is_ours(data[:300], frozenset({"overture.example"}))
    if not isinstance(url := endpoints.endpoint_url(given, ()), BadText):
        assert url.startswith(("https://", "HTTPS://")) or url.lower().startswith("https:")
    endpoint, key, auth = _parts(data, 3)
    push.push_address(endpoint, key, auth, ())


# Policies, texts, seals ---------------------------------------------------------------------------


def policy_files(data: bytes) -> None:
    try:
        book = parse(_text(data))
    except PolicyProblem:
        return
    # What was taken can be written down, and is the same when it is read again.
    for version in book.versions:
        assert parse(policies.written(version)).versions == (version,)


def texts(data: bytes) -> None:
    raw = _text(data)
    for taken in (
        text.body(raw, 2000),
        text.line(raw, 200, required=True),
        text.line(raw, 100),
        text.note(raw),
        text.handle(raw),
    ):
        if isinstance(taken, BadText):
            continue
        _is_text(taken)
        assert text.normal_or_raw(taken) == taken
    text.fold(raw)
    assert len(text.snippet(raw)) <= text.SNIPPET_CHARS_MAX
    body = text.body(raw, 2000)
    if not isinstance(body, BadText):
        _is_shown_as_text(body)
        links.places(body)
        sketch = likeness.sketch_of(body, ("Ada",))
        assert likeness.are_alike(sketch, sketch) in (True, False)
    _is_text(clean_name(raw)) if raw.isprintable() else clean_name(raw)


_TAGS = re.compile(r"<(?!/?p\b|br>|/?a\b|/?bdi>)")
_HREFS = re.compile(r'href="([^"]*)"')


def _is_shown_as_text(body: str) -> None:
    """Of what a member wrote nothing becomes markup but paragraphs, breaks and links to the web."""
    for shown in (prose.letter(body), prose.chat(body)):
        assert _TAGS.search(shown) is None, shown
        for href in _HREFS.findall(shown):
            assert href.lower().startswith(("http://", "https://", "mailto:")), href


def seals_and_links(data: bytes) -> None:
    given = _text(data)
    for claim_of in (seals.reply_claim, seals.answer_claim, seals.bounce_claim):
        claim_of(given)
    if (answer := seals.answer_claim(given)) is not None:
        assert not seals.permits_answer(SECRET, given, answer, address="a@example.org")
    if (reply := seals.reply_claim(given)) is not None:
        assert not seals.permits_reply(
            SECRET, given, member=reply.member, conversation=reply.first, address="a@example.org"
        )
    assert seals.unsubscribing(SECRET, given) is None
    replies.addresses("r+*@inmail.example.org").seal_in(given)


# Files --------------------------------------------------------------------------------------------


def pictures(data: bytes) -> None:
    _small_pictures_only()
    made = photos._made(data)
    if not isinstance(made, BadText):
        assert Image.open(io.BytesIO(made.large)).size == (photos.LARGE_PIXELS,) * 2


def attachments(data: bytes) -> None:
    """The first line is the file's name."""
    _small_pictures_only()
    name, _, content = data.partition(b"\n")
    examined = files._examined(Upload(FileId(str(UUID(int=1))), _text(name), content))
    assert isinstance(examined, NewFile | Refusal)
    if isinstance(examined, NewFile):
        _is_text(examined.file.name)


def _small_pictures_only() -> None:
    """A fuzzer that makes large pictures of a few bytes learns nothing, slowly."""
    unpacking.PIXELS_MAX = 1_000_000


# What a payment provider tells -----------------------------------------------------------------------


def payments(data: bytes) -> None:
    with suppress(NotUnderstood):
        stripe.event_of(data)


TARGETS: dict[str, Target] = {
    target.__name__: target
    for target in (
        mail,
        mail_words,
        archive,
        tables,
        archive_texts,
        bodies,
        queries,
        cursors,
        http,
        header_values,
        policy_files,
        texts,
        seals_and_links,
        pictures,
        attachments,
        payments,
    )
}


# Where to begin -----------------------------------------------------------------------------------


def seeds(target: str) -> Iterator[bytes]:
    """Bytes that the target takes, of which the fuzzer makes others."""
    match target:
        case "mail":
            for file in sorted((TESTS / "mail" / "corpus").glob("*.eml")):
                if file.stat().st_size < 10_000:
                    yield file.read_bytes()
        case "mail_words":
            yield b"Gladly.\n\nOn 1 May 2025 at 10:00, Ada wrote:\n> Hello\n-- \nGrace"
            yield b"<div>Yes<br><blockquote>No</blockquote></div>\n~\niso-8859-1"
            yield b"=?utf-8?Q?J=C3=B3n?= <jon@example.org>, ada@example.org\n~\nutf-7"
            yield b"Mon, 31 Jan 2025 10:00:00 +0000\n~\nshift_jis"
            yield b"mx.example.org 1; dmarc=pass header.from=example.net\n~\na@example.net"
        case "archive":
            for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                packed = io.BytesIO()
                with zipfile.ZipFile(packed, "w", method) as written:
                    for file in sorted((TESTS / "linkedin" / "sample").glob("*.csv")):
                        written.writestr(file.name, file.read_bytes()[:600])
                yield packed.getvalue()
        case "tables":
            for number, name in enumerate(
                ("Profile", "Connections", "Invitations", "messages", "Positions", "Receipts_v2")
            ):
                content = (TESTS / "linkedin" / "sample" / f"{name}.csv").read_bytes()
                yield bytes([number]) + content[:2000]
                yield bytes([number]) + content[:600].decode().encode("utf-16")
        case "archive_texts":
            yield b"<p>Hi<br/>&amp;&#x1F600;</p>\n~\nhttps://www.linkedin.com/in/ada"
            yield b"Ada Quill, Bo Marrow\n~\nhttps://www.linkedin.com/in/a,https://www.linkedin.com/in/b"
            yield b"2025-01-31 10:00:00 UTC"
            yield b"1/31/25, 10:00 AM"
            yield b"Premium Career: Monthly\n~\nhttps://linkedin.com/in/%C3%A9"
        case "bodies":
            for number in range(len(_operations()[0])):
                yield (
                    bytes([number])
                    + b'{"to": "0190a0a0-0000-7000-8000-000000000000", "body": "Hi"}'
                )
            yield b"\0" + b'{"handle": "ada", "name": "Ada", "email": null, "credits": 1.0}'
            yield b"\0" + b'{"name": "\\u0000\\ud800"}'
        case "queries":
            for number in range(len(_operations()[1])):
                yield bytes([number]) + b"limit=10&q=a%20b&cursor=WzFd&pool=premium&box=inbox"
        case "cursors":
            yield pages.encode(datetime(2025, 1, 31, tzinfo=UTC), UUID(int=7)).encode()
            yield pages.encode(7, UUID(int=7)).encode()
            yield pages.encode(7).encode()
            yield pages.encode("ada").encode()
        case "http":
            yield b"\x10GET / HTTP/1.1\r\nHost: overture.example\r\n\r\n"
            yield (
                b"\x40POST /a?b=c HTTP/1.1\r\nHost: overture.example\r\nContent-Length: 7\r\n"
                b"Content-Type: application/x-www-form-urlencoded\r\n\r\na=b&c=d"
            )
            yield (
                b"\x20POST / HTTP/1.1\r\nHost: overture.example\r\nTransfer-Encoding: chunked\r\n"
                b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
                b'46\r\n--x\r\nContent-Disposition: form-data; name="a"; filename="b.png"\r\n\r\nabc'
                b"\r\n--x--\r\n\r\n0\r\n\r\n"
            )
            yield b"\xffGET http://overture.example/ HTTP/1.0\r\nX-Forwarded-For: 10.0.0.1, ::1\r\n\r\n"
        case "header_values":
            yield b"en-GB,en;q=0.9,ar;q=0.8"
            yield b"Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/150.0"
            yield b"203.0.113.7, [2001:db8::1]:443, 10.0.0.1"
            yield b"https://example.org:8443/webhooks?a=b"
            yield b"https://push.example.net/x\n~\nBAAA\n~\nAAAA"
            yield b"::ffff:127.0.0.1"
        case "policy_files":
            for file in sorted((TESTS.parent / "policies").glob("*.toml")):
                yield file.read_bytes()
        case "texts":
            yield "Hello Ada,\r\n\r\nsee https://example.org/a?b=c#d or mail a@example.org. é́".encode()
            yield "\u202eabc\u2066 //x.org ftp://y <script>".encode()
            yield b"ada-quill"
        case "seals_and_links":
            member = "0190a0a0-0000-7000-8000-000000000000"
            told = {"member": member, "conversation": member, "address": "b@example.org"}
            other = Secret(b"another one")
            yield seals.for_reply(other, **told).encode()
            yield seals.for_answer(other, **told, until=datetime(2030, 1, 1, tzinfo=UTC)).encode()
            yield seals.for_unsubscribing(other, member=member, kind="reminder").encode()
            yield seals.for_bounce(other, member=member, address="b@example.org").encode()
            yield b"r+" + seals.for_reply(other, **told).encode() + b"@inmail.example.org"
        case "pictures":
            yield from _pictures()
        case "attachments":
            for ending, picture in zip(("png", "jpeg", "webp"), _pictures(), strict=True):
                yield f"a.{ending}\n".encode() + picture
            yield b"a.pdf\n%PDF-1.7\n%%EOF"
            yield b"a.txt\nplain"
            for ending, parts in (
                ("docx", ("[Content_Types].xml", "word/document.xml")),
                ("odt", ("mimetype",)),
            ):
                packed = io.BytesIO()
                with zipfile.ZipFile(packed, "w") as written:
                    for part in parts:
                        written.writestr(part, "application/vnd.oasis.opendocument.text")
                yield f"a.{ending}\n".encode() + packed.getvalue()
        case "payments":
            for file in sorted((TESTS / "payments").rglob("*.json")):
                yield file.read_bytes()
            yield b'{"id": "evt_1", "type": "invoice.paid", "created": 1, "data": {"object": {}}}'
        case _:
            pass


def _pictures() -> Iterator[bytes]:
    for form in ("PNG", "JPEG", "WEBP"):
        drawn = io.BytesIO()
        Image.new("RGB", (8, 6), "red").save(drawn, form)
        yield drawn.getvalue()
