"""The ledger's chain: each entry seals all before it, so that none can be rewritten unnoticed.

An entry's link is the SHA-256, in hexadecimal, of the link before it (of the first, of nothing) and the
entry's own fields, as UTF-8 and with a newline between them. Whoever keeps a link, such as the last one
of a statement, can tell later whether anything up to it was changed. Field by field: docs/ledger.md.
"""

from datetime import datetime
from hashlib import sha256


def link(before: str, *fields: object) -> str:
    """The link that follows `before`. A field that is None is empty; instants have microseconds.

    The last field alone may contain newlines: the ones before it cannot, so that no two entries read
    alike.
    """
    return sha256("\n".join([before, *map(_text, fields)]).encode()).hexdigest()


def _text(field: object) -> str:
    if field is None:
        return ""
    if isinstance(field, datetime):
        return field.isoformat(timespec="microseconds")
    return str(field)
