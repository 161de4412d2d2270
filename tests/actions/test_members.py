"""Members: made, shown, found, changed."""

import asyncio
from dataclasses import replace

import pytest

from overture import ids
from overture.actions import closing, members, network
from overture.actions.fields import Invalid
from overture.actions.members import NewMember, PreferenceChanges, Profile, ProfileChanges
from overture.core.ids import MemberId
from overture.core.refusals import Refusal
from overture.store.db import all_rows
from overture.store.members import InvitationSeen, Relation
from tests.cast import town_in


@pytest.fixture
async def town(database_url):
    async with town_in(database_url) as made:
        yield made


def new(handle="ada", name="Ada Lovelace", **more):
    return NewMember(MemberId(ids.new()), handle, name, **more)


async def creates(town, member):
    return await town.do(lambda tx: members.create(tx, member, town.now))


async def sees(town, viewer, id_or_handle):
    return await town.look(lambda tx: members.profile(tx, viewer, id_or_handle, town.now))


async def finds(town, q, viewer=None, cursor=None, limit=30):
    return await town.look(
        lambda tx: members.search(tx, viewer, q, cursor=cursor, limit=limit, now=town.now)
    )


async def changes(town, member, **what):
    return await town.do(lambda tx: members.update(tx, member, ProfileChanges(**what), town.now))


async def prefers(town, member, **what):
    return await town.do(
        lambda tx: members.change_preferences(tx, member, PreferenceChanges(**what), town.now)
    )


async def events(town, kind):
    return await town.look(
        lambda tx: all_rows(tx, "select owner_id from outbox where kind = %s", (kind,))
    )


# Making


async def test_a_member_is_made_with_all_that_was_given(town):
    ada = new(
        headline="Analyst",
        company="Engines",
        location="London",
        time_zone="Europe/London",
        email="ada@example.org",
        external_id="42",
    )

    made = await creates(town, ada)

    assert isinstance(made, Profile)
    assert (made.id, made.handle, made.name, made.headline, made.company, made.location) == (
        ada.id,
        "ada",
        "Ada Lovelace",
        "Analyst",
        "Engines",
        "London",
    )
    assert made.private is not None
    assert (made.private.email, made.private.time_zone, made.private.external_id) == (
        "ada@example.org",
        "Europe/London",
        "42",
    )
    assert made == await sees(town, None, "ada")
    assert await events(town, "member.created") == [(ada.id,)]


async def test_a_handle_is_one_members_alone(town):
    assert isinstance(await creates(town, new("ada")), Profile)

    assert await creates(town, new("ada", "Another")) is Refusal.HANDLE_TAKEN


async def test_an_external_id_is_one_members_alone(town):
    assert isinstance(await creates(town, new("ada", external_id="42")), Profile)

    assert await creates(town, new("bob", external_id="42")) is Refusal.EXTERNAL_ID_TAKEN
    assert isinstance(await creates(town, new("bob", external_id="43")), Profile)


@pytest.mark.parametrize(
    ("field", "bad", "good"),
    [
        ("handle", "Ada", "ada"),
        ("handle", "a", "a1"),
        ("handle", "0195e6a0-0000-7000-8000-000000000001", "0195e6a0-0000-7000-8000-00000000000"),
        ("name", " ", "A"),
        ("name", "A" * 101, "A" * 100),
        ("name", "Ada\u202eecalevoL", "عدا"),
        ("name", "Ada\nLovelace", "Ada Lovelace"),
        ("headline", "x" * 221, "x" * 220),
        ("company", "x\0y", "xy"),
        ("location", "x" * 101, "x" * 100),
        ("time_zone", "Mars/Olympus", "Europe/Berlin"),
        ("time_zone", "../etc/passwd", "UTC"),
        ("time_zone", "", "America/Argentina/Buenos_Aires"),
        ("email", "ada", "ada@example.org"),
        ("email", "ada@example.org, bob@example.org", "ada+x@example.org"),
        ("email", "ada@example.org\r\nBcc: x@example.org", "ada@example.org"),
        ("external_id", "x" * 201, "x" * 200),
    ],
)
async def test_a_field_that_cannot_be_taken_is_named(town, field, bad, good):
    refused = await creates(town, replace(new(), **{field: bad}))
    made = await creates(town, replace(new(), **{field: good}))

    assert isinstance(refused, Invalid)
    assert [name for name, _ in refused.errors] == [field]
    assert isinstance(made, Profile)


