"""One of each kind of notice, without a town: for what is asked of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from overture.actions.notifying import (
    Alert,
    Answer,
    Connection,
    Expiry,
    Grant,
    Invitation,
    Letter,
    Messages,
    News,
    Plan,
    Returned,
    Telling,
)
from overture.actions.subscriptions import NextGrant, Status, SubscriptionView
from overture.core.conversations import Kind as ConversationKind
from overture.core.conversations import Message, Refund, Response, State
from overture.core.files import File
from overture.core.ids import ConversationId, FileId, MemberId, MessageId
from overture.core.notifying import How, Kind
from overture.core.policy import Outcome, QuickReply
from overture.core.text import Sentence
from overture.store.inbox import Box
from overture.store.notifying import Mailed, Other, SignedIn, Thread

NOW = datetime(2025, 2, 3, 10, tzinfo=UTC)
READER = Mailed(
    MemberId("01a215c0-0035-77d7-8732-2baea270c9f8"),
    "11",
    "11@example.org",
    None,
    "UTC",
    True,
    False,
    (),
)
OTHER = Other(MemberId("01a215c0-0036-77d7-8732-2baea270c9f8"), "22", "22", "Ωδε", blocked=False)
THREAD = Thread(
    id=ConversationId("01a215c0-0501-73ee-b41f-ec84bab8e274"),
    home=OTHER.id,
    other=OTHER,
    begun=False,
    kind=ConversationKind.INMAIL,
    state=State.PENDING,
    box=Box.REQUESTS,
    muted=False,
    subject="Ψφχ",
    read_number=0,
    told=0,
    refund=None,
    response=None,
    responded_at=None,
    sender_wrote_at=None,
    pool=None,
    back_until=None,
)
MINE = replace(THREAD, begun=True, subject="")
DIRECT = replace(MINE, kind=ConversationKind.DIRECT)
FILE = File(FileId("01a215c0-0601-73ee-b41f-ec84bab8e274"), "1.pdf", "pdf", 1)
MESSAGE = Message(
    MessageId("01a215c0-0701-73ee-b41f-ec84bab8e274"),
    THREAD.id,
    2,
    OTHER.id,
    NOW,
    "Ευχ",
    files=[FILE],
)
PURSE = SubscriptionView(
    pool="premium",
    plan="premium_career",
    status=Status.ACTIVE,
    since=NOW,
    renews_at=NOW + timedelta(days=28),
    ends_at=None,
    next_plan=None,
    balance=5,
    cap=15,
    deferred=0,
    next_grant=NextGrant(NOW + timedelta(days=28), 5),
    lots=(),
)
QUICK = [QuickReply("interested", Sentence("Interested, tell me more"), Outcome.ACCEPTED)]
ENDS = replace(PURSE, status=Status.CANCELING, ends_at=NOW + timedelta(days=28))
CHANGES = replace(PURSE, status=Status.CHANGING, next_plan="premium_business")
BROWSER = SignedIn("203.0.113.7", "1 Firefox/1 2 Linux", alone=False)

NEWS: Sequence[tuple[Kind, News]] = [
    *(
        (Kind.INMAIL, Letter(THREAD, "Ωδε", NOW, again, back, QUICK))
        for again in (False, True)
        for back in (False, True)
    ),
    *(
        (Kind.ANSWERS, Answer(MINE, response, message, refund, purse))
        for response in (Response.ACCEPTED, Response.DECLINED)
        for message in (MESSAGE, None)
        for refund in (None, *Refund)
        for purse in (PURSE, None)
    ),
    (Kind.MESSAGES, Messages(THREAD, [MESSAGE, MESSAGE])),
    (Kind.MESSAGES, Messages(replace(MINE, other=replace(OTHER, name="")), [MESSAGE])),
    (Kind.MESSAGES, Messages(DIRECT, [MESSAGE])),
    (Kind.CREDITS, Returned(THREAD, PURSE, undeliverable=True)),
    (Kind.CREDITS, Returned(THREAD, PURSE, undeliverable=False)),
    (Kind.CREDITS, Returned(None, PURSE, undeliverable=False)),
    (Kind.CREDITS, Grant(PURSE, 3, 2, NOW + timedelta(days=120))),
    (Kind.CREDITS, Grant(PURSE, 1, 0, None)),
    (Kind.CREDITS, Expiry(PURSE, 1, NOW + timedelta(days=14), last=False)),
    (Kind.CREDITS, Expiry(PURSE, 2, NOW + timedelta(days=3), last=True)),
    (Kind.PLANS, Plan("premium_career", None, began=False)),
    (Kind.PLANS, Plan("premium_career", PURSE, began=True)),
    (Kind.PLANS, Plan("premium_career", PURSE, began=False)),
    (Kind.PLANS, Plan("premium_career", ENDS, began=False)),
    (Kind.PLANS, Plan("premium_career", CHANGES, began=False)),
    (Kind.NETWORK, Invitation(OTHER, "Ωδε")),
    (Kind.NETWORK, Invitation(OTHER, "")),
    (Kind.NETWORK, Connection(OTHER)),
    *(
        (Kind.SECURITY, Alert(f"account.{what}", NOW, browser))
        for what, browser in (
            ("signed_in", BROWSER),
            ("signed_in", SignedIn("", "", alone=False)),
            ("signed_in", None),
            ("password_changed", None),
            ("passkey_added", None),
            ("two_steps_on", None),
            ("two_steps_off", None),
            ("code_app_added", None),
            ("recovery_code_used", None),
            ("recovery_codes_made", None),
            ("second_step_failed", None),
            ("identity_linked", None),
        )
    ),
]
TELLINGS = [Telling(READER, kind, How.AT_ONCE, news) for kind, news in NEWS]
