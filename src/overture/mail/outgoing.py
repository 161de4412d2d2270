"""Writes the mails that are due, and gives them to the post: once each, or again after a crash.

A mail is written with what is true when it goes, not when it was wanted. No transaction is open while
the post has it: a mail server that hangs holds up nothing but mails.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from overture import ids
from overture.actions import accounts, notifying
from overture.actions.accounts import Letter
from overture.actions.notifying import Telling
from overture.clock import Clock
from overture.core import seals
from overture.core.jobs import DONE, Done, Hopeless, Job, Outcome
from overture.core.notifying import How
from overture.core.policy import PolicyBook
from overture.core.replies import Addresses
from overture.core.seals import Secret
from overture.mail import letters, notices
from overture.mail.message import BadAddress, Cover, Letterhead, mail
from overture.mail.notices import Desk, Notice
from overture.mail.post import NoSuchMailbox, Post, Ready
from overture.store import mailboxes, mails
from overture.store import notifying as store
from overture.store.db import Database, Tx
from overture.store.notifying import Mailed
from overture.words import DEFAULT, Words, words_of


@dataclass(frozen=True, slots=True)
class Outgoing:
    """`replies` are the addresses at which mails come back; None where they do not."""

    db: Database
    clock: Clock
    book: PolicyBook
    secret: Secret
    post: Post
    head: Letterhead
    replies: Addresses | None

    async def account_letter(self, job: Job) -> Outcome:
        """A mail about an account. Each try makes a link of its own; of one that did not arrive, nobody
        knows the secret."""

        async def write(tx: Tx) -> tuple[Letter, str, datetime] | None:
            wanted = await mails.wanted(tx, job.key)
            due = wanted and await accounts.letter(tx, wanted, ids.new_secret())
            if wanted is None or due is None:
                return None
            return due, wanted.language, await self.clock.now(tx)

        async def done(tx: Tx) -> None:
            await mails.done(tx, job.key)

        due = await self.db.writing(write)
        if due is None:
            await self.db.writing(done)
            return DONE
        letter, language, now = due
        words = words_of(language, "UTC")
        cover = Cover(name=job.key, at=now, to=letter.to, to_name=letter.name)
        try:
            ready = mail(letters.said(letter, words), cover, words, self.head)
        except BadAddress:
            return NO_ADDRESS
        outcome = await self.post.send(ready)
        if isinstance(outcome, Done):
            await self.db.writing(done)
        return outcome

    async def notice(self, job: Job) -> Outcome:
        """A mail about what happened; or a part of the reader's next digest."""

        async def look(tx: Tx) -> tuple[Telling | None, datetime]:
            now = await self.clock.now(tx)
            return await notifying.news(tx, job.owner, job.payload, now, self.book), now

        telling, now = await self.db.reading(look)
        if telling is None:
            return DONE
        if telling.how is How.DAILY:

            async def keep(tx: Tx) -> None:
                await notifying.keep_for_digest(tx, telling, job.key, job.payload, now)

            await self.db.writing(keep)
            return DONE
        words = _words_for(telling.reader)
        written = notices.notice(telling, job.key, self._desk(words, now))
        return await self._send(written, [telling], words, now)

    async def digest(self, job: Job) -> Outcome:
        """All that waits for the reader since their last one; no mail where nothing does any more."""

        async def look(tx: Tx) -> tuple[list[int], list[Telling], datetime]:
            now = await self.clock.now(tx)
            numbers: list[int] = []
            tellings: list[Telling] = []
            for number, payload in await store.kept(tx, job.owner):
                numbers.append(number)
                telling = await notifying.news(tx, job.owner, payload, now, self.book)
                if telling is not None:
                    tellings.append(telling)
            return numbers, notifying.without_repeats(tellings), now

        numbers, tellings, now = await self.db.reading(look)
        outcome: Outcome = DONE
        if tellings:
            words = _words_for(tellings[0].reader)
            written = notices.digest(tellings, job.key, self._desk(words, now))
            outcome = await self._send(written, tellings, words, now)
        if isinstance(outcome, Done):
            await self.db.writing(lambda tx: store.drop_kept(tx, job.owner, numbers))
        return outcome

    async def _send(
        self, written: Notice, tellings: Sequence[Telling], words: Words, now: datetime
    ) -> Outcome:
        reader = tellings[0].reader
        try:
            ready = self._ready(written, reader, words, now)
        except BadAddress:
            return NO_ADDRESS
        outcome = await self.post.send(ready)

        async def note(tx: Tx) -> None:
            if isinstance(outcome, NoSuchMailbox):
                mailbox = (await mailboxes.of(tx, [reader.member])).get(reader.member)
                if mailbox is not None and mailbox.address == reader.address:
                    await mailboxes.fail(tx, mailbox, outcome.status, now)
            for telling in tellings if isinstance(outcome, Done) else ():
                if (up_to := telling.told_up_to) is not None:
                    await store.told(tx, reader.member, *up_to)

        await self.db.writing(note)
        return outcome

    def _ready(self, written: Notice, reader: Mailed, words: Words, now: datetime) -> Ready:
        """Raises BadAddress."""
        sender = "Overture"
        if written.writer:
            sender = words.gettext("%(name)s via Overture") % {"name": written.writer}
        more: dict[str, str] = {}
        if (ends := written.said.unsubscribe) is not None:
            more["List-Unsubscribe"] = f"<{self.head.public_url}{ends}>"
            more["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        cover = Cover(
            name=written.name,
            at=now,
            to=reader.address,
            to_name=reader.name,
            sender=sender,
            thread=written.thread,
            reply_to=self._reply_to(written, reader),
            returns_to=self._returns_to(reader),
            more=more,
        )
        return mail(written.said, cover, words, self.head)

    def _desk(self, words: Words, now: datetime) -> Desk:
        answerable = self.replies is not None
        return Desk(words, self.book.at(now), self.secret, now, answerable=answerable)

    def _reply_to(self, written: Notice, reader: Mailed) -> str | None:
        if self.replies is None or written.about is None:
            return None
        return self.replies.of(
            seals.for_reply(
                self.secret,
                member=reader.member,
                conversation=written.about,
                address=reader.address,
            )
        )

    def _returns_to(self, reader: Mailed) -> str | None:
        if self.replies is None:
            return None
        seal = seals.for_bounce(self.secret, member=reader.member, address=reader.address)
        return self.replies.of(seal)


NO_ADDRESS = Hopeless("It has an address that no mail can be sent to.")


def _words_for(reader: Mailed) -> Words:
    return words_of(reader.language or DEFAULT, reader.time_zone)
