"""Bringing an archive of another network in: its owner, the people in it, what was said.

One transaction: everything is read first, into dictionaries of people and conversations and a
temporary table of messages; then what is there already is compared, and what is new is written.
Nothing here costs or refunds a credit. An import never changes a member who is there, except that it
fills what is empty of one who has not claimed the account.

Source: docs/rules.md, "Imported conversations".
"""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from uuid import NAMESPACE_URL, UUID, uuid5

from overture.core import text
from overture.core.ids import ConversationId, InvitationId, MemberId
from overture.core.sending import Event
from overture.core.text import BadText
from overture.store import imports as store
from overture.store import members as members_store
from overture.store import network as network_store
from overture.store.db import Conflict, Tx
from overture.store.imports import Between, Fresh, Known, KnownConversation, NewConversation, Place
from overture.store.inbox import Box, Participant
from overture.store.outbox import tell

BODY_CHARS_MAX = 100_000
SUBJECT_CHARS_MAX = 200
EMAIL_CHARS_MAX = 254
_HANDLE_CHARS_MAX = 40

# What is brought ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Person:
    """Someone in an archive. `profile` tells people apart; where it is None only the name does.

    The name may be empty where there is a profile. Who has left the other network is no Person but
    None. Texts are clean, but of any length.
    """

    name: str
    profile: str | None


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose archive it is, and the handle that they have, or shall have, here."""

    handle: str
    person: Person
    headline: str = ""
    company: str = ""
    location: str = ""


@dataclass(frozen=True, slots=True)
class Connection:
    person: Person | None
    email: str
    company: str
    position: str
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation between the owner and `other`, which may have been answered since."""

    other: Person | None
    outgoing: bool
    sent_at: datetime
    note: str


@dataclass(frozen=True, slots=True)
class Message:
    """A message. The recipients are those of this message alone; those of one instant keep the
    order in which they come. The body is not blank and has at most BODY_CHARS_MAX code points."""

    conversation: str
    title: str
    sender: Person | None
    recipients: tuple[Person | None, ...]
    sent_at: datetime
    subject: str
    body: str
    box: Box


@dataclass(frozen=True, slots=True)
class Archive:
    """What is to be imported. Each part is read once, in this order; what reading raises, rises."""

    owner: Owner
    connections: Iterable[Connection] = ()
    invitations: Iterable[Invitation] = ()
    messages: Iterable[Message] = ()


# What came of it ----------------------------------------------------------------------------------


class LeftOut(StrEnum):
    """Why something of an archive did not go in, although nothing is wrong with it."""

    ONESELF = "oneself"
    REPEATED = "repeated"
    CONNECTED = "connected"
    CLOSED_ACCOUNT = "closed_account"
    BLOCKED = "blocked"
    # Whoever has an account here invites for themselves: an archive could be made up.
    NOT_THEIR_OWN = "not_their_own"
    NOBODY = "nobody"


@dataclass(slots=True)
class Tally:
    """What became of the rows of one kind."""

    taken: int = 0
    already_there: int = 0
    left_out: Counter[LeftOut] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Added:
    """Rows that the import added to the database. Groups are among the conversations."""

    members: int
    connections: int
    invitations: int
    conversations: int
    groups: int
    messages: int


@dataclass(frozen=True, slots=True)
class Imported:
    owner: MemberId
    handle: str
    name: str
    claimed: bool
    created: bool
    renamed_from: str | None
    connections: Tally
    invitations: Tally
    messages: Tally
    added: Added


@dataclass(frozen=True, slots=True)
class NotImported:
    """Why nothing was imported: one sentence for whoever asked."""

    sentence: str


