"""A mail from standard input, as a mail server's pipe brings it: the exit status tells its fate."""

from collections.abc import Mapping, Sequence

from overture.core.replies import Addresses
from overture.mail.incoming.reading import read
from overture.mail.incoming.taking import Fate, Told

# As sysexits.h has them, and mail servers read them.
OK, DATA, NO_USER, TEMPORARY, FORBIDDEN = 0, 65, 67, 75, 77


def recipient(
    given: str | None, environment: Mapping[str, str], raw: bytes, addresses: Addresses
) -> str | None:
    """To which of our addresses the mail came: as told, as the mail server says, as its header says."""
    told = (given, environment.get("ORIGINAL_RECIPIENT"), environment.get("RECIPIENT"))
    certain = [each for each in told if each]
    return ours(certain or read(raw, ()).recipients, addresses) or given


def ours(recipients: Sequence[str], addresses: Addresses) -> str | None:
    """The first of these addresses that is one of ours, with a seal or what looks like one."""
    return next((each for each in recipients if addresses.seal_in(each)), None)


def return_path(given: str | None, environment: Mapping[str, str]) -> str | None:
    """Who is told what becomes of it; empty for nobody, None where that is not known."""
    path = environment.get("SENDER") if given is None else given
    if path is None:
        return None
    # What mail servers call the sender that there is none of.
    return "" if path.upper().startswith("MAILER-DAEMON") else path.strip("<> ")


def status(told: Told) -> int:
    match told.fate:
        case Fate.TAKEN | Fate.PASSED_OVER:
            return OK
        case Fate.LATER:
            return TEMPORARY
        case Fate.REFUSED:
            return {"5.1.1": NO_USER, "5.7.1": FORBIDDEN}.get(told.code, DATA)
