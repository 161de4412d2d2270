"""What each route is asked: whom it names, and a body that would do for whoever may."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from overture import ids
from overture.core.ids import MemberId
from overture.core.push import encoded
from overture.web.ops.policy import packed
from tests.cast import POLICIES, policy


@dataclass(frozen=True)
class Ask:
    """What a route is asked: what its placeholders are, what else is in its address, what is sent.

    `party` is the other side of what is asked for. `secret` says that what the placeholders name may be
    known to those two alone: to everybody else it is as if it were not there.
    """

    path: Mapping[str, str] = field(default_factory=dict[str, str])
    query: str = ""
    body: Any = None
    party: str = "ada"
    secret: bool = False
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def stranger(self) -> Ask:
        """The same of something that is not there."""
        fresh = {name: str(ids.new()) for name in self.path if name not in ("name", "member")}
        return replace(self, path={**self.path, **fresh})


@dataclass(frozen=True)
class Things:
    """What there is: all of it Grace's, or of her and another."""

    members: Mapping[str, MemberId]
    pending: str
    open: str
    message: str
    file: str
    invitation: str
    photo: str
    passkey: str
    session: str
    seal: str
    unsubscribe: str
    endpoint: str
    # What was decided of her and not complained of, whose complaint waits, and a report of her.
    decision: str
    complaint: str
    report: str
    now: str


def api_asks(t: Things) -> dict[str, Ask]:
    """Without those that need nothing but their address."""
    grace = t.members["grace"]
    letter = Ask({"conversation_id": t.pending}, body={}, party="ada", secret=True)
    talk = Ask({"conversation_id": t.open}, body={}, party="bob", secret=True)
    message = replace(talk, path={**talk.path, "message_id": t.message})
    invited = Ask({"invitation_id": t.invitation}, party="emil", secret=True)
    member = Ask({"member_id": grace}, party="dora")
    endpoint = Ask({"endpoint_id": t.endpoint}, body={})
    plan = Ask({"pool": "premium"}, body={"plan": "premium_business"})
    return {
        "GET /members/{member_id}/contact": replace(member, party="ada"),
        "POST /conversations": Ask(body={"to": grace, "body": "Hello"}, party="bob"),
        "POST /conversations/{conversation_id}/messages": replace(talk, body={"body": "Hello"}),
        "POST /conversations/{conversation_id}/accept": letter,
        "POST /conversations/{conversation_id}/decline": letter,
        "POST /conversations/{conversation_id}/withdraw": letter,
        "GET /conversations/{conversation_id}": replace(talk, body=None),
        "GET /conversations/{conversation_id}/messages": replace(talk, body=None),
        "POST /conversations/{conversation_id}/read": replace(talk, body={"up_to": t.message}),
        "POST /conversations/{conversation_id}/typing": talk,
        "POST /conversations/{conversation_id}/archive": talk,
        "POST /conversations/{conversation_id}/unarchive": talk,
        "POST /conversations/{conversation_id}/spam": talk,
        "PATCH /conversations/{conversation_id}/messages/{message_id}": replace(
            message, body={"body": "Changed"}
        ),
        "DELETE /conversations/{conversation_id}/messages/{message_id}": replace(
            message, body=None
        ),
        "GET /conversations/{conversation_id}/attachments/{file_id}": replace(
            talk, path={**talk.path, "file_id": t.file}, body=None
        ),
        "GET /search/messages": Ask(query="q=canary", party="bob"),
        "POST /members": Ask(body={"handle": "new-member", "name": "New"}),
        "GET /members": Ask(query="q=grace"),
        "GET /members/{id_or_handle}": Ask({"id_or_handle": "grace"}),
        "PATCH /me": Ask(body={"headline": "Something"}),
        "PATCH /me/preferences": Ask(body={"accept_inmail": False}),
        "PATCH /me/preferences/email": Ask(body={"inmail": False}),
        "POST /connections": Ask(body={"member_id": grace}, party="dora"),
        "POST /connections/{invitation_id}/accept": invited,
        "POST /connections/{invitation_id}/decline": invited,
        "DELETE /connections/{member_id}": member,
        "PUT /connections": Ask(body={"pairs": [[grace, t.members["hugo"]]]}),
        "PUT /blocks/{member_id}": member,
        "DELETE /blocks/{member_id}": member,
        "POST /reports": Ask(body={"member_id": grace, "reason": "spam"}),
        "POST /me/complaints": Ask(body={"about": "decision", "id": t.decision, "text": "No."}),
        "GET /operator/reports/{report_id}": Ask({"report_id": t.report}),
        "POST /operator/reports/{report_id}/decide": Ask(
            {"report_id": t.report}, body={"measure": "none", "answer": "No."}
        ),
        "POST /operator/warnings": Ask(body={"member_id": grace, "statement": "Why"}),
        "POST /operator/suspensions": Ask(body={"member_id": grace, "statement": "Why"}),
        "POST /operator/suspensions/{member_id}/lift": replace(member, body={"statement": "Why"}),
        "POST /operator/complaints/{complaint_id}/answer": Ask(
            {"complaint_id": t.complaint}, body={"verdict": "stands", "answer": "No."}
        ),
        "POST /operator/suspicions/{member_id}/{kind}/dismiss": replace(
            member, path={"member_id": grace, "kind": "links"}, body={}
        ),
        "PUT /operator/clock": Ask(body={"now": t.now}),
        "POST /operator/jobs/replay": Ask(body={}),
        "DELETE /operator/policies/{holds_from}": Ask({"holds_from": "2031-01-01T00:00:00Z"}),
        "POST /operator/policies": Ask(body={"policy": "linkedin-premium"}),
        "POST /operator/tokens": Ask(body={"member_id": grace}),
        "POST /operator/webhooks": Ask(body={"url": "http://127.0.0.1:9/"}),
        "GET /operator/webhooks/{endpoint_id}": replace(endpoint, body=None),
        "PATCH /operator/webhooks/{endpoint_id}": endpoint,
        "DELETE /operator/webhooks/{endpoint_id}": replace(endpoint, body=None),
        "POST /operator/webhooks/{endpoint_id}/secret": endpoint,
        "POST /operator/webhooks/{endpoint_id}/test": endpoint,
        "GET /operator/webhooks/{endpoint_id}/deliveries": replace(endpoint, body=None),
        "POST /operator/webhooks/{endpoint_id}/deliveries/{delivery_id}/replay": replace(
            endpoint, path={**endpoint.path, "delivery_id": "1"}
        ),
        "POST /operator/webhooks/{endpoint_id}/replay": replace(endpoint, body={"since": t.now}),
        "POST /payments/stripe": Ask(body=b"{}"),
        "PUT /operator/payments/customers/{customer}": Ask(
            {"customer": "cus_1"}, body={"member_id": grace}
        ),
        "PUT /me/subscriptions/{pool}": plan,
        "DELETE /me/subscriptions/{pool}": replace(plan, body=None),
        "POST /operator/credits": Ask(
            body={"member_id": grace, "pool": "premium", "credits": 1, "reason": "A test"}
        ),
    }


