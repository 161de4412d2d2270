"""Boxes, threads, reading, moving, typing and search, as members do it."""

from collections.abc import AsyncIterator
from contextlib import aclosing

import psycopg
import pytest

from overture import ids
from overture.actions import inbox, members, network
from overture.core.conversations import State
from overture.core.ids import ConversationId, MemberId, MessageId
from overture.core.refusals import Refusal
from overture.core.sending import Done, Start, Withdraw, Write
from overture.store import inbox as store
from overture.store.db import all_rows
from overture.store.inbox import Box, Thread
from overture.store.pages import BadCursor
from tests.cast import Town, town_in

PLAN = {"premium": "premium_business"}


@pytest.fixture
async def town(database_url: str) -> AsyncIterator[Town]:
    async with town_in(database_url) as town:
        yield town


async def listed(town: Town, viewer: MemberId, box: Box) -> list[ConversationId]:
    page = await town.look(lambda tx: store.page(tx, viewer, box, None, 30))
    return [row.id for row in page.items]


async def boxes(town: Town, viewer: MemberId) -> dict[Box, list[ConversationId]]:
    return {box: found for box in Box if (found := await listed(town, viewer, box))}


async def starts(
    town: Town, sender: MemberId, to: MemberId, body: str = "Hello", subject: str = ""
) -> ConversationId:
    town.pass_by(seconds=1)
    command = Start(
        sender, to, ConversationId(ids.new()), MessageId(ids.new()), body, subject=subject
    )
    answer = await town.acts(command)
    assert isinstance(answer, Done), answer
    return answer.conversation.id


async def writes(
    town: Town, viewer: MemberId, conversation: ConversationId, body: str = "And you?"
) -> MessageId:
    town.pass_by(seconds=1)
    message = MessageId(ids.new())
    answer = await town.acts(Write(viewer, conversation, message, body))
    assert isinstance(answer, Done), answer
    return message


async def connect(town: Town, one: MemberId, other: MemberId) -> None:
    await town.do(lambda tx: network.upsert_pairs(tx, [(one, other)], town.now))


async def thread(town: Town, viewer: MemberId, conversation: ConversationId) -> Thread:
    found = await town.look(lambda tx: inbox.thread(tx, viewer, conversation))
    assert isinstance(found, Thread), found
    return found


async def bodies(town: Town, viewer: MemberId, conversation: ConversationId) -> list[str]:
    found = await town.look(lambda tx: inbox.messages(tx, viewer, conversation, None, 30))
    assert not isinstance(found, Refusal), found
    return [message.body for message in found.items]


async def reads(
    town: Town, viewer: MemberId, conversation: ConversationId, up_to: MessageId
) -> Thread | Refusal:
    return await town.do(lambda tx: inbox.read(tx, viewer, conversation, up_to, town.now))


async def last_message(town: Town, viewer: MemberId, conversation: ConversationId) -> MessageId:
    found = (await thread(town, viewer, conversation)).row.last_message_id
    assert found is not None
    return found


async def events(town: Town, kind: str) -> int:
    statement = "select count(*) from outbox where kind = %s"
    return (await town.look(lambda tx: all_rows(tx, statement, (kind,))))[0][0]


# Boxes ------------------------------------------------------------------------------------------


async def test_a_pending_inmail_is_sent_for_one_and_a_request_for_the_other(town: Town):
    ada, grace = await town.member("ada", **PLAN), await town.member("grace", **PLAN)

    inmail = await starts(town, ada, grace)

    assert await boxes(town, ada) == {Box.INBOX: [inmail], Box.SENT: [inmail]}
    assert await boxes(town, grace) == {Box.REQUESTS: [inmail], Box.UNREAD: [inmail]}


