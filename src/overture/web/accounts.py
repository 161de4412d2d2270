"""Signing up, in and out; links from mails; one's own account, and the browsers signed in to it."""

from datetime import datetime
from urllib.parse import quote, unquote

from overture import ids
from overture.actions import accounts, members
from overture.actions.accounts import NewAccount, SecondStep, SignedIn
from overture.actions.fields import Invalid, time_zone
from overture.actions.members import ProfileChanges
from overture.core.accounts import PASSWORD_CHARS_MIN, Denied, Purpose
from overture.core.browsers import told_of
from overture.core.ids import MemberId
from overture.core.refusals import Refusal
from overture.core.text import BadText
from overture.store import sessions
from overture.store.db import Tx
from overture.web.sessions import (
    browser_of,
    fresh,
    keep,
    keep_ceremony,
    local,
    login_url,
    say,
    second_step_url,
    status_of,
)
from overture.web.visit import (
    SESSION_COOKIE,
    Absent,
    Answer,
    Done,
    Go,
    No,
    Page,
    Visit,
    Who,
    act,
    page,
)

# The address that was just signed up with, for the form that comes next.
_ADDRESS_COOKIE = "address"
_ADDRESS_SECONDS = 600


# Signing up -------------------------------------------------------------------------------------


@page("/signup", who=Who.ANYONE, transaction=False)
async def signup(visit: Visit) -> Answer:
    if visit.visitor is not None:
        return Go(local(visit.query.get("next", "")))
    return _signup(visit, visit.query.get("next", ""))


@act("/signup", who=Who.ANYONE, transaction=False)
async def sign_up(visit: Visit) -> Answer:
    """The answer is one and the same where the address has an account: its owner is told by mail."""
    form = visit.form
    zone = form.get("time_zone", "")
    new = NewAccount(
        id=MemberId(ids.new()),
        name=form.get("name", ""),
        email=form.get("email", ""),
        password=form.get("password", ""),
        # Browsers know zones that we may not; it can be changed in the settings.
        time_zone="UTC" if isinstance(time_zone(zone), BadText) else zone,
        language=visit.words.language,
    )
    done = await accounts.sign_up(
        visit.site.db, new, browser_of(visit), ids.new(), await visit.site.instant()
    )
    match done:
        case Invalid():
            return _signup(visit, form.get("next", ""), errors=visit.errors(done), status=422)
        case Denied():
            return _signup(visit, form.get("next", ""), alert=say(visit, done), status=429)
        case None:
            visit.keep_cookie(_ADDRESS_COOKIE, quote(new.email.strip()), _ADDRESS_SECONDS)
            return Go(login_url(form.get("next", ""), new=True))


def _signup(
    visit: Visit,
    then: str,
    *,
    errors: dict[str, str] | None = None,
    alert: str = "",
    status: int = 200,
) -> Page:
    values = {
        "form": visit.form,
        "errors": errors or {},
        "alert": alert,
        "next": local(then, ""),
        "least": PASSWORD_CHARS_MIN,
    }
    return Page("signup.html", values, status=status)


# Signing in and out -----------------------------------------------------------------------------


@page("/login", who=Who.ANYONE, transaction=False)
async def login(visit: Visit) -> Answer:
    then = visit.query.get("next", "")
    if visit.visitor is not None:
        return Go(local(then))
    address = unquote(visit.cookie(_ADDRESS_COOKIE))
    return _login(visit, then, email=address, is_new=bool(address) and "new" in visit.query)


@act("/login", who=Who.ANYONE, transaction=False)
async def sign_in(visit: Visit) -> Answer:
    form = visit.form
    then, email = form.get("next", ""), form.get("email", "")
    done = await accounts.sign_in(
        visit.site.db,
        email,
        form.get("password", ""),
        browser_of(visit),
        fresh=fresh(),
        now=await visit.site.instant(),
        before=visit.cookie(SESSION_COOKIE),
    )
    if isinstance(done, Denied):
        return _login(visit, then, email=email, alert=say(visit, done), status=status_of(done))
    visit.keep_cookie(_ADDRESS_COOKIE, "")
    if isinstance(done, SecondStep):
        keep_ceremony(visit, done.secret)
        return Go(second_step_url(then))
    keep(visit, done)
    return Go(local(then))


@act("/logout", who=Who.ANYONE)
async def sign_out(visit: Visit) -> Answer:
    elsewhere = await accounts.sign_out(visit.tx, visit.cookie(SESSION_COOKIE), visit.now)
    visit.keep_cookie(SESSION_COOKIE, "")
    notice = visit.words.gettext("You are signed out.")
    return Done("/login?elsewhere" if elsewhere else "/login", notice=notice)