def web_asks(t: Things) -> dict[str, Ask]:
    """Without those that need nothing but their address."""
    grace = t.members["grace"]
    letter = Ask({"id": t.pending}, body={"key": "a-key"}, party="ada", secret=True)
    talk = Ask({"id": t.open}, body={"key": "a-key", "on": "1"}, party="bob", secret=True)
    message = replace(talk, path={**talk.path, "message": t.message}, body={"body": "Changed"})
    invited = Ask({"invitation": t.invitation}, party="emil", secret=True)
    member = Ask({"handle": "grace"}, party="dora")
    # What operators look at.
    one = Ask({"member": grace})
    spoken = Ask({"member": grace, "id": t.open})
    to = {"to": "grace", "subject": "", "body": "Hello", "key": "a-key", "price": "9"}
    plan = "pool=premium&plan=premium_business"
    reported = Ask({"report": t.report})
    hook = Ask({"endpoint": t.endpoint})
    suspected = Ask({"member": grace, "kind": "links"})
    account = {"email": "nobody@overture.example", "password": "a long enough one, surely"}
    return {
        "POST /signup": Ask(body={"name": "New", **account}),
        "POST /login": Ask(body=account),
        "POST /reset": Ask(body=account),
        "GET /reset/new": Ask(query="link=none"),
        "POST /reset/new": Ask(body={"link": "none", **account}),
        "GET /verify": Ask(query="link=none"),
        "POST /verify": Ask(body={"link": "none"}),
        "POST /settings/decisions/complain": Ask(
            body={"about": "decision", "id": t.decision, "text": "No."}
        ),
        "POST /settings/account/handle": Ask(body={"handle": "another"}),
        "POST /settings/account/email": Ask(body={"email": "another@overture.example"}),
        "POST /settings/sessions/{session:uuid}/end": Ask({"session": t.session}, secret=True),
        "GET /answer/{seal}": Ask({"seal": t.seal}),
        "POST /answer/{seal}": Ask({"seal": t.seal}, body={"with": "accept"}),
        "POST /settings/notifications/push": Ask(
            body={
                "endpoint": "https://push.example/send",
                "p256dh": encoded(b"\x04" + b"k" * 64),
                "auth": encoded(b"a" * 16),
            }
        ),
        "GET /unsubscribe/{seal}": Ask({"seal": t.unsubscribe}),
        "POST /unsubscribe/{seal}": Ask({"seal": t.unsubscribe}),
        "GET /embed/button": Ask(query="member=grace"),
        "GET /handover": Ask(query="token=none&to=inbox"),
        "POST /handover": Ask(body={"token": "none", "to": "inbox"}),
        "GET /compose": Ask(query="to=grace", party="bob"),
        "GET /compose/people": Ask(query="q=grace"),
        "POST /compose/draft": Ask(body=to, party="bob"),
        "POST /compose/check": Ask(body=to, party="bob"),
        "POST /compose/find": Ask(body=to),
        "POST /compose/change": Ask(body=to),
        "POST /compose/keep": Ask(body=to),
        "POST /compose/to": Ask(body={**to, "pick": "grace"}),
        "POST /compose/unblock": Ask(body=to),
        "POST /compose/discard": Ask(body=to),
        "POST /compose": Ask(body=to, party="bob"),
        "GET /here": Ask(query=f"ids={grace}"),
        "GET /files/{conversation:uuid}/{file:uuid}/{name}": Ask(
            {"conversation": t.open, "file": t.file, "name": "x.pdf"}, party="bob", secret=True
        ),
        "GET /inbox/{id:uuid}": talk,
        "GET /inbox/{id:uuid}/seen": replace(talk, query=f"up_to={t.message}"),
        "POST /inbox/{id:uuid}/messages": replace(talk, body={"key": "a-key", "body": "Hello"}),
        "POST /inbox/{id:uuid}/accept": letter,
        "POST /inbox/{id:uuid}/decline": letter,
        "POST /inbox/{id:uuid}/withdraw": letter,
        "POST /inbox/{id:uuid}/star": talk,
        "POST /inbox/{id:uuid}/mute": talk,
        "POST /inbox/{id:uuid}/focus": talk,
        "POST /inbox/{id:uuid}/archive": talk,
        "POST /inbox/{id:uuid}/unarchive": talk,
        "POST /inbox/{id:uuid}/spam": talk,
        "POST /inbox/{id:uuid}/unread": talk,
        "POST /inbox/{id:uuid}/snooze": replace(talk, body={"wake": ""}),
        "POST /inbox/{id:uuid}/read": replace(talk, body={"up_to": t.message}),
        "POST /inbox/{id:uuid}/typing": talk,
        "POST /inbox/{id:uuid}/draft": replace(talk, body={"body": "Hello"}),
        "POST /inbox/{id:uuid}/unblock": talk,
        "POST /inbox/{id:uuid}/messages/{message:uuid}/edit": message,
        "POST /inbox/{id:uuid}/messages/{message:uuid}/delete": message,
        "GET /ops/members": Ask(query="q=grace"),
        "GET /ops/members/{member:uuid}": one,
        "GET /ops/members/{member:uuid}/decide": one,
        "POST /ops/members/{member:uuid}/decide": replace(
            one, body={"measure": "warning", "ground": "terms", "statement": "Why"}
        ),
        "GET /ops/members/{member:uuid}/credits": one,
        "POST /ops/members/{member:uuid}/credits": replace(
            one, body={"pool": "premium", "credits": "1", "reason": "A test"}
        ),
        "POST /ops/members/{member:uuid}/address": replace(one, body={"reason": "Why"}),
        "GET /ops/ledger/{member:uuid}": one,
        "GET /ops/ledger/{member:uuid}/verify": one,
        "GET /ops/conversations": Ask(query=f"member={grace}"),
        "GET /ops/conversations/{member:uuid}/{id:uuid}": spoken,
        "POST /ops/conversations/{member:uuid}/{id:uuid}": replace(
            spoken, body={"reason": "A test"}
        ),
        "GET /icons/{name}": Ask({"name": "icon-192.png"}),
        "GET /members": Ask(query="q=grace"),
        "GET /in/{handle}": member,
        "GET /in/{handle}/connect": member,
        "GET /in/{handle}/disconnect": member,
        "GET /in/{handle}/block": member,
        "GET /in/{handle}/report": member,
        "POST /in/{handle}/connect": member,
        "POST /in/{handle}/disconnect": member,
        "POST /in/{handle}/block": member,
        "POST /in/{handle}/unblock": member,
        "POST /in/{handle}/report": replace(member, body={"reason": "spam"}),
        "POST /profile": Ask(body={"name": "Another"}),
        "POST /network/{invitation:uuid}/accept": invited,
        "POST /network/{invitation:uuid}/decline": invited,
        "POST /network/{member:uuid}/withdraw": Ask({"member": grace}, party="emil"),
        "POST /network/{member:uuid}/unblock": Ask({"member": grace}),
        "POST /settings/privacy/unblock/{member:uuid}": Ask({"member": grace}),
        "POST /settings/security/passkeys/{passkey:uuid}/name": Ask(
            {"passkey": t.passkey}, body={"name": "Another"}, secret=True
        ),
        "POST /settings/security/passkeys/{passkey:uuid}/remove": Ask(
            {"passkey": t.passkey}, secret=True
        ),
        "POST /ops/policy/edit": Ask(body={"document": (POLICIES / "recruiter.toml").read_text()}),
        "GET /ops/policy/preview": Ask(query=f"draft={packed(policy('recruiter'))}"),
        "POST /ops/policy/apply": Ask(body={"draft": packed(policy("recruiter"))}),
        "POST /ops/policy/withdraw": Ask(body={"at": "2031-01-01T00:00:00Z"}),
        "GET /photos/{member:uuid}/{version}": Ask({"member": grace, "version": t.photo}),
        "GET /premium/statement": Ask(query="pool=premium"),
        "GET /premium/statement.csv": Ask(query="pool=premium"),
        "GET /premium/change": Ask(query=plan),
        "POST /premium/change": Ask(body={"pool": "premium", "plan": "premium_business"}),
        "GET /premium/cancel": Ask(query="pool=premium"),
        "POST /premium/cancel": Ask(body={"pool": "premium", "at": "period_end"}),
        "POST /ops/jobs/{number:int}/replay": Ask({"number": "1"}),
        "POST /ops/webhooks/add": Ask(body={"url": "https://hooks.example/", "event:*": "1"}),
        "GET /ops/webhooks/{endpoint:uuid}": hook,
        "POST /ops/webhooks/{endpoint:uuid}/switch": replace(hook, body={"on": "0"}),
        "POST /ops/webhooks/{endpoint:uuid}/test": hook,
        "POST /ops/webhooks/{endpoint:uuid}/deliveries/{number:int}/replay": replace(
            hook, path={**hook.path, "number": "1"}
        ),
        "POST /ops/webhooks/{endpoint:uuid}/replay": replace(hook, body={"since": t.now[:10]}),
        "GET /ops/webhooks/{endpoint:uuid}/secret": hook,
        "POST /ops/webhooks/{endpoint:uuid}/secret": hook,
        "GET /ops/webhooks/{endpoint:uuid}/edit": hook,
        "POST /ops/webhooks/{endpoint:uuid}/edit": replace(
            hook, body={"url": "https://hooks.example/", "event:*": "1"}
        ),
        "GET /ops/webhooks/{endpoint:uuid}/remove": hook,
        "POST /ops/webhooks/{endpoint:uuid}/remove": hook,
        "POST /ops/mail/{member:uuid}/address": Ask({"member": grace}, body={"reason": "Why"}),
        "GET /ops/reports/{report:uuid}": reported,
        "POST /ops/reports/{report:uuid}/decide": replace(
            reported, body={"measure": "none", "answer": "No."}
        ),
        "POST /ops/reports/complaints/{complaint:uuid}/answer": Ask(
            {"complaint": t.complaint}, body={"verdict": "stands", "answer": "No."}
        ),
        "GET /ops/reports/suspicions/{member:uuid}/{kind}": suspected,
        "POST /ops/reports/suspicions/{member:uuid}/{kind}/dismiss": suspected,
        "POST /ops/reports/suspicions/{member:uuid}/{kind}/decide": replace(
            suspected, body={"measure": "warning", "statement": "Why"}
        ),
        "POST /settings/display": Ask(body={"language": "", "theme": "", "time_zone": "UTC"}),
    }
