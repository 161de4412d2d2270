"""Ids, each with its own type, so that a conversation is never passed for a member.

All are UUIDs written as text. They are made at the edge (`overture.edge`), never here and never in
SQL, so that a retried write carries the same ones.
"""

from datetime import UTC, datetime, timedelta
from typing import NewType
from uuid import UUID, uuid5

MemberId = NewType("MemberId", str)
ConversationId = NewType("ConversationId", str)
MessageId = NewType("MessageId", str)
InvitationId = NewType("InvitationId", str)
ReportId = NewType("ReportId", str)
DecisionId = NewType("DecisionId", str)
ComplaintId = NewType("ComplaintId", str)
TokenId = NewType("TokenId", str)
PasskeyId = NewType("PasskeyId", str)
FileId = NewType("FileId", str)
EntryId = NewType("EntryId", str)
EndpointId = NewType("EndpointId", str)


def made_at(id: str) -> datetime:
    """When an id was made, by the real clock of the edge: a UUIDv7 begins with the milliseconds."""
    return _EPOCH + timedelta(milliseconds=int(id[:8] + id[9:13], 16))


def first_of(at: datetime) -> str:
    """No id that was made from this instant on sorts before this one."""
    return str(UUID(int=(at - _EPOCH) // timedelta(milliseconds=1) << 80))


def audit_id(event: int) -> str:
    """The id of the entry in the audit log that an event of the outbox makes."""
    return str(uuid5(_AUDIT, str(event)))


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_AUDIT = UUID("6f4a7f0e-6d2b-5f3c-9a55-0d6f5a1c3b11")


def entry_id(owner: MemberId, pool: str, number: int) -> EntryId:
    """The id of a ledger entry: the same whether the entry is stored yet or computed."""
    return EntryId(str(uuid5(UUID(owner), f"{pool}/{number}")))
