"""What every answer of the web app says to browsers, and which requests it takes at all."""

from collections.abc import Mapping

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
    "frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; "
    "trusted-types live"
)

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
# A year; only where the site is reached over https.
STRICT_TRANSPORT = "max-age=31536000"


def is_own(headers: Headers, public_url: str) -> bool:
    """Whether a request that changes something comes from a page of this site.

    Browsers say so in Sec-Fetch-Site; older ones in Origin, which must be our own address then. One
    that says nothing at all is not taken: every browser says something with a form.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = headers.get("origin", "")
    host = headers.get("host", "")
    return bool(origin) and origin in (public_url, f"http://{host}", f"https://{host}")
