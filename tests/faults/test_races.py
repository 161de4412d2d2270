"""Many at once on the same credits, conversations and members: the rules hold all the same.

Each race is run through the lanes of one process, through many connections, or through two server
processes on one database; and after each the books must be sound.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest

from overture import ids
from overture.actions import closing, conversations, members, network, tokens
from overture.actions.conversations import Ask, KeyReused
from overture.actions.lanes import Lanes
from overture.clock import real_now
from overture.core.ids import ConversationId, InvitationId, MemberId, MessageId, TokenId
from overture.core.policy import Outcome
from overture.core.sending import Answer, Done, Refused, Respond, Start
from overture.store.db import Database, Tx, pipelined
from overture.store.idempotency import Kept, Once
from tests.cast import Town
from tests.databases import Databases
from tests.faults.damage import broken_books, verified
from tests.faults.servers import (
    OPERATOR_TOKEN,
    Server,
    lines,
    two_servers,
    until_answered,
)
from tests.faults.servers import Answer as Reply

T = TypeVar("T")

ROUNDS = 3
_numbers = itertools.count(1)


@dataclass
class Ground(Town):
    """A town in real time, on a database that two servers serve as well."""

    url: str = ""
    servers: Sequence[Server] = field(default_factory=list)

    async def newcomer(self, **plans: str) -> MemberId:
        return await self.member(f"member-{next(_numbers)}", **plans)

    async def crowd(self, count: int, **plans: str) -> list[MemberId]:
        return list(await asyncio.gather(*(self.newcomer(**plans) for _ in range(count))))

    async def rows(self, statement: str, *params: object) -> list[Any]:
        async with self.db.read() as tx:
            return await (await tx.execute(statement, params)).fetchall()  # type: ignore[arg-type]

    async def posts(
        self, asked: Sequence[tuple[MemberId, str, dict[str, object]]], key: str | None = None
    ) -> list[Reply]:
        """All of these requests at once, each on a connection of its own, to both servers in turn."""
        with lines(self.servers, len(asked)) as open_lines:
            return await asyncio.gather(
                *(
                    until_answered(line, path, body, as_member=viewer, key=key)
                    for line, (viewer, path, body) in zip(open_lines, asked, strict=True)
                )
            )

    async def is_sound(self) -> bool:
        broken = [*await asyncio.to_thread(broken_books, self.url), *await verified(self.url)]
        assert broken == []
        return True


@pytest.fixture(scope="module")
def two(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A database, and two servers on it."""
    url = databases.fresh()
    with two_servers(tmp_path_factory.mktemp("servers"), url) as servers:
        yield url, servers
    databases.drop(url)


@pytest.fixture
async def ground(two: Any) -> AsyncIterator[Ground]:
    url, servers = two
    db = await Database.open(url, connections=12)
    try:
        made = Ground(db, (await installed(db)), real_now(), url, servers)
        yield made
    finally:
        await db.close()


async def installed(db: Database) -> Any:
    from overture import policies

    async def work(tx: Tx) -> None:
        await tokens.ensure_operator_token(tx, OPERATOR_TOKEN, TokenId(ids.new()))

    await db.writing(work)
    book = await db.reading(policies.in_force)
    assert book is not None
    return book


# Three ways in ----------------------------------------------------------------------------------

Send = Callable[[Ask], Awaitable[Any]]


@asynccontextmanager
async def through_lanes(ground: Ground) -> AsyncIterator[Send]:
    """The lanes of one process."""

    async def run(asks: Sequence[Ask]) -> Sequence[Any]:
        return await ground.db.writing(
            lambda tx: conversations.act(tx, asks, real_now(), ground.book)
        )

    lanes: Lanes[Ask, Any] = Lanes(run, lanes=2)
    yield lambda ask: lanes.submit(ask, ask.command.viewer)
    await lanes.drain()


@asynccontextmanager
async def through_connections(ground: Ground) -> AsyncIterator[Send]:
    """A transaction each, on as many connections."""
    async with AsyncExitStack() as stack:
        db = await Database.open(ground.url, connections=50)
        stack.push_async_callback(db.close)

        async def send(ask: Ask) -> Any:
            answers = await db.writing(
                lambda tx: conversations.act(tx, [ask], real_now(), ground.book)
            )
            return answers[0]

        yield send


WAYS = [through_lanes, through_connections]


