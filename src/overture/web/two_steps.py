"""The second step of signing in, and being asked again who one is."""

from overture.actions import accounts, proving, two_steps
from overture.actions.accounts import SignedIn
from overture.actions.proving import Proven
from overture.clock import real_now
from overture.core.accounts import Denied
from overture.store import identities
from overture.store.db import Tx
from overture.web.sessions import (
    browser_of,
    ceremony,
    fresh,
    keep,
    keep_ceremony,
    keep_session,
    local,
    say,
    status_of,
)
from overture.web.visit import SESSION_COOKIE, Answer, Done, Go, Page, Visit, Who, act, page

# The second step --------------------------------------------------------------------------------


@page("/login/code", who=Who.ANYONE)
async def code(visit: Visit) -> Answer:
    return await _code(visit, visit.tx, visit.query.get("next", ""))


@act("/login/code", who=Who.ANYONE, transaction=False)
async def sign_in_with_code(visit: Visit) -> Answer:
    done = await two_steps.by_code(
        visit.site.db,
        ceremony(visit),
        visit.form.get("code", ""),
        browser_of(visit),
        fresh=fresh(),
        at=real_now(),
        now=await visit.site.instant(),
        before=visit.cookie(SESSION_COOKIE),
    )
    return await _stepped(visit, done, "code")


@act("/login/recovery", who=Who.ANYONE, transaction=False)
async def sign_in_with_recovery_code(visit: Visit) -> Answer:
    done = await two_steps.by_recovery_code(
        visit.site.db,
        ceremony(visit),
        visit.form.get("recovery_code", ""),
        browser_of(visit),
        fresh=fresh(),
        now=await visit.site.instant(),
        before=visit.cookie(SESSION_COOKIE),
    )
    return await _stepped(visit, done, "recovery_code")


async def _stepped(visit: Visit, done: SignedIn | Denied, field: str) -> Answer:
    then = visit.form.get("next", "")
    if isinstance(done, SignedIn):
        keep(visit, done)
        return Go(local(then))
    if done is Denied.BEGIN_AGAIN:
        keep_ceremony(visit, "")
        return Done("/login", notice=say(visit, done))
    errors = {field: say(visit, done)}
    return await visit.site.db.reading(lambda tx: _code(visit, tx, then, errors, status_of(done)))


async def _code(
    visit: Visit, tx: Tx, then: str, errors: dict[str, str] | None = None, status: int = 200
) -> Page | Go:
    member = await two_steps.awaited(tx, ceremony(visit))
    if member is None:
        return Go("/login")
    steps = await two_steps.mine(tx, member)
    values = {
        "has_app": steps.app is not None,
        "has_passkeys": bool(steps.passkeys and visit.site.passkeys),
        "next": local(then, ""),
        "errors": errors or {},
    }
    return Page("login_code.html", values, status)


# Asked again ------------------------------------------------------------------------------------


@page("/confirm", while_suspended=True)
async def confirm(visit: Visit) -> Answer:
    then = visit.query.get("next", "")
    if visit.viewer.factor_proven if _asks_factor(visit) else visit.viewer.proven:
        return Go(local(then, "/settings/account"))
    return await _confirm(visit, visit.tx, then)


@act("/confirm", transaction=False, while_suspended=True)
async def confirm_with_password(visit: Visit) -> Answer:
    done = await proving.by_password(
        visit.site.db,
        visit.viewer.id,
        visit.form.get("password", ""),
        session=visit.viewer.session,
        fresh=fresh(),
        now=await visit.site.instant(),
    )
    return await _confirmed(visit, done, "password")


@act("/confirm/code", transaction=False, while_suspended=True)
async def confirm_with_code(visit: Visit) -> Answer:
    return await _confirmed(visit, await prove_by_code(visit), "code")


async def prove_by_code(visit: Visit) -> Proven | Denied:
    """The code of the member's app, as the form has it."""
    return await proving.by_code(
        visit.site.db,
        visit.viewer.id,
        visit.form.get("code", ""),
        session=visit.viewer.session,
        fresh=fresh(),
        at=real_now(),
        now=await visit.site.instant(),
    )


async def _confirmed(visit: Visit, done: Proven | Denied, field: str) -> Answer:
    then = visit.form.get("next", "")
    if isinstance(done, Proven):
        keep_session(visit, done.secret)
        return Go(local(then, "/settings/account"))
    errors = {field: say(visit, done)}
    return await visit.site.db.reading(
        lambda tx: _confirm(visit, tx, then, errors, status_of(done))
    )


async def _confirm(
    visit: Visit, tx: Tx, then: str, errors: dict[str, str] | None = None, status: int = 200
) -> Page:
    steps = await two_steps.mine(tx, visit.viewer.id)
    values = {
        "account": await accounts.account(tx, visit.viewer.id),
        "has_app": steps.app is not None,
        "has_passkeys": bool(steps.passkeys and visit.site.passkeys),
        "provider": await _provider_of(visit, tx),
        "factor": _asks_factor(visit),
        "next": local(then, ""),
        "errors": errors or {},
    }
    return Page("confirm.html", values, status)


def _asks_factor(visit: Visit) -> bool:
    """Whether nothing less will do; see `Who.PROVEN_BY_FACTOR`."""
    return "1" in (visit.query.get("factor"), visit.form.get("factor"))


async def _provider_of(visit: Visit, tx: Tx) -> str | None:
    """What the identity provider is called, where the member signs in through it."""
    provider = visit.site.provider
    linked = provider and await identities.mine(tx, visit.viewer.id)
    return provider.client.name if provider and linked else None
