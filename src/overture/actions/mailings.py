"""What the operator is told of mails: counted as they go and come, and an address, for a reason."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from overture.actions.fields import Fields, Invalid
from overture.core import text
from overture.core.ids import MemberId
from overture.core.refusals import Refusal
from overture.store import accounts, audit, mail_counts, mailboxes
from overture.store.db import Database, Tx, Unavailable
from overture.store.mail_counts import Came


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a member's mail goes, and what they sign in as, mostly the same; None for none."""

    mail: str | None
    signs_in_as: str | None


async def count(db: Database, came: Came, why: str = "") -> None:
    """Counts a mail in a transaction of its own; while the database is away, none."""
    with suppress(Unavailable):
        await db.writing(lambda tx: mail_counts.add(tx, came, why))


async def show_address(
    tx: Tx, member: MemberId, *, reason: str, actor: str, audit_id: str, now: datetime
) -> Addresses | Refusal | Invalid:
    """A member's addresses in whole, for a reason that stands in the audit log."""
    fields = Fields()
    clean = fields.take("reason", text.body(reason, text.NOTE_CHARS_MAX))
    if (invalid := fields.invalid) is not None:
        return invalid
    mailbox = (await mailboxes.of(tx, [member])).get(member)
    account = await accounts.of(tx, member)
    if mailbox is None and account is None:
        return Refusal.NO_SUCH_MEMBER
    detail = {"reason": clean}
    await audit.record(
        tx, audit_id, now, actor=actor, action="address.shown", member=member, detail=detail
    )
    return Addresses(mailbox and mailbox.address, account and account.email)