def start(viewer: MemberId, to: MemberId, body: str = "May I ask you?") -> Start:
    return Start(viewer, to, ConversationId(ids.new()), MessageId(ids.new()), body)


def said(answer: Answer | Kept | KeyReused) -> str:
    return str(answer.code) if isinstance(answer, Refused) else type(answer).__name__


# Credits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
async def test_sixty_four_sends_at_once_on_five_credits_make_five_messages(
    ground: Ground, way: Any
) -> None:
    strangers = await ground.crowd(64, premium="premium_career")
    for _ in range(ROUNDS):
        ada = await ground.newcomer(premium="premium_career")
        async with way(ground) as send:
            answers = await asyncio.gather(*(send(Ask(start(ada, to))) for to in strangers))

        assert Counter(map(said, answers)) == {"Done": 5, "no_credits": 59}
        assert await written_by(ground, ada) == 5
        assert await ground.is_sound()


async def test_sixty_four_sends_through_two_processes_make_five_messages(ground: Ground) -> None:
    strangers = await ground.crowd(64, premium="premium_career")
    for _ in range(ROUNDS):
        ada = await ground.newcomer(premium="premium_career")
        answers = await ground.posts(
            [(ada, "/conversations", {"to": to, "body": "May I ask you?"}) for to in strangers]
        )

        assert Counter((a.status, a.code) for a in answers) == {
            (201, None): 5,
            (402, "no_credits"): 59,
        }
        assert await written_by(ground, ada) == 5
        assert await ground.is_sound()


# The same request -------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
async def test_one_request_fifty_times_at_once_is_one_message_and_one_charge(
    ground: Ground, way: Any
) -> None:
    ada, grace = await ground.crowd(2, premium="premium_career")
    for number in range(ROUNDS):
        ada, grace = await ground.crowd(2, premium="premium_career")
        once = Once(ada, "POST /conversations", f"key-{number}", b"the body")
        async with way(ground) as send:
            answers = await asyncio.gather(
                *(send(Ask(start(ada, grace), once, as_id)) for _ in range(50))
            )
            other = Once(ada, "POST /conversations", f"key-{number}", b"another body")
            reused = await send(Ask(start(ada, grace), other, as_id))

        assert Counter(map(said, answers)) == {"Done": 1, "Kept": 49}
        assert len({as_id(a) if isinstance(a, Done) else (a.status, a.body) for a in answers}) == 1
        assert said(reused) == "KeyReused"
        assert await written_by(ground, ada) == 1
        assert await ground.is_sound()


async def test_one_request_fifty_times_through_two_processes_has_one_answer(ground: Ground) -> None:
    for number in range(ROUNDS):
        ada, grace = await ground.crowd(2, premium="premium_career")
        ask = (ada, "/conversations", {"to": grace, "body": "May I ask you?"})
        answers = await ground.posts([ask] * 50, key=f"key-{number}")
        others = await ground.posts(
            [(ada, "/conversations", {"to": grace, "body": "Or you?"})] * 2, key=f"key-{number}"
        )

        assert {answer.status for answer in answers} == {201}
        assert len({answer.body for answer in answers}) == 1
        assert [(a.status, a.code) for a in others] == [(422, "idempotency_key_reused")] * 2
        assert await written_by(ground, ada) == 1
        assert await ground.is_sound()


async def test_one_invitation_twenty_times_through_two_processes_has_one_answer(
    ground: Ground,
) -> None:
    for number in range(ROUNDS):
        ada, grace = await ground.crowd(2)
        ask = (ada, "/connections", {"member_id": grace})
        answers = await ground.posts([ask] * 20, key=f"invitation-{number}")

        assert {answer.status for answer in answers} == {201}
        assert len({answer.body for answer in answers}) == 1


async def test_two_bodies_under_one_key_at_once_are_never_both_carried_out(ground: Ground) -> None:
    for number in range(ROUNDS):
        ada, grace, alan = await ground.crowd(3, premium="premium_career")
        asked = [
            (ada, "/conversations", {"to": to, "body": "May I ask you?"}) for to in (grace, alan)
        ]
        answers = await ground.posts(asked * 8, key=f"both-{number}")

        assert Counter(answer.status for answer in answers) == {201: 8, 422: 8}
        assert await written_by(ground, ada) == 1


# Responses --------------------------------------------------------------------------------------


