"""The network: invite, answer, part, block, report; and what it does to direct conversations."""

import asyncio

import pytest

from overture import ids
from overture.actions import closing, network, reports
from overture.actions.fields import Invalid
from overture.actions.network import Connected
from overture.actions.reports import Reason
from overture.core.conversations import State
from overture.core.ids import ConversationId, MemberId, MessageId
from overture.core.refusals import Refusal
from overture.core.sending import Done, Refused, Write
from overture.store import network as store
from overture.store import reports as reports_store
from overture.store.db import all_rows
from overture.store.network import InvitationState
from overture.store.pages import BadCursor
from tests.cast import town_in


@pytest.fixture
async def town(database_url):
    async with town_in(database_url) as made:
        made.ada, made.bob = await made.member("ada"), await made.member("bob")
        yield made


def nobody():
    return MemberId(ids.new())


async def invites(town, viewer, to, note=""):
    return await town.do(
        lambda tx: network.invite(tx, viewer, to, note=note, invitation_id=ids.new(), now=town.now)
    )


async def accepts(town, viewer, invitation):
    return await town.do(lambda tx: network.accept(tx, viewer, invitation.id, town.now))


async def declines(town, viewer, invitation):
    return await town.do(lambda tx: network.decline(tx, viewer, invitation.id, town.now))


async def parts(town, viewer, other):
    return await town.do(lambda tx: network.disconnect(tx, viewer, other, town.now))


async def blocks(town, viewer, other):
    return await town.do(lambda tx: network.block(tx, viewer, other, town.now))


async def unblocks(town, viewer, other):
    return await town.do(lambda tx: network.unblock(tx, viewer, other, town.now))


async def connects(town, *pairs):
    return await town.do(lambda tx: network.upsert_pairs(tx, pairs, town.now))


async def page(town, list_of, viewer, cursor=None, limit=30, **more):
    return await town.look(
        lambda tx: list_of(tx, viewer, cursor=cursor, limit=limit, now=town.now, **more)
    )


async def connections_of(town, viewer):
    return [c.member.handle for c in (await page(town, store.connections, viewer)).items]


async def sent_by(town, viewer):
    return (await page(town, store.invitations, viewer, outgoing=True)).items


async def received_by(town, viewer):
    return (await page(town, store.invitations, viewer, outgoing=False)).items


async def kinds_of_events(town):
    rows = await town.look(lambda tx: all_rows(tx, "select kind from outbox order by sequence"))
    return [kind for (kind,) in rows if not kind.startswith(("member.created", "message", "inm"))]


# Inviting


async def test_an_invitation_waits_in_both_lists(town):
    sent = await invites(town, town.ada, town.bob, "We met in\r\nLondon ")

    assert (sent.member.handle, sent.note, sent.state) == (
        "bob",
        "We met in\nLondon",
        InvitationState.PENDING,
    )
    assert [i.id for i in await sent_by(town, town.ada)] == [sent.id]
    (received,) = await received_by(town, town.bob)
    assert (received.id, received.member.handle, received.note) == (sent.id, "ada", sent.note)
    assert await received_by(town, town.ada) == []
    assert await connections_of(town, town.ada) == []
    assert await kinds_of_events(town) == ["connection.invited"]


async def test_nobody_is_invited_who_is_not_there(town):
    assert await invites(town, town.ada, nobody()) is Refusal.NO_SUCH_MEMBER
    assert not isinstance(await invites(town, town.ada, town.bob), Refusal)


async def test_a_closed_member_is_not_there(town):
    await town.do(lambda tx: closing.close(tx, town.bob, town.now, town.book))

    assert await invites(town, town.ada, town.bob) is Refusal.NO_SUCH_MEMBER


async def test_one_cannot_be_connected_to_oneself(town):
    assert await invites(town, town.ada, town.ada) is Refusal.CANNOT_BE_YOURSELF
    assert await parts(town, town.ada, town.ada) is Refusal.CANNOT_BE_YOURSELF
    assert await blocks(town, town.ada, town.ada) is Refusal.CANNOT_BE_YOURSELF
    assert await unblocks(town, town.ada, town.ada) is Refusal.CANNOT_BE_YOURSELF
    assert isinstance(await connects(town, (town.ada, town.ada)), Invalid)


