"""Notices on devices: what a push service is given, who reads it, and whom nothing is told."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from py_vapid import Vapid02

from overture import ids
from overture.actions import accounts, closing, inbox, members, network
from overture.actions.members import MailChanges
from overture.clock import real_now
from overture.core.ids import ConversationId, MemberId, MessageId
from overture.core.notifying import Kind
from overture.core.policy import Outcome
from overture.core.sending import Done, Event, Respond, Start, Withdraw, Write
from overture.store import inbox as inbox_store
from overture.store import installation, outbox, push
from overture.store.db import Tx
from tests.push.conftest import Device, Pushtown
from tests.work import runner_in

CAREER = {"premium": "premium_career"}


async def two(pushtown: Pushtown) -> tuple[MemberId, MemberId, Device]:
    """Ada, Grace, and Grace's device."""
    ada = await pushtown.member("ada", "Ada Byron", **CAREER)
    grace = await pushtown.member("grace", "Grace Hopper", **CAREER)
    await pushtown.passes()
    return ada, grace, await pushtown.device(grace)


async def sends(pushtown: Pushtown, sender: MemberId, to: MemberId) -> ConversationId:
    made = ConversationId(ids.new())
    start = Start(sender, to, made, MessageId(ids.new()), "My secret plans", "A secret subject")
    done = await pushtown.town.acts(start)
    assert isinstance(done, Done), done
    return made


async def writes(pushtown: Pushtown, writer: MemberId, conversation: ConversationId) -> MessageId:
    message = MessageId(ids.new())
    done = await pushtown.town.acts(Write(writer, conversation, message, "A secret answer"))
    assert isinstance(done, Done), done
    return message


# What is sent ---------------------------------------------------------------------------------------


async def test_a_letter_is_told_by_who_wrote_it_and_nothing_else(pushtown: Pushtown):
    ada, grace, device = await two(pushtown)
    letter = await sends(pushtown, ada, grace)

    await pushtown.passes()

    (got,) = pushtown.service.got
    told = device.reads(got.body)
    assert told == {
        "title": "Ada Byron wrote you an InMail",
        "url": f"/inbox/{letter}",
        "tag": f"/inbox/{letter}",
        "lang": "en",
        "dir": "ltr",
    }
    assert len(got.body) < 4096
    assert b"Ada" not in got.body


async def test_only_its_own_device_reads_a_notice(pushtown: Pushtown):
    ada, grace, device = await two(pushtown)
    await sends(pushtown, ada, grace)
    await pushtown.passes()
    (got,) = pushtown.service.got

    another = replace(device, key=ec.generate_private_key(ec.SECP256R1()))

    with pytest.raises(Exception, match=r"[Dd]ecrypt"):
        another.reads(got.body)


async def test_the_service_knows_who_sends_and_how_it_is_to_be_kept(pushtown: Pushtown):
    ada, grace, _ = await two(pushtown)
    await sends(pushtown, ada, grace)
    await pushtown.passes()

    (got,) = pushtown.service.got

    assert Vapid02.verify(got.headers["Authorization"])
    token = got.headers["Authorization"].split("t=")[1].split(",")[0].split(".")[1]
    told = json.loads(base64.urlsafe_b64decode(token + "=="))
    assert told["aud"] == pushtown.service.url
    assert told["sub"] == "mailto:no-reply@overture.example"
    left = told["exp"] - real_now().timestamp()
    assert 0 < left <= 86_400
    assert got.headers["Content-Encoding"] == "aes128gcm"
    assert got.headers["TTL"] == "86400"
    assert got.headers["Urgency"] == "normal"
    assert len(got.headers["Topic"]) == 32


async def test_what_is_told_of_a_conversation_takes_the_place_of_what_was(pushtown: Pushtown):
    ada, grace, device = await two(pushtown)
    first = await sends(pushtown, ada, grace)
    await pushtown.passes(hours=50)
    sam = await pushtown.member("sam", **CAREER)
    second = await sends(pushtown, sam, grace)
    await pushtown.passes()

    topics = [got.headers["Topic"] for got in pushtown.service.got]
    told = pushtown.shown(device)

    assert [each["title"] for each in told] == [
        "Ada Byron wrote you an InMail",
        "Ada Byron still waits for your answer",
        "Sam wrote you an InMail",
    ]
    assert [each["tag"] for each in told] == [f"/inbox/{first}"] * 2 + [f"/inbox/{second}"]
    assert topics[0] == topics[1] != topics[2]


async def test_it_speaks_the_members_language(pushtown: Pushtown):
    ada, grace, device = await two(pushtown)
    await pushtown.town.do(lambda tx: tx.execute("update members set language = 'ar'"))
    await sends(pushtown, ada, grace)
    await pushtown.passes()

    (told,) = pushtown.shown(device)

    assert told["title"] == "رسالة InMail إليك من Ada Byron"
    assert (told["lang"], told["dir"]) == ("ar", "rtl")


