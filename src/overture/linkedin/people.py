"""Who a row speaks of: addresses of profiles, and recipients in their lists."""

import re
from functools import lru_cache
from urllib.parse import unquote, urlsplit

from overture.linkedin.cleaning import clean_line
from overture.linkedin.records import DELETED_MEMBER, Person

_URL_CHARS_MAX = 2000
_LISTS_CHARS_MAX = 20_000
_HOST = re.compile(r"(?:[a-z0-9-]+\.)*linkedin\.com")
_NOT_IN_A_SLUG = re.compile(r"[\s/\\?#<>\"]")
# Lists of addresses are joined by commas, in older exports by semicolons, in some by spaces. An
# address holds none of them: slugs are percent-encoded.
_BETWEEN_URLS = re.compile(r"\s*[,;]\s*|\s+")
# "Grace Hopper, PhD, MBA" is one name: letters after a name are one word, mostly of capitals.
_LETTERS_AFTER_NAME = re.compile(
    r"(?:[A-Z][A-Za-z]?\.?){2,}[A-Z0-9®™+-]*|[JS]r\.?|[IVX]+|[A-Z0-9®™+.()-]{2,}"
)


def profile_key(url: str) -> str | None:
    """What is the same in all spellings of a profile's address: the slug of /in/<slug>, decoded and
    in lower case. None for anything else: companies, old /pub/ pages, other sites."""
    return _key(url) if 0 < len(url) <= _URL_CHARS_MAX else None


def person(name: str, url: str) -> Person:
    """Someone by name and address, either of which may be missing."""
    shown, address = clean_line(name), clean_line(url)
    key = profile_key(address)
    return Person(shown if shown or key else DELETED_MEMBER, address, key)


def people(names: str, urls: str) -> tuple[Person, ...]:
    """The people of two lists that run side by side, each once.

    Names hold commas too, so that the lists may differ in length. Nobody is lost then, and nobody
    gets another's name: those whose name is uncertain have none.
    """
    if len(names) + len(urls) <= _LISTS_CHARS_MAX:
        return _people(names, urls)
    return _people.__wrapped__(names, urls)


@lru_cache(maxsize=16_384)
def _key(url: str) -> str | None:
    try:
        parts = urlsplit(url.strip() if "//" in url else "//" + url.strip())
        host = parts.hostname or ""
    except ValueError:  # Such as an address with half a bracket.
        return None
    if parts.scheme.lower() not in {"", "http", "https"} or not _HOST.fullmatch(host):
        return None
    path = [part for part in parts.path.split("/") if part]
    if path[:1] == ["mwlite"]:
        path = path[1:]
    if len(path) < 2 or path[0].lower() != "in":
        return None
    slug = clean_line(unquote(path[1], errors="replace")).lower()
    # Lower case may undo the normal form: "İ" becomes two code points.
    slug = clean_line(slug)
    return slug if slug and not _NOT_IN_A_SLUG.search(slug) else None


@lru_cache(maxsize=4096)
def _people(names: str, urls: str) -> tuple[Person, ...]:
    addresses = _BETWEEN_URLS.split(urls.strip()) if urls.strip() else []
    found: dict[str, Person] = {}
    for one in _paired(names, addresses):
        same = found.get(one.key or one.url or one.name)
        if same is None or (one.name and not same.name):
            found[one.key or one.url or one.name] = one
    return tuple(found.values())


def _paired(names: str, addresses: list[str]) -> list[Person]:
    present = [address for address in addresses if address]
    if len(addresses) == 1 and present:
        return [person(names, present[0])]
    for given in _readings(names):
        if len(given) == len(addresses):
            return [person(name, url) for name, url in zip(given, addresses, strict=True)]
        known = [name for name in given if name != DELETED_MEMBER]
        if present and len(known) == len(present):
            deleted = [person(DELETED_MEMBER, "")] * (len(known) < len(given))
            return [person(name, url) for name, url in zip(known, present, strict=True)] + deleted
    if not present:
        # The last reading keeps the letters after a name with the name.
        return [person(name, "") for name in _readings(names)[-1]]
    return [person("", url) for url in present]


def _readings(names: str) -> list[list[str]]:
    """How a list of names may be meant: as it is parted, and with letters after names put back."""
    parts = [part for raw in re.split("[,;]", names) if (part := clean_line(raw))]
    whole: list[str] = []
    for part in parts:
        if whole and _LETTERS_AFTER_NAME.fullmatch(part):
            whole[-1] = f"{whole[-1]}, {part}"
        else:
            whole.append(part)
    return [parts] if parts == whole else [parts, whole]
