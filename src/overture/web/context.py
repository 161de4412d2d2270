"""What the web app works with: made once by the server, given to every page."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

from overture.actions import passkeys
from overture.actions.lanes import Lane
from overture.context import Shared
from overture.core.seals import Secret
from overture.identity import Client, Provider
from overture.store.accounts import Viewer, sessions_of

UPLOADS_AT_ONCE = 3
# Where the identity provider sends members back to; it has to know the address.
BACK = "/login/identity/back"


@dataclass(frozen=True, slots=True)
class Site(Shared):
    """`sessions` gathers the look-ups of who is signed in, by the SHA-256 of the cookie, as hex.

    `public_url` is the address at which browsers reach the site, without a slash at its end. `secret`
    is what links in mails are sealed with. `uploads` is held while a form with files is worked on.
    """

    sessions: Lane[str, Viewer | None]
    public_url: str
    secret: Secret
    # Where the host's people sign in, if it has such a place.
    provider: Provider | None = None
    uploads: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(UPLOADS_AT_ONCE))

    @property
    def https(self) -> bool:
        return self.public_url.startswith("https://")

    @property
    def passkeys(self) -> passkeys.Site | None:
        """For what browsers make passkeys: a name reached over https, or on this very machine; else
        None."""
        host = urlsplit(self.public_url).hostname or ""
        on_this_machine = host == "localhost" or host.endswith(".localhost")
        try:
            ip_address(host)
        except ValueError:
            named = self.https or on_this_machine
            return passkeys.Site(host, self.public_url) if named else None
        return None

    async def drain(self) -> None:
        """Returns when nothing is under way in the lanes any more."""
        await self.sessions.drain()


def make_site(
    shared: Shared, *, public_url: str, secret: Secret, identity: Client | None = None
) -> Site:
    db = shared.db

    async def look_up(presented: Sequence[str]) -> Sequence[Viewer | None]:
        return await db.reading(lambda tx: sessions_of(tx, presented))

    return Site(
        db=db,
        clock=shared.clock,
        book=shared.book,
        sends=shared.sends,
        hub=shared.hub,
        play=shared.play,
        payments=shared.payments,
        pace=shared.pace,
        sessions=Lane(look_up),
        public_url=public_url,
        secret=secret,
        provider=Provider(identity, public_url + BACK) if identity else None,
    )
