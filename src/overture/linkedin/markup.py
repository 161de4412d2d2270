"""HTML in old messages, made into text.

Not by `html.parser`, whose time grows with the square of some broken inputs: 100 kB of "<a <" took
it 35 s with Python 3.11, and an archive may hold thousands. All that is done here is linear.
"""

import re
from html import unescape

_TAGS = (
    "a|abbr|address|b|blockquote|body|br|center|code|div|em|font|footer|h[1-6]|head|header|hr|html|i"
    "|img|label|li|link|main|meta|ol|p|pre|s|script|section|small|span|strike|strong|style|sub|sup"
    "|table|tbody|td|tfoot|th|thead|title|tr|u|ul"
)
# People write "<3", "a < b" and "put it in a <p>" in plain text. It is HTML if it begins with a
# tag, or has a tag that closes, breaks a line or carries attributes.
_IS_HTML = re.compile(
    rf"\A\s*<(?:!doctype|(?:{_TAGS})[\s/>])|</(?:{_TAGS})\s*>|<br\s*/?>|<(?:{_TAGS})\s+[a-z-]+\s*=",
    re.IGNORECASE,
)
_KNOWN = re.compile(_TAGS)
_LAYOUT = re.compile(r"<(?:p|br|div|li|tr|h[1-6]|blockquote)[\s/>]", re.IGNORECASE)
_UNSEEN = frozenset({"script", "style", "title"})
_BLOCKS = frozenset(
    {"address", "blockquote", "div", "footer", "header", "hr", "main", "pre", "section", "table"}
    | {"tr", "ul", "ol", "li"}
)
_PARAGRAPHS = frozenset({"p", "h1", "h2", "h3", "h4", "h5", "h6"})
_CELLS = frozenset({"td", "th"})
# A quoted value with "<" in it is not followed, so that no attempt looks past the next "<".
_TOKEN = re.compile(
    r"(?P<comment><!--)|<[!?][^<>]*>"
    r"|<(?P<end>/?)(?P<tag>[A-Za-z][A-Za-z0-9:-]*+)"
    r"(?P<given>(?:[\s/](?:[^<>\"']|\"[^\"<]*\"|'[^'<]*')*+)?)>"
)
_GIVEN = re.compile(
    r"(?<![\w-])(href|class|alt)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))", re.IGNORECASE
)
# Python refuses to make a number of thousands of digits, and no character has so many.
_LONG_REFERENCE = re.compile(r"&#(?:[0-9]{8,}|[xX][0-9a-fA-F]{7,});?")
_LINKS = re.compile(r"(?:https?|mailto):", re.IGNORECASE)
_SPACES = re.compile(r"[ \t\r\n\f]+")
_MANY_BREAKS = re.compile(r"\n{3,}")


def is_html(text: str) -> bool:
    return "<" in text and _IS_HTML.search(text) is not None


def html_to_text(html: str) -> str:
    """The text that a reader of the page would see: paragraphs, lists, links as "text (address)".

    Never fails: what is no tag is text.
    """
    page = _Page(keeps_lines=_LAYOUT.search(html) is None)
    low = html.lower()
    at = 0
    while found := _TOKEN.search(html, at):
        page.words(html[at : found.start()])
        at = found.end()
        if found["comment"]:
            end = html.find("-->", at)
            at = len(html) if end < 0 else end + 3
        elif found["tag"]:
            tag = found["tag"].lower()
            if tag in _UNSEEN and not found["end"]:
                end = low.find(f"</{tag}", at)
                at = len(html) if end < 0 else end
            elif ":" not in tag and not _KNOWN.fullmatch(tag):
                # Not a tag but what someone wrote: "List<String>".
                page.words(found[0])
            elif found["end"]:
                page.end(tag)
            else:
                page.begin(tag, found["given"])
    page.words(html[at:])
    return page.text()


class _Page:
    def __init__(self, *, keeps_lines: bool) -> None:
        # A text whose only tags are links and bold type has its line breaks as they are.
        self._keeps_lines = keeps_lines
        self._parts: list[str] = []
        self._lists: list[int | None] = []
        self._link: tuple[str, int] | None = None

    def text(self) -> str:
        self._end_link()
        lines = "".join(self._parts).replace("\xa0", " ").split("\n")
        return _MANY_BREAKS.sub("\n\n", "\n".join(line.rstrip(" ") for line in lines)).strip()

    def words(self, raw: str) -> None:
        if not self._keeps_lines:
            raw = _SPACES.sub(" ", raw)
            if self._at_line_start():
                raw = raw.lstrip(" ")
        if raw:
            self._parts.append(_characters(raw))

    def begin(self, tag: str, raw: str) -> None:
        given = {
            name.lower(): _characters(double or single or bare)
            for name, double, single, bare in _GIVEN.findall(raw)
        }
        if tag == "br":
            self._parts.append("\n")
        elif tag in _PARAGRAPHS:
            # LinkedIn's editor made a paragraph of each line ("spinmail-quill-editor__spin-break"),
            # and an empty one of each empty line.
            self._break_line(blank="spin-break" not in given.get("class", ""))
        elif tag in _BLOCKS:
            self._break_line()
            self._open_list(tag)
        elif tag == "a":
            self._end_link()
            self._link = given.get("href", "").strip(), len(self._parts)
        elif tag == "img" and given.get("alt"):
            self._parts.append(given["alt"])

    def end(self, tag: str) -> None:
        if tag == "a":
            self._end_link()
        elif tag in _PARAGRAPHS or tag in _BLOCKS:
            if tag in {"ul", "ol"} and self._lists:
                self._lists.pop()
            self._break_line()
        elif tag in _CELLS:
            self._parts.append(" ")

    def _open_list(self, tag: str) -> None:
        if tag in {"ul", "ol"}:
            self._lists.append(0 if tag == "ol" else None)
        elif tag == "li":
            number = self._lists[-1] if self._lists else None
            if number is not None:
                number += 1
                self._lists[-1] = number
            self._parts.append("• " if number is None else f"{number}. ")

    def _end_link(self) -> None:
        if self._link is None:
            return
        address, begin = self._link
        self._link = None
        words = "".join(self._parts[begin:]).strip()
        shown = address.removeprefix("mailto:")
        if not _LINKS.match(address) or words in {address, shown}:
            return
        self._parts.append(f" ({shown})" if words else shown)

    def _break_line(self, *, blank: bool = False) -> None:
        if not self._parts:
            return
        if not self._at_line_start():
            self._parts.append("\n")
        if blank:
            self._parts.append("\n")

    def _at_line_start(self) -> bool:
        return not self._parts or self._parts[-1].endswith("\n")


def _characters(raw: str) -> str:
    return unescape(_LONG_REFERENCE.sub("", raw)) if "&" in raw else raw