async def test_a_connection_cannot_be_invited_and_a_former_one_can(town):
    await connects(town, (town.ada, town.bob))
    assert await invites(town, town.ada, town.bob) is Refusal.ALREADY_CONNECTED

    await parts(town, town.ada, town.bob)

    assert not isinstance(await invites(town, town.ada, town.bob), Refusal)


async def test_one_invitation_at_a_time_and_another_after_it_was_declined(town):
    first = await invites(town, town.ada, town.bob)
    assert await invites(town, town.ada, town.bob) is Refusal.ALREADY_INVITED

    await declines(town, town.bob, first)

    assert (await invites(town, town.ada, town.bob)).state is InvitationState.PENDING


async def test_whom_one_has_blocked_one_cannot_invite(town):
    await blocks(town, town.ada, town.bob)
    assert await invites(town, town.ada, town.bob) is Refusal.YOU_BLOCKED

    await unblocks(town, town.ada, town.bob)

    assert not isinstance(await invites(town, town.ada, town.bob), Refusal)


async def test_inviting_who_has_invited_oneself_connects(town):
    first = await invites(town, town.ada, town.bob, "Hello")

    answer = await invites(town, town.bob, town.ada)

    assert (answer.id, answer.state, answer.note) == (first.id, InvitationState.ACCEPTED, "Hello")
    assert answer.member.handle == "ada"
    assert await connections_of(town, town.ada) == ["bob"]
    assert await connections_of(town, town.bob) == ["ada"]
    assert await sent_by(town, town.ada) == await received_by(town, town.bob) == []


async def test_two_who_invite_each_other_at_once_are_connected(town):
    answers = await asyncio.gather(
        invites(town, town.ada, town.bob), invites(town, town.bob, town.ada)
    )

    assert {a.state for a in answers} == {InvitationState.PENDING, InvitationState.ACCEPTED}
    assert await connections_of(town, town.ada) == ["bob"]


async def test_a_note_that_cannot_be_taken_is_told(town):
    refused = await invites(town, town.ada, town.bob, "x" * 301)

    assert isinstance(refused, Invalid)
    assert refused.errors[0][0] == "note"
    assert await sent_by(town, town.ada) == []


async def test_who_has_blocked_the_inviter_never_sees_it_and_the_inviter_cannot_tell(town):
    cleo = await town.member("cleo")
    await blocks(town, town.bob, town.ada)

    to_bob = await invites(town, town.ada, town.bob)
    to_cleo = await invites(town, town.ada, cleo)

    assert to_bob.state is to_cleo.state is InvitationState.PENDING
    assert [i.id for i in await sent_by(town, town.ada)] == [to_cleo.id, to_bob.id]
    assert await received_by(town, town.bob) == []
    assert len(await received_by(town, cleo)) == 1
    assert await accepts(town, town.bob, to_bob) is Refusal.NO_SUCH_INVITATION
    assert await invites(town, town.ada, town.bob) is Refusal.ALREADY_INVITED
    # The inviter is told of both alike, as of every invitation.
    kinds = ["member.blocked", "connection.unseen", "connection.invited"]
    assert await kinds_of_events(town) == kinds


async def test_what_a_block_hid_ends_with_it_and_the_next_one_is_seen(town):
    await blocks(town, town.bob, town.ada)
    await invites(town, town.ada, town.bob)

    await unblocks(town, town.bob, town.ada)

    assert await sent_by(town, town.ada) == []
    await invites(town, town.ada, town.bob)
    assert len(await received_by(town, town.bob)) == 1


# Answering


async def test_accepting_connects_and_once_more_changes_nothing(town):
    sent = await invites(town, town.ada, town.bob)

    first = await accepts(town, town.bob, sent)
    again = await accepts(town, town.bob, sent)

    assert first == again
    assert first.state is InvitationState.ACCEPTED
    assert await connections_of(town, town.ada) == ["bob"]
    assert await kinds_of_events(town) == ["connection.invited", "connection.accepted"]


