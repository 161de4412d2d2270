"""Closing an account: what ends, what is refunded, what stays, and that nothing personal does."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime

import msgspec
import pytest

from overture import ids
from overture.actions import closing, conversations, inbox, ledger, members, network
from overture.actions.conversations import Ask
from overture.core.conversations import State
from overture.core.decisions import About, Ground, Measure
from overture.core.ids import (
    ComplaintId,
    ConversationId,
    DecisionId,
    InvitationId,
    MemberId,
    MessageId,
    ReportId,
    TokenId,
)
from overture.core.refusals import Refusal
from overture.core.sending import Done, Start, Withdraw, Write
from overture.store import closing as closing_store
from overture.store import credits as credits_store
from overture.store import decisions, reports, tokens
from overture.store.closing import Pending
from overture.store.db import Tx, all_rows
from overture.store.idempotency import OPERATOR, Kept, Once, keep
from overture.store.inbox import Thread
from tests.cast import Town, town_in

PLAN = {"premium": "premium_business"}


@pytest.fixture
async def town(database_url: str) -> AsyncIterator[Town]:
    async with town_in(database_url) as town:
        yield town


async def closes(town: Town, member: MemberId) -> bool | Refusal:
    return await town.do(lambda tx: closing.close(tx, member, town.now, town.book))


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


async def writes(town: Town, viewer: MemberId, conversation: ConversationId, body: str) -> None:
    town.pass_by(seconds=1)
    answer = await town.acts(Write(viewer, conversation, MessageId(ids.new()), body))
    assert isinstance(answer, Done), answer


async def thread(town: Town, viewer: MemberId, conversation: ConversationId) -> Thread:
    found = await town.look(lambda tx: inbox.thread(tx, viewer, conversation))
    assert isinstance(found, Thread), found
    return found


async def bodies(town: Town, viewer: MemberId, conversation: ConversationId) -> list[str]:
    found = await town.look(lambda tx: inbox.messages(tx, viewer, conversation, None, 30))
    assert not isinstance(found, Refusal), found
    return [message.body for message in found.items]


async def entries(town: Town, member: MemberId) -> list[tuple[str, str, int]]:
    statement = """
        select kind, reason, credits from ledger_entries where owner_id = %s order by number
    """
    return [(row[0], row[1], row[2]) for row in await rows(town, statement, (member,))]


async def rows(town: Town, statement: str, params: tuple[object, ...] = ()) -> list[tuple]:
    return await town.look(lambda tx: all_rows(tx, statement, params))


async def dump(town: Town) -> str:
    """All that the database holds, as text."""

    async def all_tables(tx: Tx) -> str:
        tables = await all_rows(
            tx,
            "select table_name from information_schema.tables where table_schema = 'public'"
            " and table_type = 'BASE TABLE'",
        )
        lines: list[str] = []
        for (table,) in tables:
            for (line,) in await all_rows(tx, f"select t::text from {table} t"):
                lines.append(f"{table}: {line}")
        for (kept,) in await all_rows(
            tx, "select convert_from(response, 'UTF8') from idempotency_keys"
        ):
            lines.append(f"kept answer: {kept}")
        return "\n".join(lines)

    return await town.look(all_tables)


async def assert_the_books_are_sound(town: Town) -> None:
    """`ledger verify`: every account replayed, every promise checked, every list compared."""
    verified = await town.look(lambda tx: ledger.verify(tx, town.now, town.book))
    assert verified.discrepancies == []
    wrong = await rows(
        town,
        """
        select a.owner_id, a.pool, a.balance, sum(e.credits)
        from credit_accounts a
        join ledger_entries e on e.owner_id = a.owner_id and e.pool = a.pool
        group by a.owner_id, a.pool, a.balance
        having a.balance <> sum(e.credits)
        """,
    )
    assert wrong == []


async def test_pending_inmails_end_by_the_rules(town: Town):
    ada, grace = await town.member("ada", **PLAN), await town.member("grace", **PLAN)
    alan = await town.member("alan", **PLAN)
    sent, received = await starts(town, grace, ada), await starts(town, alan, grace)

    assert await closes(town, grace) is True

    assert (await thread(town, ada, sent)).row.state is State.WITHDRAWN
    assert await bodies(town, ada, sent) == []
    assert (await thread(town, alan, received)).row.state is State.UNDELIVERABLE
    # Who wrote to the one who left has the credit back, who left has lost all.
    assert (await entries(town, alan))[-1] == ("refund", "undeliverable", 1)
    assert (await entries(town, grace))[-2:] == [
        ("spend", "inmail", -1),
        ("forfeit", "canceled", -14),
    ]
    await assert_the_books_are_sound(town)


async def test_what_comes_after_the_refund_window_is_not_refunded(town: Town):
    alan, grace = await town.member("alan", **PLAN), await town.member("grace", **PLAN)
    await starts(town, alan, grace)
    town.pass_by(days=90, seconds=1)

    await closes(town, grace)

    assert (await entries(town, alan))[-1] == ("no_refund", "too_late", 0)
    await assert_the_books_are_sound(town)


async def test_connections_end_on_both_sides_and_threads_stay_without_the_name(town: Town):
    ada, grace = await town.member("ada", **PLAN), await town.member("grace", **PLAN)
    await town.do(lambda tx: network.upsert_pairs(tx, [(ada, grace)], town.now))
    direct = await starts(town, grace, ada, "Written by Grace")
    inmail_of = await town.member("alan", **PLAN)
    inmail = await starts(town, inmail_of, grace)
    await writes(town, grace, inmail, "Gladly")

    await closes(town, grace)

    assert await rows(town, "select owner_id, member_id from connections") == []
    seen = (await thread(town, ada, direct)).row
    assert (seen.state, seen.counterpart_id, seen.counterpart_handle, seen.counterpart_name) == (
        State.CLOSED,
        grace,
        "",
        "",
    )
    assert await bodies(town, ada, direct) == ["Written by Grace"]
    assert await bodies(town, inmail_of, inmail) == ["Gladly", "Hello"]
    refused = await town.acts(Write(inmail_of, inmail, MessageId(ids.new()), "Are you there?"))
    assert refused.code is Refusal.RECIPIENT_UNAVAILABLE
    assert await town.sends(ada, grace) is Refusal.RECIPIENT_UNAVAILABLE
    await assert_the_books_are_sound(town)


async def test_the_closed_member_is_absent_and_the_handle_free(town: Town):
    grace = await town.member("grace", **PLAN)
    assert await town.look(lambda tx: members.profile(tx, None, "grace", town.now)) is not None

    await closes(town, grace)

    assert await town.look(lambda tx: members.profile(tx, None, "grace", town.now)) is None
    assert await town.look(lambda tx: members.profile(tx, None, grace, town.now)) is None
    assert await town.member("grace") != grace


async def test_closing_again_changes_nothing_and_an_unknown_member_cannot(town: Town):
    grace = await town.member("grace", **PLAN)
    await closes(town, grace)
    before = await dump(town)

    town.pass_by(days=1)
    assert await closes(town, grace) is False
    assert await closes(town, MemberId(ids.new())) is Refusal.NO_SUCH_MEMBER

    assert await dump(town) == before


async def test_a_subscription_that_was_canceled_before_does_not_hinder(town: Town):
    grace = await town.member("grace", **PLAN, recruiter="recruiter_lite")
    await town.cancels(grace, "recruiter", "now")

    assert await closes(town, grace) is True

    until, closed_at = (await rows(town, "select premium_until, closed_at from members"))[0]
    assert (until, closed_at) == (None, town.now)
    wishes = await rows(town, "select pool, wish from subscription_wishes order by pool, number")
    assert wishes == [
        ("premium", "choose"),
        ("premium", "cancel_now"),
        ("recruiter", "choose"),
        ("recruiter", "cancel_now"),
    ]
    await assert_the_books_are_sound(town)


async def test_when_both_have_left_only_the_ledgers_side_remains(town: Town):
    ada, grace = await town.member("ada", **PLAN), await town.member("grace", **PLAN)
    alan = await town.member("alan", **PLAN)
    for _ in (ada, grace, alan):
        await town.do(lambda tx: network.upsert_pairs(tx, [(ada, grace)], town.now))
    direct = await starts(town, ada, grace, "Canary direct")
    inmail = await starts(town, alan, grace, "Canary inmail", "Canary subject")
    await writes(town, grace, inmail, "Canary answer")
    await closes(town, grace)
    assert "Canary" in await dump(town)

    await closes(town, ada)
    await closes(town, alan)

    assert "Canary" not in await dump(town)
    assert await rows(town, "select number from messages") == []
    left = await rows(town, "select id, cardinality(refundable_until) from conversations")
    assert left == [(inmail, 1)]
    assert direct != inmail
    await assert_the_books_are_sound(town)


async def test_a_member_who_left_leaves_no_trace(town: Town):
    """Every kind of relation, then every table read as text."""
    canary, now = "Zyzzyva", town.now
    new = members.NewMember(
        MemberId(ids.new()),
        handle=f"{canary.lower()}-1",
        name=f"{canary} Name",
        headline=f"{canary} Headline",
        company=f"{canary} Company",
        location=f"{canary} Location",
        time_zone="Europe/Vaduz",
        email=f"{canary}@example.org",
        external_id=f"{canary} external",
    )
    await town.do(lambda tx: members.create(tx, new, now))
    zoe = new.id
    await town.chooses(zoe, "premium", "premium_business")
    ada, grace = await town.member("ada", **PLAN), await town.member("grace", **PLAN)
    alan, eve = await town.member("alan", **PLAN), await town.member("eve", **PLAN)
    bob = await town.member("bob", **PLAN)
    await town.do(lambda tx: network.upsert_pairs(tx, [(zoe, ada)], now))
    # Every conversation that there can be: direct, answered, pending both ways, withdrawn.
    direct = await starts(town, ada, zoe, "Dear Z., how are you?")
    await writes(town, zoe, direct, "What I wrote stays")
    answered = await starts(town, zoe, grace, "What I wrote stays, too")
    await town.accepts(grace, answered)
    await starts(town, zoe, alan, f"{canary} pending body", f"{canary} pending subject")
    await starts(town, eve, zoe, "Dear Z.")
    gone = await starts(town, zoe, bob, f"{canary} withdrawn body", f"{canary} withdrawn subject")
    await town.acts(Withdraw(zoe, gone))
    # Invitations both ways, blocks, a report, a token.
    for inviter, invitee, note in ((zoe, grace, f"{canary} note"), (alan, zoe, "Dear Z.")):
        await town.do(
            lambda tx, inviter=inviter, invitee=invitee, note=note: network.invite(
                tx,
                inviter,
                invitee,
                note=note,
                invitation_id=InvitationId(ids.new()),
                now=now,
            )
        )
    await town.do(lambda tx: network.block(tx, zoe, bob, now))
    report = reports.Report(
        ReportId(ids.new()), zoe, bob, None, "spam", f"{canary} report note", now
    )
    await town.db.writing(lambda tx: reports.add(tx, report))
    of_her = replace(report, id=ReportId(ids.new()), reporter=bob, member=zoe, note="")
    seen = reports.Snapshot("z", f"{canary} Name", "", "", f"{canary} About")
    await town.db.writing(lambda tx: reports.add(tx, of_her, seen))
    on_her = decisions.Decision(
        DecisionId(ids.new()), zoe, Measure.WARNING, Ground.LAW, f"{canary} did", None, now
    )
    await town.db.writing(lambda tx: decisions.add(tx, on_her))
    complaint = decisions.Complaint(
        ComplaintId(ids.new()), zoe, About.DECISION, on_her.id, f"{canary} did not", now
    )
    await town.db.writing(lambda tx: decisions.complain(tx, complaint))
    token = tokens.TokenRow(TokenId(ids.new()), zoe, ["read"], f"{canary} label", None)
    await town.db.writing(lambda tx: tokens.add(tx, token, b"\1" * 32))
    # Kept answers: the member's own, and others' that name the member.
    named = {"id": zoe, "handle": new.handle, "name": new.name}
    await keeps(town, zoe, {"conversation": {"with": {"id": ada}}, "message": f"{canary} body"})
    await keeps(town, ada, {"conversation": {"id": direct, "with": named}, "message": "Dear Z."})
    await keeps(town, OPERATOR, named | {"email": new.email, "headline": new.headline})
    # What was imported: a group, a thread that the importer alone sees, a profile's address.
    await town.db.writing(
        lambda tx: imports(tx, grace, other=ada, member=zoe, name=new.name, now=now)
    )
    assert canary in await dump(town)

    await closes(town, zoe)

    found = await dump(town)
    assert [line for line in found.splitlines() if canary.lower() in line.lower()] == []
    assert "Vaduz" not in found
    for stays in ("What I wrote stays", "Dear Z., how are you?", "A group's message"):
        assert stays in found
    for table in ("connections", "invitations", "blocks", "inbox", "idempotency_keys"):
        owned = await rows(town, f"select owner_id from {table} where owner_id = %s", (zoe,))
        assert owned == [], table
    kept = await rows(town, "select owner_id, convert_from(response, 'UTF8') from idempotency_keys")
    assert {row[0] for row in kept} == {ada, OPERATOR}
    assert all(zoe in row[1] for row in kept)
    await assert_the_books_are_sound(town)


async def keeps(town: Town, owner: MemberId, answer: object) -> None:
    once = Once(owner, "POST /somewhere", "key", b"fingerprint")
    kept = Kept(201, msgspec.json.encode(answer), b"fingerprint")
    await town.db.writing(lambda tx: keep(tx, [(once, kept)]))


async def imports(
    tx: Tx, importer: MemberId, *, other: MemberId, member: MemberId, name: str, now: datetime
) -> None:
    """What an archive of `importer` brings in that names `member`."""
    people = msgspec.json.encode(
        [
            {"id": importer, "handle": "grace", "name": "Grace"},
            {"id": other, "handle": "ada", "name": "Ada"},
            {"id": member, "handle": "z", "name": name},
            {"name": "Someone Else"},
        ]
    ).decode()
    group, alone = ids.new(), ids.new()
    for conversation, recipient, participants, shared in (
        (group, None, people, True),
        (alone, member, None, False),
    ):
        await tx.execute(
            """
            insert into conversations (owner_id, id, kind, recipient_id, participants, channel,
                state, started_at, last_activity_at, shared, messages)
            values (%s, %s, 'direct', %s, %s, 'message', 'imported', %s, %s, %s, 1)
            """,
            (importer, conversation, recipient, participants, now, now, shared),
        )
        await tx.execute(
            """
            insert into messages (owner_id, conversation_id, number, id, sender_id, sent_at, body)
            values (%s, %s, 1, %s, null, %s, 'A group''s message')
            """,
            (importer, conversation, ids.new(), now),
        )
        for owner in (importer, other, member) if shared else (importer,):
            await tx.execute(
                """
                insert into inbox (owner_id, conversation_id, home_id, counterpart_id,
                    counterpart_handle, counterpart_name, participants, kind, begun, state, box,
                    last_activity_at)
                values (%s, %s, %s, %s, %s, %s, %s, 'direct', %s, 'imported', 'inbox', %s)
                """,
                (
                    owner,
                    conversation,
                    importer,
                    recipient,
                    "z" if recipient else "",
                    name if recipient else "",
                    participants,
                    owner == importer,
                    now,
                ),
            )
    await tx.execute(
        "insert into imported_profiles (profile_key, member_id) values ('zyzzyva', %s)", (member,)
    )


async def test_a_much_sought_after_member_leaves_at_once(town: Town):
    grace = await town.member("grace", **PLAN)
    senders = [await town.member(f"m{n}", recruiter="recruiter_lite") for n in range(8)]
    chunk, closing._CHUNK = closing._CHUNK, 3
    try:
        for sender in senders:
            await starts(town, sender, grace)
        await closes(town, grace)
    finally:
        closing._CHUNK = chunk

    for sender in senders:
        assert (await entries(town, sender))[-1] == ("refund", "undeliverable", 1)
    await assert_the_books_are_sound(town)


async def test_an_inmail_that_its_leaving_sender_withdrew_is_not_returned_as_well(
    town: Town, monkeypatch: pytest.MonkeyPatch
):
    """Its recipient leaves too, and had just seen it pending."""
    ada, grace = await town.member("ada", **PLAN), await town.member("grace", **PLAN)
    await starts(town, ada, grace)
    look = closing_store.pending
    seen: list[int] = []

    async def see_it_withdrawn_then(tx: Tx, member: MemberId) -> list[Pending]:
        found = await look(tx, member)
        if member == grace:
            seen.append(len(found))
            if len(seen) == 1:
                await closes(town, ada)
        return found

    monkeypatch.setattr(closing_store, "pending", see_it_withdrawn_then)
    assert await closes(town, grace)

    assert seen == [1, 0]
    assert await rows(town, "select state from conversations") == [("withdrawn",)]
    assert await rows(town, "select owner_id from inbox") == []
    await assert_the_books_are_sound(town)


async def test_an_answer_to_one_who_is_leaving_comes_before_or_is_refused(town: Town):
    """Two who close at the same time, with InMails between them and others."""
    people = [await town.member(f"m{n}", recruiter="recruiter_lite") for n in range(4)]
    for sender in people:
        for to in people:
            if sender < to:
                await starts(town, sender, to)

    assert await asyncio.gather(*(closes(town, member) for member in people)) == [True] * 4

    states = await rows(town, "select distinct state from conversations")
    assert {row[0] for row in states} <= {"withdrawn", "undeliverable"}
    assert await rows(town, "select owner_id from inbox") == []
    await assert_the_books_are_sound(town)
    asks = [
        Ask(Start(people[0], people[1], ConversationId(ids.new()), MessageId(ids.new()), "Hello"))
    ]
    refused = await town.db.writing(lambda tx: conversations.act(tx, asks, town.now, town.book))
    assert not isinstance(refused[0], Done)
    assert await town.look(lambda tx: credits_store.accounts(tx, people[0])) != {}
