"""The way into the console, with a second factor, and out of it."""

from urllib.parse import urlencode

from overture import ids
from overture.actions import operators, two_steps
from overture.actions.proving import Proven
from overture.store.db import Tx
from overture.web.passkeys import begin_proving, prove
from overture.web.sessions import (
    keep_session,
    local,
    say,
    status_of,
)
from overture.web.two_steps import prove_by_code
from overture.web.visit import Answer, Done, Go, Page, Visit, Who, act, page

_HOME = "/ops"


@page("/ops/enter", who=Who.OPERATOR_OUTSIDE)
async def enter(visit: Visit) -> Answer:
    then = _then(visit.query.get("next", ""))
    if visit.viewer.in_console and visit.viewer.factor_proven:
        return Go(then)
    return await _enter(visit, visit.tx, then)


@act("/ops/enter", who=Who.OPERATOR_OUTSIDE)
async def enter_at_once(visit: Visit) -> Answer:
    """For who has only just shown a second factor, such as when signing in."""
    then = _then(visit.form.get("next", ""))
    if await _entered(visit, visit.tx):
        return Go(then)
    return Go(_url(then))


@act("/ops/enter/code", who=Who.OPERATOR_OUTSIDE, transaction=False)
async def enter_with_code(visit: Visit) -> Answer:
    then = _then(visit.form.get("next", ""))
    done = await prove_by_code(visit)
    if isinstance(done, Proven):
        return await _shown(visit, done, then)
    error = say(visit, done)
    return await visit.site.db.reading(
        lambda tx: _enter(visit, tx, then, error=error, status=status_of(done))
    )


@act("/ops/enter/passkey/options", who=Who.OPERATOR_OUTSIDE)
async def passkey_options(visit: Visit) -> Answer:
    return await begin_proving(visit)


@act("/ops/enter/passkey", who=Who.OPERATOR_OUTSIDE, transaction=False)
async def enter_with_passkey(visit: Visit) -> Answer:
    then = _then(visit.form.get("next", ""))
    done = await prove(visit)
    if isinstance(done, Proven):
        return await _shown(visit, done, then)
    return Done(_url(then), notice=say(visit, done))


@act("/ops/leave", who=Who.OPERATOR_OUTSIDE)
async def leave(visit: Visit) -> Answer:
    await operators.leave(
        visit.tx, visit.viewer.id, visit.viewer.session, audit_id=ids.new(), now=visit.now
    )
    return Done("/inbox", notice=visit.words.gettext("The console is shut in this browser."))


async def _shown(visit: Visit, done: Proven, then: str) -> Answer:
    """The second factor was shown: into the console, or further within it."""
    keep_session(visit, done.secret)
    if visit.viewer.in_console:
        return Go(then)
    now = await visit.site.instant()

    async def work(tx: Tx) -> bool:
        visit.at(tx, now)
        return await _entered(visit, tx)

    return Go(then) if await visit.site.db.writing(work) else Go(_url(then))


async def _entered(visit: Visit, tx: Tx) -> bool:
    return await operators.enter(
        tx, visit.viewer.id, visit.viewer.session, audit_id=ids.new(), now=visit.now
    )


async def _enter(visit: Visit, tx: Tx, then: str, *, error: str = "", status: int = 200) -> Page:
    steps = await two_steps.mine(tx, visit.viewer.id)
    values = {
        "again": visit.viewer.in_console,
        "at_once": visit.viewer.factor_proven,
        "has_app": steps.app is not None,
        "has_passkeys": bool(steps.passkeys and visit.site.passkeys),
        "next": then,
        "error": error,
    }
    return Page("ops/enter.html", values, status)


def _then(raw: str) -> str:
    """Where to go on: a page of the console."""
    then = local(raw, _HOME)
    return then if then.startswith("/ops/") and not then.startswith("/ops/enter") else _HOME


def _url(then: str) -> str:
    return f"/ops/enter?{urlencode({'next': then})}"