async def test_each_device_shows_it_also_where_one_of_them_fails(pushtown: Pushtown):
    ada, grace, device = await two(pushtown)
    other = await pushtown.device(grace)
    pushtown.service.answers[f"/{other.session}"] = 503
    await sends(pushtown, ada, grace)

    await pushtown.passes()
    assert pushtown.titles(device) == ["Ada Byron wrote you an InMail"]
    assert len(pushtown.shown(other)) == 1

    pushtown.service.answers.clear()
    await pushtown.real_time_passes(minutes=1)
    await pushtown.passes()
    assert pushtown.titles(device) == []
    assert pushtown.titles(other) == ["Ada Byron wrote you an InMail"]


# Messages and answers -------------------------------------------------------------------------------


async def test_an_answer_with_words_is_told_once(pushtown: Pushtown):
    ada, grace, _ = await two(pushtown)
    device = await pushtown.device(ada)
    letter = await sends(pushtown, ada, grace)
    await writes(pushtown, grace, letter)

    await pushtown.passes(minutes=5)

    assert pushtown.titles(device) == ["Grace Hopper accepted"]


async def test_a_message_is_told_when_it_was_not_read_for_a_minute(pushtown: Pushtown):
    ada, grace, device = await two(pushtown)
    letter = await sends(pushtown, ada, grace)
    await pushtown.town.accepts(grace, letter)
    await pushtown.passes()
    _ = pushtown.shown(device)
    await writes(pushtown, ada, letter)

    await pushtown.passes(seconds=59)
    assert pushtown.titles(device) == []
    await pushtown.passes(seconds=1)
    assert pushtown.titles(device) == ["Ada Byron wrote to you"]

    message = await writes(pushtown, ada, letter)
    await pushtown.town.do(
        lambda tx: inbox.read(tx, grace, letter, up_to=message, now=pushtown.town.now)
    )
    await pushtown.passes(minutes=5)
    assert pushtown.titles(device) == []


async def test_the_safety_of_the_account_is_told_whatever_was_chosen(pushtown: Pushtown):
    ada = await pushtown.member("ada")
    device = await pushtown.device(ada)
    everything = MailChanges(on=False, kinds=dict.fromkeys(Kind, False))
    await pushtown.town.do(
        lambda tx: members.change_mail_preferences(tx, ada, everything, pushtown.town.now)
    )
    event = Event(ada, "account.password_changed", pushtown.town.now, {})
    await pushtown.town.do(lambda tx: outbox.tell(tx, [event]))
    await pushtown.passes()

    (got,) = pushtown.service.got

    assert got.headers["Urgency"] == "high"
    assert pushtown.titles(device) == ["Your password was changed"]


# Whom nothing is told -------------------------------------------------------------------------------


async def _answers(t: Pushtown, ada: MemberId, grace: MemberId, letter: ConversationId) -> None:
    await t.town.acts(Respond(grace, letter, Outcome.DECLINED))


async def _withdraws(t: Pushtown, ada: MemberId, grace: MemberId, letter: ConversationId) -> None:
    await t.town.acts(Withdraw(ada, letter))


async def _reads(t: Pushtown, ada: MemberId, grace: MemberId, letter: ConversationId) -> None:
    thread = await t.town.look(lambda tx: inbox_store.one(tx, grace, letter))
    assert thread is not None
    message = thread.row.last_message_id
    assert message is not None
    await t.town.do(lambda tx: inbox.read(tx, grace, letter, up_to=message, now=t.town.now))


async def _blocks(t: Pushtown, ada: MemberId, grace: MemberId, letter: ConversationId) -> None:
    await t.town.do(lambda tx: network.block(tx, grace, ada, now=t.town.now))


async def _is_blocked(t: Pushtown, ada: MemberId, grace: MemberId, letter: ConversationId) -> None:
    await t.town.do(lambda tx: network.block(tx, ada, grace, now=t.town.now))


async def _leaves(t: Pushtown, ada: MemberId, grace: MemberId, letter: ConversationId) -> None:
    await t.town.do(lambda tx: closing.close(tx, grace, t.town.now, t.town.book))


async def _is_suspended(
    t: Pushtown, ada: MemberId, grace: MemberId, letter: ConversationId
) -> None:
    suspend = "update members set suspended_at = %s where id = %s"
    await t.town.do(lambda tx: tx.execute(suspend, (t.town.now, grace)))


async def _signs_out(t: Pushtown, ada: MemberId, grace: MemberId, letter: ConversationId) -> None:
    await t.town.do(lambda tx: accounts.sign_out_everywhere(tx, grace, t.town.now))


async def _forgets_it(t: Pushtown, ada: MemberId, grace: MemberId, letter: ConversationId) -> None:
    await t.town.do(
        lambda tx: tx.execute("update sessions set seen_at = now() - '31 days'::interval")
    )


