"""What a browser tells when it asks to be let in, and what it is given to keep."""

import logging
from urllib.parse import urlencode, urlsplit

from overture import ids
from overture.actions.accounts import Browser, Fresh, SignedIn
from overture.core.accounts import CEREMONY_MAX, SESSION_MAX, Denied
from overture.web.frames import FRAME_COOKIE
from overture.web.visit import SESSION_COOKIE, Visit

# Remembers a browser that signed in before; see `core.accounts`.
_DEVICE_COOKIE = "device"
# What was begun in this browser and is to be ended; see `core.accounts.Ceremony`.
_CEREMONY_COOKIE = "ceremony"
_SESSION_SECONDS = int(SESSION_MAX.total_seconds())
_CEREMONY_SECONDS = int(CEREMONY_MAX.total_seconds())


def browser_of(visit: Visit) -> Browser:
    client, headers = visit.request.client, visit.request.headers
    return Browser(
        client.host if client else "", headers.get("user-agent", ""), visit.cookie(_DEVICE_COOKIE)
    )


def fresh() -> Fresh:
    return Fresh(ids.new(), ids.new_secret(), ids.new_secret())


def keep(visit: Visit, signed_in: SignedIn) -> None:
    """Has the browser keep what signs it in. What it had begun is over."""
    keep_session(visit, signed_in.secret)
    visit.keep_cookie(_DEVICE_COOKIE, signed_in.device)
    keep_ceremony(visit, "")


def keep_session(visit: Visit, secret: str) -> None:
    visit.keep_cookie(SESSION_COOKIE, secret, _SESSION_SECONDS)


def keep_framed(visit: Visit, signed_in: SignedIn) -> None:
    """The same for a frame of the host's. What the browser has beside it is another thing."""
    visit.keep_cookie(FRAME_COOKIE, signed_in.secret, _SESSION_SECONDS)


def ceremony(visit: Visit) -> str:
    """The secret of what was begun in this browser; empty where nothing was."""
    return visit.cookie(_CEREMONY_COOKIE)


def keep_ceremony(visit: Visit, secret: str) -> None:
    """Has the browser keep it; an empty one removes what there was."""
    if secret or ceremony(visit):
        visit.keep_cookie(_CEREMONY_COOKIE, secret, _CEREMONY_SECONDS)


def local(raw: str, otherwise: str = "/inbox") -> str:
    """Where to go on: a path of this site alone, whatever a link to us says."""
    try:
        parts = urlsplit(raw)
    except ValueError:
        return otherwise
    is_path = raw.startswith("/") and raw[1:2] not in {"/", "\\"} and raw.isprintable()
    return raw if is_path and not parts.scheme and not parts.netloc else otherwise


_log = logging.getLogger("overture.web")


def say(visit: Visit, denied: Denied) -> str:
    """The reader's sentence. The log tells of it too, so that many are noticed, but not of whom."""
    _log.info("who asked to get in, or for what is asked again, was denied it: %s", denied.value)
    return visit.words.say(denied.sentence)


def status_of(denied: Denied) -> int:
    return 429 if denied in (Denied.TOO_OFTEN, Denied.CODES_TOO_OFTEN) else 422


def second_step_url(then: str) -> str:
    return "/login/code" + (f"?{urlencode({'next': then})}" if (then := local(then, "")) else "")


def login_url(then: str, *, new: bool = False) -> str:
    query = ({"next": then} if (then := local(then, "")) else {}) | ({"new": "1"} if new else {})
    return "/login" + (f"?{urlencode(query)}" if query else "")