def _login(
    visit: Visit,
    then: str,
    *,
    email: str = "",
    is_new: bool = False,
    alert: str = "",
    status: int = 200,
) -> Page:
    values = {
        "email": email,
        "is_new": is_new,
        "alert": alert,
        "next": local(then, ""),
        "passkeys": visit.site.passkeys is not None,
        "provider": visit.site.provider and visit.site.provider.client.name,
        "elsewhere": "elsewhere" in visit.query,
    }
    return Page("login.html", values, status=status)


# Links from mails -------------------------------------------------------------------------------


@page("/reset", who=Who.ANYONE, transaction=False)
async def reset(visit: Visit) -> Answer:
    return _reset(visit)


@act("/reset", who=Who.ANYONE, transaction=False)
async def ask_for_password(visit: Visit) -> Answer:
    done = await accounts.ask_for_password(
        visit.site.db,
        visit.form.get("email", ""),
        browser_of(visit),
        ids.new(),
        await visit.site.instant(),
        language=visit.words.language,
    )
    match done:
        case Invalid():
            return _reset(visit, errors=visit.errors(done), status=422)
        case Denied():
            return _reset(visit, alert=say(visit, done), status=429)
        case None:
            return Go("/reset/sent")


@page("/reset/sent", who=Who.ANYONE, transaction=False)
async def reset_sent(visit: Visit) -> Answer:
    _ = visit
    return Page("reset_sent.html")


@page("/reset/new", who=Who.ANYONE)
async def new_password(visit: Visit) -> Answer:
    return await _new_password(visit, visit.tx, visit.query.get("link", ""))


@act("/reset/new", who=Who.ANYONE, transaction=False)
async def set_password(visit: Visit) -> Answer:
    db, link = visit.site.db, visit.form.get("link", "")
    now = await visit.site.instant()
    done = await accounts.set_password(
        db, link, visit.form.get("password", ""), browser_of(visit), now
    )
    if isinstance(done, Invalid):
        errors = visit.errors(done)
        return await db.reading(lambda tx: _new_password(visit, tx, link, errors))
    if isinstance(done, Denied):
        return _gone(visit, done)
    # Every session has ended, this browser's with them if it had one.
    visit.keep_cookie(SESSION_COOKIE, "")
    return Done("/login", notice=visit.words.gettext("Your new password is set. Sign in with it."))


@page("/verify", who=Who.ANYONE)
async def verify(visit: Visit) -> Answer:
    """Asks for one more press: what only looks at links in mails must not use them up."""
    link = visit.query.get("link", "")
    found = await accounts.asked(visit.tx, link)
    if found is None or found.purpose is Purpose.PASSWORD:
        return _gone(visit, Denied.LINK_GONE)
    return Page("verify.html", {"link": link, "asked": found})


@act("/verify", who=Who.ANYONE)
async def verify_now(visit: Visit) -> Answer:
    done = await accounts.verify(
        visit.tx,
        visit.form.get("link", ""),
        ids.new(),
        visit.now,
        language=visit.words.language,
    )
    if isinstance(done, Denied):
        return _gone(visit, done)
    notice = visit.words.gettext("Thank you: this address is yours.")
    return Done("/" if visit.visitor is None else "/settings/account", notice=notice)


def _reset(
    visit: Visit, *, errors: dict[str, str] | None = None, alert: str = "", status: int = 200
) -> Page:
    values = {"form": visit.form, "errors": errors or {}, "alert": alert}
    return Page("reset.html", values, status=status)


async def _new_password(
    visit: Visit, tx: Tx, link: str, errors: dict[str, str] | None = None
) -> Page:
    found = await accounts.asked(tx, link)
    if found is None or found.purpose is not Purpose.PASSWORD:
        return _gone(visit, Denied.LINK_GONE)
    values = {"link": link, "asked": found, "errors": errors or {}, "least": PASSWORD_CHARS_MIN}
    return Page("claim.html" if found.opens else "reset_new.html", values, 422 if errors else 200)


def _gone(visit: Visit, denied: Denied) -> Page:
    status = 429 if denied is Denied.TOO_OFTEN else 410
    return Page("link_gone.html", {"alert": say(visit, denied)}, status=status)


# One's own account ------------------------------------------------------------------------------


@page("/settings/account")
async def account(visit: Visit) -> Answer:
    return await _account(visit, visit.tx, visit.now)


@act("/settings/account/handle")
async def change_handle(visit: Visit) -> Answer:
    changes = ProfileChanges(handle=visit.form.get("handle", "").strip().lower())
    done = await members.update(visit.tx, visit.viewer.id, changes, visit.now)
    match done:
        case Invalid():
            return await _account(visit, visit.tx, visit.now, errors=visit.errors(done))
        case Refusal.HANDLE_TAKEN:
            errors = {"handle": visit.words.say(done.sentence)}
            return await _account(visit, visit.tx, visit.now, errors=errors)
        case Refusal():
            raise Absent
        case _:
            notice = visit.words.gettext("Your address here is changed.")
            return Done("/settings/account", notice=notice)


