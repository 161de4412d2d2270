"""The mail that says why a reply was not taken, where no mail server says it."""

from dataclasses import dataclass, replace
from hashlib import sha256

from overture.clock import Clock
from overture.core.jobs import Again
from overture.mail.incoming.taking import Told
from overture.mail.message import BadAddress, Cover, Letterhead, mail
from overture.mail.post import Post
from overture.mail.said import Button, Buttons, Said, Text
from overture.store import mailboxes
from overture.store.db import Database, Tx
from overture.store.mailboxes import Mailbox
from overture.words import DEFAULT, Words, words_of


@dataclass(frozen=True, slots=True)
class Returning:
    """Writes to the member whose reply it was: at their own address, whatever the mail says."""

    db: Database
    clock: Clock
    post: Post
    head: Letterhead

    async def give_back(self, told: Told, name: str) -> bool:
        """Whether that is done with; else it is to be tried again. `name` is the mail's own here."""
        member = told.member
        if member is None:
            return True

        async def look(tx: Tx) -> Mailbox | None:
            return (await mailboxes.of(tx, [member])).get(member)

        mailbox = await self.db.reading(look)
        if mailbox is None or mailbox.failing:
            return True
        words = words_of(mailbox.language or DEFAULT, "UTC")
        cover = Cover(
            name=sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:32],
            at=await self.db.reading(self.clock.now),
            to=mailbox.address,
            to_name=mailbox.name,
        )
        try:
            ready = mail(_said(told, words), cover, words, self.head)
        except BadAddress:
            return True
        # Nobody is told when it cannot be delivered, so that nothing goes to and fro for ever.
        return not isinstance(await self.post.send(replace(ready, returns_to="")), Again)


def _said(told: Told, words: Words) -> Said:
    _ = words.gettext
    sentence = words.say(told.sentence)
    return Said(
        subject=_("Your reply was not taken"),
        preview=sentence,
        heading=_("Your reply was not taken"),
        parts=[
            Text(_("You replied to one of our mails, and the reply could not be taken:")),
            Text(sentence),
            *([Buttons([Button(_("Open the conversation"), told.where)])] if told.where else ()),
        ],
        why=_("You get this mail because a reply came to an address that was made for you alone."),
    )
