"""Plain text out of HTML, without what mail programs mark as quoted, signed or hidden.

Programs mark what they quote, each in its own way but the same in all languages: so an HTML part tells
better than a plain one where somebody's own words end.
"""

import re
from dataclasses import dataclass, field

from justhtml import Document, DocumentFragment, JustHTML, Node, Text

# Own words come first; what follows so much markup is history.
CHARS_MAX = 300_000

_UNSEEN = frozenset(
    """
    button canvas datalist embed head iframe math meta noembed noframes noscript object option
    progress script select style svg template textarea title
    """.split()  # noqa: SIM905
)
_BLOCKS = frozenset(
    """
    address article aside center dd div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6
    header hr li main nav ol p pre section table tr ul
    """.split()  # noqa: SIM905
)
_APART = frozenset({"dl", "h1", "h2", "h3", "h4", "h5", "h6", "ol", "p", "table", "ul"})

# Everything from here on is what was answered to.
_HISTORY_IDS = frozenset(
    {"appendonsend", "divrplyfwdmsg", "x_divrplyfwdmsg", "mail-editor-reference-message-container"}
)
# An Outlook's line above the quoted header, whose colour depends on the version.
_HISTORY_STYLE = re.compile(r"border:none;border-top:solid#[0-9a-f]{6}1\.0pt;padding:3\.0pt0")
# Whoever writes below such a part writes outside of it.
_QUOTED_CLASSES = frozenset(
    {"gmail_attr", "moz-cite-prefix", "protonmail_quote", "yahoo_quoted", "zmail_extra"}
)
_SIGNATURE_CLASSES = frozenset(
    {
        "gmail_signature",
        "gmail_signature_prefix",
        "moz-signature",
        "protonmail_signature_block",
        "zmail_signature",
    }
)
_SIGNATURE_IDS = frozenset(
    {"applemailsignature", "composer_signature", "ms-outlook-mobile-signature", "signature"}
)
_HIDDEN = re.compile(
    r"(?:^|;)(?:display:none|visibility:hidden|mso-hide:all|font-size:0(?:px|pt|em|%)?(?:;|$))"
)
_NO_GAPS = re.compile(r"margin(?:-bottom)?:0")
_NO_GAPS_AT_ALL = re.compile(r"\bp\s*\{[^}]*margin-bottom:\s*0", re.IGNORECASE)
# A paragraph of nothing else is an empty line that somebody wanted.
_HARD_SPACE = "\u00a0"
_SPACES = re.compile(r"[ \t\r\n\f]+")


def plain(html: str) -> str:
    """The text of the page: paragraphs apart, lists with marks, quotations with `> `."""
    html = html[:CHARS_MAX]
    page = JustHTML(html, sanitize=False, scripting_enabled=False)
    writing = _Writing(close=_NO_GAPS_AT_ALL.search(html) is not None)
    # Node by node rather than by recursion: how deep a page is, whoever wrote it decides.
    left: list[Node | Text | _End] = [page.root]
    while left:
        node = left.pop()
        if isinstance(node, _End):
            writing.end(node)
        elif isinstance(node, Text):
            writing.add(node.data or "")
        elif isinstance(node, Document | DocumentFragment):
            left += reversed(node.children or ())
        elif not isinstance(node.attrs, dict) or _is_unseen(node):
            continue
        elif _is_history(node):
            break
        else:
            left.append(writing.begin(node))
            left += reversed(node.children or ())
    return writing.whole()


@dataclass(frozen=True, slots=True)
class _End:
    """The end of a node that began: what is to be written after it."""

    name: str
    gap: int = 0
    link: str = ""
    said_from: int = 0


