"""Letters out of bytes, whatever a mail says of them, or fails to say."""

import codecs

# Names that mail programs use and Python does not know, and those that are a part of what is meant.
_MEANT = {
    "": "us-ascii",
    "ansi_x3.4-1968": "us-ascii",
    "big5": "big5hkscs",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "iso-8859-8-e": "iso-8859-8",
    "iso-8859-8-i": "iso-8859-8",
    "ks_c_5601-1987": "cp949",
    "euc-kr": "cp949",
    "shift_jis": "cp932",
    "x-sjis": "cp932",
    "iso-2022-jp": "iso2022_jp_ext",
    "unicode-1-1-utf-7": "utf-7",
    "utf8mb4": "utf-8",
    "windows-874": "cp874",
    "x-mac-roman": "mac-roman",
    "x-gbk": "gb18030",
    # Whoever says Latin 1 writes quotation marks and the euro as Windows does.
    "iso-8859-1": "cp1252",
    "iso8859-1": "cp1252",
    "latin1": "cp1252",
}
# What Python has under the names of text encodings and nobody writes a mail in.
_OF_NO_MAIL = frozenset(
    {"idna", "mbcs", "oem", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"}
)


def decoded(content: bytes, declared: str) -> str:
    """The text; what cannot be read of it becomes U+FFFD. Never raises."""
    codec = _codec(declared)
    if codec not in (None, "ascii"):
        return _as(codec, content)
    # Nothing said, or nothing that is known, or ASCII: the usual ones, the stricter first.
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return _as("cp1252", content)


def _as(codec: str, content: bytes) -> str:
    try:
        return content.decode(codec)
    except (UnicodeError, ValueError):
        pass
    # Said wrongly, more often than damaged.
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode(codec, errors="replace")


def _codec(declared: str) -> str | None:
    name = declared.strip(" \t\"'").lower()
    try:
        found = codecs.lookup(_MEANT.get(name, name))
    except (LookupError, ValueError):
        return None
    # Python has codecs from bytes to bytes and from text to text, too.
    is_text = getattr(found, "_is_text_encoding", False)
    return found.name if is_text and found.name.replace("_", "-") not in _OF_NO_MAIL else None
