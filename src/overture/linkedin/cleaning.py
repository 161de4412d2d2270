"""Text from elsewhere made fit to store: what rules.md refuses in writing is dropped in an import.

Source: docs/rules.md, "Who may write to whom", Text.
"""

import re
import unicodedata

# The line breaks of old word processors and mainframes. (U+2028 and U+2029 are handled as such too,
# or they would count as one line here and as two in a browser.)
_LINE_BREAKS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_CONTROLS_IN_LINES = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufeff]")
_SPACES = re.compile(r"\s+")


def clean_body(raw: str) -> str:
    """A text of many lines: line breaks are LF, control characters are gone, the end is trimmed."""
    text = raw
    if not (text.isascii() and text.isprintable()):
        text = _CONTROLS.sub("", _LINE_BREAKS.sub("\n", text))
        text = unicodedata.normalize("NFC", text)
    return text.strip("\n").rstrip() if text.strip() else ""


def clean_line(raw: str) -> str:
    """A name, title or subject: one line, single spaces, no direction controls."""
    if raw.isascii() and raw.isprintable() and "  " not in raw:
        return raw.strip(" ")
    text = _CONTROLS_IN_LINES.sub("", _SPACES.sub(" ", _LINE_BREAKS.sub(" ", raw)))
    # What was removed may have stood between two spaces.
    return _SPACES.sub(" ", unicodedata.normalize("NFC", text)).strip()
