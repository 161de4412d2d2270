"""What whoever runs the installation is written, at the address that a setting names."""

import logging
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

import msgspec

from overture.actions.webhooks import Disabled
from overture.clock import Clock
from overture.core.jobs import DONE, Hopeless, Job, Outcome
from overture.mail.message import BadAddress, Cover, Letterhead, mail
from overture.mail.post import Post
from overture.mail.said import Facts, Said, Text
from overture.store import webhooks
from overture.store.db import Database, Tx
from overture.store.webhooks import Endpoint
from overture.words import DEFAULT, Words, words_of

_log = logging.getLogger("overture.mail")


@dataclass(frozen=True, slots=True)
class ToOperator:
    """`address` None: nobody is written to, and the log alone tells."""

    db: Database
    clock: Clock
    post: Post
    head: Letterhead
    address: str | None

    async def letter(self, job: Job) -> Outcome:
        """That an endpoint of webhooks was disabled; nothing where it is gone or works again."""
        told = _disabled(job.payload)

        async def look(tx: Tx) -> tuple[Endpoint | None, datetime]:
            return await webhooks.one(tx, told.endpoint_id), await self.clock.now(tx)

        endpoint, now = await self.db.reading(look)
        if endpoint is None or endpoint.disabled_why is None:
            return DONE
        _log.warning("the endpoint %s was disabled: %s", endpoint.id, endpoint.disabled_why)
        if self.address is None:
            return DONE
        words = words_of(DEFAULT, "UTC")
        cover = Cover(name=told.id, at=now, to=self.address, to_name="")
        try:
            ready = mail(_said(endpoint, words), cover, words, self.head)
        except BadAddress:
            return Hopeless("The operator's address is none that mail can be sent to.")
        return await self.post.send(ready)


def _said(endpoint: Endpoint, words: Words) -> Said:
    _ = words.gettext
    assert endpoint.disabled_at is not None, "what was disabled says since when"
    assert endpoint.disabled_why is not None, "what disabled itself says why"
    where = urlsplit(endpoint.url)
    facts = [
        # What stands after it may be a secret of the receiver's.
        (_("Address"), f"{where.scheme}://{where.netloc}{where.path}"),
        (_("Endpoint"), endpoint.id),
        (_("Disabled since"), words.moment(endpoint.disabled_at)),
    ]
    subject = _("An endpoint of webhooks was disabled")
    return Said(
        subject=subject,
        preview=endpoint.disabled_why,
        heading=subject,
        parts=[
            Text(endpoint.disabled_why),
            Facts(facts),
            Text(
                _(
                    "What was on its way to it waits; what happens from now on is not kept for it. "
                    "Once it works again, enable it, and replay what it missed since then: "
                    "docs/webhooks.md says how."
                )
            ),
        ],
        why=_("This mail is for whoever runs this installation of Overture."),
    )


_disabled = msgspec.json.Decoder(Disabled).decode