async def _wants_none(t: Pushtown, ada: MemberId, grace: MemberId, letter: ConversationId) -> None:
    silent = MailChanges(kinds={Kind.INMAIL: False})
    await t.town.do(lambda tx: members.change_mail_preferences(tx, grace, silent, t.town.now))


async def _switches_off(
    t: Pushtown, ada: MemberId, grace: MemberId, letter: ConversationId
) -> None:
    async def off(tx: Tx) -> None:
        for member, session in await push.sessions_with(tx, [grace]):
            await push.drop(tx, member, session)

    await t.town.do(off)


GONE = [
    _answers,
    _withdraws,
    _reads,
    _blocks,
    _is_blocked,
    _leaves,
    _is_suspended,
    _signs_out,
    _forgets_it,
    _wants_none,
    _switches_off,
]


@pytest.mark.parametrize("gone", GONE, ids=lambda gone: gone.__name__.strip("_"))
async def test_nothing_is_told_where_the_reason_or_the_reader_is_gone(pushtown: Pushtown, gone):
    ada, grace, _ = await two(pushtown)
    letter = await sends(pushtown, ada, grace)

    await gone(pushtown, ada, grace, letter)
    await pushtown.passes()

    assert pushtown.service.got == []


async def test_who_signs_in_at_a_browser_after_another_gets_its_notices_alone(pushtown: Pushtown):
    ada, grace, device = await two(pushtown)
    sam = await pushtown.member("sam")
    taken_over = replace(device, member=sam, session=await pushtown.session(sam))
    await pushtown.shows(taken_over)

    await sends(pushtown, ada, grace)
    await pushtown.passes()

    assert pushtown.service.got == []


async def test_nothing_old_is_told(pushtown: Pushtown):
    ada, grace, device = await two(pushtown)
    pushtown.service.answers[f"/{device.session}"] = 503
    await sends(pushtown, ada, grace)
    await pushtown.passes()
    pushtown.service.got.clear()

    pushtown.town.pass_by(hours=25)
    await pushtown.town.do(lambda tx: installation.set_test_clock(tx, pushtown.town.now))
    await pushtown.real_time_passes(minutes=1)
    await pushtown.passes()

    assert pushtown.titles(device) == []
    assert await pushtown.rows("select from jobs where queue = 'push'") == []


# What services answer -------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [404, 410])
async def test_a_place_that_is_gone_is_forgotten(pushtown: Pushtown, status: int):
    ada, grace, device = await two(pushtown)
    pushtown.service.answers[f"/{device.session}"] = status
    await sends(pushtown, ada, grace)
    await pushtown.passes()

    assert len(pushtown.shown(device)) == 1
    assert await pushtown.rows("select from sessions where push_endpoint is not null") == []
    assert await pushtown.rows("select from jobs where queue = 'push'") == []


@pytest.mark.parametrize(
    ("status", "parked"), [(429, False), (500, False), (302, False), (403, True), (413, True)]
)
async def test_another_no_is_kept_for_later_or_for_the_operator(
    pushtown: Pushtown, status: int, parked: bool
):
    ada, grace, device = await two(pushtown)
    pushtown.service.answers[f"/{device.session}"] = status
    await sends(pushtown, ada, grace)
    await pushtown.passes()

    ((was_parked, why),) = await pushtown.rows(
        "select parked_at is not null, problem from jobs where queue = 'push'"
    )
    assert was_parked is parked
    assert why == f"The push service answered {status}."
    assert await pushtown.rows("select from sessions where push_endpoint is not null") != []


async def test_a_place_in_our_own_network_is_not_spoken_to_unless_it_is_allowed(pushtown: Pushtown):
    ada, grace, _ = await two(pushtown)
    pushtown.runner = runner_in(pushtown.town)
    await sends(pushtown, ada, grace)

    await pushtown.passes()

    assert pushtown.service.got == []


async def test_a_key_that_none_can_have_is_forgotten(pushtown: Pushtown):
    ada, grace, _ = await two(pushtown)
    beside = b"\x04" + b"\x01" * 64
    await pushtown.town.do(lambda tx: tx.execute("update sessions set push_key = %s", (beside,)))
    await sends(pushtown, ada, grace)

    await pushtown.passes()

    assert pushtown.service.got == []
    assert await pushtown.rows("select from sessions where push_endpoint is not null") == []


async def test_without_the_extra_nothing_is_planned(pushtown: Pushtown, monkeypatch):
    ada, grace, _ = await two(pushtown)
    monkeypatch.setattr("overture.push.encryption.find_spec", lambda name: None)
    pushtown.runner = runner_in(pushtown.town)

    await sends(pushtown, ada, grace)
    await pushtown.passes()

    assert pushtown.service.got == []
    assert await pushtown.rows("select from jobs where queue = 'push'") == []