async def test_an_answer_brings_a_request_into_the_inbox(town: Town):
    ada, grace = await town.member("ada", **PLAN), await town.member("grace", **PLAN)
    inmail = await starts(town, ada, grace)

    await writes(town, grace, inmail)

    assert await boxes(town, grace) == {Box.INBOX: [inmail]}
    assert await boxes(town, ada) == {
        Box.INBOX: [inmail],
        Box.SENT: [inmail],
        Box.UNREAD: [inmail],
    }


async def test_what_is_archived_comes_back_with_a_new_message(town: Town):
    ada, grace = await town.member("ada", **PLAN), await town.member("grace", **PLAN)
    inmail = await starts(town, ada, grace)
    await town.accepts(grace, inmail)
    await town.do(lambda tx: inbox.archive(tx, grace, inmail, town.now))
    assert await listed(town, grace, Box.ARCHIVED) == [inmail]
    assert await listed(town, grace, Box.INBOX) == []

    await writes(town, ada, inmail)

    assert await listed(town, grace, Box.ARCHIVED) == []
    assert await listed(town, grace, Box.INBOX) == [inmail]


async def test_what_is_spam_stays_there_and_counts_nowhere_as_unread(town: Town):
    ada, grace = await town.member("ada", **PLAN), await town.member("grace", **PLAN)
    inmail = await starts(town, ada, grace)
    await town.accepts(grace, inmail)
    await town.do(lambda tx: inbox.mark_spam(tx, grace, inmail, town.now))

    await writes(town, ada, inmail)

    assert await boxes(town, grace) == {Box.SPAM: [inmail]}


async def test_spam_is_no_response(town: Town):
    ada, grace = await town.member("ada", **PLAN), await town.member("grace", **PLAN)
    inmail = await starts(town, ada, grace)

    await town.do(lambda tx: inbox.mark_spam(tx, grace, inmail, town.now))

    assert (await thread(town, ada, inmail)).row.state is State.PENDING
    assert await events(town, "inmail.responded") == 0


@pytest.mark.parametrize("away", [inbox.archive, inbox.mark_spam])
async def test_what_comes_back_lies_where_it_would_have(town: Town, away):
    ada, grace = await town.member("ada", **PLAN), await town.member("grace", **PLAN)
    inmail = await starts(town, ada, grace)
    for viewer, own in ((grace, Box.REQUESTS), (ada, Box.INBOX)):
        await town.do(lambda tx, viewer=viewer: away(tx, viewer, inmail, town.now))
        assert inmail not in await listed(town, viewer, own)

        await town.do(lambda tx, viewer=viewer: inbox.unarchive(tx, viewer, inmail, town.now))

        assert await listed(town, viewer, own) == [inmail]


async def test_moving_to_where_it_lies_changes_nothing(town: Town):
    ada, grace = await town.member("ada", **PLAN), await town.member("grace", **PLAN)
    inmail = await starts(town, ada, grace)

    for _ in range(2):
        moved = await town.do(lambda tx: inbox.archive(tx, grace, inmail, town.now))
        assert isinstance(moved, Thread)
        assert moved.box is Box.ARCHIVED

    assert await events(town, "conversation.moved") == 1


async def test_pages_follow_each_other_while_a_conversation_moves_up(town: Town):
    ada = await town.member("ada", **PLAN)
    begun = [await starts(town, ada, await town.member(f"m{n}", **PLAN)) for n in range(6)]
    first = await town.look(lambda tx: store.page(tx, ada, Box.SENT, None, 2))
    assert [row.id for row in first.items] == begun[:3:-1]

    town.pass_by(seconds=1)
    await town.acts(Withdraw(ada, begun[0]))
    newest = await starts(town, ada, await town.member("late", **PLAN))

    second = await town.look(lambda tx: store.page(tx, ada, Box.SENT, first.next, 2))
    third = await town.look(lambda tx: store.page(tx, ada, Box.SENT, second.next, 2))
    assert [row.id for row in second.items] == [begun[3], begun[2]]
    assert ([row.id for row in third.items], third.next) == ([begun[1]], None)
    fresh = await town.look(lambda tx: store.page(tx, ada, Box.SENT, None, 2))
    assert {row.id for row in fresh.items} == {newest, begun[0]}


