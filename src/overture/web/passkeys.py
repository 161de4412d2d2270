"""Passkeys: signing in with one, as the second step, and when asked again; adding and removing them.

Each is a form that the script of `passkeys.js` sends on: it first asks one of the addresses that end in
`options`, and has the browser talk to a device. Where browsers make no passkeys for the site (it has no
name, or is not reached over https), none of it is shown.
"""

from starlette.responses import Response

from overture import ids
from overture.actions import passkeys
from overture.actions.accounts import SignedIn
from overture.actions.fields import Invalid
from overture.actions.passkeys import Site
from overture.actions.proving import Proven
from overture.core.accounts import Denied
from overture.core.ids import PasskeyId
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
    second_step_url,
    status_of,
)
from overture.web.visit import SESSION_COOKIE, Absent, Answer, Done, Go, No, Visit, Who, act

_URL = "/settings/security"


def site_of(visit: Visit) -> Site:
    """For what passkeys are made here. Raises Absent where they are not."""
    if visit.site.passkeys is None:
        raise Absent
    return visit.site.passkeys


def told_options(options: str) -> Response:
    return Response(options, media_type="application/json")


# Signing in -------------------------------------------------------------------------------------


@act("/login/passkey/options", who=Who.ANYONE, transaction=False)
async def sign_in_options(visit: Visit) -> Answer:
    site, secret = site_of(visit), ids.new_secret()
    done = await visit.site.db.writing(
        lambda tx: passkeys.begin_sign_in(tx, site, browser_of(visit), secret)
    )
    if isinstance(done, Denied):
        return No(say(visit, done), status_of(done), "/login")
    keep_ceremony(visit, secret)
    return told_options(done)


@act("/login/passkey", who=Who.ANYONE, transaction=False)
async def sign_in(visit: Visit) -> Answer:
    now = await visit.site.instant()
    site, then = site_of(visit), visit.form.get("next", "")
    done = await visit.site.db.writing(
        lambda tx: passkeys.sign_in(
            tx,
            site,
            ceremony(visit),
            visit.form.get("credential", ""),
            browser_of(visit),
            fresh=fresh(),
            now=now,
            before=visit.cookie(SESSION_COOKIE),
        )
    )
    if isinstance(done, SignedIn):
        keep(visit, done)
        return Go(local(then))
    keep_ceremony(visit, "")
    return Done(login_url(then), notice=say(visit, done))


@act("/login/code/passkey/options", who=Who.ANYONE)
async def second_step_options(visit: Visit) -> Answer:
    done = await passkeys.begin_second_step(visit.tx, site_of(visit), ceremony(visit))
    return Go("/login") if isinstance(done, Denied) else told_options(done)


@act("/login/code/passkey", who=Who.ANYONE, transaction=False)
async def second_step(visit: Visit) -> Answer:
    now = await visit.site.instant()
    site, then = site_of(visit), visit.form.get("next", "")
    done = await visit.site.db.writing(
        lambda tx: passkeys.second_step(
            tx,
            site,
            ceremony(visit),
            visit.form.get("credential", ""),
            browser_of(visit),
            fresh=fresh(),
            now=now,
            before=visit.cookie(SESSION_COOKIE),
        )
    )
    if isinstance(done, SignedIn):
        keep(visit, done)
        return Go(local(then))
    url = login_url(then) if done is Denied.BEGIN_AGAIN else second_step_url(then)
    return Done(url, notice=say(visit, done))


# Asked again ------------------------------------------------------------------------------------


@act("/confirm/passkey/options", while_suspended=True)
async def confirm_options(visit: Visit) -> Answer:
    return await begin_proving(visit)


@act("/confirm/passkey", transaction=False, while_suspended=True)
async def confirm(visit: Visit) -> Answer:
    then = local(visit.form.get("next", ""), "/settings/account")
    done = await prove(visit)
    if isinstance(done, Proven):
        keep_session(visit, done.secret)
        return Go(then)
    return Done(then, notice=say(visit, done))


async def begin_proving(visit: Visit) -> Answer:
    """What the browser asks the device for, to show again who one is."""
    secret = ids.new_secret()
    options = await passkeys.begin_proving(visit.tx, site_of(visit), visit.viewer.id, secret)
    keep_ceremony(visit, secret)
    return told_options(options)


async def prove(visit: Visit) -> Proven | Denied:
    """What the device answered to that, which counts once."""
    site, now = site_of(visit), await visit.site.instant()
    done = await visit.site.db.writing(
        lambda tx: passkeys.prove(
            tx,
            site,
            visit.viewer.id,
            ceremony(visit),
            visit.form.get("credential", ""),
            session=visit.viewer.session,
            fresh=fresh(),
            now=now,
        )
    )
    keep_ceremony(visit, "")
    return done


# One's own --------------------------------------------------------------------------------------


@act("/settings/security/passkeys/options", who=Who.PROVEN_BY_FACTOR)
async def new_passkey_options(visit: Visit) -> Answer:
    secret = ids.new_secret()
    options = await passkeys.begin_adding(visit.tx, site_of(visit), visit.viewer.id, secret)
    keep_ceremony(visit, secret)
    return told_options(options)


@act("/settings/security/passkeys", who=Who.PROVEN_BY_FACTOR, transaction=False)
async def add(visit: Visit) -> Answer:
    now = await visit.site.instant()
    site, name = site_of(visit), visit.form.get("name", "")
    done = await visit.site.db.writing(
        lambda tx: passkeys.add(
            tx,
            site,
            visit.viewer.id,
            ceremony(visit),
            visit.form.get("credential", ""),
            passkey=PasskeyId(ids.new()),
            name=name,
            now=now,
        )
    )
    keep_ceremony(visit, "")
    match done:
        case Invalid():
            return Done(_URL, notice=visit.words.say(done.errors[0][1]))
        case Denied():
            return Done(_URL, notice=say(visit, done))
        case None:
            return Done(_URL, notice=visit.words.gettext("The passkey is added."))


@act("/settings/security/passkeys/{passkey:uuid}/name", who=Who.PROVEN)
async def rename(visit: Visit) -> Answer:
    passkey = visit.id("passkey", PasskeyId)
    done = await passkeys.rename(visit.tx, visit.viewer.id, passkey, visit.form.get("name", ""))
    if isinstance(done, Invalid):
        return No(visit.words.say(done.errors[0][1]), 422, _URL)
    return Done(_URL, notice=visit.words.gettext("Saved.") if done else None)


@act("/settings/security/passkeys/{passkey:uuid}/remove", who=Who.PROVEN_BY_FACTOR)
async def remove(visit: Visit) -> Answer:
    await passkeys.remove(visit.tx, visit.viewer.id, visit.id("passkey", PasskeyId), visit.now)
    notice = visit.words.gettext(
        "The passkey opens nothing here any more. Delete it on your device too."
    )
    return Done(_URL, notice=notice)
