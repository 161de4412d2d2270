"""Mail handed over by a mail server: LMTP and SMTP on one socket, by which one greets.

A mail has one recipient over SMTP, and may have several over LMTP, which has an answer for each.
Nothing is relayed: addresses without a good seal are refused before the mail is sent at all.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from aiosmtpd.smtp import SMTP, Envelope, Session
from typing_extensions import override

from overture.mail.incoming.reading import MAIL_BYTES_MAX
from overture.mail.incoming.taking import Fate, Intake, Told

CONNECTIONS_MAX = 50
# Mails that are in memory at once; others wait before they are sent.
MAILS_MAX = 6
RECIPIENTS_MAX = 20
# For a command, and for a whole mail.
SECONDS = 60.0
MAIL_SECONDS = 300.0
# How long mails under way are waited for at the end.
DRAIN_SECONDS = 2.0
_LINE_BYTES = 64 * 1024
_ANSWER_CHARS_MAX = 450

_log = logging.getLogger("overture.mail")


@dataclass(slots=True)
class Door:
    """What all connections share."""

    intake: Intake
    connections: set["_Conversation"] = field(default_factory=set["_Conversation"])
    room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAILS_MAX))
    # Set where there is no connection.
    empty: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.empty.set()

    async def handle_RCPT(  # noqa: N802  so the library calls it
        self,
        server: "_Conversation",
        _session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        most = RECIPIENTS_MAX if server.is_lmtp else 1
        if len(envelope.rcpt_tos) >= most:
            return "452 4.5.3 One recipient at a time"
        told = await self.intake.refusal(address)
        if told is not None:
            return answer(told, self.intake.public_url)
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_EHLO(  # noqa: N802
        self,
        _server: "_Conversation",
        session: Session,
        _envelope: Envelope,
        hostname: str,
        responses: list[str],
    ) -> list[str]:
        session.host_name = hostname
        return [*responses[:-1], "250-PIPELINING", "250-ENHANCEDSTATUSCODES", responses[-1]]

    async def handle_exception(self, error: Exception) -> str:
        # Once, and without what was said: it holds addresses and texts.
        _log.error("taking a mail in failed", exc_info=error)
        return "451 4.3.0 Something went wrong here. Try again later"


@asynccontextmanager
async def listening(intake: Intake, listener: socket.socket) -> AsyncGenerator[None]:
    """Takes mail in on this socket meanwhile; mails under way at the end are finished first."""
    door = Door(intake)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Conversation(door), sock=listener)
    try:
        yield
    finally:
        server.close()
        await _drain(door)


def answer(told: Told, public_url: str) -> str:
    """What a mail server is told, in one line of ASCII, as older ones want it."""
    status = {Fate.REFUSED: "550", Fate.LATER: "451"}.get(told.fate, "250")
    where = f" {public_url}{told.where}" if told.where else ""
    said = f"{status} {told.code} {' '.join(told.sentence.translate(_PLAIN).split())}{where}"
    return said.encode("ascii", "replace").decode()[:_ANSWER_CHARS_MAX]


async def _drain(door: Door) -> None:
    for each in list(door.connections):
        each.end_soon()
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            await door.empty.wait()
    for each in list(door.connections):
        each.end()


class _Conversation(SMTP):
    """One connection. Reads a mail itself: what comes is counted before it is kept, and kept as one."""

    line_length_limit = _LINE_BYTES

    def __init__(self, door: Door) -> None:
        super().__init__(
            door,
            data_size_limit=MAIL_BYTES_MAX,
            enable_SMTPUTF8=True,
            hostname="overture",
            ident="mail for Overture",
            timeout=SECONDS,
            auth_exclude_mechanism=("LOGIN", "PLAIN"),
            loop=asyncio.get_running_loop(),
        )
        self._door = door
        self._busy = False
        self._ending = False
        self.is_lmtp = False

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._door.connections.add(self)
        self._door.empty.clear()

    @override
    def connection_lost(self, error: Exception | None) -> None:
        self._door.connections.discard(self)
        if not self._door.connections:
            self._door.empty.set()
        super().connection_lost(error)

    @override
    async def _handle_client(self) -> None:
        if len(self._door.connections) > CONNECTIONS_MAX:
            await self.push("421 4.3.2 Too many connections. Try again later")
            self.end()
            return
        await super()._handle_client()

    async def smtp_LHLO(self, arg: str) -> None:  # noqa: N802
        self.is_lmtp = True
        await super().smtp_EHLO(arg)

    @override
    async def smtp_EHLO(self, hostname: str) -> None:
        self.is_lmtp = False
        await super().smtp_EHLO(hostname)

    @override
    async def smtp_DATA(self, arg: str) -> None:
        if await self.check_helo_needed():
            return
        envelope = self.envelope
        if envelope is None or not envelope.rcpt_tos:
            await self.push("503 5.5.1 Nobody to bring it to: RCPT comes first")
            return
        if arg:
            await self.push("501 5.5.4 Syntax: DATA")
            return
        self._busy = True
        try:
            async with self._door.room:
                for each in await self._answers(envelope):
                    await self.push(each)
        finally:
            self._busy = False
            self._set_post_data_state()
        if self._ending:
            self.end()

    async def _answers(self, envelope: Envelope) -> list[str]:
        """The answer for each recipient; over SMTP there is one."""
        self._reset_timeout(MAIL_SECONDS)
        await self.push("354 Go on; a line with a dot alone ends the mail")
        content = await self._content()
        self._reset_timeout(MAIL_SECONDS)
        recipients = list(envelope.rcpt_tos)
        if content is None:
            too_large = f"552 5.3.4 A mail has at most {MAIL_BYTES_MAX} bytes"
            return [too_large] * len(recipients)
        path = envelope.mail_from or ""
        return_path = "" if path == "<>" else path
        intake = self._door.intake
        return [
            answer(await intake.take(content, recipient, return_path), intake.public_url)
            for recipient in recipients
        ]

    async def _content(self) -> bytes | None:
        """The mail; None for one that is too large, which is read to its end all the same.

        Only a dot between two whole line ends ends it: who takes less for an end takes a mail within a
        mail for one that came by itself.
        """
        content = bytearray()
        begins, too_large = True, False
        while True:
            try:
                piece = await self._reader.readuntil(b"\r\n")
            except asyncio.LimitOverrunError as longer:
                piece = await self._reader.readexactly(longer.consumed)
            if begins and piece == b".\r\n":
                return None if too_large else bytes(content)
            if begins and piece.startswith(b"."):
                piece = piece[1:]
            begins = piece.endswith(b"\r\n")
            too_large = too_large or len(content) + len(piece) > MAIL_BYTES_MAX
            if too_large:
                content.clear()
            else:
                content += piece

    def end_soon(self) -> None:
        """Ends the connection, after the mail that is under way."""
        self._ending = True
        if not self._busy:
            self.end()

    def end(self) -> None:
        if self.transport is not None:
            self.transport.close()


# What sentences for people have, and old mail servers do not.
_PLAIN = str.maketrans({"“": '"', "”": '"', "’": "'", "‘": "'", "–": "-", "×": "x", "…": "..."})