async def test_accept_reply_and_decline_at_once_are_one_response_and_one_refund(
    ground: Ground,
) -> None:
    won: Counter[str] = Counter()
    for number in range(4 * ROUNDS):
        ada, grace = await ground.crowd(2, premium="premium_career")
        thread = f"/conversations/{await ground.sends(ada, grace)}"
        bodies = {"accept": {}, "messages": {"body": "You may."}, "decline": {}}
        hows = list(itertools.permutations(bodies))[number % 6] * 2
        answers = await ground.posts([(grace, f"{thread}/{how}", bodies[how]) for how in hows])
        accepts, replies, declines = (
            [answer for how, answer in zip(hows, answers, strict=True) if how == wanted]
            for wanted in bodies
        )
        ((state, response, refunds),) = await ground.rows(
            """
            select c.state, c.response, (select count(*) from ledger_entries e
                where e.owner_id = c.owner_id and e.kind in ('refund', 'defer'))
            from conversations c where c.owner_id = %s
            """,
            ada,
        )

        assert refunds == 1
        # The decliner may still write, which opens the thread; it is no second response.
        assert state == "accepted"
        assert [answer.status for answer in replies] == [201] * 2
        contrary, same = (declines, accepts) if response == "accepted" else (accepts, declines)
        assert [(a.status, a.code) for a in contrary] == [(409, "already_answered")] * 2
        assert [answer.status for answer in same] == [200] * 2
        won[response] += 1
    assert await ground.is_sound()
    print(f"Which response came first: {dict(won)}")


async def test_answer_and_withdrawal_at_once_exclude_each_other(ground: Ground) -> None:
    for _ in range(2 * ROUNDS):
        ada, grace = await ground.crowd(2, premium="premium_career")
        thread = f"/conversations/{await ground.sends(ada, grace)}"
        withdrawn, accepted = await ground.posts(
            [(ada, f"{thread}/withdraw", {}), (grace, f"{thread}/accept", {})]
        )

        assert sorted((withdrawn.status, accepted.status)) == [200, 409]
    assert await ground.is_sound()


async def test_inmails_that_cross_become_one_inmail_and_its_response(ground: Ground) -> None:
    for _ in range(ROUNDS):
        pairs = [tuple(await ground.crowd(2, premium="premium_career")) for _ in range(8)]
        answers = await ground.posts(
            [
                (one, "/conversations", {"to": other, "body": "May I ask you?"})
                for pair in pairs
                for one, other in (pair, pair[::-1])
            ]
        )
        assert {answer.status for answer in answers} == {201}
        for one, other in pairs:
            found = await ground.rows(
                """
                select state, response, messages from conversations
                where (owner_id, recipient_id) in ((%s, %s), (%s, %s))
                """,
                *(one, other, other, one),
            )
            assert found == [("accepted", "accepted", 2)]
        assert await ground.is_sound()


async def test_a_letter_beside_one_that_is_answered_at_once_costs_nothing(ground: Ground) -> None:
    """Two cross in one batch, while another server takes a second letter of the one, out of another
    pool: it is in time for the open conversation."""
    plans = {"premium": "premium_career", "sales_navigator": "sales_navigator_core"}
    ada, grace = await ground.crowd(2, **plans)
    crossed, commit = asyncio.Event(), asyncio.Event()

    def starts(one: MemberId, other: MemberId, pool: str) -> Ask:
        here, message = ConversationId(ids.new()), MessageId(ids.new())
        return Ask(Start(one, other, here, message, "May I ask you?", pool=pool))

    async def crosses_slowly(tx: Tx) -> None:
        asks = [starts(ada, grace, "premium"), starts(grace, ada, "premium")]
        done = await conversations.act(tx, asks, real_now(), ground.book)
        assert all(isinstance(each, Done) for each in done)
        crossed.set()
        await commit.wait()

    async def sends(tx: Tx) -> object:
        asks = [starts(ada, grace, "sales_navigator")]
        return (await conversations.act(tx, asks, real_now(), ground.book))[0]

    crossing = asyncio.create_task(ground.db.writing(crosses_slowly))
    await crossed.wait()
    sending = asyncio.create_task(ground.db.writing(sends))
    await asyncio.wait([sending], timeout=0.3)
    commit.set()
    await crossing
    sent = await sending

    assert isinstance(sent, Done)
    assert (sent.created, sent.charge and sent.charge.credits) == (False, 0)
    assert await ground.rows(
        "select state, messages from conversations where owner_id in (%s, %s)", ada, grace
    ) == [("accepted", 3)]
    assert await ground.is_sound()


