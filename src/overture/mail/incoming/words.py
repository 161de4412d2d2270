"""A person's own words out of a plain text: without what is quoted, signed and added by programs.

What is answered here is always a mail of ours, so that most of it is recognised in every language
alike: by our own address in the line above the quotation, by the header that a program repeats, and by
the marks of quoting itself. Source: docs/decisions/006-own-words.md.
"""

import re
from collections.abc import Sequence

# Own words come first; what follows so many characters is history.
CHARS_MAX = 100_000
# The line above a quotation, when programs have broken it.
_INTRO_LINES_MAX = 3
_INTRO_CHARS_MAX = 400
_HEADER_LINES = 7


def own(text: str, ours: Sequence[str]) -> str:
    """What was written, of a mail that answers one of ours.

    `ours` are ends of our addresses, such as `@inmail.example.org`, in lower case. What is quoted
    between somebody's own words is a part of them, and stays.
    """
    lines = _unarmoured(text[:CHARS_MAX]).split("\n")
    parts = _parts(lines[: _history(lines, ours)], ours)
    while parts and parts[-1][0]:
        parts.pop()
    # Who answers below the mail quotes it all; who answers point by point quotes what each is about.
    if sum(1 for quoted, _ in parts if not quoted) == 1 and parts[0][0]:
        parts.pop(0)
    kept = [(quoted, each if quoted else _unsigned(each)) for quoted, each in parts]
    while kept and (kept[-1][0] or not any(map(_said, kept[-1][1]))):
        kept.pop()
    return tidy("\n".join(line for _, each in kept for line in each))


def unquoted(text: str) -> str:
    """A text without the quotations between its words."""
    lines = text.split("\n")
    return tidy("\n".join("" if line.startswith(">") else line for line in lines))