async def bring_in(tx: Tx, archive: Archive, now: datetime) -> Imported | NotImported:
    """Imports an archive; once more adds nothing, a newer one what is new in it.

    To run in a transaction of its own (`store.imports.transaction`); a no is to be rolled back.
    """
    if (no := _bad_handle(archive.owner.handle)) is not None:
        return no
    await store.begin(tx)
    gathered = _Gathered(archive.owner.person)
    gathered.connections(archive.connections)
    gathered.invitations(archive.invitations)
    await store.gather_messages(tx, gathered.messages(archive.messages))

    owner = await _owner(tx, archive.owner, now)
    if isinstance(owner, NotImported):
        return owner
    members = await _members(tx, owner, archive.owner, gathered, now)
    connections, invitations, added = await _network(tx, owner, members, gathered, now)
    places = await _places(tx, members, gathered)
    fresh = await store.add_messages(
        tx,
        owner.id,
        [each.place for each in places],
        [(person.place, members.of[person.place].id) for person in gathered.people],
    )
    conversations, groups = await _conversations(tx, members, places, fresh)
    messages = Tally(taken=sum(each.messages for each in fresh))
    messages.already_there = gathered.messages_read - messages.taken
    imported = Imported(
        owner=owner.id,
        handle=owner.handle,
        name=members.owner.name,
        claimed=members.owner.claimed,
        created=owner.created,
        renamed_from=owner.renamed_from,
        connections=connections,
        invitations=invitations,
        messages=messages,
        added=Added(
            members=members.added + owner.created,
            connections=added[0],
            invitations=added[1],
            conversations=conversations,
            groups=groups,
            messages=messages.taken,
        ),
    )
    if imported.added != _NOTHING:
        counts = {name: getattr(imported.added, name) for name in Added.__slots__}
        await tell(tx, [Event(owner.id, "import.finished", now, counts)])
    return imported


_NOTHING = Added(0, 0, 0, 0, 0, 0)

# Gathering ----------------------------------------------------------------------------------------

_OWNER = 0


@dataclass(slots=True)
class _Person:
    """Someone of the archive, and what it tells of them. The owner has the place 0."""

    place: int
    profile: str | None
    name: str
    headline: str = ""
    company: str = ""
    email: str = ""
    connected: int = 0
    since: datetime | None = None
    invited: int = 0
    invitation: Invitation | None = None


@dataclass(slots=True)
class _Conversation:
    """A conversation of the archive: who is in it, and what its messages say of the whole."""

    place: int
    key: str
    title: str = ""
    subject: str = ""
    subject_at: tuple[datetime, int] | None = None
    box: Box = Box.INBOX
    box_at: tuple[datetime, int] | None = None
    # As a set that keeps the order of first mention.
    parties: dict[int, None] = field(default_factory=dict)
    nobody: bool = False


class _Gathered:
    """The people and conversations of an archive, each under a small number."""

    def __init__(self, owner: Person) -> None:
        self.people: list[_Person] = []
        self.threads: dict[str, _Conversation] = {}
        self.messages_read = 0
        self.connected_nobody = 0
        self.invited_nobody = 0
        self._by_profile: dict[str, int] = {}
        self._by_name: dict[str, int] = {}
        self._by_folded_name: dict[str, int] = {}
        self._person(owner)
        # Where no profile is given, the owner's name is the owner.
        if owner.name:
            self._by_name[owner.name] = _OWNER
            self._by_folded_name[text.fold(owner.name)] = _OWNER

    def connections(self, connections: Iterable[Connection]) -> None:
        for each in connections:
            if each.person is None:
                self.connected_nobody += 1
                continue
            person = self.people[self._person(each.person)]
            person.connected += 1
            if person.connected == 1:
                person.since = each.since
            person.headline = person.headline or each.position
            person.company = person.company or each.company
            person.email = person.email or each.email

    def invitations(self, invitations: Iterable[Invitation]) -> None:
        for each in invitations:
            if each.other is None:
                self.invited_nobody += 1
                continue
            person = self.people[self._person(each.other)]
            person.invited += 1
            if person.invitation is None or person.invitation.sent_at < each.sent_at:
                person.invitation = each

    def messages(
        self, messages: Iterable[Message]
    ) -> Iterator[tuple[int, int, int | None, datetime, str]]:
        """The rows of the messages as the store gathers them."""
        for each in messages:
            self.messages_read += 1
            thread = self.threads.get(each.conversation)
            if thread is None:
                thread = _Conversation(len(self.threads), each.conversation)
                self.threads[each.conversation] = thread
            at = (each.sent_at, self.messages_read)
            thread.title = thread.title or each.title
            if each.subject and (thread.subject_at is None or at < thread.subject_at):
                thread.subject, thread.subject_at = each.subject, at
            if thread.box_at is None or at > thread.box_at:
                thread.box, thread.box_at = each.box, at
            sender = None if each.sender is None else self._person(each.sender)
            for party in (each.sender, *each.recipients):
                if party is None:
                    thread.nobody = True
                else:
                    thread.parties[self._person(party)] = None
            yield thread.place, self.messages_read, sender, each.sent_at, each.body

    def _person(self, person: Person) -> int:
        """The place of someone, who gets one when they are named first."""
        name = person.name
        if person.profile is not None:
            place = self._by_profile.get(person.profile)
            if place is None:
                place = self._by_profile[person.profile] = self._add(person.profile, name)
            elif name and not self.people[place].name:
                self.people[place].name = name
            return place
        place = self._by_name.get(name)
        if place is None:
            folded = text.fold(name)
            place = self._by_folded_name.get(folded)
            if place is None:
                place = self._by_folded_name[folded] = self._add(None, name)
            self._by_name[name] = place
        return place

    def _add(self, profile: str | None, name: str) -> int:
        self.people.append(_Person(len(self.people), profile, name))
        return len(self.people) - 1