# Limits, accounts that close, connections, blocks ------------------------------------------------


async def test_no_more_free_letters_than_the_daily_limit_go_to_open_profiles(
    ground: Ground,
) -> None:
    open_profiles = await ground.crowd(32, premium="premium_career")
    for each in open_profiles:
        await prefers(ground, each, open_profile=True)
    for _ in range(ROUNDS):
        basic = await ground.newcomer()
        answers = await ground.posts(
            [(basic, "/conversations", {"to": to, "body": "Hello"}) for to in open_profiles]
        )

        assert Counter((a.status, a.code) for a in answers) == {
            (201, None): 25,
            (403, "open_profile_limit"): 7,
        }
        assert await written_by(ground, basic) == 25
    assert await ground.is_sound()


async def test_who_closes_the_account_under_a_shower_of_inmails_keeps_none_pending(
    ground: Ground,
) -> None:
    for number in range(ROUNDS):
        leaving, *strangers = await ground.crowd(25, premium="premium_career")
        asked = [
            (one, "/conversations", {"to": leaving, "body": "May I?"}) for one in strangers[:20]
        ] + [(leaving, "/conversations", {"to": to, "body": "May I?"}) for to in strangers[20:]]

        answers, closed = await asyncio.gather(
            ground.posts(asked), closes(ground, leaving, after=0.01 * (number + 1))
        )
        states = await ground.rows(
            """
            select state, count(*) from conversations
            where owner_id = %s or recipient_id = %s group by state
            """,
            *(leaving, leaving),
        )

        assert closed is True
        assert {a.code for a in answers} <= {None, "recipient_unavailable", "no_such_member"}
        assert {state for state, _ in states} <= {"undeliverable", "withdrawn"}
        assert await ground.is_sound()


async def test_who_has_left_writes_to_nobody_not_even_for_free(ground: Ground) -> None:
    leaving, staying, grace = await ground.crowd(3, premium="premium_career")
    await prefers(ground, grace, open_profile=True)
    await closes(ground, leaving)

    # The request was let in a moment before the account was closed.
    assert await ground.sends(leaving, grace) == "no_such_member"
    assert isinstance(await ground.sends(staying, grace), str)


async def test_two_who_close_their_accounts_at_once_leave_nothing_pending(ground: Ground) -> None:
    for _ in range(ROUNDS):
        ada, grace = await ground.crowd(2, premium="premium_career")
        assert isinstance(await ground.sends(ada, grace), str)
        closed = await asyncio.gather(closes(ground, ada), closes(ground, grace))

        assert closed == [True, True]
        assert await ground.rows(
            "select count(*) from conversations where owner_id = %s and state = 'pending'", ada
        ) == [(0,)]
    assert await ground.is_sound()


async def test_invitations_that_cross_connect_once(ground: Ground) -> None:
    for _ in range(2 * ROUNDS):
        ada, grace = await ground.crowd(2)
        asked = [(ada, grace), (grace, ada)]
        invited = await asyncio.gather(*(invites(ground, one, other) for one, other in asked * 2))
        connected = await ground.rows(
            "select owner_id from connections where owner_id in (%s, %s)", ada, grace
        )
        waiting = await ground.rows(
            """
            select id from invitations where owner_id in (%s, %s) and state = 'pending'
            """,
            *(ada, grace),
        )

        assert len(invited) == 4
        assert sorted(row[0] for row in connected) == sorted((ada, grace))
        assert waiting == []


