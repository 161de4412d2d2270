"""A town whose mail server hands mail over: what the tests of mail that comes in share."""

from __future__ import annotations

import asyncio
import re
import smtplib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path

from overture.clock import TestClock, real_now
from overture.context import share
from overture.core import seals
from overture.core.conversations import State
from overture.core.ids import ConversationId, MemberId
from overture.core.refusals import Refusal
from overture.core.replies import addresses
from overture.mail.incoming.listener import listening
from overture.mail.incoming.taking import Intake
from overture.store import accounts, inbox, installation
from overture.store.db import all_rows, one_row
from tests.cast import SIGN_UP, Town
from tests.work import SECRET

CORPUS = Path(__file__).parent / "corpus"
OURS = addresses("r+*@inmail.example.org")
URL = "https://inmail.example.org"
GRACE = "grace@example.net"


@dataclass
class Post:
    """A town whose mail server hands mail over: Ada has written to Grace."""

    town: Town
    intake: Intake
    ada: MemberId
    grace: MemberId
    letter: ConversationId
    port: int = 0

    def reply_to(
        self, conversation: ConversationId | None = None, *, secret=SECRET, **other
    ) -> str:
        """The address that Grace's mail about the letter can be answered to."""
        meant = {"member": self.grace, "address": GRACE} | other
        here = conversation or self.letter
        return OURS.of(seals.for_reply(secret, conversation=here, **meant))

    def returns_to(self, **other) -> str:
        meant = {"member": self.grace, "address": GRACE} | other
        return OURS.of(seals.for_bounce(SECRET, **meant))

    async def hands_over(
        self, mail: EmailMessage | bytes, to: str, sender: str = GRACE, *, lmtp: bool = True
    ) -> tuple[int, str]:
        """What the mail server is told, as a status and the rest."""
        raw = mail if isinstance(mail, bytes) else mail.as_bytes(policy=SMTP)
        return await asyncio.to_thread(self._bring, raw, to, sender, lmtp)

    def _bring(self, raw: bytes, to: str, sender: str, lmtp: bool) -> tuple[int, str]:
        kind = smtplib.LMTP if lmtp else smtplib.SMTP
        with kind("127.0.0.1", self.port) as client:
            client.ehlo_or_helo_if_needed()
            code, said = client.mail(sender)
            assert code == 250, said
            code, said = client.rcpt(to)
            if code == 250:
                code, said = client.data(raw)
            return code, said.decode()

    async def messages(self, conversation: ConversationId | None = None) -> list[str]:
        rows = await self.town.look(
            lambda tx: all_rows(
                tx,
                "select body from messages where conversation_id = %s order by number",
                (conversation or self.letter,),
            )
        )
        return [row[0] for row in rows]

    async def state(self) -> State:
        thread = await self.town.look(lambda tx: inbox.one(tx, self.grace, self.letter))
        assert thread is not None
        return thread.row.state

    async def refunds(self) -> int:
        row = await self.town.look(
            lambda tx: one_row(tx, "select count(*) from ledger_entries where kind = 'refund'")
        )
        assert row is not None
        return row[0]

    async def nothing_happened(self) -> bool:
        return (await self.messages(), await self.state(), await self.refunds()) == (
            ["Hello"],
            State.PENDING,
            0,
        )


@asynccontextmanager
async def opened(town: Town, **how) -> AsyncIterator[Post]:
    await town.do(lambda tx: installation.set_test_clock(tx, SIGN_UP))
    ada = await town.member("ada", premium="premium_career")
    grace = await town.member("grace", premium="premium_career")
    await gets_address(town, grace, GRACE)
    letter = await town.sends(ada, grace)
    assert not isinstance(letter, Refusal)

    async def play(until: datetime) -> None:
        raise AssertionError("nobody moves the clock here")

    shared = share(town.db, TestClock(), town.book, play)
    intake = Intake(shared, SECRET, OURS, URL, ends=("@inmail.example.org",), **how)
    with socket.create_server(("127.0.0.1", 0)) as free:
        free.setblocking(False)
        async with listening(intake, free):
            yield Post(town, intake, ada, grace, letter, free.getsockname()[1])
        await shared.sends.drain()


async def gets_address(town: Town, member: MemberId, address: str) -> None:
    await town.do(lambda tx: accounts.take_address(tx, address, member))
    await town.do(lambda tx: accounts.add(tx, member, email=address, password="-", verified=True))


def mail(text: str = "Yes, gladly.\n", name: str = "1", **headers: str) -> EmailMessage:
    """As Python's own library composes it."""
    made = EmailMessage()
    made["From"] = headers.pop("sender", f"Grace <{GRACE}>")
    made["To"] = headers.pop("to", "Ada <r+x@inmail.example.org>")
    made["Subject"] = headers.pop("subject", "Re: A press shop in Turku")
    made["Date"] = headers.pop("date", format_datetime(real_now()))
    made["Message-ID"] = f"<{name}@example.net>"
    for header, value in headers.items():
        made[header.replace("_", "-")] = value
    made.set_content(text)
    return made


def from_corpus(name: str, to: str) -> bytes:
    """A mail of the corpus as if it had been written today, to this address."""
    raw = (CORPUS / f"{name}.eml").read_bytes()
    today = format_datetime(real_now()).encode()
    raw = re.sub(rb"(?m)^Date: [^\r\n]*", b"Date: " + today, raw)
    return re.sub(rb"r\+[a-z2-7]{52,61}@inmail\.example\.org", to.encode(), raw)
