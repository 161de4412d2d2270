"""A town whose members read their mail: what came to whom, as a mail program shows it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import cast

from overture import ids
from overture.actions import members, network
from overture.core.conversations import Message
from overture.core.ids import ConversationId, InvitationId, MemberId, MessageId
from overture.core.sending import Done, Start, Write
from overture.jobs.runner import Runner
from overture.store import accounts
from overture.store.db import Tx, all_rows
from overture.store.members import Display
from tests.cast import Town


@dataclass
class Mailtown:
    """Mails lie in the folder until they are read here."""

    town: Town
    folder: Path
    runner: Runner
    addresses: dict[MemberId, str] = field(default_factory=dict)

    async def member(
        self,
        handle: str,
        name: str = "",
        *,
        language: str | None = None,
        time_zone: str = "UTC",
        verified: bool = True,
        **plans: str,
    ) -> MemberId:
        """Someone with an account at HANDLE@example.org, which they have shown to be theirs."""
        made = members.NewMember(
            MemberId(ids.new()), handle, name or handle.title(), time_zone=time_zone
        )
        address = f"{handle}@example.org"

        async def join(tx: Tx) -> None:
            profile = await members.create(tx, made, self.town.now)
            assert isinstance(profile, members.Profile), profile
            await accounts.take_address(tx, address, made.id)
            await accounts.add(tx, made.id, email=address, password="-", verified=verified)
            await members.change_display(tx, made.id, Display(language, None, True), self.town.now)

        await self.town.do(join)
        self.addresses[made.id] = address
        for pool, plan in plans.items():
            await self.town.chooses(made.id, pool, plan)
        await self.passes()
        _ = self.opened(made.id)
        return made.id

    async def passes(self, **duration: float) -> None:
        """Time passes, and whatever falls due is done."""
        await self.runner.play(self.town.pass_by(**duration))

    def opened(self, by: MemberId | None = None) -> list[EmailMessage]:
        """The mails that have come since they were last opened, of one member or of all."""
        found = [(file, mail_in(file)) for file in self.folder.glob("*.eml")]
        # A disk's clock ticks too slowly to tell which came first.
        found.sort(key=lambda each: (each[1]["date"].datetime, each[0].stat().st_mtime_ns))
        mails: list[EmailMessage] = []
        for file, mail in found:
            (to,) = mail["to"].addresses
            if by is None or to.addr_spec == self.addresses[by]:
                mails.append(mail)
                file.unlink()
        return mails

    async def one(self, by: MemberId) -> EmailMessage:
        """The one mail that has come to a member, once what is due was done."""
        await self.passes()
        (mail,) = self.opened(by)
        return mail

    async def none(self, by: MemberId) -> bool:
        await self.passes()
        return self.opened(by) == []

    # What members do ----------------------------------------------------------------------------

    async def sends(
        self,
        sender: MemberId,
        to: MemberId,
        body: str = "May I ask you something?",
        subject: str = "",
    ) -> ConversationId:
        conversation = ConversationId(ids.new())
        start = Start(sender, to, conversation, MessageId(ids.new()), body, subject)
        done = await self.town.acts(start)
        assert isinstance(done, Done), done
        return done.conversation.id

    async def writes(self, writer: MemberId, conversation: ConversationId, body: str) -> Message:
        done = await self.town.acts(Write(writer, conversation, MessageId(ids.new()), body))
        assert isinstance(done, Done), done
        assert done.message is not None
        return done.message

    async def invites(self, inviter: MemberId, to: MemberId, note: str = "") -> InvitationId:
        invitation = InvitationId(ids.new())
        await self.town.do(
            lambda tx: network.invite(
                tx, inviter, to, note=note, invitation_id=invitation, now=self.town.now
            )
        )
        return invitation

    async def wants(self, member: MemberId, changes: members.MailChanges) -> None:
        await self.town.do(
            lambda tx: members.change_mail_preferences(tx, member, changes, self.town.now)
        )

    async def rows(self, statement: str) -> Sequence[tuple[object, ...]]:
        return await self.town.look(lambda tx: all_rows(tx, statement))  # type: ignore[arg-type]


def links_of(mail: EmailMessage) -> list[str]:
    """Where its HTML leads to, in order."""
    return re.findall(r'href="([^"]+)"', html_of(mail))


def says(mail: EmailMessage, *sentences: str) -> bool:
    """Whether both forms of a mail have all of these."""
    shown = re.sub(r"<(style|title)\b.*?</\1>", " ", html_of(mail), flags=re.DOTALL)
    shown = " ".join(re.sub(r"<[^>]+>", " ", shown).split())
    plain = " ".join(re.sub(r"^> ", "", text_of(mail), flags=re.MULTILINE).split())
    return all(each in shown and each in plain for each in sentences)


def mail_in(file: Path) -> EmailMessage:
    return cast("EmailMessage", message_from_bytes(file.read_bytes(), policy=default))


def mails_in(folder: Path) -> list[EmailMessage]:
    """What was written into a folder, in the order of the names."""
    return [mail_in(file) for file in sorted(folder.glob("*.eml"))]


def text_of(mail: EmailMessage) -> str:
    """What a person reads who reads plain text."""
    body = mail.get_body(("plain",))
    assert body is not None
    return cast("str", body.get_content()).replace("\r\n", "\n")


def html_of(mail: EmailMessage) -> str:
    body = mail.get_body(("html",))
    assert body is not None
    return cast("str", body.get_content())
