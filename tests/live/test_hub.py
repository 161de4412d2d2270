"""The hub: what happened reaches those whom it concerns, once it is committed, and nobody else."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from overture import ids
from overture.actions import inbox, network
from overture.core.ids import ConversationId, MemberId, MessageId
from overture.core.policy import Outcome
from overture.core.sending import Done, Event, Respond, Start, Withdraw, Write
from overture.live import hub as hubs
from overture.live import stream as streams
from overture.live.hub import End, Hub, TooManyStreams
from overture.live.stream import Piece
from overture.live.told import (
    ConversationTold,
    CreditsTold,
    MessageTold,
    NetworkTold,
    ReceiptTold,
    TypingTold,
)
from overture.store.db import Database
from overture.store.outbox import tell
from tests.cast import Town
from tests.live.conftest import PATIENCE, heard, hub_of, nothing_more


async def letter(town: Town, sender: MemberId, to: MemberId) -> tuple[ConversationId, MessageId]:
    conversation, message = ConversationId(ids.new()), MessageId(ids.new())
    assert isinstance(await town.acts(Start(sender, to, conversation, message, "Hello")), Done)
    return conversation, message


async def pair(town: Town) -> tuple[MemberId, MemberId]:
    ada = await town.member("ada", premium="premium_career")
    return ada, await town.member("grace", premium="premium_career")


async def test_a_letter_reaches_both_sides_and_only_the_sender_hears_of_the_credits(town, hub):
    ada, grace = await pair(town)
    eve = await town.member("eve")
    of_ada, of_grace, of_eve = [await hub.subscribe(m, after=None) for m in (ada, grace, eve)]

    conversation, message = await letter(town, ada, grace)

    assert await heard(of_ada, 2) == [
        CreditsTold("premium", 4),
        MessageTold(conversation, message),
    ]
    assert await heard(of_grace) == [MessageTold(conversation, message)]
    await town.acts(Respond(grace, conversation, Outcome.DECLINED))
    assert await heard(of_grace) == [ConversationTold(conversation)]
    assert CreditsTold("premium", 5) in await heard(of_ada, 2)
    await nothing_more(of_eve, town, eve)


async def test_what_is_withdrawn_is_told_to_both_as_a_change_of_the_conversation(town, hub):
    ada, grace = await pair(town)
    conversation, _ = await letter(town, ada, grace)
    streams = [await hub.subscribe(m, after=None) for m in (ada, grace)]

    await town.acts(Withdraw(ada, conversation))

    for stream in streams:
        assert await heard(stream) == [ConversationTold(conversation)]


async def test_what_one_side_does_with_its_own_row_stays_there(town, hub):
    ada, grace = await pair(town)
    conversation, message = await letter(town, ada, grace)
    of_ada, of_grace = [await hub.subscribe(m, after=None) for m in (ada, grace)]

    await town.do(lambda tx: inbox.mark_spam(tx, grace, conversation, town.now))
    await town.do(lambda tx: network.block(tx, grace, ada, town.now))
    assert await heard(of_grace) == [ConversationTold(conversation)]
    # That something was read goes to both; whether it is shown, the sender's own row says.
    await town.do(lambda tx: inbox.read(tx, grace, conversation, message, town.now))

    assert await heard(of_grace) == [ConversationTold(conversation)]
    assert await heard(of_ada) == [ReceiptTold(conversation)]
    await nothing_more(of_ada, town, ada)


async def test_an_invitation_is_told_to_both_but_nobody_learns_of_a_decline(town, hub):
    ada, grace = await pair(town)
    of_ada, of_grace = [await hub.subscribe(m, after=None) for m in (ada, grace)]
    made = await town.do(
        lambda tx: network.invite(tx, ada, grace, note="", invitation_id=ids.new(), now=town.now)
    )
    assert await heard(of_ada) == [NetworkTold(grace)]
    assert await heard(of_grace) == [NetworkTold(ada)]

    await town.do(lambda tx: network.decline(tx, grace, made.id, town.now))

    assert await heard(of_grace) == [NetworkTold(ada)]
    await nothing_more(of_ada, town, ada)


async def test_typing_reaches_the_other_side_alone_and_is_in_no_outbox(town, hub):
    ada, grace = await pair(town)
    conversation, _ = await letter(town, ada, grace)
    await town.acts(Respond(grace, conversation, Outcome.ACCEPTED))
    of_ada, of_grace = [await hub.subscribe(m, after=None) for m in (ada, grace)]
    before = hub.position

    await town.do(lambda tx: inbox.typing(tx, grace, conversation))

    assert await heard(of_ada) == [TypingTold(conversation, grace)]
    assert hub.position == before
    await nothing_more(of_grace, town, grace)


# Numbers that are committed out of their order ----------------------------------------------------


async def numbered(town: Town, member: MemberId, pool: str) -> None:
    event = Event(member, "credits.changed", town.now, {"pool": pool, "balance": 1})
    await town.do(lambda tx: tell(tx, [event]))


async def test_what_a_reader_may_not_see_is_no_sign_of_life_either(town, hub):
    ada, grace = await pair(town)
    conversation, message = await letter(town, ada, grace)
    stream, looked = await hub.subscribe(ada, after=None), asyncio.Event()

    async def render(told) -> list[Piece]:
        looked.set()
        return [Piece("credits", "{}") for _, each in told if isinstance(each, CreditsTold)]

    async def allowed() -> bool:
        return True

    chunks = streams._chunks(streams.Stream(stream, render, allowed))
    assert (await anext(chunks)).startswith(b"retry: ")
    chunk = asyncio.create_task(anext(chunks))
    await town.do(lambda tx: inbox.read(tx, grace, conversation, message, town.now))
    async with asyncio.timeout(PATIENCE):
        await looked.wait()
    for _ in range(10):
        await asyncio.sleep(0)
    assert not chunk.done()

    await town.chooses(ada, "sales_navigator", "sales_navigator_core")
    async with asyncio.timeout(PATIENCE):
        assert b"event: credits" in await chunk
    await chunks.aclose()


async def test_an_event_whose_transaction_commits_late_is_told_then(town, hub, database_url):
    ada = await town.member("ada")
    stream = await hub.subscribe(ada, after=None)
    async with await psycopg.AsyncConnection.connect(database_url) as slow:
        await slow.execute(
            "insert into outbox (owner_id, kind, at, payload)"
            """ values (%s, 'credits.changed', now(), '{"pool": "slow", "balance": 1}')""",
            (ada,),
        )
        await numbered(town, ada, "quick")
        assert await heard(stream) == [CreditsTold("quick", 1)]
        # Its number lies below: whoever goes on from the position is told it again, and the late one.
        position = hub.position
        await asyncio.sleep(3 * hubs.DOUBT_SECONDS)
        assert hub.position == position
        await slow.commit()

    assert await heard(stream) == [CreditsTold("slow", 1)]
    again = await hub.subscribe(ada, after=position)
    assert await heard(again, 2) == [CreditsTold("slow", 1), CreditsTold("quick", 1)]


async def test_a_number_that_was_rolled_back_holds_nothing_up(town, hub, database_url):
    ada = await town.member("ada")
    stream = await hub.subscribe(ada, after=None)
    async with await psycopg.AsyncConnection.connect(database_url) as slow:
        await slow.execute(
            "insert into outbox (owner_id, kind, at, payload) values (%s, 'x', now(), '{}')", (ada,)
        )
        await numbered(town, ada, "quick")
        await heard(stream)
        before = hub.position
        await slow.rollback()

    async with asyncio.timeout(PATIENCE):
        while hub.position < before + 2:
            hub.nudge()
            await asyncio.sleep(0.01)


async def test_many_at_once_lose_and_double_nothing(town, hub, database_url):
    ada = await town.member("ada")
    stream = await hub.subscribe(ada, after=None)

    async def writer(name: int) -> None:
        async with await psycopg.AsyncConnection.connect(database_url) as mine:
            for number in range(20):
                await mine.execute(
                    "insert into outbox (owner_id, kind, at, payload) values (%s,"
                    " 'credits.changed', now(), json_build_object('pool', %s::text))",
                    (ada, f"{name}-{number}"),
                )
                await asyncio.sleep(0.001 * (name % 3))
                await (mine.rollback() if number % 7 == name else mine.commit())

    async with asyncio.TaskGroup() as tasks:
        for name in range(4):
            tasks.create_task(writer(name))
    expected = {f"{name}-{n}" for name in range(4) for n in range(20) if n % 7 != name}
    found = [told.pool for told in await heard(stream, len(expected))]

    assert len(found) == len(set(found))
    assert set(found) == expected


# Going on ------------------------------------------------------------------------------------------


async def test_a_stream_goes_on_where_another_ended_also_in_another_process(town, hub):
    ada, grace = await pair(town)
    first = await hub.subscribe(ada, after=None)
    conversation, message = await letter(town, grace, ada)
    assert await heard(first) == [MessageTold(conversation, message)]
    position = hub.position
    first.close()
    await town.acts(Respond(ada, conversation, Outcome.ACCEPTED))

    for db in (town.db, await Database.open(town.db.url, connections=2)):
        async with hub_of(db) as restarted:
            again = await restarted.subscribe(ada, after=position)
            assert await heard(again) == [ConversationTold(conversation)]
        if db is not town.db:
            await db.close()


async def test_catching_up_meets_what_comes_meanwhile_once(town, hub):
    ada = await town.member("ada")
    after = hub.position
    other = await hub.subscribe(ada, after=None)
    for number in range(30):
        await numbered(town, ada, f"before-{number}")
    await heard(other, 30)

    async def meanwhile() -> None:
        for number in range(30):
            await numbered(town, ada, f"meanwhile-{number}")

    writing = asyncio.create_task(meanwhile())
    stream = await hub.subscribe(ada, after=after)
    await writing
    told = await heard(stream, 60)

    pools = [each.pool for each in told if isinstance(each, CreditsTold)]
    assert sorted(pools) == sorted(f"{w}-{n}" for w in ("before", "meanwhile") for n in range(30))


@pytest.mark.parametrize("after", [10**9, -5])
async def test_who_knows_a_number_that_is_unknown_here_begins_anew(town, hub, after):
    ada = await town.member("ada")

    stream = await hub.subscribe(ada, after=after)

    batch = await stream.next(PATIENCE)
    assert batch.anew
    assert batch.events == []
    await nothing_more(stream, town, ada)


async def test_who_missed_too_much_begins_anew(town, hub, monkeypatch):
    monkeypatch.setattr(hubs, "MISSED_MAX", 3)
    ada = await town.member("ada")
    after = hub.position
    for number in range(5):
        await numbered(town, ada, str(number))

    assert (await (await hub.subscribe(ada, after=after)).next(PATIENCE)).anew


async def test_a_slow_reader_is_dropped_and_catches_up(town, hub, monkeypatch):
    monkeypatch.setattr(hubs, "QUEUE_MAX", 5)
    ada = await town.member("ada")
    slow, after = await hub.subscribe(ada, after=None), hub.position
    quick = await hub.subscribe(ada, after=None)
    for number in range(8):
        await numbered(town, ada, str(number))
        await heard(quick)

    assert await slow.next(PATIENCE) is None
    assert slow.ended is End.SLOW
    again = await hub.subscribe(ada, after=after)
    assert [told.pool for told in await heard(again, 8)] == [str(n) for n in range(8)]


async def test_two_processes_see_each_others_events(town, hub, monkeypatch):
    # The polls are for wake-ups that were lost: here none may be needed.
    for name in ("POLL_SECONDS", "IDLE_POLL_SECONDS"):
        monkeypatch.setattr(hubs, name, 3600)
    ada, grace = await pair(town)
    db = await Database.open(town.db.url, connections=2)
    async with hub_of(db) as other:
        stream = await other.subscribe(grace, after=None)
        await other.subscribe(ada, after=None)

        conversation, message = await letter(town, ada, grace)
        assert await heard(stream) == [MessageTold(conversation, message)]

        answer = MessageId(ids.new())
        await town.acts(Write(grace, conversation, answer, "With pleasure"))
        assert MessageTold(conversation, answer) in await heard(stream, 2)
    await db.close()


# Ends ----------------------------------------------------------------------------------------------


async def test_a_stream_ends_with_its_session_and_others_go_on(town, hub):
    ada = await town.member("ada")
    laptop = await hub.subscribe(ada, after=None, session="laptop")
    phone = await hub.subscribe(ada, after=None, session="phone")

    event = Event(ada, "account.signed_out", town.now, {"sessions": ["laptop"]})
    await town.do(lambda tx: tell(tx, [event]))

    assert await laptop.next(PATIENCE) is None
    assert laptop.ended is End.REVOKED
    await nothing_more(phone, town, ada)


async def test_streams_end_when_the_account_closes_and_when_the_server_stops(town, hub):
    ada, grace = await pair(town)
    of_ada, of_grace = [await hub.subscribe(m, after=None) for m in (ada, grace)]

    await town.do(lambda tx: tell(tx, [Event(ada, "member.closed", town.now, {})]))
    assert await of_ada.next(PATIENCE) is None
    assert of_ada.ended is End.REVOKED

    hub.end_streams()
    assert await of_grace.next(PATIENCE) is None
    late = await hub.subscribe(grace, after=None)
    assert await late.next(PATIENCE) is None
    assert late.ended is End.STOPPING


async def test_a_member_has_so_many_streams_and_one_more_once_another_ended(town, hub: Hub):
    ada = await town.member("ada")
    streams = [await hub.subscribe(ada, after=None) for _ in range(hubs.STREAMS_A_MEMBER_MAX)]
    with pytest.raises(TooManyStreams):
        await hub.subscribe(ada, after=None)

    streams[3].close()

    await hub.subscribe(ada, after=None)
    assert hub.streams == hubs.STREAMS_A_MEMBER_MAX
