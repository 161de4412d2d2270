"""Members: make, show, find, change."""

from typing import Annotated, TypeVar

from msgspec import UNSET, Meta, UnsetType

from overture import ids
from overture.actions import members as actions
from overture.actions.fields import Invalid
from overture.actions.members import MailChanges, NewMember, PreferenceChanges, ProfileChanges
from overture.api.operation import Call, Who, operation
from overture.api.operator_members import note
from overture.api.wire import LINE, NOT_BLANK_LINE, TEXT, In, Out, Page, PageQuery, page_out
from overture.core.ids import MemberId
from overture.core.notifying import CHOICES
from overture.core.refusals import Refusal
from overture.core.text import ABOUT_CHARS_MAX, HEADLINE_CHARS_MAX, NAME_CHARS_MAX
from overture.store.members import InvitationSeen, MailPreferences, Preferences, Profile, Relation

T = TypeVar("T")

TAG = "Members"

# Lengths are counted after NFC, so that the actions check them; these tell clients beforehand.
Handle = Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9-]{1,39}$", examples=["ada"])]
Name = Annotated[str, LINE, Meta(extra_json_schema={"maxLength": NAME_CHARS_MAX})]
FullName = Annotated[str, NOT_BLANK_LINE, Meta(extra_json_schema={"maxLength": NAME_CHARS_MAX})]
Headline = Annotated[str, LINE, Meta(extra_json_schema={"maxLength": HEADLINE_CHARS_MAX})]
Email = Annotated[
    str,
    LINE,
    Meta(extra_json_schema={"maxLength": actions.EMAIL_CHARS_MAX}, examples=["ada@example.org"]),
]
About = Annotated[str, TEXT, Meta(extra_json_schema={"maxLength": ABOUT_CHARS_MAX})]
ExternalId = Annotated[str, LINE, Meta(extra_json_schema={"maxLength": 200})]
TimeZone = Annotated[
    str, Meta(description="An IANA name.", max_length=64, examples=["Europe/Berlin"])
]


class NewMemberIn(In):
    """A member as the operator makes one. `external_id` is the host site's own id of them."""

    handle: Handle
    name: FullName
    email: Email | None = None
    headline: Headline = ""
    company: Name = ""
    location: Name = ""
    time_zone: TimeZone = "UTC"
    external_id: ExternalId | None = None


class ProfileChangesIn(In):
    """What is to change; what is left out stays. An empty text clears, and so does null the address."""

    handle: Handle | UnsetType = UNSET
    name: FullName | UnsetType = UNSET
    headline: Headline | UnsetType = UNSET
    company: Name | UnsetType = UNSET
    location: Name | UnsetType = UNSET
    time_zone: TimeZone | UnsetType = UNSET
    email: Email | UnsetType | None = UNSET
    about: About | UnsetType = UNSET


class PreferencesOut(Out):
    """`open_profile` is kept also without Premium, where it has no effect."""

    accept_inmail: bool
    open_profile: bool
    receipts_and_typing: bool
    email_notifications: bool
    time_zone: str


class PreferenceChangesIn(In):
    """What is to change; what is left out stays."""

    accept_inmail: bool | UnsetType = UNSET
    open_profile: bool | UnsetType = UNSET
    receipts_and_typing: bool | UnsetType = UNSET
    email_notifications: bool | UnsetType = UNSET
    time_zone: TimeZone | UnsetType = UNSET


class EmailPreferencesOut(Out):
    """What comes to the member by e-mail: of which kinds, each by itself or in a `daily_digest`.

    `email_notifications` is the switch for all of them, the same as in the preferences. Mails that an
    account needs, and those about its safety, come in any case.
    """

    email_notifications: bool
    daily_digest: bool
    inmail: bool
    answers: bool
    messages: bool
    network: bool
    credits: bool
    plans: bool


class EmailPreferenceChangesIn(In):
    """What is to change; what is left out stays."""

    email_notifications: bool | UnsetType = UNSET
    daily_digest: bool | UnsetType = UNSET
    inmail: bool | UnsetType = UNSET
    answers: bool | UnsetType = UNSET
    messages: bool | UnsetType = UNSET
    network: bool | UnsetType = UNSET
    credits: bool | UnsetType = UNSET
    plans: bool | UnsetType = UNSET