@dataclass(slots=True)
class _Writing:
    """The text as it grows. `close`: the page has no room between its paragraphs."""

    close: bool
    lines: list[tuple[int, str]] = field(default_factory=list)
    line: str = ""
    depth: int = 0
    verbatim: int = 0
    numbers: list[int | None] = field(default_factory=list)

    def begin(self, node: Node) -> _End:
        name, attrs = node.name, node.attrs or {}
        gap = 0
        if name == "br":
            self._break()
        elif name == "blockquote":
            self._gap(1)
            self.depth += 1
            gap = 1
        elif name in ("td", "th"):
            self.line += " " if self.line else ""
        elif name in _BLOCKS:
            gap = 2 if name in _APART and not (name == "p" and self._is_close(attrs)) else 1
            self._gap(gap)
        if name in ("ul", "ol"):
            self.numbers.append(0 if name == "ol" else None)
        elif name == "li":
            self._mark()
        elif name == "pre":
            self.verbatim += 1
        elif name == "img":
            # Programs draw what a keyboard cannot write; a picture's name is no word of anybody's.
            alt = attrs.get("alt") or ""
            self.line += alt if 0 < len(alt) <= 8 and not alt.isascii() else ""
        link = (attrs.get("href") or "").strip() if name == "a" else ""
        return _End(name, gap, link, len(self.line))

    def end(self, end: _End) -> None:
        if end.link:
            said = self.line[end.said_from :].strip()
            if end.link.startswith(("http://", "https://")) and not _is_same(end.link, said):
                self.line += f" <{end.link}>" if said else end.link
        if end.name in ("ul", "ol"):
            self.numbers.pop()
        elif end.name == "pre":
            self.verbatim -= 1
        if end.gap:
            self._gap(end.gap)
        if end.name == "blockquote":
            self.depth -= 1

    def add(self, text: str) -> None:
        if self.verbatim:
            first, *others = text.replace("\r\n", "\n").split("\n")
            self.line += first
            for each in others:
                self._break()
                self.line = each
            return
        text = _SPACES.sub(" ", text)
        self.line += text.lstrip(" ") if not self.line or self.line.endswith(" ") else text

    def whole(self) -> str:
        self._gap(1)
        return "\n".join("> " * depth + line if depth else line for depth, line in self.lines)

    def _is_close(self, attrs: dict[str, str | None]) -> bool:
        if self.close or "MsoNormal" in (attrs.get("class") or ""):
            return True
        return _NO_GAPS.search(_style(attrs)) is not None

    def _break(self) -> None:
        self.lines.append((self.depth, self.line.rstrip() if not self.verbatim else self.line))
        self.line = ""

    def _gap(self, size: int) -> None:
        """Ends the line; with a size of 2, leaves one free."""
        if self.line.strip() or _HARD_SPACE in self.line:
            self._break()
        self.line = ""
        if size == 2 and self.lines and self.lines[-1][1]:
            self.lines.append((self.depth, ""))

    def _mark(self) -> None:
        number = self.numbers[-1] if self.numbers else None
        if number is None:
            self.line = "- "
        else:
            self.numbers[-1] = number + 1
            self.line = f"{number + 1}. "


def _is_unseen(node: Node) -> bool:
    attrs = node.attrs or {}
    if node.name in _UNSEEN or node.name.startswith(("#", "!")):
        return True
    if _HIDDEN.search(_style(attrs)):
        return True
    classes = set((attrs.get("class") or "").lower().split())
    if classes & _QUOTED_CLASSES or classes & _SIGNATURE_CLASSES:
        return True
    if "gmail_quote" in classes and node.name == "div":
        # A mail that is passed on stands in it without a quotation of its own.
        return not _has_quotation(node)
    if (attrs.get("id") or "").lower() in _SIGNATURE_IDS or "data-signature-widget" in attrs:
        return True
    return attrs.get("name") == "quote"


def _is_history(node: Node) -> bool:
    attrs = node.attrs or {}
    if (attrs.get("id") or "").lower() in _HISTORY_IDS:
        return True
    return _HISTORY_STYLE.match(_style(attrs)) is not None


def _has_quotation(node: Node) -> bool:
    return any(isinstance(each, Node) and each.name == "blockquote" for each in node.children or ())


def _style(attrs: dict[str, str | None]) -> str:
    return "".join((attrs.get("style") or "").lower().split())


def _is_same(link: str, said: str) -> bool:
    bare = link.partition("://")[2].rstrip("/")
    return said.rstrip("/").removeprefix("http://").removeprefix("https://") == bare
