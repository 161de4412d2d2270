"""Drops what need not be kept any longer, now and then: what is over, and what the settings limit."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from overture import ids
from overture.app import Installation
from overture.clock import real_now
from overture.core.suspicions import LETTERS_WINDOW
from overture.mail.forgetting import Forgetting
from overture.settings import Settings
from overture.store import (
    accounts,
    audit,
    idempotency,
    mail_counts,
    outbox,
    payments,
    reports,
    suspicions,
    webhooks,
)
from overture.store.db import Tx, Unavailable

log = logging.getLogger(__name__)

_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Keeping:
    """For how many days things are kept; 0 for ever. `mails` are those in the folder."""

    outbox: int
    deliveries: int
    reports: int
    audit: int
    mails: int


def keeping_of(settings: Settings) -> Keeping:
    return Keeping(
        outbox=settings.outbox_days,
        deliveries=settings.deliveries_days,
        reports=settings.reports_days,
        audit=settings.audit_days,
        mails=settings.mail_folder_days,
    )


async def keep_house(installation: Installation, keeping: Keeping, mail_folder: Path) -> None:
    """Until it is cancelled; not at the same moments in every process."""
    while True:
        await asyncio.sleep(_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311
        try:
            await tidy(installation, keeping, mail_folder)
        except Unavailable:
            log.info("the database was away when what is over was to be dropped")
        except OSError as problem:
            log.warning("mails in the folder could not be dropped: %s", problem.strerror)


async def tidy(installation: Installation, keeping: Keeping, mail_folder: Path) -> None:
    """Drops what may go by now. Raises Unavailable, OSError."""
    db = installation.db
    await db.writing(idempotency.forget_old)
    await db.writing(accounts.prune)
    await db.writing(payments.forget_old)
    await db.writing(mail_counts.forget_old)
    if keeping.deliveries:
        await db.writing(lambda tx: webhooks.forget_old(tx, timedelta(days=keeping.deliveries)))
    if keeping.mails:
        await Forgetting(mail_folder).older_than(real_now() - timedelta(days=keeping.mails))
    if keeping.outbox:
        await _bit_by_bit(installation, keeping.outbox, outbox.forget_before)
    if keeping.reports:
        await _bit_by_bit(installation, keeping.reports, reports.forget_before)
    await _bit_by_bit(installation, LETTERS_WINDOW.days + 1, suspicions.forget_before)
    if keeping.audit:

        async def seal(tx: Tx) -> None:
            now = await installation.clock.now(tx)
            await audit.forget_before(tx, now - timedelta(days=keeping.audit), ids.new(), now)

        await db.writing(seal)


async def _bit_by_bit(
    installation: Installation, days: int, forget: Callable[..., Awaitable[int]]
) -> None:
    """Drops what happened so many days ago, by the members' clock, in transactions of their own."""

    async def bit(tx: Tx) -> int:
        now = await installation.clock.now(tx)
        return await forget(tx, now - timedelta(days=days))

    while await installation.db.writing(bit):
        pass
