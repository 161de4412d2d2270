"""Pages in frames of the host's: who is signed in there, and which of them may be shown.

A frame has a session of its own, opened by a hand-over, in a cookie of its own. It counts where the
browser says that the page is in a frame, and there no other does: what the host may show was never
opened by other means. What may not be shown in a frame opens in a window of its own.
"""

from collections.abc import Sequence

from starlette.requests import Request

from overture.store.accounts import Viewer
from overture.web.context import Site

FRAME_COOKIE = "frame"
# What hosts may show: letters, what stands in them, and the way there.
_EMBEDDED = (
    *("/inbox", "/compose", "/files/", "/photos/", "/events", "/here", "/suspended"),
    *("/embed/", "/handover"),
)
# What somebody sees there for whom there is no session.
AGAIN = "/handover/again"


def is_framed(site: Site, request: Request) -> bool:
    """Whether the page is shown in a frame, or asks for more from there."""
    headers = request.headers
    in_frame = headers.get("sec-fetch-dest") in ("iframe", "frame") or "x-framed" in headers
    return in_frame and bool(site.embed_origins)


def is_window(request: Request) -> bool:
    """Whether the page is shown in a window of its own."""
    return request.headers.get("sec-fetch-dest") == "document"


def may_embed(path: str) -> bool:
    """Whether the host may show this page; `path` as it was declared."""
    return path.startswith(_EMBEDDED)


def the_one(site: Site, own: Viewer | None, framed: Viewer | None) -> Viewer | None:
    """Who is signed in, of the two whom a browser sent along: nobody where they are different members,
    and nothing says for whom it asks."""
    own = own if own is not None and own.frame is None else None
    framed = framed if framed is not None and framed.frame in site.embed_origins else None
    if own is not None and framed is not None and own.id != framed.id:
        return None
    return own or framed


def ancestors(site: Site, visitor: Viewer | None, path: str, *, framed: bool) -> Sequence[str]:
    """The origins that may show this answer in their frames; mostly none.

    Who is signed in in a frame is given no page but those that may be shown there, or that it is apart.
    """
    if visitor is not None:
        return () if visitor.frame is None else (visitor.frame,)
    return site.embed_origins if framed and path == AGAIN else ()
