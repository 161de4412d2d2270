"""What becomes of a mail that came in: what the browser would do, or a sentence that says why not."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import Enum
from hashlib import sha256

from overture import ids
from overture.actions import files, mailings, replies
from overture.actions.conversations import Ask
from overture.actions.files import Upload
from overture.actions.lanes import Overloaded
from overture.actions.replies import Addressed, Unsealed
from overture.clock import real_now
from overture.context import Shared
from overture.core import seals, text
from overture.core.accounts import Limit, folded
from overture.core.files import NewFile
from overture.core.ids import FileId, MemberId, MessageId
from overture.core.refusals import Refusal
from overture.core.replies import Addresses
from overture.core.seals import Secret
from overture.core.sending import Done, Refused, Write
from overture.core.text import BadText, Sentence
from overture.mail.incoming import words
from overture.mail.incoming.checks import Checked, checked
from overture.mail.incoming.reading import Mail, Sort, read
from overture.store import attempts
from overture.store.db import Unavailable
from overture.store.idempotency import MAIL, Kept, Once
from overture.store.mail_counts import Came

_log = logging.getLogger("overture.mail")

# Mail servers try for five days. What is older was kept back by somebody, or is sent again; that it was
# taken before is remembered for longer than this (`store.idempotency`).
OLDEST = timedelta(days=30)
_AHEAD = timedelta(days=2)
# Whoever has got hold of a reply address cannot flood with it.
REPLIES = Limit("reply by mail", 60, timedelta(hours=1))


class Fate(Enum):
    TAKEN = "taken"
    # No person wrote it: nobody is told.
    PASSED_OVER = "passed over"
    REFUSED = "refused"
    # To be given again later.
    LATER = "later"


@dataclass(frozen=True, slots=True)
class Told:
    """What whoever brings the mail is told. `code` is for mail servers, the sentence for people.

    `member` is whose mail it was, where that is sure; `where` a page at which they can go on.
    """

    fate: Fate
    code: str
    sentence: str
    member: MemberId | None = None
    where: str = ""


@dataclass(frozen=True, slots=True)
class Intake:
    """Takes mail in. `public_url` is where answers can be given instead.

    `trusts` is the name under which the operator's own mail server tells what it found out about a
    mail, None where it does not; `own_only`: members' replies come from their own addresses.
    """

    shared: Shared
    secret: Secret
    addresses: Addresses
    public_url: str
    trusts: str | None = None
    own_only: bool = False
    ends: Sequence[str] = field(default_factory=tuple)

    async def refusal(self, recipient: str) -> Told | None:
        """Why nothing can come to this address; None where something may."""
        seal = self.addresses.seal_in(recipient)
        if seal is None or (seals.bounce_claim(seal) is None and seals.reply_claim(seal) is None):
            return _UNKNOWN
        if seals.bounce_claim(seal) is not None:
            return None
        try:
            found = await self._addressed(seal)
        except (Unavailable, Overloaded):
            return _LATER
        return found if isinstance(found, Told) else None

    async def take(self, raw: bytes, recipient: str, return_path: str | None = None) -> Told:
        """Takes a mail that came to one of our addresses. `return_path` is the envelope's, if known."""
        try:
            told = await self._take(raw, recipient, return_path)
        except (Unavailable, Overloaded):
            told = _LATER
        _log.info("a mail that came in was %s (%s)", told.fate.value, told.code)
        await mailings.count(self.shared.db, _CAME[told.fate], _why(told))
        return told

    async def _take(self, raw: bytes, recipient: str, return_path: str | None) -> Told:
        seal = self.addresses.seal_in(recipient)
        if seal is None:
            return _UNKNOWN
        mail = await asyncio.to_thread(read, raw, self.ends, return_path=return_path)
        if mail.sort is Sort.BOUNCE:
            return await self._came_back(seal, mail)
        if mail.sort is Sort.AUTOMATIC:
            return _PASSED_OVER
        if seals.bounce_claim(seal) is not None:
            return _NOT_READ
        found = await self._addressed(seal)
        if isinstance(found, Told):
            return found
        told = self._no_to(mail, found) or await self._reply(raw, mail, found)
        return replace(told, member=found.member)

    async def _came_back(self, seal: str, mail: Mail) -> Told:
        now = await self.shared.instant()
        _ = await self.shared.db.writing(
            lambda tx: replies.came_back(tx, self.secret, seal, mail.why, now)
        )
        return _PASSED_OVER

    async def _addressed(self, seal: str) -> Addressed | Told:
        now = await self.shared.instant()
        found = await self.shared.db.reading(
            lambda tx: replies.addressed(tx, self.secret, seal, now)
        )
        match found:
            case Unsealed.UNKNOWN:
                return _UNKNOWN
            case Unsealed.OVER:
                return _OVER
            case Addressed():
                return found

    def _no_to(self, mail: Mail, found: Addressed) -> Told | None:
        """Why the mail is none to take, whatever stands in it."""
        match mail.sort:
            case Sort.SUSPECTED:
                return _SUSPECTED
            case Sort.TOO_LARGE:
                return _TOO_LARGE
            case Sort.ENCRYPTED:
                return _ENCRYPTED
            case _:
                pass
        verdict = checked(mail.results, self.trusts, mail.sender)
        if verdict is Checked.FAILED:
            return _FORGED
        if self.own_only:
            own = folded(mail.sender) == folded(found.address)
            if not own or (self.trusts is not None and verdict is not Checked.PASSED):
                return _NOT_OWN
        now = real_now()
        if mail.sent_at is not None and mail.sent_at < now - OLDEST:
            return _OLD
        if mail.sent_at is not None and mail.sent_at > now + _AHEAD:
            return _AHEAD_OF_TIME
        return None

    async def _reply(self, raw: bytes, mail: Mail, found: Addressed) -> Told:
        """Carries the reply out, through the same lanes as everything that members write."""
        tried = (REPLIES, REPLIES.key(found.member))
        if not await self.shared.db.writing(lambda tx: attempts.within(tx, [tried])):
            return _OFTEN
        policy = self.shared.book.at(await self.shared.instant())
        said = mail.text
        if len(said) > policy.body_chars_max:
            said = words.unquoted(said)
        if not said:
            return _ONLY_PICTURES if mail.pictures else _EMPTY
        body = text.body(said, policy.body_chars_max)
        if isinstance(body, BadText):
            return _no("5.6.0", body.sentence)
        examined = await _examined(mail)
        if isinstance(examined, Refusal):
            return _no("5.6.1", examined.sentence)
        command = Write(
            found.member, found.conversation, MessageId(ids.new()), body, files=examined
        )
        once = Once(found.member, MAIL, _key(raw, mail, found), b"mail")
        ask = Ask(command, once, lambda _: (250, b""))
        if examined:
            answer = await self.shared.send_alone(ask)
        else:
            answer = await self.shared.sends.submit(ask, found.member)
        match answer:
            case Done() | Kept():
                return _TAKEN
            case Refused():
                return _no("5.7.1", answer.code.sentence, self._where(found))
            case _:
                raise AssertionError("of one mail, all that is kept is alike")

    def _where(self, found: Addressed) -> str:
        return f"/inbox/{found.conversation}"