# The owner ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Importer:
    id: MemberId
    handle: str
    created: bool = False
    renamed_from: str | None = None


def _bad_handle(handle: str) -> NotImported | None:
    if isinstance(bad := text.handle(handle), BadText):
        return NotImported(bad.sentence)
    try:
        UUID(handle)
    except ValueError:
        return None
    return NotImported("A handle must not look like an id.")


async def _owner(tx: Tx, owner: Owner, now: datetime) -> _Importer | NotImported:
    """The member who imports: who has the handle, else who is known by the profile, else a new one."""
    key = None if owner.person.profile is None else _profile_key(owner.person.profile)
    name = _cut(owner.person.name, text.NAME_CHARS_MAX)
    by_profile: Known | None = None
    if key is not None:
        found = (await store.members_of(tx, [(key, _member_id(key))])).get(key)
        if found is not None:
            by_profile = await store.member(tx, found)
    holder = await store.holder(tx, owner.handle)
    if by_profile is not None and by_profile.claimed and by_profile.handle != owner.handle:
        return NotImported(
            f"This is the archive of {by_profile.name}, who has an account here: import it as "
            f"{by_profile.handle}."
        )
    if holder is not None:
        if by_profile is None or by_profile.id != holder.id:
            known_as = await store.profile_keys(tx, holder.id)
            stranger = any(each.startswith(_PROFILE) for each in known_as)
            if key is not None and stranger and text.fold(name) != text.fold(holder.name):
                return NotImported(
                    f"The handle {owner.handle} belongs to {holder.name}, and this is the archive "
                    f"of {name or owner.person.profile}. Import it under another handle."
                )
        return _Importer(holder.id, holder.handle)
    if by_profile is not None:
        # Somebody else's archive named them before; with their own they get the handle they want.
        return _Importer(by_profile.id, owner.handle, renamed_from=by_profile.handle)
    member_id = _member_id(key or f"owner:{owner.handle}")
    while await store.is_taken(tx, member_id):
        # Whoever closed an account here may come again, as another member.
        member_id = _member_id(f"again:{member_id}")
    await _take_handle(tx, member_id, owner.handle)
    made = members_store.Member(
        id=member_id,
        handle=owner.handle,
        name=name or _cut(owner.person.profile or owner.handle, text.NAME_CHARS_MAX),
        headline=_cut(owner.headline, text.HEADLINE_CHARS_MAX),
        company=_cut(owner.company, text.NAME_CHARS_MAX),
        location=_cut(owner.location, text.NAME_CHARS_MAX),
        claimed=False,
    )
    await members_store.insert(tx, [made], now)
    if key is not None:
        await store.remember_profiles(tx, [(key, member_id)])
    return _Importer(member_id, owner.handle, created=True)


async def _take_handle(tx: Tx, member: MemberId, handle: str) -> None:
    """Raises Conflict where somebody has taken it since it was found free."""
    taken, _ = await members_store.take_names(tx, member, handle=handle)
    if not taken:
        raise Conflict


# Everybody else -----------------------------------------------------------------------------------

_NAMESPACE = uuid5(NAMESPACE_URL, "https://overture.example/imports")
_PROFILE = "in:"
_KEY_CHARS_MAX = 200
_NOT_IN_A_HANDLE = re.compile(r"[^a-z0-9]+")
_ADDRESS = re.compile(r"[^\s@,;<>()\[\]\\\"]{1,64}@[^\s@,;<>()\[\]\\\"]+")