class ProfileOut(Out):
    """A member as the caller may see them.

    `about` is what they say of themselves, in several lines. `open_profile`: anyone may write to them
    free (it takes Premium too). `claimed`: they have an account, rather than only a place in somebody's
    import. `invitation`: whether one of the caller's or of theirs waits. `blocked`: by the caller.
    `shared_connections` is null in lists and of oneself. `email`, `time_zone` and `external_id` are
    there for oneself and the operator alone.
    """

    id: MemberId
    handle: str
    name: str
    headline: str
    company: str
    location: str
    about: str
    premium: bool
    open_profile: bool
    claimed: bool
    relation: Relation
    invitation: InvitationSeen
    blocked: bool
    shared_connections: int | None
    email: str | UnsetType | None = UNSET
    time_zone: str | UnsetType = UNSET
    external_id: str | UnsetType | None = UNSET


class SearchQuery(PageQuery):
    """`q`: every word of it begins, is within, or nearly is, one of name, headline and company."""

    q: Annotated[str, LINE, Meta(max_length=actions.QUERY_CHARS_MAX)] = ""


@operation(
    "POST",
    "/members",
    summary="Make a member",
    tag=TAG,
    who=Who.OPERATOR,
    status=201,
    refusals={Refusal.HANDLE_TAKEN: 409, Refusal.EXTERNAL_ID_TAKEN: 409},
)
async def create(call: Call, body: NewMemberIn) -> ProfileOut | Refusal | Invalid:
    new = NewMember(
        id=MemberId(ids.new()),
        handle=body.handle,
        name=body.name,
        headline=body.headline,
        company=body.company,
        location=body.location,
        time_zone=body.time_zone,
        email=body.email or "",
        external_id=body.external_id or "",
    )
    made = await actions.create(call.tx, new, call.now)
    if isinstance(made, Profile):
        await note(call, "member.made", {}, member=new.id)
    return _answer(made)


@operation(
    "GET",
    "/members",
    summary="Find members",
    tag=TAG,
    who=Who.READER,
    searches=True,
)
async def search(call: Call, query: SearchQuery) -> Page[ProfileOut] | Invalid:
    """By name, headline and company; beginnings of words do, and small mistakes. Best first.

    Without `q`: all members, the newest first.
    """
    found = await actions.search(
        call.tx,
        call.viewer_or_operator,
        query.q,
        cursor=query.cursor,
        limit=query.limit,
        now=call.now,
    )
    return found if isinstance(found, Invalid) else page_out(found, profile_out)


@operation(
    "GET",
    "/members/{id_or_handle}",
    summary="A member's profile",
    tag=TAG,
    who=Who.READER,
    refusals={Refusal.NO_SUCH_MEMBER: 404},
)
async def profile(call: Call, id_or_handle: str) -> ProfileOut | Refusal:
    """By id or by handle."""
    found = await actions.profile(call.tx, call.viewer_or_operator, id_or_handle, call.now)
    return Refusal.NO_SUCH_MEMBER if found is None else profile_out(found)


@operation(
    "GET", "/me", summary="The caller's profile", tag=TAG, refusals={Refusal.NO_SUCH_MEMBER: 404}
)
async def me(call: Call) -> ProfileOut | Refusal:
    found = await actions.profile(call.tx, call.viewer, call.viewer, call.now)
    return Refusal.NO_SUCH_MEMBER if found is None else profile_out(found)


@operation(
    "PATCH",
    "/me",
    summary="Change the caller's profile",
    tag=TAG,
    refusals={Refusal.NO_SUCH_MEMBER: 404, Refusal.HANDLE_TAKEN: 409},
)
async def update(call: Call, body: ProfileChangesIn) -> ProfileOut | Refusal | Invalid:
    """A new name or handle shows at once wherever the member is named."""
    changes = ProfileChanges(
        handle=_given(body.handle),
        name=_given(body.name),
        headline=_given(body.headline),
        company=_given(body.company),
        location=_given(body.location),
        time_zone=_given(body.time_zone),
        email=_given(body.email or "" if body.email is not UNSET else UNSET),
        about=_given(body.about),
    )
    return _answer(await actions.update(call.tx, call.viewer, changes, call.now))


