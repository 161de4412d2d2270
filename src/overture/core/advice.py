"""What makes a letter likely to be answered: gentle hints from local rules, which never block.

The rules know length, questions, names and a few signs in any language; what can only be told from the
words is looked for in English alone, and nothing is said of it elsewhere. Source: docs/advice.md.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum

from overture.core.text import fold

# Up to here letters were answered most, beyond the next far less often than the average.
BEST_CHARS_MAX = 400
LONG_CHARS_MIN = 1200
# So many hints are read; more would be a wall of text of our own.
HINTS_MAX = 3
# Before that there is nothing to say about a letter that has only begun.
BEGUN_CHARS_MIN = 60
_PARAGRAPH_CHARS_MAX = 500
_QUESTIONS_MAX = 3
_LINKS_MAX = 2
_COPIES_MAX = 2
_TAIL_CHARS_MIN = 80
_SHOUTED_MIN = 4
# From here on one name is taken for another spelling of the other.
_ALIKE = 0.7


class Kind(StrEnum):
    """What there is to be said, the gravest first."""

    PLACEHOLDER = "placeholder"
    OTHER_NAME = "other_name"
    WHY_YOU = "why_you"
    WHO_I_AM = "who_i_am"
    ASK = "ask"
    MANY_ASKS = "many_asks"
    COPIED = "copied"
    SHOUTING = "shouting"
    LINKS = "links"
    WALL = "wall"
    VERY_LONG = "very_long"
    LONG = "long"


@dataclass(frozen=True, slots=True)
class Hint:
    """`found` is the piece of the letter that it is about, `count` the number, where there is one."""

    kind: Kind
    found: str = ""
    count: int = 0


@dataclass(frozen=True, slots=True)
class Person:
    """What a member says of themselves."""

    name: str
    headline: str = ""
    company: str = ""


def advice(
    body: str, *, sender: Person, recipient: Person | None, subject: str = "", copies: int = 0
) -> list[Hint]:
    """The hints that matter most for a letter as it stands, at most HINTS_MAX; best: none.

    `body` as `core.text.normal` makes it; `copies` counts the letters with the same text that the
    sender has sent lately, see `tail`.
    """
    found = _always(body, subject, recipient)
    if len(body) >= BEGUN_CHARS_MIN:
        found = [*found, *_once_begun(body, subject, sender, recipient, copies)]
    order = list(Kind)
    return sorted(found, key=lambda hint: order.index(hint.kind))[:HINTS_MAX]


def tail(body: str) -> str:
    """What a letter says after its greeting, by which copies are told; empty where it is short."""
    rest = beyond_greeting(body).strip()
    return rest if len(rest) >= _TAIL_CHARS_MIN else ""


# The rules --------------------------------------------------------------------------------------


def _always(body: str, subject: str, recipient: Person | None) -> Iterator[Hint]:
    """What is wrong however much of the letter is written."""
    placeholder = _PLACEHOLDER.search(body) or _PLACEHOLDER.search(subject)
    if placeholder is not None:
        yield Hint(Kind.PLACEHOLDER, found=placeholder[0])
    elif recipient is not None and (other := _other_name(body, recipient)):
        yield Hint(Kind.OTHER_NAME, found=other)


def _once_begun(
    body: str, subject: str, sender: Person, recipient: Person | None, copies: int
) -> Iterator[Hint]:
    text = f"{subject}\n{beyond_greeting(body)}"
    english = _is_english(body)
    if recipient is not None and not _is_about(text, recipient, sender, english=english):
        yield Hint(Kind.WHY_YOU)
    if english and not _introduces(body, sender):
        yield Hint(Kind.WHO_I_AM)
    questions = len(_QUESTION.findall(body))
    if questions == 0 and not (english and _ASKING.search(body)):
        yield Hint(Kind.ASK)
    elif questions > _QUESTIONS_MAX:
        yield Hint(Kind.MANY_ASKS, count=questions)
    if copies > _COPIES_MAX:
        yield Hint(Kind.COPIED, count=copies)
    if _shouts(body) or _shouts(subject):
        yield Hint(Kind.SHOUTING)
    links = len(_LINK.findall(body))
    if links > _LINKS_MAX:
        yield Hint(Kind.LINKS, count=links)
    longest = max(len(part) for part in _BLANK_LINE.split(body))
    if longest > _PARAGRAPH_CHARS_MAX:
        yield Hint(Kind.WALL)
    chars = len(body)
    if chars >= LONG_CHARS_MIN:
        yield Hint(Kind.VERY_LONG, count=chars)
    elif chars > BEST_CHARS_MAX:
        yield Hint(Kind.LONG, count=chars)


def _other_name(body: str, recipient: Person) -> str:
    """The name in the greeting, where it is not the recipient's."""
    greeting = _GREETING.match(body)
    if greeting is None:
        return ""
    named = [word for word in _words(greeting["name"]) if word not in _NOT_NAMES]
    # A name of their own in another script, or in a longer or shorter form, is theirs.
    own = _words(recipient.name)
    if not named or not own or _script(named) != _script(own):
        return ""
    if any(_nearly(word, part) for word in named for part in own):
        return ""
    return greeting["name"].strip()


def _is_about(text: str, person: Person, sender: Person, *, english: bool) -> bool:
    """Whether something in it is meant for this person: their name, company or trade, or "your …".

    What they share with the sender may as well be said of the sender.
    """
    if set(_words(text)) & (_told_by(person) - _told_by(sender)):
        return True
    return english and _YOUR.search(text) is not None


def _introduces(body: str, sender: Person) -> bool:
    named = _told_by(Person(sender.name, company=sender.company))
    return bool(named & set(_words(body))) or _I_AM.search(body) is not None