@dataclass(slots=True)
class _Members:
    """Whom the people of the archive are here, by their places; two may turn out to be one."""

    owner: Known
    of: dict[int, Known]
    added: int


async def _members(
    tx: Tx, importer: _Importer, owner: Owner, gathered: _Gathered, now: datetime
) -> _Members:
    """Finds everybody, and makes those who are not known: unclaimed, under derived handles."""
    keys = {
        person.place: _key(person, importer.id)
        for person in gathered.people
        if person.place != _OWNER
    }
    found = await store.members_of(tx, [(key, _member_id(key)) for key in keys.values()])
    known = await store.locked(tx, importer.id, found.values())
    if known[importer.id].closed:
        raise Conflict
    if importer.renamed_from is not None:
        await _rename(tx, importer)
        known[importer.id] = replace(known[importer.id], handle=importer.handle)
    of: dict[int, Known] = {}
    filled: dict[MemberId, Known] = {}
    fresh: list[tuple[str, Known]] = []
    for person in gathered.people:
        told = _as_told(person)
        if person.place == _OWNER:
            told = replace(
                told,
                headline=_cut(owner.headline, text.HEADLINE_CHARS_MAX),
                company=_cut(owner.company, text.NAME_CHARS_MAX),
                location=_cut(owner.location, text.NAME_CHARS_MAX),
            )
            member = known[importer.id]
        elif (member_id := found.get(keys[person.place])) is not None:
            member = filled.get(member_id, known[member_id])
        else:
            key = keys[person.place]
            fresh.append((key, replace(told, id=_member_id(key))))
            continue
        whole = _filled(member, told, person)
        if whole != member:
            filled[member.id] = whole
        of[person.place] = whole
    handles = await _handles(tx, fresh)
    made = {key: replace(member, handle=handles[member.id]) for key, member in fresh}
    for place, key in keys.items():
        if key in made:
            of[place] = made[key]
    await store.fill(tx, list(filled.values()))
    await store.take_handles(tx, [(member.handle, member.id) for member in made.values()])
    await members_store.insert(tx, [_stored(member) for member in made.values()], now)
    profiles = [(key, member.id) for key, member in made.items()]
    if owner.person.profile is not None:
        profiles.append((_profile_key(owner.person.profile), importer.id))
    await store.remember_profiles(tx, profiles)
    return _Members(of[_OWNER], of, len(made))


async def _rename(tx: Tx, importer: _Importer) -> None:
    member = await members_store.own(tx, importer.id)
    assert member is not None, "an account that is open and locked stays"
    await _take_handle(tx, member.id, importer.handle)
    await members_store.drop_handle(tx, member.id, member.handle)
    await members_store.change(tx, replace(member, handle=importer.handle))


def _profile_key(profile: str) -> str:
    key = f"{_PROFILE}{profile}"
    if len(key) <= _KEY_CHARS_MAX:
        return key
    return f"{_PROFILE}{hashlib.sha256(profile.encode()).hexdigest()}/"


def _key(person: _Person, importer: MemberId) -> str:
    """What stands for someone in every archive; without a profile, in this importer's archives."""
    if person.profile is not None:
        return _profile_key(person.profile)
    folded = text.fold(person.name)
    if len(folded) > text.NAME_CHARS_MAX:
        folded = hashlib.sha256(folded.encode()).hexdigest()
    return f"name:{importer}:{folded}"


def _member_id(key: str) -> MemberId:
    return MemberId(str(uuid5(_NAMESPACE, f"member {key}")))


def _as_told(person: _Person) -> Known:
    """Someone as a new member would be, but for the id and the handle."""
    email = person.email
    return Known(
        id=MemberId(""),
        handle="",
        name=_cut(person.name, text.NAME_CHARS_MAX) or _placeholder(person),
        headline=_cut(person.headline, text.HEADLINE_CHARS_MAX),
        company=_cut(person.company, text.NAME_CHARS_MAX),
        location="",
        email=email if len(email) <= EMAIL_CHARS_MAX and _ADDRESS.fullmatch(email) else None,
        claimed=False,
        closed=False,
    )


def _placeholder(person: _Person) -> str:
    """What someone is called whose name no archive has told yet."""
    return _cut(person.profile or "", text.NAME_CHARS_MAX) or "?"