async def test_declining_connects_nobody_and_once_more_changes_nothing(town):
    sent = await invites(town, town.ada, town.bob)

    first = await declines(town, town.bob, sent)
    again = await declines(town, town.bob, sent)

    assert first == again
    assert first.state is InvitationState.DECLINED
    assert await connections_of(town, town.ada) == []
    assert await sent_by(town, town.ada) == await received_by(town, town.bob) == []
    assert await accepts(town, town.bob, sent) is Refusal.NO_SUCH_INVITATION


async def test_what_was_accepted_cannot_be_declined(town):
    sent = await invites(town, town.ada, town.bob)
    await accepts(town, town.bob, sent)

    assert await declines(town, town.bob, sent) is Refusal.NO_SUCH_INVITATION
    assert await connections_of(town, town.ada) == ["bob"]


async def test_only_the_invitee_answers(town):
    cleo = await town.member("cleo")
    sent = await invites(town, town.ada, town.bob)

    for answers in (accepts, declines):
        for other in (town.ada, cleo):
            assert await answers(town, other, sent) is Refusal.NO_SUCH_INVITATION
    unknown = await town.do(lambda tx: network.accept(tx, town.bob, ids.new(), town.now))
    assert unknown is Refusal.NO_SUCH_INVITATION
    assert (await accepts(town, town.bob, sent)).state is InvitationState.ACCEPTED


async def test_a_withdrawn_invitation_cannot_be_accepted(town):
    sent = await invites(town, town.ada, town.bob)

    assert await parts(town, town.ada, town.bob) is None

    assert await sent_by(town, town.ada) == await received_by(town, town.bob) == []
    assert await accepts(town, town.bob, sent) is Refusal.NO_SUCH_INVITATION


async def test_the_invitee_does_not_withdraw_by_parting(town):
    await invites(town, town.ada, town.bob)

    assert await parts(town, town.bob, town.ada) is None

    assert len(await received_by(town, town.bob)) == 1


# Parting, and direct conversations


async def state_of(town, conversation):
    home = await town.look(
        lambda tx: all_rows(tx, "select state from conversations where id = %s", (conversation,))
    )
    rows = await town.look(
        lambda tx: all_rows(
            tx, "select state from inbox where conversation_id = %s", (conversation,)
        )
    )
    states = {state for (state,) in [*home, *rows]}
    assert len(states) == 1, states
    return State(states.pop())


async def writes(town, viewer, conversation):
    answer = await town.acts(
        Write(viewer, ConversationId(conversation), MessageId(ids.new()), "Hello again")
    )
    return answer.code if isinstance(answer, Refused) else answer


async def test_parting_closes_the_direct_conversation_and_connecting_opens_it_again(town):
    await connects(town, (town.ada, town.bob))
    direct = await town.sends(town.ada, town.bob)
    assert await state_of(town, direct) is State.OPEN

    assert await parts(town, town.bob, town.ada) is None

    assert await connections_of(town, town.ada) == await connections_of(town, town.bob) == []
    assert await state_of(town, direct) is State.CLOSED
    assert await writes(town, town.ada, direct) is Refusal.CONVERSATION_CLOSED

    sent = await invites(town, town.ada, town.bob)
    await accepts(town, town.bob, sent)

    assert await state_of(town, direct) is State.OPEN
    assert isinstance(await writes(town, town.bob, direct), Done)


async def test_parting_once_more_changes_nothing(town):
    await connects(town, (town.ada, town.bob))

    assert await parts(town, town.ada, town.bob) is None
    assert await parts(town, town.ada, town.bob) is None
    assert await parts(town, town.ada, nobody()) is Refusal.NO_SUCH_MEMBER

    assert (await kinds_of_events(town)).count("connection.ended") == 1


async def test_other_conversations_stay_as_they_are(town):
    ada = await town.member("ada-p", premium="premium_career")
    bob = await town.member("bob-p", premium="premium_career")
    cleo = await town.member("cleo")
    inmail = await town.sends(ada, bob)
    await connects(town, (ada, cleo))
    direct = await town.sends(ada, cleo)

    await connects(town, (ada, bob))
    assert await state_of(town, inmail) is State.PENDING
    await parts(town, ada, bob)

    assert await state_of(town, inmail) is State.PENDING
    assert await state_of(town, direct) is State.OPEN


