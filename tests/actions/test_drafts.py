"""Drafts: kept where they were written, until they are sent or nobody is left to send them."""

import json
from collections.abc import AsyncIterator
from zipfile import ZipFile

import pytest

from overture import ids
from overture.actions import closing, drafts
from overture.actions.drafts import NOBODY, Draft, Place
from overture.actions.export import export
from overture.actions.fields import Invalid
from overture.core.ids import ConversationId, MemberId, MessageId
from overture.core.refusals import Refusal
from overture.core.sending import Done, Start
from overture.store import drafts as store
from overture.store.db import all_rows
from tests.cast import Town, town_in

PLAN = {"premium": "premium_business"}


@pytest.fixture
async def town(database_url: str) -> AsyncIterator[Town]:
    async with town_in(database_url) as town:
        yield town


async def saves(
    town: Town, owner: MemberId, place: Place, body: str, *, subject: str = ""
) -> Draft | Refusal | Invalid | None:
    town.pass_by(seconds=1)
    return await town.do(
        lambda tx: drafts.save(
            tx, owner, place, subject=subject, body=body, pool="recruiter", now=town.now
        )
    )


async def finds(town: Town, owner: MemberId, place: Place) -> str | None:
    found = await town.look(lambda tx: drafts.draft(tx, owner, place))
    return None if found is None else found.body


async def test_a_draft_is_there_again_with_its_subject_and_pool(town: Town):
    ada, grace = await town.member("ada"), await town.member("grace")
    place = Place.letter(grace)

    saved = await saves(town, ada, place, "Dear Grace,\r\n", subject="Compilers")

    found = await town.look(lambda tx: drafts.draft(tx, ada, place))
    assert found == saved == Draft(place, "Compilers", "Dear Grace,\n", "recruiter", town.now)


async def test_there_is_one_a_place_and_the_last_one_written_stays(town: Town):
    ada, grace = await town.member("ada"), await town.member("grace", **PLAN)
    inmail = await town.sends(await town.member("alan", **PLAN), grace)
    assert not isinstance(inmail, Refusal)

    await saves(town, grace, Place.letter(ada), "To Ada")
    await saves(town, grace, Place.reply(inmail), "To Alan")
    await saves(town, grace, NOBODY, "To whom?")
    await saves(town, grace, Place.letter(ada), "To Ada, better")

    assert await finds(town, grace, Place.letter(ada)) == "To Ada, better"
    assert await finds(town, grace, Place.reply(inmail)) == "To Alan"
    assert await finds(town, grace, NOBODY) == "To whom?"
    assert await finds(town, ada, Place.letter(grace)) is None
    replies = await town.look(lambda tx: drafts.replies(tx, grace, [inmail]))
    assert [draft.body for draft in replies.values()] == ["To Alan"]
    letters = await town.look(lambda tx: drafts.letters(tx, grace))
    assert [(each.handle, each.draft.body) for each in letters] == [
        ("ada", "To Ada, better"),
        ("", "To whom?"),
    ]


async def test_a_blank_draft_is_none(town: Town):
    ada = await town.member("ada")
    await saves(town, ada, NOBODY, "Dear")

    assert await saves(town, ada, NOBODY, " \n") is None
    assert await finds(town, ada, NOBODY) is None


async def test_a_subject_alone_is_a_draft(town: Town):
    ada = await town.member("ada")
    assert isinstance(await saves(town, ada, NOBODY, "", subject="A design lead"), Draft)


async def test_a_discarded_draft_is_gone_and_discarding_again_does_nothing(town: Town):
    ada, grace = await town.member("ada"), await town.member("grace")
    await saves(town, ada, Place.letter(grace), "Dear Grace")

    for _ in range(2):
        await town.do(lambda tx: drafts.discard(tx, ada, Place.letter(grace)))

    assert await finds(town, ada, Place.letter(grace)) is None


async def test_a_letter_may_be_longer_than_can_be_sent_but_not_without_end(town: Town):
    ada = await town.member("ada")
    long = "\N{PARTY POPPER}" * store.BODY_CHARS_MAX

    assert isinstance(await saves(town, ada, NOBODY, long), Draft)
    refused = await saves(town, ada, NOBODY, long + "!")

    assert isinstance(refused, Invalid)
    assert [name for name, _ in refused.errors] == ["body"]
    assert await finds(town, ada, NOBODY) == long


async def test_what_no_database_holds_is_left_out(town: Town):
    ada = await town.member("ada")
    await saves(town, ada, NOBODY, "Dear\x00 \ud800Grace")
    assert await finds(town, ada, NOBODY) == "Dear Grace"