async def test_a_cursor_of_another_list_is_none(town: Town):
    ada = await town.member("ada")
    with pytest.raises(BadCursor):
        await town.look(lambda tx: store.page(tx, ada, Box.SENT, "WzFd", 2))


# Access -----------------------------------------------------------------------------------------


async def test_a_stranger_finds_nothing_of_a_conversation(town: Town):
    ada, grace = await town.member("ada", **PLAN), await town.member("grace", **PLAN)
    eve = await town.member("eve")
    inmail = await starts(town, ada, grace)
    message = await last_message(town, ada, inmail)

    answers = [
        await town.look(lambda tx: inbox.thread(tx, eve, inmail)),
        await town.look(lambda tx: inbox.messages(tx, eve, inmail, None, 30)),
        await reads(town, eve, inmail, message),
        await town.do(lambda tx: inbox.archive(tx, eve, inmail, town.now)),
        await town.do(lambda tx: inbox.unarchive(tx, eve, inmail, town.now)),
        await town.do(lambda tx: inbox.mark_spam(tx, eve, inmail, town.now)),
        await town.do(lambda tx: inbox.typing(tx, eve, inmail)),
    ]

    assert set(answers) == {Refusal.NO_SUCH_CONVERSATION}
    assert await bodies(town, grace, inmail) == ["Hello"]


async def test_of_a_withdrawn_inmail_its_recipient_sees_only_that(town: Town):
    ada, grace = await town.member("ada", **PLAN), await town.member("grace", **PLAN)
    inmail = await starts(town, ada, grace, "A secret", "Of great weight")
    message = await last_message(town, ada, inmail)
    assert await bodies(town, grace, inmail) == ["A secret"]

    await town.acts(Withdraw(ada, inmail))

    shown = await thread(town, grace, inmail)
    seen = shown.row
    assert (seen.state, seen.subject, seen.snippet, seen.unread) == (State.WITHDRAWN, "", "", 0)
    assert shown.seen_up_to is None
    assert await bodies(town, grace, inmail) == []
    assert await reads(town, grace, inmail, message) is Refusal.NO_SUCH_MESSAGE
    assert await bodies(town, ada, inmail) == ["A secret"]


async def test_messages_come_newest_first_page_by_page(town: Town):
    ada, grace = await town.member("ada", **PLAN), await town.member("grace", **PLAN)
    await connect(town, ada, grace)
    direct = await starts(town, ada, grace, "1")
    for number in range(2, 6):
        await writes(town, ada if number % 2 else grace, direct, str(number))

    first = await town.look(lambda tx: inbox.messages(tx, ada, direct, None, 3))
    second = await town.look(lambda tx: inbox.messages(tx, ada, direct, first.next, 3))

    assert [m.body for m in first.items] == ["5", "4", "3"]
    assert ([m.body for m in second.items], second.next) == (["2", "1"], None)


# Reading ----------------------------------------------------------------------------------------


async def test_reading_up_to_a_message_leaves_what_came_after(town: Town):
    ada, grace = await town.member("ada", **PLAN), await town.member("grace", **PLAN)
    await connect(town, ada, grace)
    direct = await starts(town, ada, grace)
    second = await writes(town, ada, direct)
    third = await writes(town, ada, direct)
    assert (await thread(town, grace, direct)).row.unread == 3

    for up_to, unread in ((second, 1), (second, 1), (third, 0), (second, 0)):
        read = await reads(town, grace, direct, up_to)
        assert isinstance(read, Thread)
        assert read.row.unread == unread

    assert await events(town, "conversation.read") == 2
    assert await listed(town, grace, Box.UNREAD) == []