def _filled(member: Known, told: Known, person: _Person) -> Known:
    """The member with what was empty filled in; a claimed account is its member's own."""
    if member.claimed or member.closed:
        return member
    return replace(
        member,
        name=told.name if member.name == _placeholder(person) else member.name,
        headline=member.headline or told.headline,
        company=member.company or told.company,
        location=member.location or told.location,
        email=member.email or told.email,
    )


def _stored(member: Known) -> members_store.Member:
    return members_store.Member(
        id=member.id,
        handle=member.handle,
        name=member.name,
        headline=member.headline,
        company=member.company,
        email=member.email,
        claimed=False,
    )


async def _handles(tx: Tx, fresh: list[tuple[str, Known]]) -> dict[MemberId, str]:
    """A handle for each new member: made from the profile, and longer where that one is taken."""
    wanted = {member.id: _handle_forms(key, member) for key, member in fresh}
    taken = await store.taken_handles(tx, {form for forms in wanted.values() for form in forms})
    handles: dict[MemberId, str] = {}
    for _, member in sorted(fresh, key=lambda each: each[0]):
        handle = next(form for form in wanted[member.id] if form not in taken)
        handles[member.id] = handle
        taken.add(handle)
    return handles


def _handle_forms(key: str, member: Known) -> list[str]:
    source = key.removeprefix(_PROFILE) if key.startswith(_PROFILE) else member.name
    plain = unicodedata.normalize("NFKD", source).encode("ascii", "ignore").decode().lower()
    base = _NOT_IN_A_HANDLE.sub("-", plain).strip("-")[:_HANDLE_CHARS_MAX].strip("-")
    suffix = UUID(member.id).hex
    forms = [base] if len(base) > 1 and _bad_handle(base) is None else []
    forms += [
        f"{(base or 'member')[: 39 - chars].strip('-')}-{suffix[:chars]}" for chars in (6, 12)
    ]
    return [*forms, f"member-{suffix}"]


def _cut(raw: str, chars_max: int) -> str:
    return raw if len(raw) <= chars_max else raw[:chars_max].rstrip()


# The network --------------------------------------------------------------------------------------


async def _network(
    tx: Tx, importer: _Importer, members: _Members, gathered: _Gathered, now: datetime
) -> tuple[Tally, Tally, tuple[int, int]]:
    """Connections and invitations: what became of each, and how many of both were added.

    A connection to someone who has an account here is for them to confirm: it becomes an invitation.
    """
    people = [person for person in gathered.people if person.connected or person.invitation]
    others = {members.of[person.place].id for person in people} - {importer.id}
    facts = await store.between(tx, importer.id, others)
    network = _Network(importer.id, members, facts, now)
    if gathered.connected_nobody:
        network.connections.left_out[LeftOut.NOBODY] = gathered.connected_nobody
    if gathered.invited_nobody:
        network.invitations.left_out[LeftOut.NOBODY] = gathered.invited_nobody
    for person in people:
        network.connection(person)
    for person in people:
        network.invitation(person)
    await store.connect(tx, importer.id, network.connect.items())
    # What waited between them is accepted now, and their direct conversation opens.
    pairs = [(importer.id, other) for other in network.connect]
    await network_store.connect(tx, pairs, now)
    made = await store.invite(tx, [invitation for invitation, _ in network.invite.values()])
    for invitation, tally in network.invite.values():
        if invitation.id in made:
            tally.taken += 1
        else:
            tally.already_there += 1
    return network.connections, network.invitations, (len(network.connect), len(made))