async def test_nothing_is_kept_for_a_place_of_somebody_elses(town: Town):
    ada, grace = await town.member("ada"), await town.member("grace", **PLAN)
    inmail = await town.sends(await town.member("alan", **PLAN), grace)
    assert not isinstance(inmail, Refusal)
    nowhere = ConversationId(ids.new())

    assert await saves(town, ada, Place.reply(inmail), "x") is Refusal.NO_SUCH_CONVERSATION
    assert await saves(town, ada, Place.reply(nowhere), "x") is Refusal.NO_SUCH_CONVERSATION
    assert await saves(town, ada, Place.letter(ada), "x") is Refusal.NO_SUCH_MEMBER
    assert await saves(town, ada, Place.letter(MemberId(ids.new())), "x") is Refusal.NO_SUCH_MEMBER
    assert isinstance(await saves(town, grace, Place.reply(inmail), "x"), Draft)


async def test_a_letter_goes_with_its_writer_to_another_recipient(town: Town):
    ada, grace = await town.member("ada"), await town.member("grace")
    await saves(town, ada, NOBODY, "Dear you")

    moved = await town.do(lambda tx: drafts.redirect(tx, ada, grace, before=NOBODY, now=town.now))

    assert isinstance(moved, Draft)
    assert moved.body == "Dear you"
    assert await finds(town, ada, Place.letter(grace)) == "Dear you"
    assert await finds(town, ada, NOBODY) is None


async def test_two_letters_do_not_overwrite_each_other_when_one_is_redirected(town: Town):
    ada, grace = await town.member("ada"), await town.member("grace")
    await saves(town, ada, Place.letter(grace), "Dear Grace")
    await saves(town, ada, NOBODY, "Dear you")

    there = await town.do(lambda tx: drafts.redirect(tx, ada, grace, before=NOBODY, now=town.now))

    assert isinstance(there, Draft)
    assert there.body == "Dear Grace"
    assert await finds(town, ada, NOBODY) == "Dear you"


async def test_of_too_many_drafts_the_one_left_alone_for_longest_goes(
    town: Town, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(store, "DRAFTS_MAX", 2)
    ada = await town.member("ada")
    first = Place.letter(await town.member("grace"))
    second = Place.letter(await town.member("alan"))
    await saves(town, ada, first, "1")
    await saves(town, ada, second, "2")

    await saves(town, ada, NOBODY, "3")

    assert await finds(town, ada, first) is None
    assert await finds(town, ada, second) == "2"
    assert await finds(town, ada, NOBODY) == "3"


async def test_drafts_are_in_the_export_and_go_with_the_account(town: Town):
    ada, grace = await town.member("ada"), await town.member("grace")
    await saves(town, ada, Place.letter(grace), "Dear Grace", subject="Compilers")

    packed = await town.look(lambda tx: export(tx, ada, town.now, town.book))
    with packed, ZipFile(packed) as archive:
        found = json.loads(archive.read("drafts.json"))
    await town.do(lambda tx: closing.close(tx, ada, town.now, town.book))

    assert [(each["to_handle"], each["subject"], each["body"]) for each in found] == [
        ("grace", "Compilers", "Dear Grace")
    ]
    assert await town.look(lambda tx: all_rows(tx, "select owner_id from drafts")) == []


async def test_a_draft_to_someone_who_left_stays_without_their_name(town: Town):
    ada, grace = await town.member("ada"), await town.member("grace")
    await saves(town, ada, Place.letter(grace), "Words worth keeping")

    await town.do(lambda tx: closing.close(tx, grace, town.now, town.book))

    (listed,) = await town.look(lambda tx: drafts.letters(tx, ada))
    assert (listed.draft.body, listed.handle, listed.name) == ("Words worth keeping", "", "")


async def test_letters_that_say_the_same_under_another_greeting_are_counted(town: Town):
    ada = await town.member("ada", **PLAN)
    text = (
        "\n\nwe are looking for someone who knows compilers as well as you do. Shall we talk?" + "."
    )
    for name in ("grace", "alan"):
        to = await town.member(name, **PLAN)
        ids_ = ConversationId(ids.new()), MessageId(ids.new())
        sent = await town.acts(Start(ada, to, *ids_, body=f"Dear {name}," + text))
        assert isinstance(sent, Done), sent

    assert await town.look(lambda tx: drafts.copies(tx, ada, "Hi Eve," + text, town.now)) == 2
    town.pass_by(days=15)
    assert await town.look(lambda tx: drafts.copies(tx, ada, "Hi Eve," + text, town.now)) == 0
    assert await town.look(lambda tx: drafts.copies(tx, ada, "Hi Eve,\n\nhello", town.now)) == 0