async def test_an_accepted_inmail_stays_open_when_the_connection_ends(town):
    ada = await town.member("ada-p", premium="premium_career")
    bob = await town.member("bob-p", premium="premium_career")
    inmail = await town.sends(ada, bob)
    await town.accepts(bob, inmail)
    await connects(town, (ada, bob))

    await parts(town, ada, bob)

    assert await state_of(town, inmail) is State.ACCEPTED
    assert isinstance(await writes(town, ada, inmail), Done)


# In bulk


async def test_pairs_are_connected_in_bulk_and_once_more_changes_nothing(town):
    cleo = await town.member("cleo")
    pairs = [(town.ada, town.bob), (town.bob, town.ada), (cleo, town.ada)]

    assert await connects(town, *pairs) == Connected(pairs=2, new=2)
    assert await connects(town, *pairs) == Connected(pairs=2, new=0)

    assert sorted(await connections_of(town, town.ada)) == ["bob", "cleo"]
    assert (await kinds_of_events(town)).count("connection.accepted") == 2
    assert await connects(town) == Connected(pairs=0, new=0)


async def test_unknown_members_are_named_and_nobody_is_connected(town):
    stranger = nobody()
    cleo = await town.member("cleo")
    await town.do(lambda tx: closing.close(tx, cleo, town.now, town.book))

    refused = await connects(town, (town.ada, town.bob), (town.ada, stranger), (cleo, town.bob))

    assert isinstance(refused, Invalid)
    told = " ".join(sentence for _, sentence in refused.errors)
    assert stranger in told
    assert cleo in told
    assert town.ada not in told
    assert await connections_of(town, town.ada) == []


async def test_a_long_list_of_unknown_members_is_cut(town):
    refused = await connects(town, *((town.ada, nobody()) for _ in range(100)))

    assert isinstance(refused, Invalid)
    assert len(refused.errors) == network.NAMED_MAX + 1
    assert "80 more" in refused.errors[-1][1]


async def test_a_bulk_accepts_what_waits_and_opens_what_was_closed(town):
    await connects(town, (town.ada, town.bob))
    direct = await town.sends(town.ada, town.bob)
    await parts(town, town.ada, town.bob)
    await invites(town, town.bob, town.ada)

    await connects(town, (town.ada, town.bob))

    assert await received_by(town, town.ada) == await sent_by(town, town.bob) == []
    assert await state_of(town, direct) is State.OPEN


# Blocks


async def test_a_block_keeps_the_connection_and_stops_the_letters(town):
    await connects(town, (town.ada, town.bob))

    assert await blocks(town, town.bob, town.ada) is None

    assert await connections_of(town, town.ada) == ["bob"]
    assert await town.sends(town.ada, town.bob) is Refusal.RECIPIENT_UNAVAILABLE
    assert await town.sends(town.bob, town.ada) is Refusal.YOU_BLOCKED
    await unblocks(town, town.bob, town.ada)
    assert not isinstance(await town.sends(town.ada, town.bob), Refusal)


async def test_blocking_and_unblocking_once_more_change_nothing(town):
    for _ in range(2):
        assert await blocks(town, town.ada, town.bob) is None
    assert [b.member.handle for b in (await page(town, store.blocks, town.ada)).items] == ["bob"]
    assert (await page(town, store.blocks, town.bob)).items == []
    for _ in range(2):
        assert await unblocks(town, town.ada, town.bob) is None
    assert (await page(town, store.blocks, town.ada)).items == []
    assert await kinds_of_events(town) == ["member.blocked", "member.unblocked"]


async def test_nobody_is_blocked_who_is_not_there(town):
    assert await blocks(town, town.ada, nobody()) is Refusal.NO_SUCH_MEMBER
    assert await unblocks(town, town.ada, nobody()) is Refusal.NO_SUCH_MEMBER


@pytest.mark.parametrize("blocker", ["ada", "bob"])
async def test_a_block_ends_the_invitation_between_the_two(town, blocker):
    sent = await invites(town, town.ada, town.bob)
    one, other = (town.ada, town.bob) if blocker == "ada" else (town.bob, town.ada)

    await blocks(town, one, other)

    assert await sent_by(town, town.ada) == await received_by(town, town.bob) == []
    assert await accepts(town, town.bob, sent) is Refusal.NO_SUCH_INVITATION


# Pages


