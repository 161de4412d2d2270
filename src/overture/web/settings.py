"""Settings: what members decide about who writes to them, what is told, how it looks, and leaving."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import IO
from zoneinfo import available_timezones

from babel import Locale
from babel.core import get_global
from babel.dates import get_timezone_location
from starlette.responses import StreamingResponse

from overture.actions import accounts, closing, members, network, push
from overture.actions.fields import Invalid
from overture.actions.members import MailChanges, PreferenceChanges
from overture.core import seals
from overture.core.ids import MemberId
from overture.core.notifying import CHOICES, NAMES, Kind
from overture.core.refusals import Refusal
from overture.store.members import Display, Preferences
from overture.store.network import Block, blocks
from overture.web.visit import Absent, Answer, Done, Go, No, Page, Visit, Who, act, page
from overture.words import LANGUAGES, wanted_language, words_of

THEMES = ("light", "dark")
_BLOCKED_AT_ONCE = 50
_NOTIFICATIONS = "/settings/notifications"
_PART_BYTES = 256 * 1024


@page("/settings", transaction=False)
async def settings(visit: Visit) -> Answer:
    _ = visit
    return Go("/settings/account")


# Who may write ------------------------------------------------------------------------------------


@page("/settings/inmail")
async def inmail(visit: Visit) -> Answer:
    daily = visit.site.book.at(visit.now).open_profile_daily
    values = {"preferences": await _preferences(visit), "open_profile_daily": daily}
    return Page("settings/inmail.html", values)


@act("/settings/inmail")
async def change_inmail(visit: Visit) -> Answer:
    changes = PreferenceChanges(
        accept_inmail="accept_inmail" in visit.form, open_profile="open_profile" in visit.form
    )
    return await _changed(visit, changes, "/settings/inmail")


# What is told -------------------------------------------------------------------------------------


@page("/settings/privacy")
async def privacy(visit: Visit) -> Answer:
    found = await blocks(
        visit.tx,
        visit.viewer.id,
        cursor=visit.query.get("cursor"),
        limit=_BLOCKED_AT_ONCE,
        now=visit.now,
    )
    items: Sequence[Block] = found.items
    return Page(
        "settings/privacy.html",
        {"preferences": await _preferences(visit), "blocked": items, "next": found.next},
    )


@act("/settings/privacy")
async def change_privacy(visit: Visit) -> Answer:
    changes = PreferenceChanges(receipts_and_typing="receipts_and_typing" in visit.form)
    return await _changed(visit, changes, "/settings/privacy")


@act("/settings/privacy/unblock/{member:uuid}")
async def unblock(visit: Visit) -> Answer:
    member = visit.id("member", MemberId)
    done = await network.unblock(visit.tx, visit.viewer.id, member, visit.now)
    if done is not None:
        return visit.refused(done, url="/settings/privacy")
    return Done(
        "/settings/privacy",
        patches="patches/unblocked.html",
        values={"member": member},
        notice=visit.words.gettext("Unblocked. You can write to each other again."),
    )


@page(_NOTIFICATIONS)
async def notifications(visit: Visit) -> Answer:
    chosen = await members.mail_preferences(visit.tx, visit.viewer.id)
    if isinstance(chosen, Refusal):
        raise Absent
    account = await accounts.account(visit.tx, visit.viewer.id)
    kinds = [(kind, NAMES[kind], kind not in chosen.silent) for kind in CHOICES]
    values = {
        "chosen": chosen,
        "kinds": kinds,
        "account": account,
        "push_key": visit.site.push and await visit.site.push.public_key(),
        "pushes": await push.shows_notices(visit.tx, visit.viewer.id, visit.viewer.session),
    }
    return Page("settings/notifications.html", values)


@act(_NOTIFICATIONS)
async def change_notifications(visit: Visit) -> Answer:
    changes = MailChanges(
        on="email_notifications" in visit.form,
        daily=visit.form.get("how") == "daily",
        kinds={kind: kind.value in visit.form for kind in CHOICES},
    )
    done = await members.change_mail_preferences(visit.tx, visit.viewer.id, changes, visit.now)
    if isinstance(done, Refusal):
        raise Absent
    notice = visit.words.gettext("Saved.")
    return Done(_NOTIFICATIONS, patches="patches/saved.html", notice=notice)


@act(f"{_NOTIFICATIONS}/push")
async def show_notices(visit: Visit) -> Answer:
    if visit.site.push is None:
        raise Absent
    bad = await push.show_notices(
        visit.tx,
        visit.viewer.id,
        visit.viewer.session,
        endpoint=visit.form.get("endpoint", ""),
        key=visit.form.get("p256dh", ""),
        auth=visit.form.get("auth", ""),
        allowed_hosts=visit.site.push.allowed_hosts,
    )
    if bad is not None:
        return No(visit.words.say(bad.sentence), 422, _NOTIFICATIONS)
    notice = visit.words.gettext("This browser shows you notices from now on.")
    return Done(_NOTIFICATIONS, notice=notice)


@act(f"{_NOTIFICATIONS}/push/off")
async def show_no_notices(visit: Visit) -> Answer:
    await push.show_no_notices(visit.tx, visit.viewer.id, visit.viewer.session)
    notice = visit.words.gettext("This browser shows you no notices any more.")
    return Done(_NOTIFICATIONS, notice=notice)


@page("/unsubscribe/{seal}", who=Who.ANYONE, transaction=False)
async def unsubscribe(visit: Visit) -> Answer:
    """Asks for one more press: what only looks at links in mails must not act for their reader."""
    _, kind = _unsealed(visit)
    return _unsubscribe_page(visit, kind, done=False)


@act("/unsubscribe/{seal}", who=Who.ANYONE, from_anywhere=True)
async def unsubscribe_now(visit: Visit) -> Answer:
    """Also what a mail program posts when its user asks it to, without a cookie (RFC 8058)."""
    member, kind = _unsealed(visit)
    # A closed account gets no mails either.
    await members.unsubscribe(visit.tx, member, kind.value if kind else "", visit.now)
    return _unsubscribe_page(visit, kind, done=True)


def _unsubscribe_page(visit: Visit, kind: Kind | None, *, done: bool) -> Page:
    values = {"seal": visit.path["seal"], "kind": kind and NAMES[kind], "done": done}
    return Page("unsubscribe.html", values)


def _unsealed(visit: Visit) -> tuple[MemberId, Kind | None]:
    """Whose mails of which kind a link ends, all where that is None. Raises Absent."""
    found = seals.unsubscribing(visit.site.secret, visit.path["seal"])
    if found is None:
        raise Absent
    member, kind = found
    return member, Kind(kind) if kind in CHOICES else None


# How it looks -------------------------------------------------------------------------------------


@page("/settings/display")
async def display(visit: Visit) -> Answer:
    shown = await members.display(visit.tx, visit.viewer.id)
    if isinstance(shown, Refusal):
        raise Absent
    return _display_page(visit, shown, (await _preferences(visit)).time_zone)


@act("/settings/display")
async def change_display(visit: Visit) -> Answer:
    form = visit.form
    language, theme = form.get("language", ""), form.get("theme", "")
    after = Display(
        language=language if language in LANGUAGES else None,
        theme=theme if theme in THEMES else None,
        shortcuts="shortcuts" in form,
    )
    zone = form.get("time_zone", "")
    changes = PreferenceChanges(time_zone=zone)
    done = await members.change_preferences(visit.tx, visit.viewer.id, changes, visit.now)
    if isinstance(done, Refusal):
        raise Absent
    if isinstance(done, Invalid):
        return _display_page(visit, after, zone, visit.errors(done))
    await members.change_display(visit.tx, visit.viewer.id, after, visit.now)
    # In the language that was just chosen.
    asked = visit.request.headers.get("accept-language", "")
    words = words_of(after.language or wanted_language(asked), zone)
    return Done("/settings/display", notice=words.gettext("Saved."))


def _display_page(
    visit: Visit, shown: Display, zone: str, errors: dict[str, str] | None = None
) -> Page:
    accepted = wanted_language(visit.request.headers.get("accept-language", ""))
    values = {
        "display": shown,
        "zone": zone,
        "zones": _zones(visit.words.language),
        "accepted": LANGUAGES[accepted],
        "errors": errors or {},
    }
    return Page("settings/display.html", values, status=422 if errors else 200)


@lru_cache(maxsize=4)
def _zones(language: str) -> tuple[tuple[str, str], ...]:
    """The time zones that people live in, each with what it is called."""
    locale = Locale.parse("en_GB" if language == "en" else language)
    names = sorted(set(get_global("zone_territories")) & available_timezones())
    return (("UTC", "UTC"), *((name, get_timezone_location(name, locale)) for name in names))


# The data, and leaving ----------------------------------------------------------------------------


@page("/settings/data", transaction=False)
async def data(visit: Visit) -> Answer:
    _ = visit
    return Page("settings/data.html")


@page(
    "/me/export",
    who=Who.PROVEN,
    transaction=False,
    again="/settings/data",
    while_suspended=True,
)
async def export_me(visit: Visit) -> Answer:
    packed = await visit.site.export(visit.viewer.id)
    headers = {
        "Content-Type": "application/zip",
        "Content-Disposition": 'attachment; filename="overture-export.zip"',
    }
    return StreamingResponse(_parts(packed), headers=headers)


@page("/settings/data/close", who=Who.PROVEN, while_suspended=True)
async def leave(visit: Visit) -> Answer:
    outlook = await closing.outlook(visit.tx, visit.viewer.id, visit.now, visit.site.book)
    return Page("settings/close.html", {"outlook": outlook})


@act("/settings/data/close", who=Who.PROVEN, while_suspended=True)
async def close(visit: Visit) -> Answer:
    """Closes the account for good. Whoever only found the browser open cannot."""
    _ = await closing.close(visit.tx, visit.viewer.id, visit.now, visit.site.book)
    visit.keep_cookie("session", "")
    return Done("/login", notice=visit.words.gettext("Your account is closed. Farewell."))


def _parts(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while part := file.read(_PART_BYTES):
            yield part


# All of them --------------------------------------------------------------------------------------


async def _preferences(visit: Visit) -> Preferences:
    found = await members.preferences(visit.tx, visit.viewer.id)
    if isinstance(found, Refusal):
        raise Absent
    return found


async def _changed(visit: Visit, changes: PreferenceChanges, url: str) -> Answer:
    done = await members.change_preferences(visit.tx, visit.viewer.id, changes, visit.now)
    if isinstance(done, Refusal):
        raise Absent
    assert not isinstance(done, Invalid), "a switch is either on or off"
    # What was chosen is on the page already.
    notice = visit.words.gettext("Saved.")
    return Done(url, patches="patches/saved.html", notice=notice)