@page("/settings/account/email", who=Who.PROVEN)
async def new_email(visit: Visit) -> Answer:
    return Page("settings/email.html", await _email_values(visit, visit.tx))


@act("/settings/account/email", who=Who.PROVEN, transaction=False)
async def change_email(visit: Visit) -> Answer:
    db = visit.site.db
    done = await accounts.change_email(
        db,
        visit.viewer.id,
        visit.form.get("email", ""),
        ids.new(),
        now=await visit.site.instant(),
        language=visit.words.language,
    )
    if done is None:
        notice = visit.words.gettext(
            "A mail is on its way to the new address. Follow the link in it."
        )
        return Done("/settings/account", notice=notice)
    errors = visit.errors(done) if isinstance(done, Invalid) else {"email": say(visit, done)}
    values = await db.reading(lambda tx: _email_values(visit, tx, errors))
    return Page("settings/email.html", values, status=422)


async def _email_values(
    visit: Visit, tx: Tx, errors: dict[str, str] | None = None
) -> dict[str, object]:
    return {
        "account": await accounts.account(tx, visit.viewer.id),
        "form": visit.form,
        "errors": errors or {},
    }


@act("/settings/account/verify")
async def verify_again(visit: Visit) -> Answer:
    done = await accounts.ask_to_verify(
        visit.tx, visit.viewer.id, ids.new(), visit.now, language=visit.words.language
    )
    if isinstance(done, Denied):
        return No(say(visit, done), 429, "/settings/account")
    notice = visit.words.gettext("A mail is on its way to your address. Follow the link in it.")
    return Done("/settings/account", notice=notice)


@act("/settings/account/password", transaction=False)
async def change_password(visit: Visit) -> Answer:
    form = visit.form
    done = await accounts.change_password(
        visit.site.db,
        visit.viewer.id,
        current=form.get("current", ""),
        new=form.get("password", ""),
        session=visit.viewer.session,
        fresh=fresh(),
        now=await visit.site.instant(),
    )
    match done:
        case Invalid():
            return await _account_again(visit, visit.errors(done))
        case Denied():
            return await _account_again(visit, {"current": say(visit, done)})
        case SignedIn():
            keep(visit, done)
            notice = visit.words.gettext("Your password is changed. All other browsers are out.")
            return Done("/settings/account", notice=notice)


async def _account_again(visit: Visit, errors: dict[str, str]) -> Page:
    async def read(tx: Tx) -> Page:
        return await _account(visit, tx, await visit.site.clock.now(tx), errors=errors)

    return await visit.site.db.reading(read)


async def _account(
    visit: Visit, tx: Tx, now: datetime, *, errors: dict[str, str] | None = None
) -> Page:
    values = {
        "account": await accounts.account(tx, visit.viewer.id),
        "failing": await accounts.mail_fails(tx, visit.viewer.id),
        "form": visit.form,
        "errors": errors or {},
        "least": PASSWORD_CHARS_MIN,
        "now": now,
    }
    return Page("settings/account.html", values, status=422 if errors else 200)


# Where one is signed in -------------------------------------------------------------------------


@page("/settings/sessions")
async def signed_in(visit: Visit) -> Answer:
    found = await sessions.mine(visit.tx, visit.viewer.id)
    shown = [(each, told_of(each.agent), each.id == visit.viewer.session) for each in found]
    return Page("settings/sessions.html", {"sessions": shown})


@act("/settings/sessions/{session:uuid}/end")
async def end_session(visit: Visit) -> Answer:
    session = visit.id("session", str)
    await accounts.sign_out_one(visit.tx, visit.viewer.id, session, visit.now)
    if session == visit.viewer.session:
        visit.keep_cookie(SESSION_COOKIE, "")
        return Done("/login", notice=visit.words.gettext("You are signed out."))
    notice = visit.words.gettext("That browser is signed out.")
    return Done("/settings/sessions", notice=notice)


@act("/settings/sessions/others/end")
async def end_others(visit: Visit) -> Answer:
    ended = await accounts.sign_out_everywhere(
        visit.tx, visit.viewer.id, visit.now, but=visit.viewer.session
    )
    notice = visit.words.ngettext(
        "%(num)s browser is signed out.", "%(num)s browsers are signed out.", ended
    ) % {"num": visit.words.number(ended)}
    return Done("/settings/sessions", notice=notice)


@act("/settings/sessions/all/end")
async def end_all(visit: Visit) -> Answer:
    await accounts.sign_out_everywhere(visit.tx, visit.viewer.id, visit.now)
    visit.keep_cookie(SESSION_COOKIE, "")
    return Done("/login", notice=visit.words.gettext("You are signed out everywhere."))
