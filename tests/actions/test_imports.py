"""Archives brought in: who the people are, what they get, and what an import leaves alone."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from overture import ids
from overture.actions import closing, imports, inbox, members, network
from overture.actions.imports import (
    Archive,
    Connection,
    Imported,
    Invitation,
    LeftOut,
    Message,
    NotImported,
    Owner,
    Person,
)
from overture.core.conversations import State
from overture.core.ids import ConversationId, InvitationId, MemberId, MessageId
from overture.core.refusals import Refusal
from overture.core.sending import Done, Refused, Start, Write
from overture.store import imports as store
from overture.store import inbox as inbox_store
from overture.store.inbox import Box, ListRow
from tests.cast import Town, town_in

ADA = Person("Ada Quill", "ada-quill")
BO = Person("Bo Marrow", "bo-marrow")
CY = Person("Cy Hollow", "cy-hollow")
DEE = Person("Dee Fernsby", "dee-fernsby")
LONG_AGO = datetime(1843, 7, 10, 8, 14, tzinfo=UTC)


@pytest.fixture
async def town(database_url: str) -> AsyncIterator[Town]:
    async with town_in(database_url) as made:
        yield made


class Import:
    """Brings archives into one database, and looks at what is in it."""

    def __init__(self, url: str, town: Town) -> None:
        self.url = url
        self.town = town

    async def brings(self, archive: Archive) -> Imported | NotImported:
        class TakenBack(Exception):
            pass

        result = None
        try:
            async with store.transaction(self.url) as tx:
                result = await imports.bring_in(tx, archive, self.town.now)
                if isinstance(result, NotImported):
                    raise TakenBack
        except TakenBack:
            pass
        assert result is not None
        return result

    async def does(self, archive: Archive) -> Imported:
        result = await self.brings(archive)
        assert isinstance(result, Imported), result
        return result

    def rows(self, statement: str, *params: object) -> list[tuple]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(statement, params).fetchall()

    def value(self, statement: str, *params: object) -> object:
        ((value,),) = self.rows(statement, *params)
        return value

    def member(self, handle: str) -> MemberId:
        return MemberId(str(self.value("select id from members where handle = %s", handle)))

    def everything(self) -> dict[str, list[tuple]]:
        tables = self.rows("select relname from pg_stat_user_tables where schemaname = 'public'")
        return {
            name: self.rows(f"select t::text from {name} t order by t::text") for (name,) in tables
        }

    async def list(self, viewer: MemberId, box: Box = Box.INBOX) -> list[ListRow]:
        page = await self.town.look(lambda tx: inbox_store.page(tx, viewer, box, None, 50))
        return list(page.items)

    async def the_row(self, viewer: MemberId) -> ListRow:
        (row,) = await self.list(viewer)
        return row

    async def claims(self, handle: str) -> MemberId:
        """A member begins to use the account that an import made for them."""
        member = self.member(handle)
        with psycopg.connect(self.url) as connection:
            connection.execute("update members set claimed = true where id = %s", (member,))
        return member

    async def writes(self, viewer: MemberId, conversation: str) -> State | Refusal:
        self.town.pass_by(seconds=1)
        command = Write(viewer, ConversationId(conversation), MessageId(ids.new()), "And now?")
        answer = await self.town.acts(command)
        assert isinstance(answer, Done | Refused)
        return answer.conversation.state if isinstance(answer, Done) else answer.code


@pytest.fixture
def it(database_url: str, town: Town) -> Import:
    return Import(database_url, town)


def of_ada(
    *,
    connections: Iterable[Connection] = (),
    invitations: Iterable[Invitation] = (),
    messages: Iterable[Message] = (),
    handle: str = "ada",
) -> Archive:
    return Archive(Owner(handle, ADA), connections, invitations, messages)


def of_bo(**parts: Iterable) -> Archive:
    return Archive(Owner("bo", BO), **parts)


def connected(person: Person | None, since: datetime | None = LONG_AGO, **more: str) -> Connection:
    texts = {"email": "", "company": "", "position": ""} | more
    return Connection(person, since=since, **texts)


def invited(other: Person, *, outgoing: bool, days: int = 0, note: str = "") -> Invitation:
    return Invitation(other, outgoing, LONG_AGO + timedelta(days=days), note)


def said(
    sender: Person | None, *recipients: Person | None, day: int = 0, **more: object
) -> Message:
    """A message of the conversation "one"."""
    usual = {
        "conversation": "one",
        "title": "",
        "sent_at": LONG_AGO + timedelta(days=day),
        "subject": "",
        "body": f"Day {day}",
        "box": Box.INBOX,
    }
    return Message(sender=sender, recipients=recipients, **(usual | more))  # type: ignore[arg-type]


# The owner


async def test_the_owner_becomes_a_member_who_has_not_claimed_the_account(it):
    owner = Owner("ada", ADA, headline="Keeper", company="Almanacs", location="Saltmarsh")

    imported = await it.does(Archive(owner))

    assert (imported.handle, imported.created, imported.claimed) == ("ada", True, False)
    assert it.rows(
        "select name, headline, company, location, claimed, email, search_text from members"
    ) == [
        ("Ada Quill", "Keeper", "Almanacs", "Saltmarsh", False, None, "ada quill keeper almanacs")
    ]
    assert it.rows("select handle, member_id::text from handles") == [("ada", imported.owner)]


async def test_a_member_who_has_the_handle_is_the_owner_and_stays_as_they_are(it, town):
    ada = await town.member("ada")

    imported = await it.does(Archive(Owner("ada", ADA, headline="Keeper")))

    assert (imported.owner, imported.created, imported.claimed) == (ada, False, True)
    assert it.rows("select name, headline from members") == [("Ada", "")]


async def test_who_is_known_from_anothers_archive_gets_their_handle_with_their_own(it):
    await it.does(of_bo(connections=[connected(ADA)], messages=[said(BO, ADA)]))
    known = it.member("ada-quill")

    imported = await it.does(of_ada())

    assert (imported.owner, imported.renamed_from) == (known, "ada-quill")
    assert sorted(it.rows("select handle from handles")) == [("ada",), ("bo",)]
    assert (await it.the_row(it.member("bo"))).counterpart_handle == "ada"


async def test_the_archive_of_who_has_an_account_is_not_anothers(it):
    await it.does(of_bo(connections=[connected(ADA)]))
    await it.claims("ada-quill")
    before = it.everything()

    assert await it.brings(of_ada(handle="mallory")) == NotImported(
        "This is the archive of Ada Quill, who has an account here: import it as ada-quill."
    )
    assert it.everything() == before
    assert (await it.does(of_ada(handle="ada-quill"))).owner == it.member("ada-quill")


async def test_a_handle_that_belongs_to_somebody_else_of_an_archive_is_not_taken_over(it):
    await it.does(of_bo(connections=[connected(ADA)]))

    no = await it.brings(Archive(Owner("ada-quill", CY)))

    assert isinstance(no, NotImported)
    assert no.sentence.startswith("The handle ada-quill belongs to Ada Quill")
    # The same person may have another address since.
    moved = Archive(Owner("ada-quill", Person("Ada Quill", "ada-quill-phd")))
    assert (await it.does(moved)).owner == it.member("ada-quill")


@pytest.mark.parametrize("handle", ["A", "-ada", "ada!", "0192f0c1-2345-7abc-8def-0123456789ab"])
async def test_a_bad_handle_imports_nothing(it, handle):
    assert isinstance(await it.brings(of_ada(handle=handle)), NotImported)
    assert it.value("select count(*) from members") == 0


# Who is who


async def test_two_archives_that_name_one_person_agree(it):
    await it.does(of_ada(connections=[connected(CY)]))
    await it.does(of_bo(connections=[connected(replace(CY, name="C. Hollow"))]))

    cy = it.member("cy-hollow")
    assert it.value("select count(*) from members") == 3
    assert it.value("select count(*) from connections where owner_id = %s", cy) == 2


async def test_people_of_one_name_are_told_apart_by_their_profiles(it):
    namesake = Person(CY.name, "cy-hollow-2")

    await it.does(of_ada(connections=[connected(CY), connected(namesake)]))

    assert it.rows("select handle from members where name = 'Cy Hollow' order by 1") == [
        ("cy-hollow",),
        ("cy-hollow-2",),
    ]


async def test_without_profiles_a_name_is_one_person_in_this_owners_archives_only(it):
    nameless = replace(CY, profile=None)
    shouted = Person("CY  HÖLLOW".replace("Ö", "O"), None)

    await it.does(of_ada(connections=[connected(nameless)], messages=[said(shouted, ADA)]))
    again = await it.does(of_ada(connections=[connected(nameless)]))
    assert again.added == imports.Added(0, 0, 0, 0, 0, 0)
    assert it.value("select count(*) from members where name = 'Cy Hollow'") == 1

    await it.does(of_bo(connections=[connected(nameless)]))
    assert it.value("select count(*) from members where name = 'Cy Hollow'") == 2


async def test_an_owner_without_a_profile_is_known_by_name(it):
    ada = replace(ADA, profile=None)

    await it.does(Archive(Owner("ada", ada), messages=[said(ada, replace(BO, profile=None))]))

    row = await it.the_row(it.member("ada"))
    assert (row.counterpart_name, row.begun) == ("Bo Marrow", True)


async def test_handles_are_made_from_profiles(it):
    people = [
        Person("Zoë Ærlig", "zoë-ærlig"),
        Person("李雷", "李雷"),
        Person("X", "x"),
        Person("Ada Other", "ada"),
        Person("Long", "a" * 60),
        Person("No Profile", None),
        Person("Id", "0192f0c1-2345-7abc-8def-0123456789ab"),
    ]

    await it.does(of_ada(connections=[connected(each) for each in people]))

    handles = dict(it.rows("select name, handle from members"))
    assert handles["Zoë Ærlig"] == "zoe-rlig"
    assert handles["李雷"].startswith("member-")
    assert handles["X"].startswith("x-")
    assert handles["Ada Other"].startswith("ada-")
    assert handles["Long"] == "a" * 40
    assert handles["No Profile"] == "no-profile"
    assert handles["Id"].startswith("0192f0c1-")
    assert len(handles["Id"]) != 36
    assert len(set(handles.values())) == 8
    assert sorted(handles.values()) == [
        each for (each,) in it.rows('select handle from handles order by handle collate "C"')
    ]


async def test_long_texts_are_cut_and_an_address_that_is_none_is_dropped(it):
    person = Person("N" * 101, "n" * 1500)
    more = {"company": "C" * 101, "position": "P" * 221}

    await it.does(
        of_ada(
            connections=[
                connected(person, email="x@" + "y" * 300, **more),
                connected(CY, email="cy@example.com"),
            ]
        )
    )
    await it.does(of_ada(connections=[connected(person)]))

    assert it.rows(
        "select length(name), length(headline), length(company), email from members"
        " where name like 'NN%%'"
    ) == [(100, 220, 100, None)]
    assert it.value("select email from members where handle = 'cy-hollow'") == "cy@example.com"


async def test_what_is_empty_of_an_unclaimed_member_is_filled_and_nothing_else_changes(it):
    await it.does(
        of_ada(
            connections=[connected(Person("", "cy-hollow"))],
            messages=[said(ADA, replace(CY, name=""))],
        )
    )
    assert (await it.the_row(it.member("ada"))).counterpart_name == "cy-hollow"
    full = connected(CY, email="cy@example.com", company="Clocks", position="Winder")

    await it.does(of_bo(connections=[full]))
    await it.does(of_ada(connections=[connected(replace(CY, name="Another"), company="Other")]))

    assert it.rows(
        "select name, headline, company, email, search_text from members where handle = 'cy-hollow'"
    ) == [("Cy Hollow", "Winder", "Clocks", "cy@example.com", "cy hollow winder clocks")]
    assert (await it.the_row(it.member("ada"))).counterpart_name == "Cy Hollow"


async def test_a_claimed_account_is_never_changed(it):
    await it.does(of_ada(connections=[connected(CY)]))
    await it.claims("cy-hollow")
    full = connected(CY, email="cy@example.com", company="Clocks", position="Winder")

    await it.does(of_bo(connections=[full]))

    assert it.rows("select headline, company, email from members where handle = 'cy-hollow'") == [
        ("", "", None)
    ]


async def test_an_archive_gives_nobody_a_way_in(it):
    await it.does(of_ada(connections=[connected(CY, email="cy@example.com")]))

    assert it.value("select count(*) from members where claimed") == 0
    assert it.value("select count(*) from tokens") == 0


# Connections


async def test_a_connection_has_its_date_on_both_sides(it, town):
    imported = await it.does(of_ada(connections=[connected(BO), connected(CY, since=None)]))

    assert imported.connections == imports.Tally(taken=2)
    ada, bo, cy = it.member("ada"), it.member("bo-marrow"), it.member("cy-hollow")
    assert set(it.rows("select owner_id::text, member_id::text, since from connections")) == {
        (ada, bo, LONG_AGO),
        (bo, ada, LONG_AGO),
        (ada, cy, town.now),
        (cy, ada, town.now),
    }


async def test_a_connection_to_a_claimed_member_becomes_an_invitation(it, town):
    await it.does(of_bo())
    bo = await it.claims("bo")

    imported = await it.does(of_ada(connections=[connected(BO), connected(CY)]))

    assert imported.connections == imports.Tally(taken=2)
    assert (imported.added.connections, imported.added.invitations) == (1, 1)
    assert it.value("select count(*) from connections where owner_id = %s", bo) == 0
    assert it.rows(
        "select owner_id::text, outgoing, state, sent_at from invitations order by outgoing"
    ) == [
        (bo, False, "pending", town.now),
        (imported.owner, True, "pending", town.now),
    ]
    ((invitation,),) = it.rows("select id::text from invitations where not outgoing")
    await town.do(lambda tx: network.accept(tx, bo, InvitationId(invitation), town.now))
    assert it.value("select count(*) from connections where owner_id = %s", bo) == 1


async def test_who_declined_it_is_not_asked_again_by_the_next_import(it, town):
    await it.does(of_bo())
    bo = await it.claims("bo")
    await it.does(of_ada(connections=[connected(BO)]))
    ((invitation,),) = it.rows("select id::text from invitations where not outgoing")
    await town.do(lambda tx: network.decline(tx, bo, InvitationId(invitation), town.now))

    again = await it.does(of_ada(connections=[connected(BO)]))

    assert again.connections == imports.Tally(already_there=1)
    assert it.value("select count(*) from invitations where state = 'pending'") == 0


async def test_who_has_blocked_the_importer_does_not_see_the_invitation(it, town):
    await it.does(of_ada())
    await it.does(of_bo())
    bo = await it.claims("bo")
    await town.do(lambda tx: network.block(tx, bo, it.member("ada"), town.now))

    imported = await it.does(of_ada(connections=[connected(BO)]))

    assert imported.added.invitations == 1
    assert it.rows("select owner_id::text, outgoing from invitations") == [(imported.owner, True)]


async def test_what_is_no_connection_is_left_out_and_said(it, town):
    await it.does(of_ada(connections=[connected(DEE)]))
    await it.does(of_bo())
    bo, ada, dee = it.member("bo"), it.member("ada"), it.member("dee-fernsby")
    await town.do(lambda tx: network.block(tx, ada, bo, town.now))
    await town.do(lambda tx: closing.close(tx, dee, town.now, town.book))
    people = [ADA, BO, CY, CY, DEE, None]

    imported = await it.does(of_ada(connections=[connected(each) for each in people]))

    assert imported.connections.taken == 1
    assert imported.connections.left_out == {
        LeftOut.ONESELF: 1,
        LeftOut.BLOCKED: 1,
        LeftOut.REPEATED: 1,
        LeftOut.CLOSED_ACCOUNT: 1,
        LeftOut.NOBODY: 1,
    }
    assert it.rows("select name, handle from members where id = %s", dee) == [("", "")]


async def test_connecting_opens_the_direct_conversation_that_had_closed(it, town):
    await it.does(of_ada(connections=[connected(BO)]))
    ada, bo = it.member("ada"), it.member("bo-marrow")
    direct = await town.sends(ada, bo)
    await town.do(lambda tx: network.disconnect(tx, ada, bo, town.now))
    assert (await it.the_row(ada)).state is State.CLOSED

    await it.does(of_ada(connections=[connected(BO)]))

    row = await it.the_row(ada)
    assert (row.id, row.state) == (direct, State.OPEN)
    assert it.value("select state from conversations") == "open"


# Invitations


async def test_an_invitation_waits_on_both_sides_once_a_pair_the_latest(it):
    imported = await it.does(
        of_ada(
            invitations=[
                invited(BO, outgoing=True, note="First"),
                invited(BO, outgoing=False, days=9, note="Latest" + "!" * 300),
                invited(BO, outgoing=True, days=3, note="Second"),
                invited(CY, outgoing=True, days=1),
            ]
        )
    )

    assert imported.invitations.taken == 2
    assert imported.invitations.left_out == {LeftOut.REPEATED: 2}
    ada, bo, cy = it.member("ada"), it.member("bo-marrow"), it.member("cy-hollow")
    assert set(
        it.rows(
            "select owner_id::text, other_id::text, outgoing, left(note, 6), sent_at from invitations"
        )
    ) == {
        (ada, bo, False, "Latest", LONG_AGO + timedelta(days=9)),
        (bo, ada, True, "Latest", LONG_AGO + timedelta(days=9)),
        (ada, cy, True, "", LONG_AGO + timedelta(days=1)),
        (cy, ada, False, "", LONG_AGO + timedelta(days=1)),
    }
    assert it.value("select max(length(note)) from invitations") == 300


async def test_an_invitation_between_who_are_connected_was_answered(it):
    imported = await it.does(
        of_ada(connections=[connected(BO)], invitations=[invited(BO, outgoing=True)])
    )

    assert imported.invitations == imports.Tally(left_out={LeftOut.CONNECTED: 1})
    assert it.value("select count(*) from invitations") == 0


async def test_a_claimed_member_invites_for_themselves_only(it):
    await it.does(of_bo())
    await it.claims("bo")

    forged = await it.does(of_ada(invitations=[invited(BO, outgoing=False)]))
    assert forged.invitations == imports.Tally(left_out={LeftOut.NOT_THEIR_OWN: 1})
    assert it.value("select count(*) from invitations") == 0

    own = await it.does(of_ada(invitations=[invited(BO, outgoing=True)]))
    assert own.invitations == imports.Tally(taken=1)


async def test_a_newer_archive_says_that_an_invitation_was_accepted(it):
    await it.does(of_ada(invitations=[invited(BO, outgoing=True)]))

    await it.does(of_ada(connections=[connected(BO)], invitations=[invited(BO, outgoing=True)]))

    assert it.rows("select distinct state from invitations") == [("accepted",)]
    assert it.value("select count(*) from connections") == 2


# Conversations


async def test_messages_are_numbered_by_date_and_then_as_they_came(it):
    messages = [
        said(BO, ADA, day=5, body="third"),
        said(ADA, BO, day=1, body="first"),
        said(ADA, BO, day=1, body="second"),
        said(ADA, BO, day=1, body="second"),
    ]

    imported = await it.does(of_ada(messages=messages))

    assert imported.messages == imports.Tally(taken=4)
    ada, bo = it.member("ada"), it.member("bo-marrow")
    assert it.rows("select number, body, sender_id::text from messages order by number") == [
        (1, "first", ada),
        (2, "second", ada),
        (3, "second", ada),
        (4, "third", bo),
    ]
    assert it.value("select count(distinct id) from messages") == 4


async def test_a_conversation_has_its_dates_state_and_subject(it):
    messages = [
        said(ADA, BO, day=3, subject="Re: Ink"),
        said(BO, ADA, day=1, subject="Ink " + "k" * 300),
    ]

    imported = await it.does(of_ada(messages=messages))

    assert it.rows(
        """
        select owner_id::text, kind, state, channel, recipient_id::text, length(subject),
            started_at, last_activity_at, messages, shared, sender_wrote_at, recipient_wrote_at,
            refundable_until
        from conversations
        """
    ) == [
        (
            imported.owner, "direct", "imported", "message", it.member("bo-marrow"), 200,
            LONG_AGO + timedelta(days=1), LONG_AGO + timedelta(days=3), 2, True, None, None, [],
        )
    ]  # fmt: skip


async def test_a_title_is_the_subject_if_there_is_one(it):
    await it.does(of_ada(messages=[said(ADA, BO, title="Inks", subject="Blue")]))
    assert (await it.the_row(it.member("ada"))).subject == "Inks"


async def test_both_sides_see_it_where_the_other_one_is_unclaimed(it):
    await it.does(of_ada(messages=[said(BO, ADA), said(ADA, BO, day=1)]))

    mine, theirs = await it.the_row(it.member("ada")), await it.the_row(it.member("bo-marrow"))
    assert (mine.counterpart_handle, mine.begun, mine.unread) == ("bo-marrow", False, 0)
    assert (theirs.counterpart_handle, theirs.begun, theirs.unread) == ("ada", True, 0)
    assert mine.snippet == theirs.snippet == "Day 1"
    assert mine.state is theirs.state is State.IMPORTED
    assert mine.last_sender_id == it.member("ada")
    assert [row.id for row in await it.list(it.member("bo-marrow"), Box.SENT)] == [theirs.id]


async def test_the_importer_alone_sees_it_where_the_other_one_has_an_account(it):
    await it.does(of_bo())
    bo = await it.claims("bo")

    imported = await it.does(of_ada(messages=[said(BO, ADA)]))

    assert (await it.the_row(imported.owner)).counterpart_id == bo
    assert await it.list(bo) == []
    assert it.value("select shared from conversations") is False


async def test_nobody_is_said_to_have_read_what_they_did_not_answer(it):
    await it.does(of_ada(messages=[said(BO, ADA), said(ADA, BO, day=1)]))
    ada, bo = it.member("ada"), it.member("bo-marrow")
    assert dict(it.rows("select owner_id::text, read_number from inbox")) == {ada: 2, bo: 1}


@pytest.mark.parametrize(
    ("boxes", "found"),
    [
        ([Box.INBOX, Box.ARCHIVED], Box.ARCHIVED),
        ([Box.ARCHIVED, Box.INBOX], Box.INBOX),
        ([Box.SPAM], Box.SPAM),
    ],
)
async def test_a_conversation_lies_where_its_last_message_did(it, boxes, found):
    messages = [said(ADA, BO, day=day, box=box) for day, box in enumerate(boxes)]

    await it.does(of_ada(messages=messages))

    ada, bo = it.member("ada"), it.member("bo-marrow")
    assert len(await it.list(ada, found)) == 1
    assert len(await it.list(bo, Box.INBOX)) == 1


async def test_several_conversations_with_one_person_stay_apart_newest_first(it):
    messages = [
        said(ADA, BO, conversation=name, day=day, body=name)
        for name, day in (("b", 2), ("a", 3), ("c", 1), ("b", 4))
    ]

    imported = await it.does(of_ada(messages=messages))

    assert (imported.added.conversations, imported.added.groups) == (3, 0)
    listed = await it.list(it.member("ada"))
    assert [row.snippet for row in listed] == ["b", "a", "c"]
    assert [row.last_activity_at.year for row in listed] == [1843] * 3


async def test_a_group_is_the_importers_with_everybody_named(it):
    # What others wrote names the owner alone: only all rows tell who is in it.
    messages = [said(BO, ADA, day=1), said(ADA, BO, CY, day=2), said(CY, ADA, day=3)]

    imported = await it.does(of_ada(messages=messages))

    assert (imported.added.conversations, imported.added.groups) == (1, 1)
    row = await it.the_row(it.member("ada"))
    assert (row.counterpart_id, row.counterpart_handle) == (None, "")
    assert [(each.name, each.handle, each.id) for each in row.participants or ()] == [
        ("Bo Marrow", "bo-marrow", it.member("bo-marrow")),
        ("Cy Hollow", "cy-hollow", it.member("cy-hollow")),
    ]
    assert it.value("select count(*) from inbox") == 1
    assert it.value("select recipient_id from conversations") is None


async def test_who_has_left_the_other_network_is_nobody(it):
    await it.does(of_ada(messages=[said(None, ADA), said(ADA, None, day=1)]))

    row = await it.the_row(it.member("ada"))
    assert (row.counterpart_id, list(row.participants or ["?"])) == (None, ["?"])
    assert row.participants == []
    assert it.rows("select number, sender_id is null from messages order by 1") == [
        (1, True),
        (2, False),
    ]
    assert it.value("select count(*) from members") == 1


async def test_a_closed_account_has_no_name_in_what_is_imported_later(it, town):
    await it.does(of_ada(messages=[said(ADA, BO)]))
    bo = it.member("bo-marrow")
    await town.do(lambda tx: closing.close(tx, bo, town.now, town.book))

    await it.does(of_ada(messages=[said(BO, ADA, conversation="two"), said(BO, ADA, day=1)]))

    assert it.value("select count(*) from members") == 2
    assert {row.counterpart_name for row in await it.list(it.member("ada"))} == {""}
    assert await it.list(bo) == []


# Writing in them


async def test_an_imported_conversation_is_written_in_by_those_who_are_connected(it):
    await it.does(
        of_ada(
            connections=[connected(BO)],
            messages=[said(BO, ADA), said(CY, ADA, conversation="two")],
        )
    )
    ada = it.member("ada")
    cy_s, bo_s = sorted(await it.list(ada), key=lambda row: row.counterpart_name, reverse=True)

    assert await it.writes(ada, bo_s.id) is State.IMPORTED
    assert await it.writes(it.member("bo-marrow"), bo_s.id) is State.IMPORTED
    assert await it.writes(ada, cy_s.id) is Refusal.CONVERSATION_CLOSED
    assert await it.writes(it.member("cy-hollow"), cy_s.id) is Refusal.CONVERSATION_CLOSED
    assert (await it.list(ada))[0].id == bo_s.id


async def test_by_itself_it_opens_nothing_and_shuts_nothing(it, town):
    await it.does(of_ada(messages=[said(ADA, BO)]))
    ada, bo = it.member("ada"), it.member("bo-marrow")

    assert await town.sends(ada, bo) is Refusal.RECIPIENT_NOT_PREMIUM
    await town.chooses(ada, "premium", "premium_career")
    await town.chooses(bo, "premium", "premium_career")
    sent = await town.sends(ada, bo)
    assert not isinstance(sent, Refusal)
    assert len(await it.list(ada)) == 2


async def test_a_group_is_read_only(it):
    await it.does(of_ada(connections=[connected(BO), connected(CY)], messages=[said(ADA, BO, CY)]))
    ada = it.member("ada")
    assert await it.writes(ada, (await it.the_row(ada)).id) is Refusal.READ_ONLY


async def test_what_the_importer_alone_sees_is_not_written_in_when_connected_either(it, town):
    await it.does(of_bo())
    bo = await it.claims("bo")
    imported = await it.does(of_ada(connections=[connected(BO)], messages=[said(BO, ADA)]))
    ((invitation,),) = it.rows("select id::text from invitations where not outgoing")
    await town.do(lambda tx: network.accept(tx, bo, InvitationId(invitation), town.now))

    row = await it.the_row(imported.owner)
    assert await it.writes(imported.owner, row.id) is Refusal.CONVERSATION_CLOSED
    assert not isinstance(await town.sends(imported.owner, bo), Refusal)


async def test_imported_messages_are_found(it, town):
    await it.does(
        of_ada(messages=[said(ADA, BO, body="The secret is cobalt."), said(BO, ADA, day=1)])
    )
    for handle in ("ada", "bo-marrow"):
        viewer = it.member(handle)
        page = await town.look(lambda tx, v=viewer: inbox.search(tx, v, "cobalt", None, 10))
        assert [found.message.body for found in page.items] == ["The secret is cobalt."]


# Again


def whole() -> Archive:
    return of_ada(
        connections=[connected(BO, email="bo@example.com"), connected(CY, since=None)],
        invitations=[invited(DEE, outgoing=False), invited(BO, outgoing=True)],
        messages=[
            said(ADA, BO),
            said(BO, ADA, day=1),
            said(BO, ADA, day=1),
            said(ADA, BO, CY, conversation="group", day=2),
            said(None, ADA, conversation="gone", day=3),
            said(Person("Old Friend", None), ADA, conversation="old", day=4),
        ],
    )


async def test_the_same_archive_again_changes_nothing(it, town):
    first = await it.does(whole())
    before = it.everything()
    town.pass_by(days=1)

    again = await it.does(whole())

    assert it.everything() == before
    assert first.added == imports.Added(5, 2, 1, 4, 1, 6)
    assert again.added == imports.Added(0, 0, 0, 0, 0, 0)
    assert (again.connections.already_there, again.messages.already_there) == (2, 6)
    assert again.invitations.already_there == 1


async def test_a_newer_archive_adds_what_is_new_behind_what_was_written_here(it, town):
    await it.does(of_ada(connections=[connected(BO)], messages=[said(ADA, BO)]))
    ada, bo = it.member("ada"), it.member("bo-marrow")
    thread = (await it.the_row(ada)).id
    await it.writes(bo, thread)
    newer = [said(ADA, BO), said(BO, ADA, day=7), said(ADA, BO, day=8)]

    imported = await it.does(of_ada(messages=newer))

    assert imported.messages == imports.Tally(taken=2, already_there=1)
    assert imported.added.conversations == 0
    assert it.rows("select number, body from messages order by number") == [
        (1, "Day 0"),
        (2, "And now?"),
        (3, "Day 7"),
        (4, "Day 8"),
    ]
    row = await it.the_row(ada)
    assert (row.snippet, row.last_activity_at, row.unread) == ("And now?", town.now, 1)
    assert row.state is State.IMPORTED
    assert it.value("select messages from conversations") == 4
    assert await it.writes(ada, thread) is State.IMPORTED


async def test_a_newer_archive_moves_a_conversation_to_its_new_last_message(it):
    await it.does(of_ada(messages=[said(ADA, BO), said(CY, ADA, conversation="two", day=1)]))
    ada = it.member("ada")

    await it.does(of_ada(messages=[said(BO, ADA, day=2)]))

    first, second = await it.list(ada)
    assert (first.snippet, first.unread, second.snippet) == ("Day 2", 0, "Day 1")
    assert first.last_sender_id == it.member("bo-marrow")
    assert (await it.the_row(it.member("bo-marrow"))).snippet == "Day 2"
    assert (
        it.value(
            "select read_number from inbox where owner_id = %s and conversation_id = %s",
            ada,
            first.id,
        )
        == 2
    )


async def test_who_leaves_the_other_network_between_two_archives_said_nothing_twice(it):
    await it.does(of_ada(messages=[said(BO, ADA), said(ADA, BO, day=1)]))

    imported = await it.does(of_ada(messages=[said(None, ADA), said(ADA, None, day=1)]))

    assert imported.messages == imports.Tally(already_there=2)
    assert (await it.the_row(it.member("ada"))).counterpart_name == "Bo Marrow"


async def test_a_group_may_have_more_people_in_a_newer_archive(it):
    await it.does(of_ada(messages=[said(ADA, BO, CY)]))

    await it.does(of_ada(messages=[said(ADA, BO, CY), said(DEE, ADA, day=1)]))

    row = await it.the_row(it.member("ada"))
    assert [each.handle for each in row.participants or ()] == [
        "bo-marrow",
        "cy-hollow",
        "dee-fernsby",
    ]


async def test_nothing_is_put_into_the_mouth_of_who_has_claimed_the_account_meanwhile(it):
    await it.does(of_ada(messages=[said(BO, ADA)]))
    bo = await it.claims("bo-marrow")
    newer = [said(BO, ADA), said(BO, ADA, day=1, body="I owe you a hundred crowns.")]

    imported = await it.does(of_ada(messages=newer))

    assert imported.messages == imports.Tally(taken=1, already_there=1)
    assert (await it.the_row(bo)).snippet == "Day 0"
    apart, shared = await it.list(imported.owner)
    assert (apart.snippet, shared.snippet) == ("I owe you a hundred crowns.", "Day 0")
    again = await it.does(of_ada(messages=newer))
    assert again.messages == imports.Tally(already_there=2)
    assert len(await it.list(imported.owner)) == 2


async def test_what_the_other_ones_archive_brought_for_both_is_not_brought_twice(it):
    await it.does(of_ada(messages=[said(ADA, BO), said(BO, ADA, day=1)]))
    both = [said(ADA, BO), said(BO, ADA, day=1), said(BO, ADA, day=2)]

    imported = await it.does(of_bo(messages=both))

    assert imported.messages == imports.Tally(taken=1, already_there=2)
    assert (await it.the_row(it.member("ada"))).snippet == "Day 2"
    assert (await it.the_row(it.member("bo"))).snippet == "Day 2"


async def test_to_a_claimed_member_only_their_own_copy_grows(it):
    await it.does(of_ada(messages=[said(ADA, BO)]))
    ada = await it.claims("ada")

    imported = await it.does(of_bo(messages=[said(ADA, BO), said(ADA, BO, day=2)]))

    assert imported.messages == imports.Tally(taken=1, already_there=1)
    assert (await it.the_row(ada)).snippet == "Day 0"
    assert [row.snippet for row in await it.list(imported.owner)] == ["Day 2", "Day 0"]


# Around it


async def test_an_import_touches_no_credits_and_tells_once(it, town):
    imported = await it.does(whole())

    assert it.value("select count(*) from ledger_entries") == 0
    assert it.value("select count(*) from credit_accounts") == 0
    assert it.rows("select kind, owner_id::text, at from outbox") == [
        ("import.finished", imported.owner, town.now)
    ]
    assert it.value("select payload ->> 'messages' from outbox") == "6"


async def test_what_reading_raises_takes_everything_back(it):
    def broken():
        yield said(ADA, BO)
        raise ZeroDivisionError

    before = it.everything()
    with pytest.raises(ZeroDivisionError):
        await it.brings(of_ada(connections=[connected(BO)], messages=broken()))
    assert it.everything() == before


async def test_an_import_waits_for_a_send_under_way_and_numbers_after_it(it, town):
    await it.does(of_ada(connections=[connected(BO)], messages=[said(ADA, BO)]))
    ada, bo = it.member("ada"), it.member("bo-marrow")
    with psycopg.connect(it.url) as other:
        other.execute("select from members where id = %s for key share", (ada,))
        task = asyncio.create_task(it.does(of_ada(messages=[said(BO, ADA, day=3)])))
        await asyncio.sleep(0.3)
        assert not task.done()
        other.execute(
            "insert into messages (owner_id, conversation_id, number, id, sender_id, sent_at, body)"
            " select owner_id, id, 2, gen_random_uuid(), %s, now(), 'Now' from conversations",
            (bo,),
        )
        other.execute("update conversations set messages = 2")
    await task
    assert it.rows("select number, body from messages order by number") == [
        (1, "Day 0"),
        (2, "Now"),
        (3, "Day 3"),
    ]


async def test_an_import_and_a_send_meet_without_harm(it, town):
    await it.does(of_ada(connections=[connected(BO)], messages=[said(ADA, BO)]))
    ada = it.member("ada")
    thread = ConversationId((await it.the_row(ada)).id)

    async def sends() -> None:
        for _ in range(20):
            assert await it.writes(ada, thread) is State.IMPORTED

    async def imports_more() -> None:
        for day in range(1, 6):
            await it.does(of_ada(messages=[said(BO, ADA, day=day)]))

    await asyncio.gather(sends(), imports_more())
    numbers = [number for (number,) in it.rows("select number from messages order by number")]
    assert numbers == list(range(1, 27))
    assert it.value("select messages from conversations") == 26


async def test_a_member_who_was_imported_is_found_and_can_be_written_to(it, town):
    await it.does(of_ada(connections=[connected(CY, position="Clock winder")]))
    ada = it.member("ada")

    page = await town.look(
        lambda tx: members.search(tx, ada, "winder", cursor=None, limit=5, now=town.now)
    )
    assert [(found.handle, found.claimed) for found in page.items] == [("cy-hollow", False)]
    command = Start(
        ada, it.member("cy-hollow"), ConversationId(ids.new()), MessageId(ids.new()), "Hello"
    )
    assert isinstance(await town.acts(command), Done)
