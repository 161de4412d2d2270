"""What makes the site an app that can be installed: its manifest, its worker, a page without a network.

The worker (static/js/sw.js) keeps the stylesheet and the scripts, and `/offline`. It never keeps a
page or an answer: what members read stays on the server.
"""

import asyncio
from functools import cache

import msgspec
from starlette.responses import Response

from overture.web import marks
from overture.web.assets import assets
from overture.web.visit import Absent, Answer, Page, Visit, Who, page

# The background behind the app while it starts, and the bar above it: --canvas of tokens.css.
_CANVAS = "#f6f3ef"
_A_WEEK = {"Cache-Control": "public, max-age=604800"}


@page("/manifest.webmanifest", who=Who.ANYONE, transaction=False)
async def manifest(visit: Visit) -> Answer:
    _ = visit.words.gettext
    sizes = {"icon-192.png": "192x192", "icon-512.png": "512x512", "mask-512.png": "512x512"}
    icons = [
        {
            "src": f"/icons/{name}",
            "sizes": size,
            "type": "image/png",
            "purpose": "maskable" if name.startswith("mask") else "any",
        }
        for name, size in sizes.items()
    ]
    told = {
        "id": "/",
        "name": "Overture",
        "short_name": "Overture",
        "description": _("Letters to people you do not know yet, and their answers."),
        "lang": visit.words.language,
        "dir": visit.words.direction,
        "start_url": "/inbox",
        "scope": "/",
        "display": "standalone",
        "background_color": _CANVAS,
        "theme_color": _CANVAS,
        "categories": ["business", "social"],
        "icons": icons,
        "shortcuts": [
            {"name": _("New message"), "url": "/compose"},
            {"name": _("Members"), "url": "/members"},
        ],
    }
    headers = {"Cache-Control": "public, max-age=3600"}
    return Response(
        msgspec.json.encode(told), media_type="application/manifest+json", headers=headers
    )


@page("/icons/{name}", who=Who.ANYONE, transaction=False)
async def icon(visit: Visit) -> Answer:
    found = await asyncio.to_thread(marks.picture, visit.path["name"])
    if found is None:
        raise Absent
    media_type, content = found
    return Response(content, media_type=media_type, headers=_A_WEEK)


@page("/sw.js", who=Who.ANYONE, transaction=False)
async def worker(visit: Visit) -> Answer:
    """At the root, so that it serves the whole site; never kept, as it names the files."""
    _ = visit
    return Response(_worker(), media_type="text/javascript", headers={"Cache-Control": "no-cache"})


@page("/offline", who=Who.ANYONE, transaction=False)
async def offline(visit: Visit) -> Answer:
    """Shown in place of any page while there is no network: in the member's words, but nobody's."""
    _ = visit
    return Page("offline.html", {"viewer": None})


# The worker itself, and what members' pages do not load.
_NOT_KEPT = frozenset({"sw.js", "console.css"})


@cache
def _worker() -> bytes:
    """What both the pages and the worker do with letters that wait, then what it alone does."""
    made = assets()
    kept = [made.url(name) for name in made.files if name not in _NOT_KEPT]
    files = f"const FILES = {msgspec.json.encode(kept).decode()};\n".encode()
    shared = made.files["outbox.js"].plain.replace(b"export ", b"")
    return files + shared + made.files["sw.js"].plain