async def _examined(mail: Mail) -> Sequence[NewFile] | Refusal:
    uploads = [Upload(FileId(ids.new()), each.name, each.content) for each in mail.files]
    return await files.examine(uploads)


def _key(raw: bytes, mail: Mail, found: Addressed) -> str:
    """Under which a mail is known when it comes again; one without a name is known by its bytes."""
    name = mail.id.encode("utf-8", "surrogateescape") or raw
    return sha256(b"\0".join((found.conversation.encode(), name))).hexdigest()


def _why(told: Told) -> str:
    """What is counted of why it was not taken. Where it tells how long the text was, the code alone:
    there would be as many reasons as texts."""
    if told.fate not in (Fate.REFUSED, Fate.LATER):
        return ""
    differs = isinstance(told.sentence, Sentence) and told.sentence.values
    return told.code if differs else f"{told.code} {told.sentence}"


_CAME = {
    Fate.TAKEN: Came.TAKEN,
    Fate.PASSED_OVER: Came.PASSED_OVER,
    Fate.REFUSED: Came.NOT_TAKEN,
    Fate.LATER: Came.LATER,
}


def _no(code: str, sentence: str, where: str = "") -> Told:
    return Told(Fate.REFUSED, code, sentence, where=where)


_TAKEN = Told(Fate.TAKEN, "2.6.0", Sentence("It is in the conversation."))
_PASSED_OVER = Told(Fate.PASSED_OVER, "2.6.0", Sentence("It was noted."))
_LATER = Told(Fate.LATER, "4.3.0", Sentence("Mail cannot be taken now. Try again later."))
_OFTEN = Told(
    Fate.LATER,
    "4.7.1",
    Sentence("Many replies came in your name within the hour. Try again later."),
)
_UNKNOWN = _no(
    "5.1.1",
    Sentence(
        "This reply address is incomplete, or no longer yours. Open the conversation in your browser "
        "to answer."
    ),
)
_OVER = _no(
    "5.2.1",
    Sentence(
        "Nothing happened in this conversation for so long that it cannot be answered by mail any "
        "more. Open it in your browser."
    ),
)
_NOT_READ = _no(
    "5.7.1",
    Sentence("Nobody reads what comes to this address. Reply to the mail itself."),
)
_SUSPECTED = _no(
    "5.7.1",
    Sentence(
        "This reads like an automatic reply, which is never taken for an answer. If you wrote it "
        "yourself, send it again with another subject."
    ),
)
_TOO_LARGE = _no(
    "5.3.4",
    Sentence(
        "This mail is too large, or made of too many parts. Reply with your words and a few files."
    ),
)
_ENCRYPTED = _no(
    "5.6.1",
    Sentence(
        "This mail is encrypted, or signed so that its text is hidden, and cannot be read here. Send "
        "it again without."
    ),
)
_FORGED = _no(
    "5.7.26",
    Sentence(
        "This mail did not pass the checks of the domain that it says to be from. Send it through your "
        "own mail provider, or answer in your browser."
    ),
)
_NOT_OWN = _no(
    "5.7.1",
    Sentence(
        "Replies are taken from your own address alone: the one that the mail came to. Send it from "
        "there, or answer in your browser."
    ),
)
_OLD = _no(
    "5.6.0",
    Sentence("This mail was written more than 30 days ago. Write it anew to have it taken."),
)
_AHEAD_OF_TIME = _no(
    "5.6.0",
    Sentence("This mail is dated in the future. Set your device's clock, and send it again."),
)
_EMPTY = _no(
    "5.6.0",
    Sentence(
        "There are no words of your own in this mail, but what it quotes or is signed with. Write your "
        "answer above the quoted text."
    ),
)
_ONLY_PICTURES = _no(
    "5.6.0",
    Sentence(
        "There are only pictures within this mail's text, which are not taken. Attach them as files, "
        "and write a word to them."
    ),
)
