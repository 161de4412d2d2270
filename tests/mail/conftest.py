"""A mail server on this machine, and what it was given."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any, cast

import pytest
import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from overture.mail.smtp import Smtp
from overture.store import installation
from tests.cast import SIGN_UP, town_in
from tests.mail.town import Mailtown
from tests.running import PATIENCE
from tests.work import runner_in

# What a server answers to a step instead of doing it: by the step's name in the handler.
Answers = dict[str, str]


@dataclass
class Taken:
    """A mail as the server has it."""

    sender: str
    to: str
    message: EmailMessage
    over_tls: bool


@dataclass
class Server:
    """A mail server. `answers` has what it says to MAIL, RCPT and DATA, where that is not yes; `hangs`
    keeps it from ever answering a DATA, and `hangs_for` one to these; `held` are to whom it holds any
    right now."""

    port: int = 0
    taken: list[Taken] = field(default_factory=list)
    answers: Answers = field(default_factory=dict)
    hangs: bool = False
    hangs_for: set[str] = field(default_factory=set)
    held: list[str] = field(default_factory=list)

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        return self.answers.get("MAIL", "250 OK")

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.rcpt_tos.append(address)
        return self.answers.get("RCPT", "250 OK")

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        if self.hangs or self.hangs_for.intersection(envelope.rcpt_tos):
            await self._hold(envelope.rcpt_tos)
        if "DATA" in self.answers:
            return self.answers["DATA"]
        content = cast("bytes", envelope.content)
        message = cast("EmailMessage", message_from_bytes(content, policy=default))
        assert content.isascii(), "it was said to be of seven bits"
        assert envelope.mail_from is not None
        (to,) = envelope.rcpt_tos
        self.taken.append(Taken(envelope.mail_from, to, message, session.ssl is not None))
        return "250 OK"

    async def _hold(self, those: list[str]) -> None:
        """Until whoever asks goes away."""
        self.held += those
        try:
            await asyncio.Event().wait()
        finally:
            for each in those:
                self.held.remove(each)


@dataclass(frozen=True)
class Certificates:
    """Of a server called localhost, and the file of who vouches for it."""

    server: ssl.SSLContext
    trusted: str


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    file = tmp_path_factory.mktemp("trusted") / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    return Certificates(context, str(file))


@asynccontextmanager
async def listening(
    certificates: Certificates | None, *, password: str | None = None, tls: bool = False
) -> AsyncIterator[Server]:
    """A mail server; with certificates it takes mails over STARTTLS alone, or over TLS."""
    made = Server()

    def authenticate(
        server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        fits = isinstance(data, LoginPassword) and data.password == (password or "").encode()
        return AuthResult(success=fits, handled=False)

    protocols: list[SMTP] = []

    def connected() -> SMTP:
        protocols.append(
            SMTP(
                made,
                hostname="localhost",
                require_starttls=certificates is not None and not tls,
                tls_context=certificates.server if certificates and not tls else None,
                authenticator=authenticate if password else None,
                auth_required=password is not None,
            )
        )
        return protocols[-1]

    loop = asyncio.get_running_loop()
    context = certificates.server if certificates and tls else None
    server = await loop.create_server(connected, "localhost", 0, ssl=context)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for each in protocols:
            if each.transport is not None:
                each.transport.abort()
        # Each transport closes its socket a few turns of the loop later.
        await asyncio.sleep(0.01)


@pytest.fixture
async def server(certificates: Certificates) -> AsyncIterator[Server]:
    """It takes mails over STARTTLS."""
    async with listening(certificates) as made:
        yield made


@pytest.fixture
def smtp_to(certificates: Certificates) -> Callable[..., Smtp]:
    """`smtp_to(server)` gives mails to this server."""

    def to(server: Server, **more: Any) -> Smtp:
        given = {
            "host": "localhost",
            "port": server.port,
            "security": "starttls",
            "user": None,
            "password": None,
            "hello": "overture.example",
            "seconds": PATIENCE,
            "trusted": certificates.trusted,
        }
        return Smtp(**(given | more))

    return to


@pytest.fixture
async def mailtown(database_url: str, tmp_path: Path) -> AsyncIterator[Mailtown]:
    """A town whose mails can be answered, and lie in a folder."""
    async with town_in(database_url) as town:
        await town.do(lambda tx: installation.set_test_clock(tx, SIGN_UP))
        folder = tmp_path / "mail"
        runner = runner_in(town, folder, reply_address="r+*@inmail.example.org")
        yield Mailtown(town, folder, runner)
