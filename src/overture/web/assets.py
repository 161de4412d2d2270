"""What a browser keeps: the stylesheet, the scripts and the icons, under a name that changes with them.

The stylesheets are read in their layers' order and made one; the console has another beside it, which
no other page loads. The icons that the code and the templates
name come from the `lucide` package as one sprite. All of it is made when the server starts.
"""

import gzip
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from io import BytesIO
from zipfile import ZipFile

# The stylesheets that come first, in this order; the rest follow by name.
_FIRST = ("tokens.css", "base.css")
_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
}
# Named by the code in a way that the search for `icon("…")` does not see.
_MORE_ICONS: frozenset[str] = frozenset()
_ICON = re.compile(r"""\bicon(?:\(\s*|=)["']([a-z0-9-]+)["']""")
# Lines of a script that are comments alone.
_REMARK = re.compile(rb"^ *//.*\n", re.MULTILINE)
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is served: as it is, and compressed."""

    media_type: str
    plain: bytes
    gzipped: bytes


@dataclass(frozen=True, slots=True)
class Assets:
    """`release` names the state of all of them; `files` are by their name below it."""

    release: str
    files: Mapping[str, Asset]

    def url(self, name: str) -> str:
        """Where a page finds the file of this name. An unknown one is a fault."""
        assert name in self.files, f"there is no asset {name}"
        return f"/static/{self.release}/{name}"


@cache
def assets() -> Assets:
    made = {
        "app.css": _stylesheet("static/css"),
        "console.css": _stylesheet("static/console"),
        "icons.svg": _sprite(),
    }
    made |= {each.name: _script(each) for each in _files("static/js", ".js")}
    made |= {each.name: each.read_bytes() for each in _files("static/pictures", "")}
    digest = hashlib.sha256()
    for name, content in sorted(made.items()):
        digest.update(name.encode() + b"\0" + content)
    files = {
        name: Asset(_TYPES[name.rpartition(".")[2]], content, gzip.compress(content, 9, mtime=0))
        for name, content in made.items()
    }
    return Assets(digest.hexdigest()[:12], files)


def icon_names() -> frozenset[str]:
    """The icons that are named anywhere in the web app."""
    sources = [*_files("templates", ".html"), *_files("", ".py")]
    named = {name for each in sources for name in _ICON.findall(each.read_text(encoding="utf-8"))}
    return frozenset(named) | _MORE_ICONS


def _stylesheet(folder: str) -> bytes:
    by_name = {each.name: each.read_text(encoding="utf-8") for each in _files(folder, ".css")}
    order = sorted(by_name, key=lambda name: (_place(name), name))
    return _COMMENT.sub("", "\n".join(by_name[name] for name in order)).encode()


def _place(name: str) -> int:
    return _FIRST.index(name) if name in _FIRST else len(_FIRST)


def _script(file: Traversable) -> bytes:
    return _REMARK.sub(b"", file.read_bytes())


def _sprite() -> bytes:
    packed = resources.files("lucide") / "lucide.zip"
    with ZipFile(BytesIO(packed.read_bytes())) as icons:
        symbols = [
            _symbol(name, icons.read(f"{name}.svg").decode()) for name in sorted(icon_names())
        ]
    return f'<svg xmlns="http://www.w3.org/2000/svg">{"".join(symbols)}</svg>'.encode()


def _symbol(name: str, svg: str) -> str:
    inner = svg[svg.index(">", svg.index("<svg")) + 1 : svg.rindex("</svg>")]
    return f'<symbol id="{name}" viewBox="0 0 24 24">{" ".join(inner.split())}</symbol>'


def _files(folder: str, suffix: str) -> Iterable[Traversable]:
    """The files with this suffix in a folder of the web app and in those below it."""
    place = resources.files("overture.web")
    for part in folder.split("/") if folder else ():
        place = place / part
    if not place.is_dir():
        return
    for each in sorted(place.iterdir(), key=lambda entry: entry.name):
        if each.is_dir():
            yield from _files(f"{folder}/{each.name}".lstrip("/"), suffix)
        elif each.name.endswith(suffix):
            yield each