def _told_by(person: Person) -> frozenset[str]:
    """The words that tell of this person and not of most others."""
    words = _words(f"{person.name} {person.company} {person.headline}")
    return frozenset(word for word in words if len(word) >= 3) - _COMMON


def _shouts(text: str) -> bool:
    """A row of words in capitals, which a few abbreviations are not, or of exclamation marks."""
    if _SHOUT.search(text):
        return True
    row: list[str] = []
    for word in _WORD.findall(text):
        row = [*row, word] if word.isupper() and len(word) > 1 else []
        if len(row) >= _SHOUTED_MIN and any(len(loud) > 4 for loud in row):
            return True
    return False


def _is_english(body: str) -> bool:
    words = _words(body)
    return sum(word in _ENGLISH for word in words) * 8 >= len(words) > 0


# Words ------------------------------------------------------------------------------------------


def beyond_greeting(body: str) -> str:
    """The letter without its greeting: a short first line, or what stands before its first comma."""
    body = body.lstrip()
    if (greeting := _GREETING.match(body)) is not None:
        return body[greeting.end() :]
    first, _, rest = body.partition("\n")
    return rest if len(first) <= 40 and rest.strip() else body


def _words(text: str) -> list[str]:
    return _WORD.findall(fold(text))


def _nearly(one: str, other: str) -> bool:
    """Whether one name is the other, a short form of it, or another spelling."""
    short, long = sorted((one, other), key=len)
    if len(short) >= 3 and long.startswith(short[:3]):
        return True
    return SequenceMatcher(None, one, other).ratio() >= _ALIKE


def _script(words: Iterable[str]) -> str:
    """The name of the first letter's script, as Unicode names it: LATIN, ARABIC, CJK."""
    return unicodedata.name("".join(words)[0], "").partition(" ")[0]


_WORD = re.compile(r"[^\W_]+")
_BLANK_LINE = re.compile(r"\n\s*\n")
_LINK = re.compile(r"https?://|\bwww\.", re.IGNORECASE)
# A run of them asks once. Greek asks with a semicolon, which elsewhere asks nothing.
_QUESTION = re.compile("[?\u061f\uff1f\u055e\u1367]+")
_SHOUT = re.compile("[!\uff01]{3}")
_FIELD = (
    "(?:your |their |my |the |first |last |full |given |family )*"
    + "(?:name|firstname|lastname|company|title|role|position|job|date|topic|city|industry|recipient)"
    + "(?: name| here| title)?"
)
_PLACEHOLDER = re.compile(
    r"\{\{?\s*[\w. -]{1,40}\s*\}?\}"
    + rf"|(?i:\[\s*{_FIELD}\s*\]|<\s*{_FIELD}\s*>)"
    + r"|\[[A-Z][A-Z_ ]{2,30}\]|%[A-Z_]{3,30}%|\bX{3,}\b"
)
_GREETING = re.compile(
    r"\s*(?:hi|hello|hey|dear|good (?:morning|afternoon|evening))\s+"
    + r"(?P<name>[^\W\d_][^\n,!:;?]{0,60}?)\s*(?:[,!:\n]|\s[-\u2013\u2014]\s)",
    re.IGNORECASE,
)
_NOT_NAMES = frozenset(
    _WORD.findall("""
    again all and colleague colleagues dr everybody everyone folks friend friends herr hiring hope i it
    just know like ma madam manager miss mr mrs ms mx our prof professor quick recruiter sir team thank
    thanks the there this to wanted we what you your
    """)
)
_ENGLISH = frozenset(
    _WORD.findall("""
    a about and are at be but can for from have how i in is it me my of on or our that the this to was
    we what with would you your
    """)
)
# What stands in many headlines and companies, and so says nothing about the one it is said of.
_COMMON = _ENGLISH | frozenset(
    _WORD.findall("""
    ag all any company corp das der des die founder gmbh group head inc into lead leader limited llc
    ltd manager mit more new not people plc senior team und work world
    """)
)
_YOUR = re.compile(
    r"\byour (?:\w+ ){0,2}(?:advice|answer|app|article|background|blog|book|career|comment|company"
    + r"|course|experience|expertise|group|headline|lab|lecture|library|newsletter|open.source|package"
    + r"|paper|podcast|portfolio|post|posts|presentation|product|profile|project|projects|question"
    + r"|report|research|role|startup|story|studio|study|talk|team|thesis|thread|tool|video|work"
    + r"|workshop|write-?up|writing)\b|\byou (?:wrote|said|gave|built|made|spoke|posted|published"
    + r"|presented|shared|mentioned|designed|led)\b",
    re.IGNORECASE,
)
_AM = "(?:an?|the|part|with|at|one|from|work|build|lead|hiring|look|current)"
_I_AM = re.compile(
    rf"\bI(?:['\u2019]?m| am) {_AM}|\bmy name is\b|\b[Tt]his is [A-Z]"
    + r"|\bI (?:work|lead|run|manage|head|teach|study|direct|found|recruit|represent|co-found|build"
    + r"|make|write for)\b|\b[Aa]s an? \w+|\b(?:[Ww]e|[Oo]ur (?:team|company|studio|lab|group)) "
    + r"(?:are|is|build|make|run|help|do|design|develop|work)\b"
)
_ASKING = re.compile(
    r"\blet me know\b|\bcould you\b|\bwould you\b|\bplease (?:tell|write|reply|answer|let|send|call)\b"
    + r"|\blook(?:ing)? forward to (?:hearing|your)\b|\b(?:would )?love to hear\b",
    re.IGNORECASE,
)