async def test_connections_come_newest_first_page_by_page(town):
    others = []
    for number in range(5):
        others.append(await town.member(f"member-{number}"))
        town.pass_by(minutes=number % 2)
        await connects(town, (town.ada, others[-1]))

    seen, cursor = [], None
    while True:
        found = await page(town, store.connections, town.ada, cursor, 2)
        seen += [(c.since, c.member.id) for c in found.items]
        cursor = found.next
        if cursor is None:
            break

    assert len(seen) == 5
    assert seen == sorted(seen, reverse=True)


async def test_invitations_and_blocks_come_page_by_page(town):
    others = [await town.member(f"member-{number}") for number in range(3)]
    for other in others:
        town.pass_by(minutes=1)
        await invites(town, town.ada, other)
        await invites(town, other, town.bob)

    for list_of, viewer, more in (
        (store.invitations, town.ada, {"outgoing": True}),
        (store.invitations, town.bob, {"outgoing": False}),
    ):
        first = await page(town, list_of, viewer, limit=2, **more)
        rest = await page(town, list_of, viewer, first.next, 2, **more)
        assert [i.member.id for i in first.items + rest.items] == others[::-1]
        assert rest.next is None
    for other in others:
        await blocks(town, town.bob, other)
    first = await page(town, store.blocks, town.bob, limit=2)
    rest = await page(town, store.blocks, town.bob, first.next, 2)
    assert {b.member.id for b in first.items + rest.items} == set(others)


async def test_a_cursor_of_nothing_is_refused(town):
    for list_of, more in (
        (store.connections, {}),
        (store.blocks, {}),
        (store.invitations, {"outgoing": True}),
    ):
        with pytest.raises(BadCursor):
            await page(town, list_of, town.ada, "nonsense", **more)


# Reports


async def reports_it(town, viewer, member, conversation=None, note=""):
    return await town.do(
        lambda tx: reports.report(
            tx,
            viewer,
            ids.new(),
            member=member,
            conversation=conversation,
            reason=Reason.SPAM,
            note=note,
            now=town.now,
        )
    )


async def test_a_report_reaches_the_operator_with_the_conversation_it_is_about(town):
    await connects(town, (town.ada, town.bob))
    direct = await town.sends(town.bob, town.ada)

    made = await reports_it(town, town.ada, town.bob, direct, "Sells things ")

    listed = await town.look(lambda tx: reports_store.newest(tx, cursor=None, limit=30))
    assert listed.items == [made]
    assert (made.reporter, made.member, made.conversation, made.reason, made.note) == (
        town.ada,
        town.bob,
        direct,
        "spam",
        "Sells things",
    )
    assert (await kinds_of_events(town))[-1] == "report.created"


async def test_a_report_is_about_a_conversation_of_the_two(town):
    cleo = await town.member("cleo")
    await connects(town, (town.ada, town.bob), (cleo, town.bob))
    direct = await town.sends(town.bob, town.ada)
    others = await town.sends(town.bob, cleo)

    for viewer, member, conversation in (
        (town.ada, town.bob, others),
        (town.ada, cleo, direct),
        (town.ada, town.bob, ids.new()),
    ):
        no = await reports_it(town, viewer, member, conversation)
        assert no is Refusal.NO_SUCH_CONVERSATION
    assert not isinstance(await reports_it(town, town.ada, town.bob, direct), Refusal)


async def test_nobody_reports_themselves_or_nobody(town):
    assert await reports_it(town, town.ada, town.ada) is Refusal.CANNOT_BE_YOURSELF
    assert await reports_it(town, town.ada, nobody()) is Refusal.NO_SUCH_MEMBER
    assert isinstance(await reports_it(town, town.ada, town.bob, note="x" * 2001), Invalid)
    assert not isinstance(await reports_it(town, town.ada, town.bob), Refusal)


async def test_reports_come_newest_first_page_by_page(town):
    made = []
    for _ in range(3):
        town.pass_by(minutes=1)
        made.append(await reports_it(town, town.ada, town.bob))

    first = await town.look(lambda tx: reports_store.newest(tx, cursor=None, limit=2))
    rest = await town.look(lambda tx: reports_store.newest(tx, cursor=first.next, limit=2))

    assert first.items + rest.items == made[::-1]
    assert rest.next is None
