"""What in a text is a link, and where it leads: the same for who reads it and for who counts it."""

import re
from typing import Any
from urllib.parse import urlsplit

from linkify_it import LinkifyIt  # pyright: ignore[reportMissingTypeStubs]

# A name of a host without a scheme is a link too; a bare number or an unknown ending is none.
_links: Any = LinkifyIt(options={"fuzzy_ip": False})
_links.add("ftp:", None)
_links.add("//", None)
# Without any of these there is no link in a text.
_PERHAPS = re.compile(r"://|@|\.\w", re.ASCII)
_PLACES_MAX = 5


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


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
