"""What concerns the safety of accounts stands in the audit log, once each, without addresses."""

from __future__ import annotations

from overture.actions import closing
from overture.core.sending import Event
from overture.store import audit, outbox
from tests.jobs.conftest import Worked


async def test_security_events_are_noted_once(worked: Worked):
    ada = await worked.town.member("ada")
    signed_in = Event(ada, "account.signed_in", worked.town.now, {"session": "s"})
    await worked.town.do(lambda tx: outbox.tell(tx, [signed_in]))
    await worked.passes(days=1)
    await worked.town.do(lambda tx: closing.close(tx, ada, worked.town.now, worked.town.book))

    await worked.passes(days=1)
    await worked.passes(days=1)

    noted = (await worked.town.look(lambda tx: audit.newest(tx, cursor=None, limit=10))).items
    assert [(each.action, each.actor, each.member) for each in reversed(noted)] == [
        ("account.signed_in", f"member:{ada}", ada),
        ("member.closed", f"member:{ada}", ada),
    ]
    assert noted[-1].at < noted[0].at
    assert noted[-1].detail == {"session": "s"}
