"""Templates to HTML: one environment a language, and the small parts that every page uses."""

import re
import zlib
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any, Protocol

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.ext import Extension
from markupsafe import Markup, escape
from typing_extensions import override

from overture.core.files import FILE_BYTES_MAX, FILES_A_MESSAGE_MAX, KINDS
from overture.web.assets import assets
from overture.words import LANGUAGES, Words, translations

# Icons that point along the line, and so turn round where it runs from right to left.
_DIRECTED = frozenset(
    {
        "arrow-left", "arrow-right", "chevron-left", "chevron-right", "corner-down-right",
        "corner-up-left", "external-link", "list-checks", "log-out", "pen-line", "reply", "send",
        "undo-2",
    }
)  # fmt: skip


# Scripts that no page loads as a module of its own.
LONE = frozenset({"again.js", "app.js", "frame.js", "sw.js"})


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
        extensions=["jinja2.ext.i18n", "jinja2.ext.do", Fixed],
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
            "language": language,
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


class Fixed(Extension):
    """What a template says is the same for every reader of a language, `{{ _("Inbox") }}` and
    `{{ icon("inbox") }}`, is put into it once when it is read: a page has hundreds of them."""

    @override
    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        gettext = translations(_language_of(self.environment)).gettext
        # As the calls would do it: what stands in a catalogue is HTML, and a format.
        source = _SENTENCE.sub(lambda found: gettext(found[2]) % {}, source)
        return _PICTURE.sub(lambda found: icon(found[1], found[2] or ""), source)


def _language_of(made: Environment) -> str:
    language = made.globals["language"]
    assert isinstance(language, str), "an environment is made for a language"
    return language


_SENTENCE = re.compile(r"""\{\{ _\((["'])((?:(?!\1)[^\\])+)\1\) \}\}""")
_PICTURE = re.compile(r"""\{\{ icon\("([a-z0-9-]+)"(?:, "([a-z ]+)")?\) \}\}""")


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
    return _face(person.id, person.name, size, photo)


@lru_cache(maxsize=16384)
def _face(id_: str | None, name: str, size: int, photo: str | None) -> Markup:
    # Put together by hand: `Markup.format` took a seventh of a list's time.
    here = f'<i data-here="{escape(id_)}"></i>' if size >= 44 and id_ else ""
    if photo:
        picture = f"/photos/{escape(id_)}/{escape(photo)}?size={96 if size < 60 else 320}"
        shown = f'<img src="{picture}" alt="" loading="lazy">'
        return Markup(f'<span class="av s{size}">{shown}{here}</span>')  # noqa: S704  escaped above
    hue = zlib.crc32((id_ or name).encode()) % 8 + 1
    shown = f'<span aria-hidden="true">{escape(initials(name))}</span>'
    return Markup(f'<span class="av s{size} h{hue}">{shown}{here}</span>')  # noqa: S704


@lru_cache(maxsize=4096)
def initials(name: str) -> str:
    """At most two letters: the first of the first word, and of the last."""
    words = [word for word in name.split() if word[0].isalnum()]
    if not words:
        return ""
    return (words[0][0] + (words[-1][0] if len(words) > 1 else "")).upper()
