"""What the operator's own mail server found out about who sent a mail. Source: RFC 8601, 7489."""

import re
from collections.abc import Sequence
from enum import Enum


class Checked(Enum):
    # By the rules of the domain that the mail says to be from.
    PASSED = "passed"
    FAILED = "failed"
    # Nobody who is trusted says anything.
    UNKNOWN = "unknown"


def checked(results: Sequence[str], trusts: str | None, sender: str) -> Checked:
    """The verdict of the mail server called `trusts` on the mail's sender.

    `results` are the Authentication-Results in the mail, the latest first. Anyone can write such a
    header: only the latest under that name counts, which the server put there itself; it has to take
    away those that came with the mail.
    """
    if trusts is None:
        return Checked.UNKNOWN
    for each in results:
        name, *methods = _COMMENT.sub(" ", each).split(";")
        # The name may have a version after it.
        if name.lower().split()[:1] == [trusts.lower()]:
            return _dmarc(methods, sender)
    return Checked.UNKNOWN


def _dmarc(methods: Sequence[str], sender: str) -> Checked:
    for method in methods:
        found = _DMARC.match(method.strip())
        if found is None:
            continue
        about = _FROM.search(method)
        domain = sender.rpartition("@")[2]
        if found[1].lower() == "pass":
            same = about is None or about[1].lower().rstrip(".") == domain
            return Checked.PASSED if same else Checked.UNKNOWN
        return Checked.FAILED if found[1].lower() in ("fail", "permerror") else Checked.UNKNOWN
    return Checked.UNKNOWN


_COMMENT = re.compile(r"\([^()]*\)")
_DMARC = re.compile(r"dmarc\s*=\s*(\w+)", re.IGNORECASE)
_FROM = re.compile(r"header\.from\s*=\s*\"?([^\s;\"]+)", re.IGNORECASE)
