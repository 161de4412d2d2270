"""What members wrote, as HTML: paragraphs, line breaks, and links shown as links.

Each paragraph takes its direction from its own text and keeps it to itself, so that no sign in it can
turn what stands around it.
"""

import re
from functools import lru_cache

from markupsafe import Markup, escape

from overture.actions.links import links

_BLANK_LINES = re.compile(r"\n[ \t]*\n\s*")


@lru_cache(maxsize=4096)
def letter(body: str) -> Markup:
    """A letter: a paragraph for what blank lines set apart."""
    parts = _BLANK_LINES.split(body.strip("\n"))
    return Markup("").join(_paragraph(part) for part in parts)


@lru_cache(maxsize=8192)
def chat(body: str) -> Markup:
    """A message of a chat: one paragraph, its lines as they were written."""
    return _paragraph(body.strip("\n"))


def _paragraph(part: str) -> Markup:
    return Markup('<p dir="auto">{}</p>').format(_linked(part))


def _linked(part: str) -> Markup:
    found = links(part)
    if not found:
        return _lines(part)
    made, end = Markup(""), 0
    for link in found:
        made += _lines(part[end : link.index])
        made += Markup(
            '<a href="{}" target="_blank" rel="nofollow ugc noopener noreferrer"><bdi>{}</bdi></a>'
        ).format(link.url, link.text)
        end = link.last_index
    return made + _lines(part[end:])


def _lines(part: str) -> Markup:
    return Markup(escape(part).replace("\n", Markup("<br>")))  # noqa: S704  escaped already
