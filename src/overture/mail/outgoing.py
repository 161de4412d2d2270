"""Writes the mails that are due, and gives them to the post: once each, or again after a crash.

A mail is written with what is true when it goes, not when it was wanted. No transaction is open while
the post has it: a mail server that hangs holds up nothing but mails.
"""

from dataclasses import dataclass
from datetime import datetime

from overture import ids
from overture.actions import accounts
from overture.actions.accounts import Letter
from overture.clock import Clock
from overture.core.jobs import DONE, Done, Hopeless, Job, Outcome
from overture.mail import letters
from overture.mail.message import BadAddress, Cover, Letterhead, mail
from overture.mail.post import Post
from overture.store import mails
from overture.store.db import Database, Tx
from overture.words import words_of


@dataclass(frozen=True, slots=True)
class Outgoing:
    db: Database
    clock: Clock
    post: Post
    head: Letterhead

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


NO_ADDRESS = Hopeless("It has an address that no mail can be sent to.")
