"""What came back of our own mails, and whether the address is to blame.

Sources: RFC 3463, 3464, 6533.
"""

import re
from email import message_from_string

from overture.mail.incoming.headers import Part, attempt, parts, undecoded, value

_STATUS = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")
# Of the codes for permanent failures, those that no other mail to this address would be spared.
_OF_ADDRESSES = re.compile(r"5\.(?:1\.\d+|2\.1|4\.4)")
_SENDERS = re.compile(r"(?:mailer-?daemon|postmaster|mdaemon)@", re.IGNORECASE)
_REPORT_BYTES_MAX = 20_000
_REPORTS = ("message/delivery-status", "message/global-delivery-status")


def address_fails(message: Part, sender: str, return_path: str | None) -> str:
    """The mail servers' code, such as 5.1.1, where the mail tells that an address is no more.

    Empty where it does not, and where something else was wrong, such as a full mailbox.
    """
    for part in message.walk():
        if part.get_content_type() in _REPORTS:
            return _in_report(part)
    # As mail servers told it before there were reports, and some still do.
    if return_path != "" or not _SENDERS.match(sender):
        return ""
    return _failing(_text(message))


def _in_report(part: Part) -> str:
    for block in _blocks(part):
        if value(block, "action").lower() != "failed":
            continue
        status = _failing(value(block, "status"))
        # Some servers have a general code, and the very reason in what the other server said.
        if code := status or _failing(value(block, "diagnostic-code")):
            return code
    return ""


def _blocks(part: Part) -> list[Part]:
    """One block of fields for the mail, then one for each address that it went to."""
    blocks = parts(part)
    if len(blocks) != 1:
        return blocks
    # The library knows the older name of such a report alone, and takes others for a mail.
    text = undecoded(blocks[0])[:_REPORT_BYTES_MAX]
    return [*blocks, *(message_from_string(each.lstrip("\n")) for each in text.split("\n\n"))]


def _failing(text: str) -> str:
    for found in _STATUS.finditer(text):
        if _OF_ADDRESSES.fullmatch(found[0]):
            return found[0]
    return ""


def _text(message: Part) -> str:
    content = attempt(lambda: message.get_payload(decode=True))
    return content[:_REPORT_BYTES_MAX].decode("latin-1") if isinstance(content, bytes) else ""
