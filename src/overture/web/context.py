"""What the web app works with: made once by the server, given to every page."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from ipaddress import ip_address
from typing import Protocol
from urllib.parse import urlsplit

from overture.actions import passkeys
from overture.actions.lanes import Lane
from overture.context import Shared
from overture.core.findings import Finding
from overture.core.policy import Policy, PolicyBook
from overture.core.seals import Secret
from overture.core.text import Sentence
from overture.core.webhooks import host_name
from overture.handover import Handovers, Host
from overture.identity import Client, Provider
from overture.limits import RateLimit
from overture.store.accounts import Viewer, sessions_of

UPLOADS_AT_ONCE = 3
# What a browser asks for where a token would ask once: the page, who is here, what is typed.
REQUESTS_A_PAGE = 5
# Where the identity provider sends members back to; it has to know the address.
BACK = "/login/identity/back"
# The lab's names for policies that are no presets: the one that holds, the next, and a draft of one.
IN_FORCE, TO_COME, DRAFT = "in-force", "to-come", "draft"
CALLED: Mapping[str, Sentence] = {
    IN_FORCE: Sentence("in force"),
    TO_COME: Sentence("to come"),
    DRAFT: Sentence("your draft"),
}


@dataclass(frozen=True, slots=True)
class Push:
    """What notices on devices take: this installation's key, which browsers are told, and the hosts
    that may take notices although they are not on the public internet."""

    public_key: Callable[[], Awaitable[str]]
    allowed_hosts: frozenset[str]


class Whose(StrEnum):
    """On whom a policy is tried: on members who are invented, who are invented after those of this
    installation, or on what its own members did."""

    INVENTED = "invented"
    LIKE_OURS = "like-ours"
    OUR_OWN = "our-own"


@dataclass(frozen=True, slots=True)
class Trial:
    """What the policy lab is asked to try: two policies by name, on so many invented members, or on
    the installation's own history, which has its own members and months."""

    policy: str
    other: str
    members: int
    months: int
    seed: int
    whose: Whose = Whose.INVENTED


@dataclass(frozen=True, slots=True)
class Found:
    """What a trial came to: charts as SVG, and tables with a title, columns and rows of texts. Where
    the installation's own letters were looked at, how many, and until when."""

    charts: Sequence[str]
    tables: Sequence[tuple[str, Sequence[str], Sequence[Sequence[str]]]]
    letters: int | None
    until: datetime


@dataclass(frozen=True, slots=True)
class Trying:
    """How a trial stands: so many of its runs are done. `show` tells what it came to, in the words of
    who looks; None until then, and where it failed. `why` says why it cannot be tried, where that is
    known."""

    done: int
    total: int
    show: Callable[[Callable[[str], str]], Found] | None = None
    failed: bool = False
    why: Sentence | None = None


class Lab(Protocol):
    """The policy lab, as the console has it."""

    def ask(
        self, trial: Trial, tried: Mapping[str, Policy], own: PolicyBook, now: datetime
    ) -> Trying:
        """Begins a trial of these policies, by the trial's names for them, or says how it stands.

        `own` is the installation's book, by which its history was made up to `now`.
        """
        ...


@dataclass(frozen=True, slots=True)
class Site(Shared):
    """`sessions` gathers the look-ups of who is signed in, by the SHA-256 of the cookie, as hex.

    `public_url` is the address at which browsers reach the site, without a slash at its end. `secret`
    is what links in mails are sealed with. `uploads` is held while a form with files is worked on.
    `requests` are counted for each member, but for photos.
    `webhook_allow_hosts` may be told of events although they are not on the public internet.
    """

    sessions: Lane[str, Viewer | None]
    public_url: str
    secret: Secret
    # Where the host's people sign in, if it has such a place.
    provider: Provider | None = None
    # Whose hand-overs are taken, and in whose frames pages may be shown, if in any.
    handovers: Handovers | None = None
    embed_origins: Sequence[str] = ()
    webhook_allow_hosts: frozenset[str] = frozenset()
    # None where browsers could not take notices: the extra is not there, or they come without TLS.
    push: Push | None = None
    # None where the extra is not there.
    lab: Lab | None = None
    # Looks at all that the installation rests on, as `overture doctor` does; None where nobody can.
    examine: Callable[[], Awaitable[Sequence[Finding]]] | None = None
    requests: RateLimit = field(default_factory=lambda: RateLimit(0))
    uploads: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(UPLOADS_AT_ONCE))

    @property
    def https(self) -> bool:
        return self.public_url.startswith("https://")

    @property
    def passkeys(self) -> passkeys.Site | None:
        """For what browsers make passkeys: a name reached over https, or on this very machine; else
        None."""
        host = urlsplit(self.public_url).hostname or ""
        try:
            ip_address(host)
        except ValueError:
            secure = _is_secure(self.public_url)
            return passkeys.Site(host, self.public_url) if secure else None
        return None

    async def drain(self) -> None:
        """Returns when nothing is under way in the lanes any more."""
        await self.sessions.drain()


def make_site(
    shared: Shared,
    *,
    public_url: str,
    secret: Secret,
    identity: Client | None = None,
    host: Host | None = None,
    embed_origins: Sequence[str] = (),
    webhook_allow_hosts: Collection[str] = (),
    push: Push | None = None,
    lab: Lab | None = None,
    examine: Callable[[], Awaitable[Sequence[Finding]]] | None = None,
    requests_per_minute: int = 0,
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
        exports=shared.exports,
        fetched=shared.fetched,
        searches=shared.searches,
        sessions=Lane(look_up),
        public_url=public_url,
        secret=secret,
        provider=Provider(identity, public_url + BACK) if identity else None,
        handovers=Handovers(host, public_url) if host else None,
        embed_origins=embed_origins,
        webhook_allow_hosts=frozenset(map(host_name, webhook_allow_hosts)),
        push=push if _is_secure(public_url) else None,
        lab=lab,
        examine=examine,
        requests=RateLimit(REQUESTS_A_PAGE * requests_per_minute),
    )


def _is_secure(public_url: str) -> bool:
    """Whether browsers let pages do more there: over TLS, or on this very machine."""
    parts = urlsplit(public_url)
    host = parts.hostname or ""
    named = host == "localhost" or host.endswith(".localhost")
    return parts.scheme == "https" or named or host in ("127.0.0.1", "::1")
