"""How one signs in: the settings of the second step."""

from collections.abc import Sequence

import segno
from markupsafe import Markup

from overture import ids
from overture.actions import accounts, two_steps
from overture.clock import real_now
from overture.core.accounts import RECOVERY_CODES, Denied, grouped
from overture.core.browsers import told_of
from overture.store import identities
from overture.store.db import Tx
from overture.web.sessions import ceremony, fresh, keep_ceremony, say, status_of
from overture.web.visit import Answer, Done, Go, Page, Visit, Who, act, page

_URL = "/settings/security"


@page("/settings/security")
async def security(visit: Visit) -> Answer:
    steps = await two_steps.mine(visit.tx, visit.viewer.id)
    told = told_of(visit.request.headers.get("user-agent", ""))
    values = {
        "steps": steps,
        "passkeys": visit.site.passkeys is not None,
        "provider": visit.site.provider and visit.site.provider.client.name,
        "linked": await identities.mine(visit.tx, visit.viewer.id),
        "this_device": told.system or told.browser or "",
    }
    return Page("settings/security.html", values)


@act("/settings/security/app", who=Who.PROVEN_BY_FACTOR)
async def begin_app(visit: Visit) -> Answer:
    secret = fresh().secret
    await two_steps.begin_app(visit.tx, visit.viewer.id, ids.new_code_secret(), secret)
    keep_ceremony(visit, secret)
    return Go(f"{_URL}/app")


@page("/settings/security/app", who=Who.PROVEN_BY_FACTOR)
async def app(visit: Visit) -> Answer:
    return await _app(visit, visit.tx)


@act("/settings/security/app/code", who=Who.PROVEN_BY_FACTOR, transaction=False)
async def add_app(visit: Visit) -> Answer:
    done = await two_steps.add_app(
        visit.site.db,
        visit.viewer.id,
        ceremony(visit),
        visit.form.get("code", ""),
        recovery_codes=_fresh_codes(),
        salt=ids.new_salt(),
        at=real_now(),
        now=await visit.site.instant(),
    )
    if done is Denied.BEGIN_AGAIN:
        return Done(_URL, notice=say(visit, done))
    if isinstance(done, Denied):
        errors = {"code": say(visit, done)}
        return await visit.site.db.reading(lambda tx: _app(visit, tx, errors, status_of(done)))
    keep_ceremony(visit, "")
    if not done:
        return Done(_URL, notice=visit.words.gettext("Your new app makes your codes from now on."))
    return _shown_once(done, on=True)


async def _app(
    visit: Visit, tx: Tx, errors: dict[str, str] | None = None, status: int = 200
) -> Answer:
    secret = await two_steps.app_begun(tx, visit.viewer.id, ceremony(visit))
    if secret is None:
        return Go(_URL)
    own = await accounts.account(tx, visit.viewer.id)
    address = two_steps.told_app(secret, own.email)
    values = {
        "picture": _picture(address),
        "address": address,
        "secret": " ".join(secret[start : start + 4] for start in range(0, len(secret), 4)),
        "errors": errors or {},
    }
    return Page("settings/app.html", values, status)


def _picture(address: str) -> Markup:
    """A square that cameras read; black on white in the dark as well, which is how they do."""
    drawn = segno.make(address, micro=False).svg_inline(
        border=3, dark="#000", light="#fff", omitsize=True
    )
    return Markup(drawn)  # noqa: S704  made of squares alone


@act("/settings/security/recovery-codes", who=Who.PROVEN, transaction=False)
async def renew_recovery_codes(visit: Visit) -> Answer:
    codes = await two_steps.renew_recovery_codes(
        visit.site.db,
        visit.viewer.id,
        _fresh_codes(),
        salt=ids.new_salt(),
        now=await visit.site.instant(),
    )
    if codes is None:
        return Go(_URL)
    return _shown_once(codes, on=False)


@act("/settings/security/on", who=Who.PROVEN, transaction=False)
async def turn_on(visit: Visit) -> Answer:
    codes = await two_steps.turn_on(
        visit.site.db,
        visit.viewer.id,
        recovery_codes=_fresh_codes(),
        salt=ids.new_salt(),
        now=await visit.site.instant(),
    )
    return Go(_URL) if codes is None else _shown_once(codes, on=True)


@act("/settings/security/app/remove", who=Who.PROVEN_BY_FACTOR)
async def remove_app(visit: Visit) -> Answer:
    await two_steps.remove_app(visit.tx, visit.viewer.id, visit.now)
    return Done(_URL, notice=visit.words.gettext("The app’s codes open nothing here any more."))


@act("/settings/security/off", who=Who.PROVEN_BY_FACTOR)
async def turn_off(visit: Visit) -> Answer:
    await two_steps.turn_off(visit.tx, visit.viewer.id, visit.now)
    notice = visit.words.gettext("You sign in with your password alone again.")
    return Done(_URL, notice=notice)


def _shown_once(codes: Sequence[str], *, on: bool) -> Page:
    values = {"codes": [grouped(each) for each in codes], "on": on}
    return Page("settings/recovery_codes.html", values)


def _fresh_codes() -> list[str]:
    return [ids.new_recovery_code() for _ in range(RECOVERY_CODES)]