async def test_all_that_is_wrong_is_told_at_once(town):
    refused = await creates(town, new("Ada", "", time_zone="x"))

    assert isinstance(refused, Invalid)
    assert [name for name, _ in refused.errors] == ["handle", "name", "time_zone"]


# Showing


async def test_a_profile_is_found_by_id_and_by_handle_and_nothing_else(town):
    ada, bob = await town.member("ada"), await town.member("bob")

    for name in (ada, "ada"):
        found = await sees(town, bob, name)
        assert found is not None
        assert found.id == ada
    for name in ("adam", "ADA", ids.new(), "", "a\0", "'", "x" * 5000, "{" + ada + "}"):
        assert await sees(town, bob, name) is None


async def test_only_oneself_and_the_operator_see_what_is_private(town):
    ada, bob = await town.member("ada"), await town.member("bob")

    for viewer in (ada, None):
        found = await sees(town, viewer, ada)
        assert found is not None
        assert found.private is not None
    found = await sees(town, bob, ada)
    assert found is not None
    assert found.private is None


async def test_a_profile_tells_what_lies_between_the_two(town):
    ada, bob, cleo = [await town.member(name) for name in ("ada", "bob", "cleo")]

    async def relation(viewer, other):
        found = await sees(town, viewer, other)
        assert found is not None
        return found.relation, found.invitation, found.blocked, found.shared_connections

    assert await relation(ada, ada) == (Relation.SELF, InvitationSeen.NONE, False, None)
    assert await relation(ada, bob) == (Relation.NONE, InvitationSeen.NONE, False, 0)
    sent = await town.do(
        lambda tx: network.invite(tx, ada, bob, note="", invitation_id=ids.new(), now=town.now)
    )
    assert await relation(ada, bob) == (Relation.NONE, InvitationSeen.SENT, False, 0)
    assert await relation(bob, ada) == (Relation.NONE, InvitationSeen.RECEIVED, False, 0)
    await town.do(lambda tx: network.accept(tx, bob, sent.id, town.now))
    await town.do(lambda tx: network.upsert_pairs(tx, [(ada, cleo), (cleo, bob)], town.now))
    assert await relation(ada, bob) == (Relation.CONNECTION, InvitationSeen.NONE, False, 1)
    await town.do(lambda tx: network.block(tx, ada, bob, town.now))
    assert await relation(ada, bob) == (Relation.CONNECTION, InvitationSeen.NONE, True, 1)
    assert await relation(bob, ada) == (Relation.CONNECTION, InvitationSeen.NONE, False, 1)


async def test_open_profile_shows_only_with_premium(town):
    basic = await town.member("basic")
    premium = await town.member("premium", premium="premium_career")

    for member in (basic, premium):
        await prefers(town, member, open_profile=True)

    shown = [await sees(town, None, handle) for handle in ("basic", "premium")]
    assert [(p.premium, p.open_profile) for p in shown if p] == [(False, False), (True, True)]


async def test_a_new_name_leads_nowhere_and_initials_are_no_address(town):
    ada = await town.member("ada")

    for name in ("Win at evil.com", "bit.ly/x", "me@evil.com", "https://evil.test"):
        refused = await changes(town, ada, name=name)
        assert isinstance(refused, Invalid)
    for name in ("J.Co Li, B.Com", "will.i.am", "Dr. Ada M.Sc"):
        assert not isinstance(await changes(town, ada, name=name), Invalid | Refusal)


async def test_a_closed_member_is_absent(town):
    ada, bob = await town.member("ada"), await town.member("bob")
    assert await sees(town, bob, ada) is not None
    assert len((await finds(town, "ada")).items) == 1

    await town.do(lambda tx: closing.close(tx, ada, town.now, town.book))

    assert await sees(town, bob, ada) is None
    assert await sees(town, bob, "ada") is None
    assert (await finds(town, "ada")).items == []
    assert [p.handle for p in (await finds(town, "")).items] == ["bob"]
    for no in (
        await changes(town, ada, name="Ada again"),
        await prefers(town, ada, accept_inmail=False),
        await town.do(lambda tx: members.preferences(tx, ada)),
    ):
        assert no is Refusal.NO_SUCH_MEMBER


# Finding