class _Network:
    """Decides on connections first, then on invitations."""

    def __init__(
        self,
        importer: MemberId,
        members: _Members,
        facts: Mapping[MemberId, Between],
        now: datetime,
    ) -> None:
        self.connections = Tally()
        self.invitations = Tally()
        self.connect: dict[MemberId, datetime] = {}
        self.invite: dict[MemberId, tuple[store.Invitation, Tally]] = {}
        self._importer = importer
        self._members = members
        self._facts = facts
        self._now = now
        self._connections_seen: set[MemberId] = set()

    def connection(self, person: _Person) -> None:
        tally, other = self.connections, self._members.of[person.place]
        if not person.connected:
            return
        if other.id == self._importer:
            tally.left_out[LeftOut.ONESELF] += person.connected
            return
        repeated = person.connected if other.id in self._connections_seen else person.connected - 1
        if repeated:
            tally.left_out[LeftOut.REPEATED] += repeated
        if repeated == person.connected:
            return
        self._connections_seen.add(other.id)
        between = self._facts[other.id]
        if other.closed:
            tally.left_out[LeftOut.CLOSED_ACCOUNT] += 1
        elif between.connected:
            tally.already_there += 1
        elif between.importer_blocked:
            tally.left_out[LeftOut.BLOCKED] += 1
        elif not other.claimed:
            self.connect[other.id] = person.since or self._now
            tally.taken += 1
        elif between.invited:
            tally.already_there += 1
        else:
            # Once a pair, ever: who declines it is not asked again by the next import.
            invitation = store.Invitation(
                id=_invitation_id(self._importer, other.id, "connection"),
                inviter=self._importer,
                invitee=other.id,
                note="",
                sent_at=self._now,
                shown=not between.other_blocked,
            )
            self.invite[other.id] = (invitation, tally)

    def invitation(self, person: _Person) -> None:
        tally, other, latest = (
            self.invitations,
            self._members.of[person.place],
            person.invitation,
        )
        if latest is None:
            return
        if other.id == self._importer:
            tally.left_out[LeftOut.ONESELF] += person.invited
            return
        if person.invited > 1:
            tally.left_out[LeftOut.REPEATED] += person.invited - 1
        between = self._facts[other.id]
        if other.closed:
            tally.left_out[LeftOut.CLOSED_ACCOUNT] += 1
        elif between.connected or other.id in self.connect:
            tally.left_out[LeftOut.CONNECTED] += 1
        elif between.invited or other.id in self.invite:
            tally.already_there += 1
        elif not latest.outgoing and other.claimed:
            tally.left_out[LeftOut.NOT_THEIR_OWN] += 1
        elif between.importer_blocked:
            tally.left_out[LeftOut.BLOCKED] += 1
        else:
            pair = (self._importer, other.id)
            inviter, invitee = pair if latest.outgoing else pair[::-1]
            invitation = store.Invitation(
                id=_invitation_id(inviter, invitee, latest.sent_at.isoformat()),
                inviter=inviter,
                invitee=invitee,
                note=_cut(latest.note, text.NOTE_CHARS_MAX),
                sent_at=latest.sent_at,
                shown=not latest.outgoing or not between.other_blocked,
            )
            self.invite[other.id] = (invitation, tally)


def _invitation_id(inviter: MemberId, invitee: MemberId, which: str) -> InvitationId:
    return InvitationId(str(uuid5(_NAMESPACE, f"invitation {inviter} {invitee} {which}")))


# Conversations ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Placed:
    """A conversation of the archive and where it goes; `known` if that is there already."""

    thread: _Conversation
    others: tuple[Known, ...]
    place: Place
    known: KnownConversation | None


async def _places(tx: Tx, members: _Members, gathered: _Gathered) -> list[_Placed]:
    """Where each conversation goes: as a rule to the importer's own of the same name."""
    importer = members.owner.id
    parties = {thread.key: _others(thread, members) for thread in gathered.threads.values()}
    asked: set[tuple[MemberId, ConversationId]] = set()
    for key, others in parties.items():
        asked.add((importer, _conversation_id(importer, key)))
        asked.add((importer, _conversation_id(importer, key, apart=True)))
        if len(others) == 1:
            asked.add((others[0].id, _conversation_id(others[0].id, key)))
    known = await store.known_conversations(tx, sorted(asked))
    return [
        _placed(importer, thread, parties[thread.key], known)
        for thread in gathered.threads.values()
    ]


def _others(thread: _Conversation, members: _Members) -> tuple[Known, ...]:
    found = {members.of[place].id: members.of[place] for place in thread.parties}
    found.pop(members.owner.id, None)
    return tuple(found.values())


