"""What in a text is a link, and where it leads: the same for who reads it and for who counts it."""

import re
from typing import Any
from urllib.parse import urlsplit

from linkify_it import LinkifyIt  # pyright: ignore[reportMissingTypeStubs]

from overture.core import text as texts
from overture.core.text import BadText

# A name of a host without a scheme is a link too; a bare number or an unknown ending is none.
_links: Any = LinkifyIt(options={"fuzzy_ip": False})
_links.add("ftp:", None)
_links.add("//", None)
# Without any of these there is no link in a text.
_PERHAPS = re.compile(r"://|@|\.\w", re.ASCII)
_PLACES_MAX = 5
_WRITTEN_OUT = re.compile("[/@:]")
_INITIALS_MAX = 2


def links(text: str) -> list[Any]:
    """The links in a text, each with its `url`, its `text`, and where it begins and ends."""
    return (_links.match(text) or []) if _PERHAPS.search(text) else []


def places(text: str) -> list[str]:
    """Where the links in a text lead: names of hosts, and addresses; each once, the first few."""
    found: dict[str, None] = {}
    for link in links(text):
        url = str(link.url)
        if url.startswith("mailto:"):
            place = url.removeprefix("mailto:").partition("?")[0]
        else:
            place = _host(url).removeprefix("www.")
        if place:
            found[place.lower()] = None
    return list(found)[:_PLACES_MAX]


def own_name(raw: str) -> str | BadText:
    """What somebody calls themselves. A mail greets with it, at an address that need not be theirs: it
    must not lead anywhere."""
    name = texts.line(raw, texts.NAME_CHARS_MAX, required=True)
    if not isinstance(name, BadText) and any(_leads_off(link) for link in links(name)):
        return BadText("A name has no address of a site or a mailbox in it.")
    return name


def _leads_off(link: Any) -> bool:
    """Initials and degrees look like hosts too: "Asha M.Com", "J.Co Li"."""
    host: str = link.text
    return bool(_WRITTEN_OUT.search(host)) or len(host.split(".")[-2]) > _INITIALS_MAX


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
