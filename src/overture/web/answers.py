"""Answering a letter by a link in its mail, without signing in: one act, after one more press.

What only looks at links in mails, as scanners and mail programs do, answers nothing. Whoever has the
link may answer that one letter with it, once; nothing else of the member's is shown or done.
"""

from dataclasses import dataclass

from overture import ids
from overture.actions import replies
from overture.actions.conversations import Ask
from overture.actions.replies import Unsealed
from overture.core import text
from overture.core.conversations import State
from overture.core.ids import MessageId
from overture.core.policy import Outcome, Policy, QuickReply
from overture.core.seals import AnswerClaim
from overture.core.sending import Done as Carried
from overture.core.sending import Refused, Respond, Write
from overture.core.text import BadText
from overture.store import inbox, mailboxes
from overture.store.db import Tx
from overture.store.inbox import Thread
from overture.store.mailboxes import Mailbox
from overture.web.visit import Answer, Go, Page, Visit, Who, act, page
from overture.words import words_of

ACCEPT, DECLINE = "accept", "decline"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the answers that can be given. `text` is a quick reply's, else None."""

    id: str
    label: str
    outcome: Outcome
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a link asks: whose answer, to which letter."""

    claim: AnswerClaim
    mailbox: Mailbox
    thread: Thread


@page("/answer/{seal}", who=Who.ANYONE)
async def answer(visit: Visit) -> Answer:
    """The letter's sender and subject, and one button that gives the answer the link named."""
    asked = await _asked(visit, visit.tx)
    if isinstance(asked, Unsealed):
        return _no_more(asked)
    policy = visit.site.book.at(visit.now)
    return _page(visit, asked, policy, visit.query.get("with", ""))


@act("/answer/{seal}", who=Who.ANYONE, transaction=False)
async def give(visit: Visit) -> Answer:
    """Gives the answer, through the same lanes as in the inbox. The same once more changes nothing."""
    now = await visit.site.instant()
    asked = await visit.site.db.reading(lambda tx: _asked(visit, tx))
    if isinstance(asked, Unsealed):
        return _no_more(asked)
    policy = visit.site.book.at(now)
    chosen = visit.form.get("with", "")
    command = _command(visit, asked, policy, chosen)
    if isinstance(command, BadText):
        alert = visit.words.say(command.sentence)
        return _page(visit, asked, policy, chosen, alert=alert, status=422)
    done = await visit.site.sends.submit(Ask(command), asked.claim.member)
    if isinstance(done, Refused):
        asked = await visit.site.db.reading(lambda tx: _asked(visit, tx))
        if isinstance(asked, Unsealed):
            return _no_more(asked)
        alert = visit.words.say(done.code.sentence)
        return _page(visit, asked, policy, chosen, alert=alert, status=409)
    assert isinstance(done, Carried), "nothing was kept to answer it with"
    return Go(f"/answer/{visit.path['seal']}")


async def _asked(visit: Visit, tx: Tx) -> Asked | Unsealed:
    """What the link permits, in the words of the member whose it is."""
    site = visit.site
    now = await site.clock.now(tx)
    claim = await replies.answering(tx, site.secret, visit.path["seal"], now)
    if isinstance(claim, Unsealed):
        return claim
    mailbox = (await mailboxes.of(tx, [claim.member])).get(claim.member)
    thread = await inbox.one(tx, claim.member, claim.conversation)
    if mailbox is None or thread is None:
        return Unsealed.UNKNOWN
    if mailbox.language is not None:
        visit.words = words_of(mailbox.language, visit.words.time_zone)
    return Asked(claim, mailbox, thread)


def _command(visit: Visit, asked: Asked, policy: Policy, chosen: str) -> Respond | Write | BadText:
    member, here = asked.claim.member, asked.claim.conversation
    if chosen == ACCEPT:
        return Respond(member, here, Outcome.ACCEPTED)
    if chosen == DECLINE:
        return Respond(member, here, Outcome.DECLINED)
    quick = policy.quick_reply(chosen)
    if quick is None:
        return BadText("Choose one of the answers.")
    body = text.body(visit.form.get("body", ""), policy.body_chars_max)
    if isinstance(body, BadText):
        return body
    return Write(member, here, MessageId(ids.new()), body, quick)


def _page(
    visit: Visit, asked: Asked, policy: Policy, chosen: str, *, alert: str = "", status: int = 200
) -> Page:
    words, row = visit.words, asked.thread.row
    _ = words.gettext
    name = row.counterpart_name or _("A closed account")
    choices = [
        *(_quick(visit, each) for each in policy.quick_replies),
        Choice(ACCEPT, _("Accept"), Outcome.ACCEPTED),
        Choice(DECLINE, _("Decline"), Outcome.DECLINED),
    ]
    said = visit.form.get("body")
    values = {
        "seal": visit.path["seal"],
        "name": name,
        "first": name.split(" ")[0] if row.counterpart_name else name,
        "mine": asked.mailbox.name,
        # Of a withdrawn InMail only that it was withdrawn is seen.
        "subject": "" if row.hidden else row.subject,
        "id": row.id,
        "waits": row.state is State.PENDING,
        "happened": _happened(visit, asked, name),
        "choices": choices,
        "chosen": next((each for each in choices if each.id == chosen), None),
        "body": said,
        "chars_max": policy.body_chars_max,
        "back": row.expires_refund_at is not None,
        "alert": alert,
    }
    return Page("answer_link.html", values, status=status)


def _quick(visit: Visit, quick: QuickReply) -> Choice:
    said = visit.words.say(quick.text)
    return Choice(quick.id, said, quick.outcome, said)


def _happened(visit: Visit, asked: Asked, name: str) -> str:
    """What became of a letter that waits no longer."""
    _ = visit.words.gettext
    match asked.thread.row.state:
        case State.ACCEPTED:
            return _("You accepted.")
        case State.DECLINED:
            return _("You declined.")
        case State.WITHDRAWN:
            return _("%(name)s took this InMail back before you answered.") % {"name": name}
        case _:
            return _("This InMail is no longer waiting for an answer.")


def _no_more(why: Unsealed) -> Page:
    return Page("answer_gone.html", {"over": why is Unsealed.OVER}, status=410)
