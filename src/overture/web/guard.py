"""What pages may do in a browser, and which requests the web app takes at all."""

from collections.abc import Sequence

from starlette.datastructures import Headers

_POLICY = (
    "default-src 'none'; "
    "script-src 'self'; "
    "style-src 'self'; "
    "img-src 'self' data:; "
    "font-src 'self'; "
    "connect-src 'self'; "
    "manifest-src 'self'; "
    "worker-src 'self'; "
    "form-action 'self'; "
    "base-uri 'none'; "
    "frame-ancestors {ancestors}; "
    "require-trusted-types-for 'script'; "
    "trusted-types live"
)


def policy(ancestors: Sequence[str] = ("'none'",)) -> str:
    """What a page may do, and the origins whose frames may show it."""
    return _POLICY.format(ancestors=" ".join(ancestors))


POLICY = policy()


def is_own(headers: Headers, public_url: str) -> bool:
    """Whether a request that changes something comes from a page of this site.

    Browsers say so in Sec-Fetch-Site; older ones in Origin, which must be our own address then: where
    that is https, no page is ours that anybody on the way could have written. One that says nothing at
    all is not taken: every browser says something with a form.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = headers.get("origin", "")
    host = headers.get("host", "")
    ours = [public_url, f"https://{host}"]
    if not public_url.startswith("https://"):
        ours.append(f"http://{host}")
    return bool(origin) and origin in ours
