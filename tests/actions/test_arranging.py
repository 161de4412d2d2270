"""How members arrange their inboxes, and change what they wrote: each their own, and in time."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from overture.actions import inbox, members, network
from overture.core.conversations import Message
from overture.core.ids import ConversationId, MemberId, MessageId
from overture.core.policy import Outcome
from overture.core.refusals import Refusal
from overture.core.sending import Respond
from overture.store import boxes
from overture.store.boxes import Folder, Line, Lines, Range, Unread
from overture.store.db import all_rows
from tests.actions.test_inbox import bodies, connect, reads, starts, thread, writes
from tests.cast import Town, town_in

PLAN = {"premium": "premium_business"}


@pytest.fixture
async def town(database_url: str) -> AsyncIterator[Town]:
    async with town_in(database_url) as town:
        yield town


async def page(town: Town, viewer: MemberId, folder: Folder = Folder.FOCUSED) -> Lines:
    found = await town.look(lambda tx: boxes.lines(tx, viewer, folder, town.now, limit=20))
    return found[0]


async def listed(
    town: Town, viewer: MemberId, folder: Folder = Folder.FOCUSED
) -> list[ConversationId]:
    return [line.id for line in (await page(town, viewer, folder)).lines]


async def unread(town: Town, viewer: MemberId) -> Unread:
    return await town.look(lambda tx: boxes.unread(tx, viewer, town.now))


async def line(town: Town, viewer: MemberId, here: ConversationId) -> Line:
    found = await town.look(lambda tx: boxes.one_line(tx, viewer, here, town.now))
    assert found[0] is not None
    return found[0]


async def pair(town: Town) -> tuple[MemberId, MemberId, ConversationId]:
    """Two who are connected, and their conversation."""
    ada, grace = await town.member("ada"), await town.member("grace")
    await connect(town, ada, grace)
    return ada, grace, await starts(town, ada, grace, "Hello")


async def test_a_star_is_ones_own(town: Town):
    ada, grace, here = await pair(town)

    await town.do(lambda tx: inbox.star(tx, grace, here, town.now, on=True))

    assert await listed(town, grace, Folder.STARRED) == [here]
    assert await listed(town, ada, Folder.STARRED) == []
    await town.do(lambda tx: inbox.star(tx, grace, here, town.now, on=False))
    assert await listed(town, grace, Folder.STARRED) == []


async def test_what_is_muted_stays_in_the_list_and_out_of_the_badge(town: Town):
    _, grace, here = await pair(town)
    assert await unread(town, grace) == Unread(1, 0)

    await town.do(lambda tx: inbox.mute(tx, grace, here, town.now, on=True))

    assert await unread(town, grace) == Unread(0, 0)
    assert await listed(town, grace) == [here]


async def test_marked_unread_it_is_looked_at_again_and_the_receipt_stays(town: Town):
    ada, grace, here = await pair(town)
    first = (await thread(town, grace, here)).row.last_message_id
    assert first
    await reads(town, grace, here, first)

    await town.do(lambda tx: inbox.mark_unread(tx, grace, here, town.now))

    assert await listed(town, grace, Folder.UNREAD) == [here]
    assert await unread(town, grace) == Unread(1, 0)
    assert (await thread(town, ada, here)).seen_up_to == first
    await reads(town, grace, here, first)
    assert await listed(town, grace, Folder.UNREAD) == []


async def test_what_is_put_off_is_away_until_then_and_back_on_top(town: Town):
    ada, grace, here = await pair(town)
    until = town.now + timedelta(days=1)

    await town.do(lambda tx: inbox.snooze(tx, grace, here, town.now, until=until))

    assert await listed(town, grace) == []
    assert await listed(town, grace, Folder.LATER) == [here]
    assert await unread(town, grace) == Unread(0, 0)
    assert await listed(town, ada) == [here]
    town.pass_by(days=1)
    back = await page(town, grace)
    assert [each.id for each in back.due] == [here]
    assert await unread(town, grace) == Unread(1, 0)
    last = (await thread(town, grace, here)).row.last_message_id
    assert last
    await reads(town, grace, here, last)
    assert (await page(town, grace)).due == []
    assert await listed(town, grace) == [here]


async def test_a_new_message_ends_the_putting_off(town: Town):
    ada, grace, here = await pair(town)
    until = town.now + timedelta(days=1)
    await town.do(lambda tx: inbox.snooze(tx, grace, here, town.now, until=until))

    await writes(town, ada, here)

    assert await listed(town, grace) == [here]
    assert await listed(town, grace, Folder.LATER) == []


async def test_putting_a_letter_off_is_no_answer(town: Town):
    ada, grace = await town.member("ada", **PLAN), await town.member("grace", **PLAN)
    here = await starts(town, ada, grace)
    until = town.now + timedelta(days=3)

    await town.do(lambda tx: inbox.snooze(tx, grace, here, town.now, until=until))

    assert (await thread(town, ada, here)).row.state == "pending"
    await town.acts(Respond(grace, here, Outcome.DECLINED))
    assert (await line(town, grace, here)).snoozed_until is None


@pytest.mark.parametrize("days", [0, -1, 400])
async def test_one_is_not_reminded_of_the_past_nor_in_a_far_future(town: Town, days: int):
    _, grace, here = await pair(town)
    until = town.now + timedelta(days=days)

    answer = await town.do(lambda tx: inbox.snooze(tx, grace, here, town.now, until=until))

    assert answer is Refusal.NOT_AN_HOUR_TO_COME


async def test_a_strangers_free_letter_waits_under_other_until_it_is_accepted(town: Town):
    ada, grace = await town.member("ada", **PLAN), await town.member("grace", **PLAN)
    changes = members.PreferenceChanges(open_profile=True)
    await town.do(lambda tx: members.change_preferences(tx, grace, changes, town.now))
    here = await starts(town, ada, grace)

    assert await listed(town, grace, Folder.OTHER) == [here]
    assert await unread(town, grace) == Unread(0, 1)
    assert await listed(town, ada) == [here]
    await town.acts(Respond(grace, here, Outcome.ACCEPTED))
    assert await listed(town, grace) == [here]


async def test_a_member_moves_what_they_like_to_other_and_it_stays_there(town: Town):
    ada, grace, here = await pair(town)

    await town.do(lambda tx: inbox.focus(tx, grace, here, town.now, on=False))
    await writes(town, ada, here)

    assert await listed(town, grace, Folder.OTHER) == [here]
    assert await listed(town, grace) == []


@pytest.mark.parametrize("folder", list(Folder))
async def test_pages_of_every_folder_lead_on_and_back(town: Town, folder: Folder):
    grace = await town.member("grace", **PLAN)
    threads: list[ConversationId] = []
    for number in range(7):
        other = await town.member(f"other-{number}", **PLAN)
        here = await starts(town, other, grace)
        threads.append(here)
        match folder:
            case Folder.OTHER:
                await town.do(lambda tx, h=here: inbox.focus(tx, grace, h, town.now, on=False))
            case Folder.STARRED:
                await town.do(lambda tx, h=here: inbox.star(tx, grace, h, town.now, on=True))
            case Folder.LATER:
                until = town.now + timedelta(days=30)
                await town.do(
                    lambda tx, h=here, u=until: inbox.snooze(tx, grace, h, town.now, until=u)
                )
            case Folder.ARCHIVED:
                await town.do(lambda tx, h=here: inbox.archive(tx, grace, h, town.now))
            case Folder.SPAM:
                await town.do(lambda tx, h=here: inbox.mark_spam(tx, grace, h, town.now))
            case _:
                pass
    expected = threads if folder is Folder.LATER else threads[::-1]

    async def look(**cursor: str | None) -> Lines:
        return (
            await town.look(lambda tx: boxes.lines(tx, grace, folder, town.now, limit=3, **cursor))
        )[0]

    first = await look()
    second = await look(after=first.older)
    third = await look(after=second.older)
    assert [each.id for part in (first, second, third) for each in part.lines] == expected
    assert (first.newer, third.older) == (None, None)
    back = await look(before=third.newer)
    assert [each.id for each in back.lines] == expected[3:6]
    assert [each.id for each in (await look(before=back.newer)).lines] == expected[:3]


async def test_the_sender_sees_what_became_of_the_credit(town: Town):
    ada, grace = await town.member("ada", **PLAN), await town.member("grace", **PLAN)
    early = await starts(town, ada, grace)
    town.pass_by(days=2)
    await town.acts(Respond(grace, early, Outcome.DECLINED))
    late = await starts(town, ada, grace)
    town.pass_by(days=91)
    await town.acts(Respond(grace, late, Outcome.ACCEPTED))

    assert (await line(town, ada, early)).refund == "refunded"
    assert (await line(town, ada, late)).refund == "none"
    assert (await line(town, grace, early)).refund is None


# What was written --------------------------------------------------------------------------------


async def last_of(town: Town, viewer: MemberId, here: ConversationId) -> MessageId:
    found = (await thread(town, viewer, here)).row.last_message_id
    assert found
    return found


async def edits(
    town: Town, viewer: MemberId, here: ConversationId, message: MessageId, body: str
) -> Message | Refusal:
    return await town.do(lambda tx: inbox.edit(tx, viewer, here, message, body=body, now=town.now))


async def deletes(
    town: Town, viewer: MemberId, here: ConversationId, message: MessageId
) -> Message | Refusal:
    return await town.do(lambda tx: inbox.delete(tx, viewer, here, message, town.now))


async def test_an_edit_is_seen_by_both_and_marked(town: Town):
    ada, grace, here = await pair(town)
    message = await last_of(town, ada, here)

    changed = await edits(town, ada, here, message, "Good morning")

    assert isinstance(changed, Message)
    assert changed.edited_at == town.now
    assert await bodies(town, grace, here) == ["Good morning"]
    assert (await line(town, grace, here)).snippet == "Good morning"


async def test_a_deleted_message_leaves_its_place_to_both(town: Town):
    ada, grace, here = await pair(town)
    message = await writes(town, ada, here, "Oh no")

    gone = await deletes(town, ada, here, message)

    assert isinstance(gone, Message)
    assert await bodies(town, grace, here) == ["", "Hello"]
    shown = await line(town, grace, here)
    assert (shown.snippet, shown.unread) == ("", 1)
    found = await town.look(lambda tx: inbox.search(tx, grace, "Oh", None, 10))
    assert found.items == []


async def test_both_hear_of_it_in_ids_alone(town: Town):
    ada, grace, here = await pair(town)
    message = await last_of(town, ada, here)
    await edits(town, ada, here, message, "Secret words")
    await deletes(town, ada, here, message)

    told = await town.look(
        lambda tx: all_rows(
            tx,
            "select kind, owner_id::text, payload::text from outbox where kind like 'message.%%'",
        )
    )

    kinds = [row[0] for row in told]
    assert kinds[-2:] == ["message.edited", "message.deleted"]
    assert all(row[1] == ada and grace in row[2] for row in told[-2:])
    assert not any("Secret" in row[2] for row in told)


async def test_a_quarter_of_an_hour_later_words_stand(town: Town):
    ada, _, here = await pair(town)
    message = await last_of(town, ada, here)
    town.pass_by(minutes=16)

    assert await edits(town, ada, here, message, "x") is Refusal.TOO_LATE_TO_CHANGE
    assert await deletes(town, ada, here, message) is Refusal.TOO_LATE_TO_CHANGE


async def test_a_letter_stands_whether_it_was_read_or_not(town: Town):
    ada, grace = await town.member("ada", **PLAN), await town.member("grace", **PLAN)
    here = await starts(town, ada, grace, "Hello")
    letter = await last_of(town, ada, here)

    assert await edits(town, ada, here, letter, "Hello!") is Refusal.LETTER_STAYS
    await reads(town, grace, here, letter)
    assert await edits(town, ada, here, letter, "Hello!") is Refusal.LETTER_STAYS
    assert await deletes(town, ada, here, letter) is Refusal.LETTER_STAYS
    assert await bodies(town, grace, here) == ["Hello"]


async def test_nobody_else_can_change_it(town: Town):
    ada, grace, here = await pair(town)
    message = await last_of(town, ada, here)
    stranger = await town.member("eve")

    assert await edits(town, grace, here, message, "x") is Refusal.NOT_YOUR_MESSAGE
    assert await edits(town, stranger, here, message, "x") is Refusal.NO_SUCH_CONVERSATION


async def test_to_someone_who_blocks_one_no_new_words_are_put_into_old_messages(town: Town):
    ada, grace, here = await pair(town)
    message = await last_of(town, ada, here)
    await town.do(lambda tx: network.block(tx, grace, ada, town.now))

    assert await edits(town, ada, here, message, "x") is Refusal.CONVERSATION_CLOSED
    assert isinstance(await deletes(town, ada, here, message), Message)


# One conversation --------------------------------------------------------------------------------


async def test_a_thread_is_read_in_parts_both_ways(town: Town):
    ada, grace, here = await pair(town)
    for number in range(2, 12):
        await writes(town, ada, here, f"Message {number}")

    async def part(which: Range) -> tuple[list[int], int | None, bool]:
        found = await town.look(lambda tx: boxes.opened(tx, grace, here, town.now, which, limit=4))
        assert found is not None
        before = None if found.context is None else found.context.number
        return [each.number for each in found.messages], before, found.more_after

    assert await part(Range()) == ([8, 9, 10, 11], 7, False)
    assert await part(Range(before=8)) == ([4, 5, 6, 7], 3, True)
    assert await part(Range(before=4)) == ([1, 2, 3], None, True)
    assert await part(Range(after=3)) == ([4, 5, 6], 3, True)
    assert await part(Range(after=9)) == ([10, 11], 9, False)


async def test_a_strangers_thread_is_none(town: Town):
    _, _, here = await pair(town)
    eve = await town.member("eve")

    assert (
        await town.look(lambda tx: boxes.opened(tx, eve, here, town.now, Range(), limit=4)) is None
    )