async def test_writing_while_connecting_and_parting_is_in_one_place_only(ground: Ground) -> None:
    for number in range(ROUNDS):
        ada, grace = await ground.crowd(2, premium="premium_career")
        ends_connected = number % 2 == 0

        async def connects_and_parts(one: MemberId, other: MemberId, *, connected: bool) -> None:
            for _ in range(4):
                await ground.do(lambda tx: network.upsert_pairs(tx, [(one, other)], real_now()))
                await ground.do(lambda tx: network.disconnect(tx, other, one, real_now()))
            if connected:
                await ground.do(lambda tx: network.upsert_pairs(tx, [(one, other)], real_now()))

        writes = [
            (one, "/conversations", {"to": other, "body": "Hello"})
            for one, other in [(ada, grace), (grace, ada)] * 12
        ]
        answers, _ = await asyncio.gather(
            ground.posts(writes), connects_and_parts(ada, grace, connected=ends_connected)
        )
        found = await ground.rows(
            """
            select kind, state, messages from conversations
            where (owner_id, recipient_id) in ((%s, %s), (%s, %s))
            """,
            *(ada, grace, grace, ada),
        )
        direct = [state for kind, state, _ in found if kind == "direct"]

        assert {a.code for a in answers} <= {None, "pending_inmail"}
        assert len(direct) <= 1
        assert set(direct) <= {"open" if ends_connected else "closed"}
        assert sum(count for *_, count in found) == sum(a.status == 201 for a in answers)
        assert await ground.is_sound()


async def test_nothing_arrives_from_someone_who_was_blocked_with_a_decline(ground: Ground) -> None:
    for _ in range(2 * ROUNDS):
        ada, grace = await ground.crowd(2, premium="premium_career")
        thread = f"/conversations/{await ground.sends(ada, grace)}"
        again = (ada, "/conversations", {"to": grace, "body": "And now?"})
        answers = await ground.posts(
            [*[again] * 6, (grace, f"{thread}/decline", {"block": True}), *[again] * 6]
        )

        assert Counter(a.status for a in answers)[200] == 1
        assert {a.code for a in answers} <= {None, "pending_inmail", "recipient_unavailable"}
        assert await written_by(ground, ada) == 1
    assert await ground.is_sound()


async def test_a_send_waits_for_the_block_that_comes_with_a_decline(ground: Ground) -> None:
    ada, grace = await ground.crowd(2, premium="premium_career")
    thread = await ground.sends(ada, grace)
    assert isinstance(thread, str)
    declines = Respond(grace, ConversationId(thread), Outcome.DECLINED)
    assert isinstance(await ground.acts(declines), Done)
    blocks = Respond(grace, ConversationId(thread), Outcome.DECLINED, block=True)
    blocked, commit = asyncio.Event(), asyncio.Event()

    async def blocks_slowly(tx: Tx) -> None:
        await conversations.act(tx, [Ask(blocks)], real_now(), ground.book)
        blocked.set()
        await commit.wait()

    blocking = asyncio.create_task(ground.db.writing(blocks_slowly))
    await blocked.wait()
    sending = asyncio.create_task(ground.sends(ada, grace))
    await asyncio.wait([sending], timeout=0.3)
    commit.set()
    await blocking

    assert await sending == "recipient_unavailable"


async def test_a_lost_race_leaves_no_connection_on_which_statements_fail_for_good(
    database_url: str,
) -> None:
    # On two connections in turn. The third time, a statement is prepared: here one that is skipped.
    names = iter(["taken", "a", *["taken"] * 4, "b", "c"])

    async def takes_a_name(tx: Tx) -> None:
        await pipelined(
            tx,
            [
                (
                    "insert into handles (handle, member_id) values (%s, gen_random_uuid())",
                    (next(names),),
                ),
                ("select %s::text", ("skipped where the name is taken",)),
            ],
        )

    db = await Database.open(database_url, connections=2)
    try:
        for _ in range(4):
            await db.writing(takes_a_name)
    finally:
        await db.close()
    assert list(names) == []


# Helpers ----------------------------------------------------------------------------------------


def as_id(done: Done) -> tuple[int, bytes]:
    return 201, done.conversation.id.encode()


async def written_by(ground: Ground, member: MemberId) -> int:
    ((count,),) = await ground.rows("select count(*) from messages where sender_id = %s", member)
    return count


async def closes(ground: Ground, member: MemberId, *, after: float = 0) -> Any:
    await asyncio.sleep(after)
    return await ground.do(lambda tx: closing.close(tx, member, real_now(), ground.book))


async def prefers(ground: Ground, member: MemberId, *, open_profile: bool) -> None:
    changes = members.PreferenceChanges(open_profile=open_profile)
    await ground.do(lambda tx: members.change_preferences(tx, member, changes, real_now()))


async def invites(ground: Ground, one: MemberId, other: MemberId) -> Any:
    invitation = InvitationId(ids.new())
    return await ground.do(
        lambda tx: network.invite(tx, one, other, note="", invitation_id=invitation, now=real_now())
    )
