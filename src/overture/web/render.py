"""Templates to HTML: one environment a language, and the small parts that every page uses."""

import zlib
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any, Protocol

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from overture.core.files import FILE_BYTES_MAX, FILES_A_MESSAGE_MAX, KINDS
from overture.web.assets import assets
from overture.web.words import LANGUAGES, Words, translations

# Icons that point along the line, and so turn round where it runs from right to left.
_DIRECTED = frozenset(
    {
        "arrow-left", "arrow-right", "chevron-left", "chevron-right", "corner-down-right",
        "corner-up-left", "external-link", "list-checks", "log-out", "pen-line", "reply", "send",
        "undo-2",
    }
)  # fmt: skip


# Scripts that no page loads as a module of its own.
LONE = frozenset({"app.js", "sw.js"})


class Person(Protocol):
    """Whoever has a face: a member, or what a list knows of one."""

    @property
    def id(self) -> str | None: ...

    @property
    def name(self) -> str: ...


def html(template: str, words: Words, values: Mapping[str, Any]) -> str:
    """Renders a template in the reader's words. Faults in it are raised."""
    return environment(words.language).get_template(template).render(values, words=words)


@cache
def environment(language: str) -> Environment:
    made = Environment(
        loader=PackageLoader("overture.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        cache_size=-1,
        auto_reload=False,
        extensions=["jinja2.ext.i18n", "jinja2.ext.do"],
    )
    made.policies["ext.i18n.trimmed"] = True
    catalogue = translations(language)
    made.install_gettext_callables(  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
        catalogue.gettext,
        catalogue.ngettext,
        newstyle=True,
        pgettext=catalogue.pgettext,
        npgettext=catalogue.npgettext,
    )
    shared: dict[str, Any] = made.globals
    shared.update(
        {
            "static": assets().url,
            "scripts": [
                name for name in assets().files if name.endswith(".js") and name not in LONE
            ],
            "icon": icon,
            "avatar": avatar,
            "languages": LANGUAGES,
            "file_limits": {
                "accept": ",".join(f".{ending}" for ending in KINDS),
                "bytes": FILE_BYTES_MAX,
                "count": FILES_A_MESSAGE_MAX,
            },
        }
    )
    return made


@cache
def icon(name: str, more: str = "") -> Markup:
    """A picture beside a word; it says nothing itself. `more`: further classes, such as `fill`."""
    classes = " ".join(["icon", *(["flip"] if name in _DIRECTED else []), *more.split()])
    return Markup('<svg class="{}" aria-hidden="true"><use href="{}#{}"/></svg>').format(
        classes, assets().url("icons.svg"), name
    )


def avatar(person: Person, size: int = 44, photo: str | None = None) -> Markup:
    """A member's face: their photo, else their initials on a colour of their own.

    `size` is one of 24, 28, 32, 36, 44, 48 and 120; from 44 on there is room for a sign that they are
    here now, which `here.js` asks for. `photo` is the version of their photo, where `person` does not
    have it as its own `photo`.
    """
    photo = photo or getattr(person, "photo", None)
    here = Markup('<i data-here="{}"></i>').format(person.id) if size >= 44 and person.id else ""
    if photo:
        return Markup(
            '<span class="av s{}"><img src="/photos/{}/{}?size={}" alt="" loading="lazy">{}</span>'
        ).format(size, person.id, photo, 96 if size < 60 else 320, here)
    hue = zlib.crc32((person.id or person.name).encode()) % 8 + 1
    return Markup('<span class="av s{} h{}"><span aria-hidden="true">{}</span>{}</span>').format(
        size, hue, initials(person.name), here
    )


@lru_cache(maxsize=4096)
def initials(name: str) -> str:
    """At most two letters: the first of the first word, and of the last."""
    words = [word for word in name.split() if word[0].isalnum()]
    if not words:
        return ""
    return (words[0][0] + (words[-1][0] if len(words) > 1 else "")).upper()
