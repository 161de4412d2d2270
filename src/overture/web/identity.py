"""Signing in through the host's identity provider: there, and back again."""

import logging

from starlette.responses import RedirectResponse

from overture import ids
from overture.actions import identities
from overture.actions.accounts import SignedIn
from overture.actions.identities import Newcomer
from overture.actions.proving import Proven
from overture.clock import real_now
from overture.core.accounts import Ceremony, Denied
from overture.core.ids import MemberId
from overture.identity import Flow, Provider, ProviderProblem
from overture.store.ceremonies import Begun
from overture.web.sessions import (
    browser_of,
    ceremony,
    fresh,
    keep,
    keep_ceremony,
    keep_session,
    local,
    login_url,
    say,
)
from overture.web.visit import SESSION_COOKIE, Absent, Answer, Done, Visit, Who, act, page

_SECURITY = "/settings/security"

_log = logging.getLogger("overture.web")


def _provider(visit: Visit) -> Provider:
    if visit.site.provider is None:
        raise Absent
    return visit.site.provider


# There ------------------------------------------------------------------------------------------


@page("/login/identity", who=Who.ANYONE, transaction=False)
async def sign_in(visit: Visit) -> Answer:
    return await _go(visit, Ceremony.IDENTITY, visit.query.get("next", ""))


@page("/settings/security/identity", who=Who.PROVEN, transaction=False, again=_SECURITY)
async def link(visit: Visit) -> Answer:
    return await _go(visit, Ceremony.LINKING, _SECURITY)


@page("/confirm/identity", transaction=False, while_suspended=True)
async def confirm(visit: Visit) -> Answer:
    return await _go(visit, Ceremony.PROVING_ELSEWHERE, visit.query.get("next", ""))


async def _go(visit: Visit, kind: Ceremony, then: str) -> Answer:
    provider, secret = _provider(visit), ids.new_secret()
    flow = Flow(ids.new_secret(), ids.new_secret(), ids.new_secret())
    try:
        url = await provider.sign_in_url(flow, again=kind is Ceremony.PROVING_ELSEWHERE)
    except ProviderProblem as problem:
        return _failed(visit, kind, then, problem)
    member = None if visit.visitor is None else visit.visitor.id
    trip = {
        "state": flow.state,
        "nonce": flow.nonce,
        "verifier": flow.verifier,
        "next": local(then, ""),
    }
    done = await visit.site.db.writing(
        lambda tx: identities.begin_trip(
            tx, browser_of(visit), kind, trip, member=member, secret=secret
        )
    )
    if done is not None:
        return Done(_back(kind, then), notice=say(visit, done))
    keep_ceremony(visit, secret)
    return RedirectResponse(url, 303)


# And back ---------------------------------------------------------------------------------------


@page("/login/identity/back", who=Who.ANYONE, transaction=False)
async def back(visit: Visit) -> Answer:
    provider, db = _provider(visit), visit.site.db
    begun = await db.writing(lambda tx: identities.end_trip(tx, ceremony(visit)))
    keep_ceremony(visit, "")
    if begun is None:
        return Done("/login", notice=say(visit, Denied.BEGIN_AGAIN))
    then = str(begun.payload["next"])
    flow = Flow(*(str(begun.payload[name]) for name in ("state", "nonce", "verifier")))
    try:
        identity = await provider.identity(visit.query, flow)
    except ProviderProblem as problem:
        return _failed(visit, begun.kind, then, problem)
    now = await visit.site.instant()
    if begun.kind is Ceremony.IDENTITY:
        newcomer = Newcomer(MemberId(ids.new()))
        signed_in = await db.writing(
            lambda tx: identities.sign_in(
                tx,
                identity,
                browser_of(visit),
                newcomer=newcomer,
                external_ids=provider.client.external_ids,
                fresh=fresh(),
                now=now,
                before=visit.cookie(SESSION_COOKIE),
            )
        )
        if isinstance(signed_in, SignedIn):
            keep(visit, signed_in)
            return Done(local(then))
        return Done(login_url(then), notice=say(visit, signed_in))
    member = _same(visit, begun)
    if member is None:
        return Done("/login", notice=say(visit, Denied.BEGIN_AGAIN))
    if begun.kind is Ceremony.LINKING:
        linked = await db.writing(lambda tx: identities.link(tx, member, identity, now))
        if isinstance(linked, Denied):
            return Done(_SECURITY, notice=say(visit, linked))
        notice = visit.words.gettext("You can sign in through %(provider)s from now on.")
        return Done(_SECURITY, notice=notice % {"provider": provider.client.name})
    proven = await db.writing(
        lambda tx: identities.prove(
            tx,
            member,
            identity,
            session=visit.viewer.session,
            fresh=fresh(),
            at=real_now(),
            now=now,
        )
    )
    if isinstance(proven, Proven):
        keep_session(visit, proven.secret)
        return Done(local(then, "/settings/account"))
    return Done(local(then, "/settings/account"), notice=say(visit, proven))


def _same(visit: Visit, begun: Begun) -> MemberId | None:
    """The member, if they are still who began in this browser."""
    mine = visit.visitor is not None and visit.visitor.id == begun.member
    return begun.member if mine else None


def _failed(visit: Visit, kind: Ceremony, then: str, problem: ProviderProblem) -> Done:
    _log.warning("signing in through the identity provider failed: %s", problem)
    return Done(_back(kind, then), notice=say(visit, Denied.IDENTITY_FAILED))


def _back(kind: Ceremony, then: str) -> str:
    """Where another way is offered."""
    if kind is Ceremony.IDENTITY:
        return login_url(then)
    return _SECURITY if kind is Ceremony.LINKING else local(then, "/settings/account")


# Out --------------------------------------------------------------------------------------------


@page("/logout/identity", who=Who.ANYONE, transaction=False)
async def sign_out(visit: Visit) -> Answer:
    """Signs out there too; here one is out already."""
    try:
        url = await _provider(visit).sign_out_url(f"{visit.site.public_url}/login")
    except ProviderProblem as problem:
        return _failed(visit, Ceremony.IDENTITY, "", problem)
    return Done("/login") if url is None else RedirectResponse(url, 303)


@act("/settings/security/identity/remove", who=Who.PROVEN)
async def unlink(visit: Visit) -> Answer:
    _ = visit.words.gettext
    if await identities.unlink(visit.tx, visit.viewer.id, visit.now):
        return Done(_SECURITY, notice=_("You do not sign in through it any more."))
    return Done(
        _SECURITY,
        notice=_(
            "It is the only way in that you have. Set a password by mail first, or add a passkey."
        ),
    )