@pytest.fixture(scope="module")
def peoples_url(databases):
    """One database for all that only search in it."""

    async def settle():
        async with town_in(url) as town:
            for handle, name, headline, company in (
                ("ada", "Ada Lovelace", "Analyst", "Analytical Engines"),
                ("grace", "Grace Hopper", "Rear admiral", "US Navy"),
                ("zoe", "Zoë Müller", "100% remote_first", "Straße GmbH"),
                ("alan", "Alan Turing", "Knows Ada", "Bletchley Park"),
                ("john", "John Smith", "Graceful engineer", "Engines & Sons"),
            ):
                member = new(handle, name, headline=headline, company=company)
                assert isinstance(await creates(town, member), Profile)

    url = databases.fresh()
    asyncio.run(settle())
    yield url
    databases.drop(url)


@pytest.fixture
async def people(peoples_url):
    async with town_in(peoples_url) as town:
        yield town


@pytest.mark.parametrize(
    ("q", "handles"),
    [
        ("ada", ["ada", "alan"]),  # the name before the headline
        ("ADA LOVELACE", ["ada"]),
        ("lovelace ada", ["ada"]),
        ("lov", ["ada"]),  # a beginning
        ("lo", ["ada"]),
        ("velac", ["ada"]),  # the middle
        ("lovelase", ["ada"]),  # a wrong letter
        ("lovelce", ["ada"]),  # a missing one
        ("lovvelace", ["ada"]),  # one too many
        ("grcae", ["grace", "john"]),  # two swapped
        ("jhon", ["john"]),
        ("hoper", ["grace"]),
        ("navy grace", ["grace"]),  # the company
        ("admiral", ["grace"]),  # the headline
        ("muller", ["zoe"]),  # no accent
        ("MÜLLER", ["zoe"]),
        ("strasse", ["zoe"]),
        ("zoe\u0308", ["zoe"]),
        ("ada turing", ["alan"]),  # every word counts
        ("ada hopper", []),
        ("zzzzzz", []),
        ("a", ["ada", "alan", "grace"]),  # one letter begins a word
        ("d", []),
        ("aad", ["ada", "alan"]),
        ("adx", []),  # three letters are too few to guess by
        ("100%", ["zoe"]),
        ("remote_first", ["zoe"]),
        ("remotexfirst", ["zoe"]),  # near enough
        ("&", []),
        ("%", []),
        ("_", []),
        ("\\", []),
        ("😀", []),
        ("ada 😀", ["ada", "alan"]),
        ("'; drop table members; --", []),
        ("\u0301", []),
        (" ".join("abcdefghijklmnop"), []),
    ],
)
async def test_members_are_found_by_what_people_type(people, q, handles):
    found = await finds(people, q)

    assert sorted(p.handle for p in found.items) == sorted(handles)
    assert found.next is None


async def test_the_best_match_comes_first(people):
    assert [p.handle for p in (await finds(people, "ada")).items] == ["ada", "alan"]
    assert [p.handle for p in (await finds(people, "grace")).items] == ["grace", "john"]


async def test_ones_own_connections_come_before_strangers(town):
    one, _, viewer = [await town.member(name) for name in ("sam-one", "sam-two", "viewer")]
    for handle in ("sam-one", "sam-two"):
        who = await sees(town, None, handle)
        await changes(town, who.id, name="Sam Same")
    strangers = await finds(town, "sam", viewer)
    assert [p.handle for p in strangers.items] == ["sam-two", "sam-one"]

    await town.do(lambda tx: network.upsert_pairs(tx, [(viewer, one)], town.now))

    assert [p.handle for p in (await finds(town, "sam", viewer)).items] == ["sam-one", "sam-two"]


@pytest.mark.parametrize("q", ["same", "smae", ""])
async def test_pages_follow_one_another_without_gap_or_repeat(town, q):
    for number in range(7):
        await creates(town, new(f"same-{number}", "Same Name" if number % 2 else "The Same"))

    seen, cursor = [], None
    while True:
        page = await finds(town, q, cursor=cursor, limit=3)
        seen += [p.handle for p in page.items]
        cursor = page.next
        if cursor is None:
            break

    assert len(seen) == 7
    assert len(set(seen)) == 7
    assert seen == [p.handle for p in (await finds(town, q)).items]


async def test_without_words_all_members_come_newest_first(people):
    found = await finds(people, "  ")

    assert [p.handle for p in found.items] == ["john", "alan", "zoe", "grace", "ada"]


@pytest.mark.parametrize("q", ["x" * 5000, "a\0b", "a\nb"])
async def test_a_search_that_cannot_be_is_told_so(people, q):
    refused = await finds(people, q)

    assert isinstance(refused, Invalid)
    assert refused.errors[0][0] == "q"