async def test_a_message_of_another_conversation_cannot_be_read_here(town: Town):
    ada, grace = await town.member("ada", **PLAN), await town.member("grace", **PLAN)
    alan = await town.member("alan", **PLAN)
    here, there = await starts(town, ada, grace), await starts(town, ada, alan)
    elsewhere = await last_message(town, ada, there)

    assert await reads(town, grace, here, elsewhere) is Refusal.NO_SUCH_MESSAGE
    assert (await thread(town, grace, here)).row.unread == 1


async def test_the_sender_of_an_unanswered_inmail_gets_no_receipt(town: Town):
    ada, grace = await town.member("ada", **PLAN), await town.member("grace", **PLAN)
    inmail = await starts(town, ada, grace)
    message = await last_message(town, ada, inmail)

    await reads(town, grace, inmail, message)
    assert (await thread(town, ada, inmail)).seen_up_to is None
    assert (await thread(town, grace, inmail)).seen_up_to == message

    await town.accepts(grace, inmail)
    assert (await thread(town, ada, inmail)).seen_up_to == message


async def test_withdrawing_does_not_tell_whether_it_was_read(town: Town):
    ada, grace = await town.member("ada", **PLAN), await town.member("grace", **PLAN)
    inmail = await starts(town, ada, grace)
    await reads(town, grace, inmail, await last_message(town, ada, inmail))

    await town.acts(Withdraw(ada, inmail))

    assert (await thread(town, ada, inmail)).seen_up_to is None


@pytest.mark.parametrize("who_turns_it_off", ["ada", "grace"])
async def test_receipts_are_mutual(town: Town, who_turns_it_off: str):
    people = {name: await town.member(name, **PLAN) for name in ("ada", "grace")}
    ada, grace = people.values()
    await connect(town, ada, grace)
    direct = await starts(town, ada, grace)
    await reads(town, grace, direct, await last_message(town, ada, direct))
    assert (await thread(town, ada, direct)).seen_up_to is not None

    off = members.PreferenceChanges(receipts_and_typing=False)
    await town.do(
        lambda tx: members.change_preferences(tx, people[who_turns_it_off], off, town.now)
    )

    assert (await thread(town, ada, direct)).seen_up_to is None
    assert (await thread(town, grace, direct)).seen_up_to is None


# Typing -----------------------------------------------------------------------------------------