@operation(
    "GET",
    "/me/preferences",
    summary="The caller's preferences",
    tag=TAG,
    refusals={Refusal.NO_SUCH_MEMBER: 404},
)
async def preferences(call: Call) -> PreferencesOut | Refusal:
    found = await actions.preferences(call.tx, call.viewer)
    return found if isinstance(found, Refusal) else preferences_out(found)


@operation(
    "PATCH",
    "/me/preferences",
    summary="Change the caller's preferences",
    tag=TAG,
    refusals={Refusal.NO_SUCH_MEMBER: 404},
)
async def change_preferences(
    call: Call, body: PreferenceChangesIn
) -> PreferencesOut | Refusal | Invalid:
    """They hold from the next letter on: no send that comes after it goes by the old ones."""
    changes = PreferenceChanges(
        accept_inmail=_given(body.accept_inmail),
        open_profile=_given(body.open_profile),
        receipts_and_typing=_given(body.receipts_and_typing),
        email_notifications=_given(body.email_notifications),
        time_zone=_given(body.time_zone),
    )
    changed = await actions.change_preferences(call.tx, call.viewer, changes, call.now)
    return preferences_out(changed) if isinstance(changed, Preferences) else changed


@operation(
    "GET",
    "/me/preferences/email",
    summary="What comes to the caller by e-mail",
    tag=TAG,
    refusals={Refusal.NO_SUCH_MEMBER: 404},
)
async def email_preferences(call: Call) -> EmailPreferencesOut | Refusal:
    found = await actions.mail_preferences(call.tx, call.viewer)
    return found if isinstance(found, Refusal) else email_preferences_out(found)


@operation(
    "PATCH",
    "/me/preferences/email",
    summary="Change what comes to the caller by e-mail",
    tag=TAG,
    refusals={Refusal.NO_SUCH_MEMBER: 404},
)
async def change_email_preferences(
    call: Call, body: EmailPreferenceChangesIn
) -> EmailPreferencesOut | Refusal:
    """They hold for what is not told yet, too."""
    wanted = {kind: getattr(body, kind) for kind in CHOICES}
    changes = MailChanges(
        on=_given(body.email_notifications),
        daily=_given(body.daily_digest),
        kinds={kind: on for kind, on in wanted.items() if on is not UNSET},
    )
    done = await actions.change_mail_preferences(call.tx, call.viewer, changes, call.now)
    return done if isinstance(done, Refusal) else email_preferences_out(done)


def profile_out(profile: Profile) -> ProfileOut:
    private = profile.private
    return ProfileOut(
        id=profile.id,
        handle=profile.handle,
        name=profile.name,
        headline=profile.headline,
        company=profile.company,
        location=profile.location,
        about=profile.about,
        premium=profile.premium,
        open_profile=profile.open_profile,
        claimed=profile.claimed,
        relation=profile.relation,
        invitation=profile.invitation,
        blocked=profile.blocked,
        shared_connections=profile.shared_connections,
        email=UNSET if private is None else private.email,
        time_zone=UNSET if private is None else private.time_zone,
        external_id=UNSET if private is None else private.external_id,
    )


def preferences_out(preferences: Preferences) -> PreferencesOut:
    return PreferencesOut(
        accept_inmail=preferences.accept_inmail,
        open_profile=preferences.open_profile,
        receipts_and_typing=preferences.receipts_and_typing,
        email_notifications=preferences.email_notifications,
        time_zone=preferences.time_zone,
    )


def email_preferences_out(preferences: MailPreferences) -> EmailPreferencesOut:
    return EmailPreferencesOut(
        email_notifications=preferences.on,
        daily_digest=preferences.daily,
        **{kind.value: kind not in preferences.silent for kind in CHOICES},
    )


def _answer(made: Profile | Refusal | Invalid) -> ProfileOut | Refusal | Invalid:
    return profile_out(made) if isinstance(made, Profile) else made


def _given(value: T | UnsetType) -> T | None:
    return None if value is UNSET else value
