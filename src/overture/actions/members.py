"""What a member, or the operator, does with accounts: make, show, find, change."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from overture.actions.fields import Fields, Invalid, time_zone
from overture.actions.links import own_name
from overture.core import text
from overture.core.ids import MemberId
from overture.core.notifying import CHOICES, Kind
from overture.core.refusals import Refusal
from overture.core.sending import Event
from overture.core.text import BadText
from overture.store import accounts
from overture.store import members as store
from overture.store.db import Tx
from overture.store.members import Display, MailPreferences, Member, Preferences, Profile
from overture.store.outbox import tell
from overture.store.pages import Page

EMAIL_CHARS_MAX = 254
EXTERNAL_ID_CHARS_MAX = 200
QUERY_CHARS_MAX = 200
# The letters of an address are the mail server's business; this keeps out what is none at all.
_EMAIL = re.compile(r"[^\s@,;<>()\[\]\\\"]{1,64}@[^\s@,;<>()\[\]\\\"]+")


@dataclass(frozen=True, slots=True)
class NewMember:
    """A member to be made, the texts as they were written."""

    id: MemberId
    handle: str
    name: str
    headline: str = ""
    company: str = ""
    location: str = ""
    time_zone: str = "UTC"
    email: str = ""
    external_id: str = ""
    claimed: bool = True


@dataclass(frozen=True, slots=True)
class ProfileChanges:
    """What is to change of a profile; None stays as it is, and an empty text clears."""

    handle: str | None = None
    name: str | None = None
    headline: str | None = None
    company: str | None = None
    location: str | None = None
    time_zone: str | None = None
    email: str | None = None
    about: str | None = None


@dataclass(frozen=True, slots=True)
class PreferenceChanges:
    """What is to change of a member's preferences; None stays as it is."""

    accept_inmail: bool | None = None
    open_profile: bool | None = None
    receipts_and_typing: bool | None = None
    email_notifications: bool | None = None
    time_zone: str | None = None


@dataclass(frozen=True, slots=True)
class MailChanges:
    """What is to change of what a member is told by mail; None, and a kind left out, stay."""

    on: bool | None = None
    daily: bool | None = None
    kinds: Mapping[Kind, bool] = field(default_factory=dict[Kind, bool])


async def create(tx: Tx, new: NewMember, now: datetime) -> Profile | Refusal | Invalid:
    """Makes a member. A no is to be rolled back: it may have taken a name."""
    fields = Fields()
    member = Member(
        id=new.id,
        handle=fields.take("handle", _handle(new.handle)),
        name=fields.take("name", text.line(new.name, text.NAME_CHARS_MAX, required=True)),
        headline=fields.take("headline", text.line(new.headline, text.HEADLINE_CHARS_MAX)),
        company=fields.take("company", text.line(new.company, text.NAME_CHARS_MAX)),
        location=fields.take("location", text.line(new.location, text.NAME_CHARS_MAX)),
        time_zone=fields.take("time_zone", time_zone(new.time_zone)),
        email=fields.take("email", _email(new.email)) or None,
        external_id=fields.take("external_id", text.line(new.external_id, EXTERNAL_ID_CHARS_MAX))
        or None,
        claimed=new.claimed,
    )
    if (invalid := fields.invalid) is not None:
        return invalid
    has_handle, has_external_id = await store.take_names(
        tx, member.id, handle=member.handle, external_id=member.external_id
    )
    if not has_handle:
        return Refusal.HANDLE_TAKEN
    if not has_external_id:
        return Refusal.EXTERNAL_ID_TAKEN
    await store.insert(tx, [member], now)
    await tell(tx, [Event(member.id, "member.created", now, {})])
    made = await store.profile(tx, None, member=member.id, now=now)
    assert made is not None, "a member who was just made is there"
    return made


async def profile(
    tx: Tx, viewer: MemberId | None, id_or_handle: str, now: datetime
) -> Profile | None:
    """A member as the viewer may see them, the operator being None; a closed account is absent."""
    if _is_id(id_or_handle):
        return await store.profile(tx, viewer, member=MemberId(id_or_handle), now=now)
    if isinstance(text.handle(id_or_handle), BadText):
        return None
    return await store.profile(tx, viewer, handle=id_or_handle, now=now)


async def search(
    tx: Tx, viewer: MemberId | None, q: str, *, cursor: str | None, limit: int, now: datetime
) -> Page[Profile] | Invalid:
    """Members by name, headline and company: every word of `q` begins, or is within, or is nearly
    one of theirs. Best first; without any word all members, newest first. Raises BadCursor.
    """
    fields = Fields()
    query = fields.take("q", text.line(q, QUERY_CHARS_MAX))
    if (invalid := fields.invalid) is not None:
        return invalid
    if not query:
        return await store.newest(tx, viewer, cursor=cursor, limit=limit, now=now)
    # A word without a letter or digit is punctuation, and is in no index.
    words = [word for word in text.fold(query).split() if any(map(str.isalnum, word))]
    if not words:
        return Page([], None)
    return await store.search(
        tx, viewer, words[: store.WORDS_MAX], cursor=cursor, limit=limit, now=now
    )