def _placed(
    importer: MemberId,
    thread: _Conversation,
    others: tuple[Known, ...],
    known: Mapping[ConversationId, KnownConversation],
) -> _Placed:
    """Nothing may be added to what someone who has an account here sees, since an archive could be
    made up: it goes into a conversation apart, which the importer alone sees.

    What the other one's archive has brought here, for both to see, is not brought a second time.
    """
    own_id = _conversation_id(importer, thread.key)
    own = known.get(own_id)
    apart_id = _conversation_id(importer, thread.key, apart=True)
    apart = known.get(apart_id)
    theirs = known.get(_conversation_id(others[0].id, thread.key)) if len(others) == 1 else None
    if theirs is not None and not (theirs.shared and theirs.recipient == importer):
        theirs = None
    if own is not None:
        target, target_id = (apart, apart_id) if own.exposed else (own, own_id)
    elif theirs is not None and not others[0].claimed:
        target, target_id = theirs, theirs.id
    else:
        target, target_id = None, own_id
    place = Place(
        place=thread.place,
        identity=str(uuid5(_NAMESPACE, f"conversation {thread.key}")),
        home=importer if target is None else target.home,
        id=target_id,
        messages_before=0 if target is None else target.messages,
        known=[(each.home, each.id) for each in (own, apart, theirs) if each is not None],
    )
    return _Placed(thread, others, place, target)


def _conversation_id(owner: MemberId, key: str, *, apart: bool = False) -> ConversationId:
    name = f"conversation {owner} {'apart ' if apart else ''}{key}"
    return ConversationId(str(uuid5(_NAMESPACE, name)))


async def _conversations(
    tx: Tx, members: _Members, places: Iterable[_Placed], fresh: Iterable[Fresh]
) -> tuple[int, int]:
    """Writes the conversations that have new messages: how many are new, and groups among those."""
    placed = {each.place.place: each for each in places}
    new: list[NewConversation] = []
    rows: list[store.NewRow] = []
    continued: list[tuple[KnownConversation, Fresh]] = []
    for each in fresh:
        where = placed[each.place]
        if where.known is not None:
            continued.append((where.known, each))
            continue
        conversation = _new(members.owner.id, where, each)
        new.append(conversation)
        rows += _rows(members.owner, where, conversation, each)
    await store.add_conversations(tx, new, rows)
    await store.continue_conversations(tx, members.owner.id, continued)
    await store.change_participants(tx, members.owner.id, list(_joined(placed.values())))
    return len(new), sum(bool(conversation.participants) for conversation in new)


def _new(importer: MemberId, where: _Placed, fresh: Fresh) -> NewConversation:
    # With someone in it whom the other network no longer names, it is nobody's to write in.
    alone = len(where.others) == 1 and not where.thread.nobody
    other = where.others[0] if alone else None
    participants = [_participant(each) for each in where.others]
    return NewConversation(
        home=importer,
        id=where.place.id,
        recipient=None if other is None else other.id,
        participants=None if other is not None else participants,
        subject=_cut(where.thread.title or where.thread.subject, SUBJECT_CHARS_MAX),
        shared=other is not None and not other.claimed and not other.closed,
        started_at=fresh.first_at,
        last_activity_at=fresh.last_at,
        messages=fresh.messages,
    )


def _rows(
    owner: Known, where: _Placed, conversation: NewConversation, fresh: Fresh
) -> Iterator[store.NewRow]:
    """The importer has read it all. What the other one has read nobody knows, beyond what they
    answered; yet it is history, and nothing of it is unread."""
    other = where.others[0] if conversation.recipient is not None else None
    yield store.NewRow(
        owner=owner.id,
        conversation=conversation,
        counterpart=other,
        begun=fresh.first_sender == owner.id,
        box=where.thread.box,
        read_number=fresh.last_number,
        fresh=fresh,
    )
    if other is not None and conversation.shared:
        yield store.NewRow(
            owner=other.id,
            conversation=conversation,
            counterpart=owner,
            begun=fresh.first_sender == other.id,
            box=Box.INBOX,
            read_number=fresh.last_of_others,
            fresh=fresh,
        )


def _participant(member: Known) -> Participant:
    return Participant(member.name, member.id, member.handle)


def _joined(places: Iterable[_Placed]) -> Iterator[tuple[ConversationId, list[Participant]]]:
    """Groups that someone is in whom an earlier archive did not name."""
    for where in places:
        if where.known is None or where.known.participants is None:
            continue
        there = {each.id for each in where.known.participants}
        more = [_participant(each) for each in where.others if each.id not in there]
        if more:
            yield where.known.id, [*where.known.participants, *more]
