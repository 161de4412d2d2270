"""Writes the mails that are wanted, and gives them to the post: once each, or again after a crash."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from email.errors import MessageError

from overture import ids
from overture.actions.accounts import letter
from overture.mail.letters import Gettext, message
from overture.mail.post import Post
from overture.store import mails
from overture.store.db import Database, Tx, Unavailable

# How soon a mail goes out, and how soon it is tried again where it could not.
EVERY_SECONDS = 1
AGAIN_SECONDS = 30

_log = logging.getLogger("overture.mail")


@dataclass(frozen=True, slots=True)
class Outgoing:
    """`gettext` gives the words of a language; links begin with `public_url`."""

    db: Database
    post: Post
    gettext: Callable[[str], Gettext]
    public_url: str

    async def run(self) -> None:
        """Writes and sends, until it is cancelled."""
        while True:
            wait = EVERY_SECONDS
            try:
                while await self.one():
                    pass
            except Unavailable:
                wait = AGAIN_SECONDS
            except Exception:  # noqa: BLE001  the next one may well go out
                _log.exception("a mail could not be sent; it is tried again")
                wait = AGAIN_SECONDS
            await asyncio.sleep(wait)

    async def one(self) -> bool:
        """Sends the mail that waits for longest; False where none does.

        It is taken off the list once the post has it, in one transaction with its link.
        """
        return await self.db.writing(self._one)

    async def _one(self, tx: Tx) -> bool:
        wanted = await mails.next_one(tx)
        if wanted is None:
            return False
        due = await letter(tx, wanted, ids.new_secret())
        if due is not None:
            words = self.gettext(wanted.language)
            try:
                mail = message(due, words, public_url=self.public_url, name=wanted.id)
            except (ValueError, MessageError):
                _log.warning("mail %s has an address that no mail can be sent to", wanted.id)
            else:
                await self.post.send(mail, wanted.id)
        await mails.done(tx, wanted.id)
        return True
