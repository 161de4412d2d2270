"""Operations on a member's account as a whole: take everything along, and leave."""

from overture.actions.closing import close
from overture.api.operation import Call, Raw, operation
from overture.core.refusals import Refusal

TAG = "Members"


@operation(
    "GET",
    "/me/export",
    summary="Everything about the caller",
    tag=TAG,
    media_type="application/zip",
    transaction=False,
    while_suspended=True,
)
async def export_me(call: Call) -> Raw:
    """A zip of JSON files, of one moment; README.txt in it says what each holds."""
    packed = await call.context.export(call.viewer)
    return Raw(
        packed,
        {
            "Content-Type": "application/zip",
            "Content-Disposition": 'attachment; filename="overture-export.zip"',
        },
    )


@operation(
    "DELETE",
    "/me",
    summary="Close the account",
    tag=TAG,
    refusals={Refusal.NO_SUCH_MEMBER: 404},
    while_suspended=True,
)
async def close_me(call: Call) -> Refusal | None:
    """Closes the account for good and erases the personal data; the ledger stays, without a name.

    Pending InMails that the caller sent are withdrawn, those received cannot be delivered and are
    refunded by the rules. Connections, invitations and subscriptions end, every token is revoked.
    Threads stay readable for the other side.
    """
    closed = await close(call.tx, call.viewer, call.now, call.book)
    return closed if isinstance(closed, Refusal) else None