async def typed(
    town: Town, database_url: str, viewer: MemberId, conversation: ConversationId
) -> list[str]:
    """What a listener hears when this member types."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as listener:
        await listener.execute("listen overture_typing")
        assert await town.do(lambda tx: inbox.typing(tx, viewer, conversation)) is None
        # They come in the order of their commits.
        await town.do(lambda tx: tx.execute("notify overture_typing, 'over'"))
        heard: list[str] = []
        async with aclosing(listener.notifies(timeout=60)) as notices:
            async for told in notices:
                if told.payload == "over":
                    return heard
                heard.append(told.payload)
    raise AssertionError("nothing is heard at all")


async def test_typing_is_told_where_a_message_could_follow(town: Town, database_url: str):
    ada, grace = await town.member("ada", **PLAN), await town.member("grace", **PLAN)
    inmail = await starts(town, ada, grace)

    # The sender of a pending InMail sees nothing, and cannot write.
    assert await typed(town, database_url, grace, inmail) == []
    assert await typed(town, database_url, ada, inmail) == []

    await town.accepts(grace, inmail)
    assert await typed(town, database_url, grace, inmail) == [f"{inmail} {grace} {ada}"]
    assert await typed(town, database_url, ada, inmail) == [f"{inmail} {ada} {grace}"]

    await town.do(lambda tx: network.block(tx, grace, ada, town.now))
    assert await typed(town, database_url, ada, inmail) == []


async def test_typing_is_told_to_nobody_who_turned_it_off(town: Town, database_url: str):
    ada, grace = await town.member("ada", **PLAN), await town.member("grace", **PLAN)
    await connect(town, ada, grace)
    direct = await starts(town, ada, grace)
    assert await typed(town, database_url, ada, direct) == [f"{direct} {ada} {grace}"]

    off = members.PreferenceChanges(receipts_and_typing=False)
    await town.do(lambda tx: members.change_preferences(tx, ada, off, town.now))

    assert await typed(town, database_url, ada, direct) == []
    assert await typed(town, database_url, grace, direct) == []


# Search -----------------------------------------------------------------------------------------


async def found(town: Town, viewer: MemberId, wanted: str) -> list[str]:
    page = await town.look(lambda tx: inbox.search(tx, viewer, wanted, None, 30))
    return [each.message.body for each in page.items]


async def test_search_finds_words_by_their_beginnings_in_ones_own_messages(town: Town):
    ada, grace = await town.member("ada", **PLAN), await town.member("grace", **PLAN)
    eve = await town.member("eve")
    lunch = "Déjeuner at the Café-Métropole? Write to info@acme.example!"
    inmail = await starts(town, ada, grace, lunch, "An invitation")
    answer = "Gladly, at one o'clock"
    await writes(town, grace, inmail, answer)

    for wanted, bodies_found in {
        "gladly": [answer],
        "AT": [answer, lunch],
        "déj café": [lunch],
        "DÉJ": [lunch],
        "métro": [lunch],
        "acme": [lunch],
        "info@acme.example": [lunch],
        "invitation": [lunch],
        "invitation gladly": [],
        "o'clock": [answer],
        "lock": [],
        "afé": [],
    }.items():
        assert await found(town, ada, wanted) == bodies_found, wanted
        assert await found(town, grace, wanted) == bodies_found, wanted
        assert await found(town, eve, wanted) == [], wanted


async def test_search_takes_any_text(town: Town):
    ada, grace = await town.member("ada", **PLAN), await town.member("grace", **PLAN)
    await starts(town, ada, grace, "Is 50% of 'a' \\ (b) <i>enough</i>? \U0001f642 _[x]_ -1")

    for finds in ("50%", "'a'", "\\ (b)", "<i>enough</i>", "[x]", "\0enough", "enough\ud800", "-1"):
        assert len(await found(town, ada, finds)) == 1, finds
    for strange in ("", " ", "!", "'", "\\", "%", "_", "a & | ! q", "'x':*:*z", "((", "<z>", "\0",
                    "\ud800", "\U0001f642", "[[:alpha:]]", "$2", "x" * 5000, "q " * 100, "3.14 2e5",
                    "\u202ezyx", "a\u0301", "\ufb00 \u0130", "%s %(viewer)s", "a" * 3000):  # fmt: skip
        assert await found(town, ada, strange) == [], strange


async def test_the_recipient_cannot_search_what_was_withdrawn(town: Town):
    ada, grace = await town.member("ada", **PLAN), await town.member("grace", **PLAN)
    inmail = await starts(town, ada, grace, "A secret", "Weighty")
    assert await found(town, grace, "secret") == ["A secret"]

    await town.acts(Withdraw(ada, inmail))

    assert await found(town, grace, "secret") == []
    assert await found(town, grace, "weighty") == []
    assert await found(town, ada, "secret") == ["A secret"]


async def test_a_search_comes_in_pages_newest_first(town: Town):
    ada, grace = await town.member("ada", **PLAN), await town.member("grace", **PLAN)
    await connect(town, ada, grace)
    direct = await starts(town, ada, grace, "word 1")
    for number in range(2, 6):
        await writes(town, grace, direct, f"word {number}")

    first = await town.look(lambda tx: inbox.search(tx, ada, "word", None, 3))
    second = await town.look(lambda tx: inbox.search(tx, ada, "word", first.next, 3))

    assert [each.message.body[-1] for each in first.items] == ["5", "4", "3"]
    assert [each.message.body[-1] for each in second.items] == ["2", "1"]
    assert second.next is None