# Changing


async def test_what_is_left_out_stays_and_an_empty_text_clears(town):
    ada = new(headline="Analyst", company="Engines", email="ada@example.org")
    await creates(town, ada)

    changed = await changes(town, ada.id, headline="", email="", location="London")

    assert isinstance(changed, Profile)
    assert (changed.name, changed.headline, changed.company, changed.location) == (
        "Ada Lovelace",
        "",
        "Engines",
        "London",
    )
    assert changed.private is not None
    assert changed.private.email is None
    assert await events(town, "member.changed") == [(ada.id,)]


async def test_a_change_to_what_is_there_already_is_none(town):
    ada = new()
    await creates(town, ada)

    changed = await changes(town, ada.id, name=ada.name, handle=ada.handle)

    assert isinstance(changed, Profile)
    assert await events(town, "member.changed") == []


async def test_a_new_name_is_found_and_the_old_one_is_not(town):
    ada = new()
    await creates(town, ada)

    await changes(town, ada.id, name="Augusta King")

    assert [p.name for p in (await finds(town, "augusta")).items] == ["Augusta King"]
    assert (await finds(town, "lovelace")).items == []


async def test_a_new_handle_must_be_free_and_the_old_one_becomes_so(town):
    ada, bob = await town.member("ada"), await town.member("bob")

    assert await changes(town, ada, handle="bob") is Refusal.HANDLE_TAKEN
    assert isinstance(await changes(town, ada, handle="augusta"), Profile)
    assert isinstance(await changes(town, bob, handle="ada"), Profile)

    assert (await sees(town, None, "augusta")).id == ada
    assert (await sees(town, None, "ada")).id == bob
    assert await sees(town, None, "bob") is None


async def test_a_new_name_must_be_one(town):
    ada = await town.member("ada")

    refused = await changes(town, ada, name=" ", time_zone="x")

    assert isinstance(refused, Invalid)
    assert [field for field, _ in refused.errors] == ["name", "time_zone"]


async def test_others_lists_follow_a_new_name_and_handle(town):
    ada = await town.member("ada", premium="premium_career")
    bob = await town.member("bob", premium="premium_career")
    cleo = await town.member("cleo")
    sent = await town.sends(ada, bob)
    await town.do(lambda tx: network.upsert_pairs(tx, [(bob, cleo)], town.now))
    await town.sends(bob, cleo)

    await changes(town, ada, name="Augusta King", handle="augusta")

    rows = await town.look(
        lambda tx: all_rows(
            tx,
            "select owner_id, counterpart_handle, counterpart_name from inbox"
            " where conversation_id = %s",
            (sent,),
        )
    )
    assert sorted(rows) == sorted([(ada, "bob", "Bob"), (bob, "augusta", "Augusta King")])
    others = await town.look(
        lambda tx: all_rows(
            tx, "select counterpart_name from inbox where conversation_id <> %s", (sent,)
        )
    )
    assert sorted(others) == [("Bob",), ("Cleo",)]


async def test_preferences_change_one_by_one(town):
    ada = await town.member("ada")
    first = await town.look(lambda tx: members.preferences(tx, ada))
    assert first == members.Preferences(True, False, True, True, "UTC")

    changed = await prefers(
        town, ada, accept_inmail=False, open_profile=True, time_zone="Asia/Tokyo"
    )

    assert changed == members.Preferences(False, True, True, True, "Asia/Tokyo")
    assert changed == await town.look(lambda tx: members.preferences(tx, ada))
    assert await events(town, "preferences.changed") == [(ada,)]


async def test_a_preference_that_is_no_time_zone_changes_nothing(town):
    ada = await town.member("ada")

    refused = await prefers(town, ada, accept_inmail=False, time_zone="Mars")

    assert isinstance(refused, Invalid)
    assert (await town.look(lambda tx: members.preferences(tx, ada))).accept_inmail


async def test_opting_out_holds_for_the_next_letter(town):
    ada = await town.member("ada", premium="premium_career")
    bob = await town.member("bob", premium="premium_career")
    cleo = await town.member("cleo", premium="premium_career")

    await prefers(town, bob, accept_inmail=False)

    assert await town.sends(ada, bob) is Refusal.RECIPIENT_UNAVAILABLE
    assert not isinstance(await town.sends(ada, cleo), Refusal)
