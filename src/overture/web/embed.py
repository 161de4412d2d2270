"""The “InMail me” button of the host's pages: its script, and what it says.

The script is the same for everybody. What the button says is told to pages of the configured origins
alone. Who is not signed in learns nothing of a member, not even whether there is one; who is learns
whether a letter can go now and what it costs, never why it cannot.
"""

import gzip
import re
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib import resources

import msgspec
from starlette.responses import Response

from overture.actions import conversations, members
from overture.core.contact import Contact
from overture.store.db import Tx
from overture.web.visit import Answer, Visit, Who, page
from overture.words import LANGUAGES, Words, words_of

_REMARK = re.compile(rb"^ *//.*\n", re.MULTILINE)


@page("/embed/overture.js", who=Who.ANYONE, transaction=False)
async def script(visit: Visit) -> Answer:
    """Taken by pages of any site; kept, and asked each time whether it is still the same."""
    content, packed, tag = _script()
    headers = {
        "Access-Control-Allow-Origin": "*",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "Cache-Control": "public, no-cache",
        "ETag": tag,
        "Vary": "Accept-Encoding",
    }
    asked = visit.request.headers
    if tag in asked.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if "gzip" in asked.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        content = packed
    return Response(content, media_type="text/javascript", headers=headers)


@cache
def _script() -> tuple[bytes, bytes, str]:
    """It, itself compressed, and what tells it from an older one."""
    file = resources.files("overture.web") / "static" / "embed" / "overture.js"
    content = _REMARK.sub(b"", file.read_bytes())
    return content, gzip.compress(content, 9, mtime=0), f'"{sha256(content).hexdigest()[:16]}"'


@page("/embed/button", who=Who.ANYONE, transaction=False)
async def button(visit: Visit) -> Answer:
    words = _words(visit)
    told = _told(words, await _contact(visit))
    headers = {"Vary": "Origin, Cookie, Accept-Language", **_permission(visit)}
    return Response(msgspec.json.encode(told), media_type="application/json", headers=headers)


def _words(visit: Visit) -> Words:
    """In the language of the page that it stands in, where that is one of ours."""
    wanted = visit.query.get("lang", "").partition("-")[0].lower()
    return words_of(wanted, "UTC") if wanted in LANGUAGES else visit.words


async def _contact(visit: Visit) -> Contact | bool:
    """The decision that a letter would meet, where it is known for whom: else whether there is any."""
    if visit.visitor is None:
        return True
    viewer, wanted = visit.visitor, visit.query.get("member", "")
    if viewer.suspended:
        return False

    async def look(tx: Tx) -> Contact | bool:
        now = await visit.site.clock.now(tx)
        to = await members.profile(tx, viewer.id, wanted, now)
        if to is None:
            return False
        return await conversations.preview(
            tx,
            viewer.id,
            to.id,
            pool=None,
            now=now,
            book=visit.site.book,
            paced=visit.site.paced(),
        )

    return await visit.site.db.reading(look)


def _told(words: Words, found: Contact | bool) -> Mapping[str, object]:
    _ = words.gettext
    may = found if isinstance(found, bool) else found.allowed
    credits = None if isinstance(found, bool) else found.credits
    price = ""
    if may and credits:
        price = words.ngettext("%(num)s credit", "%(num)s credits", credits)
        price %= {"num": words.number(credits)}
    elif may and credits is not None:
        price = _("Free")
    return {
        "state": "open" if may else "unavailable",
        "credits": credits if may else None,
        "label": _("InMail me"),
        "price": price,
        "note": "" if may else _("No letter can go to them now."),
        "title": _("Write a letter"),
        "close": _("Close"),
        "apart": _("Open in a window of its own"),
        "lang": words.language,
        "dir": words.direction,
    }


def _permission(visit: Visit) -> Mapping[str, str]:
    """That the page of this origin may read it, cookie and all."""
    origin = visit.request.headers.get("origin", "")
    if origin not in visit.site.embed_origins:
        return {}
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Credentials": "true",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