async def update(
    tx: Tx, member: MemberId, changes: ProfileChanges, now: datetime
) -> Profile | Refusal | Invalid:
    """Changes a member's own profile; what others' lists call them follows."""
    before = await store.own(tx, member)
    if before is None:
        return Refusal.NO_SUCH_MEMBER
    fields = Fields()
    after = _changed(before, changes, fields)
    if after.email != before.email and await accounts.of(tx, member) is not None:
        fields.refuse(
            "email", "They sign in with their address: it is changed in the settings, by password."
        )
    if (invalid := fields.invalid) is not None:
        return invalid
    if after.handle != before.handle:
        has_handle, _ = await store.take_names(tx, member, handle=after.handle)
        if not has_handle:
            return Refusal.HANDLE_TAKEN
        await store.drop_handle(tx, member, before.handle)
    if after != before:
        await store.change(tx, after)
        await tell(tx, [Event(member, "member.changed", now, {})])
    changed = await store.profile(tx, member, member=member, now=now)
    assert changed is not None, "a member whose row is locked stays"
    return changed


async def preferences(tx: Tx, member: MemberId) -> Preferences | Refusal:
    return await store.preferences(tx, member) or Refusal.NO_SUCH_MEMBER


async def change_preferences(
    tx: Tx, member: MemberId, changes: PreferenceChanges, now: datetime
) -> Preferences | Refusal | Invalid:
    """Changes who may write to the member, and how they are told of it.

    `open_profile` is kept also without Premium, where it has no effect.
    """
    fields = Fields()
    if changes.time_zone is not None:
        fields.take("time_zone", time_zone(changes.time_zone))
    if (invalid := fields.invalid) is not None:
        return invalid
    before = await store.preferences(tx, member, lock=True)
    if before is None:
        return Refusal.NO_SUCH_MEMBER
    after = Preferences(
        accept_inmail=_or(changes.accept_inmail, before.accept_inmail),
        open_profile=_or(changes.open_profile, before.open_profile),
        receipts_and_typing=_or(changes.receipts_and_typing, before.receipts_and_typing),
        email_notifications=_or(changes.email_notifications, before.email_notifications),
        time_zone=changes.time_zone or before.time_zone,
    )
    if after != before:
        await store.change_preferences(tx, member, after)
        await tell(tx, [Event(member, "preferences.changed", now, {})])
    return after


async def mail_preferences(tx: Tx, member: MemberId) -> MailPreferences | Refusal:
    return await store.mail_preferences(tx, member) or Refusal.NO_SUCH_MEMBER


async def change_mail_preferences(
    tx: Tx, member: MemberId, changes: MailChanges, now: datetime
) -> MailPreferences | Refusal:
    """Changes what the member is told by mail. Mails that an account needs come in any case."""
    before = await store.mail_preferences(tx, member, lock=True)
    if before is None:
        return Refusal.NO_SUCH_MEMBER
    wanted = {kind: kind not in before.silent for kind in CHOICES} | dict(changes.kinds)
    after = MailPreferences(
        on=_or(changes.on, before.on),
        daily=_or(changes.daily, before.daily),
        silent=frozenset(kind for kind in CHOICES if not wanted[kind]),
    )
    if after != before:
        await store.change_mail_preferences(tx, member, after)
        await tell(tx, [Event(member, "preferences.changed", now, {})])
    return after


async def unsubscribe(tx: Tx, member: MemberId, kind: str, now: datetime) -> bool:
    """Ends mails of a kind, or all where it is none that can be chosen. False for a closed account."""
    changes = MailChanges(on=False)
    if kind in CHOICES:
        changes = MailChanges(kinds={Kind(kind): False})
    return not isinstance(await change_mail_preferences(tx, member, changes, now), Refusal)


async def display(tx: Tx, member: MemberId) -> Display | Refusal:
    return await store.display(tx, member) or Refusal.NO_SUCH_MEMBER


async def change_display(tx: Tx, member: MemberId, display: Display, now: datetime) -> None:
    """How pages look to the member from now on, in every browser of theirs."""
    await store.change_display(tx, member, display)
    await tell(tx, [Event(member, "preferences.changed", now, {})])


def _changed(before: Member, changes: ProfileChanges, fields: Fields) -> Member:
    after = before
    # A handle that stays needs no second look: it may be older than the rule for new ones.
    if changes.handle is not None and changes.handle != before.handle:
        after = replace(after, handle=fields.take("handle", _handle(changes.handle)))
    # So is a name.
    if changes.name is not None and changes.name != before.name:
        after = replace(after, name=fields.take("name", own_name(changes.name)))
    if changes.headline is not None:
        headline = text.line(changes.headline, text.HEADLINE_CHARS_MAX)
        after = replace(after, headline=fields.take("headline", headline))
    if changes.company is not None:
        company = text.line(changes.company, text.NAME_CHARS_MAX)
        after = replace(after, company=fields.take("company", company))
    if changes.location is not None:
        location = text.line(changes.location, text.NAME_CHARS_MAX)
        after = replace(after, location=fields.take("location", location))
    if changes.about is not None:
        about = text.note(changes.about.strip(), text.ABOUT_CHARS_MAX)
        after = replace(after, about=fields.take("about", about))
    if changes.time_zone is not None:
        after = replace(after, time_zone=fields.take("time_zone", time_zone(changes.time_zone)))
    if changes.email is not None:
        after = replace(after, email=fields.take("email", _email(changes.email)) or None)
    return after


def _handle(raw: str) -> str | BadText:
    if _is_id(raw):
        return BadText("A handle must not look like an id.")
    return text.handle(raw)


def _email(raw: str) -> str | BadText:
    address = text.line(raw, EMAIL_CHARS_MAX)
    if isinstance(address, BadText) or not address or _EMAIL.fullmatch(address):
        return address
    return BadText("This is no e-mail address.")


def _is_id(raw: str) -> bool:
    try:
        return str(UUID(raw)) == raw
    except ValueError:
        return False


def _or(wanted: bool | None, before: bool) -> bool:
    return before if wanted is None else wanted