def tidy(text: str) -> str:
    """A text without control characters, loose ends, and more than one empty line at a time."""
    text = _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n").replace("\u00a0", " "))
    lines = ["" if not _said(line) else line.rstrip() for line in text.split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n").strip(_INVISIBLE + " ")


# What was answered to -----------------------------------------------------------------------------


def _history(lines: Sequence[str], ours: Sequence[str]) -> int:
    """The number of the line from which on everything is the mail that was answered."""
    for number, line in enumerate(lines):
        bare = _bare(line)
        if not bare:
            continue
        if _RULE.match(bare) and (
            _is_ours(bare, ours)
            or any(map(_LABEL.match, map(_bare, lines[number + 1 : number + 4])))
        ):
            return number
        if _LABEL.match(bare) and _is_header(lines[number : number + _HEADER_LINES], ours):
            above = number - 1
            while above >= 0 and not _bare(lines[above]):
                above -= 1
            # Outlook draws a line above it.
            return above if above >= 0 and _LINE.fullmatch(_bare(lines[above])) else number
        length = _intro(lines, number, ours)
        if length and not _next_is_quoted(lines, number + length):
            return number
    return len(lines)


def _is_header(lines: Sequence[str], ours: Sequence[str]) -> bool:
    """Whether a mail's header is repeated here: three lines of it at least, with somebody's address, or
    beginning with whom it is from and telling when: people write lists that look much the same."""
    block: list[str] = []
    for line in map(_bare, lines):
        if not line and block and len(block) >= 2:
            break
        if line:
            block.append(line)
    labelled = [line for line in block if _LABEL.match(line)]
    if len(labelled) < 3:
        return False
    if any(_is_ours(line, ours) or "@" in line for line in block):
        return True
    first = re.split("[:\uff1a]", labelled[0])[0].strip(" *").lower()
    return first in _FROM and any(map(_DATE.search, labelled[1:]))


def _intro(lines: Sequence[str], number: int, ours: Sequence[str]) -> int:
    """How many lines from here on are the one above a quotation, such as "On …, Ada wrote:"."""
    said = ""
    for length in range(1, _INTRO_LINES_MAX + 1):
        if number + length > len(lines):
            return 0
        line = _bare(lines[number + length - 1])
        if not line or line.startswith(">"):
            return 0
        # Programs break it where it is too long, and what comes first then tells when; what has the
        # whole of it in its later lines has somebody's own words in its first.
        if length == 2 and not _DATE.search(said):
            return 0
        if length > 1 and _is_intro(line, ours, lines, number + length):
            return 0
        said = f"{said} {line}".strip()
        if _is_intro(said, ours, lines, number + length):
            return length
    return 0


def _is_intro(said: str, ours: Sequence[str], lines: Sequence[str], after: int) -> bool:
    if _names_us(said[:_INTRO_CHARS_MAX], ours):
        return True
    if len(said) > _INTRO_CHARS_MAX or not _ENDS.search(said) or not _DATE.search(said):
        return False
    return _next_is_quoted(lines, after)


def _names_us(said: str, ours: Sequence[str]) -> bool:
    """Whether it names our address, and a date, and ends as what comes before a quotation does."""
    low = said.lower()
    place = max((low.rfind(each) + len(each) for each in ours if each in low), default=0)
    if not place or not _DATE.search(said):
        return False
    return _AFTER_ADDRESS.match(said[place:]) is not None


def _next_is_quoted(lines: Sequence[str], number: int) -> bool:
    for line in map(_bare, lines[number : number + 3]):
        if line:
            return line.startswith(">")
    return False


def _is_ours(line: str, ours: Sequence[str]) -> bool:
    low = line.lower()
    return any(each in low for each in ours)


# Parts, and what ends them ------------------------------------------------------------------------


def _parts(lines: Sequence[str], ours: Sequence[str]) -> list[tuple[bool, list[str]]]:
    """Quoted and own lines in turn; empty lines belong to what stands before them."""
    parts: list[tuple[bool, list[str]]] = []
    number = 0
    while number < len(lines):
        line = lines[number]
        length = _intro(lines, number, ours)
        if length:
            if not parts or not parts[-1][0]:
                parts.append((True, []))
            number += length
            continue
        quoted = _bare(line).startswith(">")
        if parts and (not _said(line) or parts[-1][0] == quoted):
            parts[-1][1].append(line)
        else:
            parts.append((quoted, [line]))
        number += 1
    return [(quoted, each) for quoted, each in parts if quoted or any(map(_said, each))]


def _unsigned(lines: list[str]) -> list[str]:
    """Without a signature after the usual mark, and without what a telephone adds."""
    for number, line in enumerate(lines):
        if _MARK.fullmatch(line) and len(lines) - number <= _SIGNATURE_LINES_MAX:
            lines = lines[:number]
            break
    last = len(lines) - 1
    while last >= 0 and not _said(lines[last]):
        last -= 1
    if last >= 0 and len(lines[last]) < 120 and _SENT_FROM.match(_bare(lines[last])):
        return _unsigned(lines[:last])
    return lines


def _unarmoured(text: str) -> str:
    """Without the frame around a text that was signed where it stands."""
    start = text.find("-----BEGIN PGP SIGNED MESSAGE-----\n")
    framed = _SIGNED.match(text, start) if start >= 0 else None
    if framed is None:
        return text
    return text[:start] + re.sub(r"(?m)^- ", "", framed[1]) + text[framed.end() :]


def _bare(line: str) -> str:
    """A line without what cannot be seen, and without emphasis."""
    return line.translate(_UNSEEN).strip(" \t*")


def _said(line: str) -> bool:
    return bool(line.translate(_UNSEEN).strip())


_INVISIBLE = "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
_UNSEEN = dict.fromkeys(
    map(ord, _INVISIBLE + "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
) | {
    0xA0: " ",
    0x202F: " ",
}
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufeff]")
_RULE = re.compile(r"-{4,} ?[^-]{1,60}? ?-{3,}")
_LINE = re.compile(r"[_-]{10,}")
_LABEL = re.compile(r"[^\W\d_][\w ().’'-]{0,24}\*? ?[:\uff1a](?!//)")
# What stands before a sender's name in a header, as programs show it.
_FROM = frozenset(
    """
    from von de da van fra från lähettäjä od от від feladó από kimden من מאת dari từ จาก
    发件人 寄件者 差出人 送信者 보낸사람 expéditeur remitente mittente afzender avsändare
    """.split()  # noqa: SIM905
)
_DATE = re.compile(r"\d{1,4}[./-]\d{1,2}|\d{1,2}[:.h]\d{2}|\d{4}|\d年")
_ENDS = re.compile(r"[:\uff1a]$")
_AFTER_ADDRESS = re.compile(r"[>)\]»\s.]*[^:\uff1a]{0,60}(?:[:\uff1a]|-{3,}$)")
_MARK = re.compile(r"--\s?")
_SIGNATURE_LINES_MAX = 20
_SIGNED = re.compile(
    r"-----BEGIN PGP SIGNED MESSAGE-----\n(?:[A-Za-z-]+: [^\n]*\n)*\n(.*?)\n?"
    r"-----BEGIN PGP SIGNATURE-----.*?(?:-----END PGP SIGNATURE-----|\Z)",
    re.DOTALL,
)
# As programs put it that add it by themselves; only ever the last line of what somebody wrote.
_SENT_FROM = re.compile(
    r"""
    sent\ (?:from|with|via)\ (?:my\ |the\ )?\w | get\ outlook\ for
    | (?:von|aus)\ mein\w+\ .+\ gesendet | gesendet\ (?:von|mit)\ | outlook\ für\ .+\ beziehen
    | diese\ nachricht\ wurde\ von\ meinem | holen\ sie\ sich\ outlook
    | envoyé\ (?:de|depuis|à\ partir)\  | télécharger\ outlook | obtenez\ outlook
    | enviado\ (?:desde|do|a\ partir|de\ mi|do\ meu)\  | obtener\ outlook | obter\ o\ outlook
    | inviato\ (?:da|con)\  | ottieni\ outlook
    | verzonden\ (?:vanaf|met|via)\  | outlook\ voor\ .+\ downloaden
    | (?:skickat|sendt|sent)\ fr[åa]n?\  | lähetetty\ | hent\ outlook | hämta\ outlook
    | wysłane?\ z\  | odesláno\ z | отправлено\ (?:с|из)\  | надіслано\ з
    | (?:iphone|ipad|android).{0,12}から送信 | 发自我的 | 從我的.+傳送 | 从我的.+发送
    | 나의\ .+에서\ 보냄 | .{0,20}[’'](?:imden|ımdan|umdan|ümden)\ gönderildi
    | أُ?رسلت?\ من | نشُ?رت?\ من | נשלח\ מ
    """,  # noqa: RUF001  each language has its own letters
    re.IGNORECASE | re.VERBOSE,
)
