"""Endpoints are told of what happens: signed, in order, at least once, and none holds up another."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from itertools import count, pairwise

import msgspec
import pytest
from aiohttp import web

from overture.actions import closing, network, reports, webhooks
from overture.actions.webhook_events import SHAPES
from overture.actions.webhooks import Changes
from overture.clock import real_now
from overture.core.ids import ReportId
from overture.core.jobs import TRIES_MAX
from overture.core.refusals import Refusal
from overture.core.webhooks import EventType, secret_text
from overture.store import webhooks as store
from overture.store.db import all_rows
from overture.store.webhooks import Outcome
from overture.webhooks.delivery import AT_ONCE
from tests.cast import SIGN_UP
from tests.mail.town import html_of, mails_in, text_of
from tests.webhooks.conftest import Got, Receiver, Told, answering, hang, hang_up, receiving
from tests.work import runner_in

HOUR = timedelta(hours=1)


def ids_of(receiver: Receiver, kind: str) -> set[str]:
    """Which members events of this type concern; between members there is no order."""
    return {each["member_id"] for each in receiver.of(kind)}


async def pair(told: Told) -> tuple[str, str]:
    """Two who can write to each other, of whose coming everybody was told already."""
    ada = await told.town.member("ada", premium="premium_career")
    bo = await told.town.member("bo", premium="premium_career")
    await told.works()
    return ada, bo


# What is told ---------------------------------------------------------------------------------------


async def test_a_letter_and_its_answer_are_told_with_ids_and_no_words(told, receiver):
    await told.endpoint(receiver.url)
    ada, bo = await pair(told)
    receiver.got.clear()
    letter = await told.town.sends(ada, bo)
    await told.works()
    await told.town.accepts(bo, letter)
    await told.works()

    assert sorted(receiver.types) == [
        *("credits.changed", "credits.changed"),
        *("inmail.responded", "inmail.sent"),
    ]
    (sent,) = receiver.of("inmail.sent")
    assert sent.pop("message_id")
    assert sent == {"conversation_id": letter, "sender_id": ada, "recipient_id": bo}
    assert receiver.of("inmail.responded") == [
        {"conversation_id": letter, "sender_id": ada, "recipient_id": bo, "outcome": "accepted"}
    ]
    assert [each["balance"] for each in receiver.of("credits.changed")] == [4, 5]
    assert all(b"Hello" not in each.body and len(each.body) < 20_000 for each in receiver.got)


async def test_a_message_names_who_wrote_it_and_to_whom_whoever_began(told, receiver):
    ada, bo = await pair(told)
    letter = await told.town.sends(ada, bo)
    await told.town.accepts(bo, letter)
    await told.works()
    await told.endpoint(receiver.url, "message.*")

    assert await told.town.sends(ada, bo) == letter
    assert await told.town.sends(bo, ada) == letter
    await told.works()

    two = [(each["sender_id"], each["recipient_id"]) for each in receiver.of("message.sent")]
    assert two == [(ada, bo), (bo, ada)]


async def test_members_plans_reports_and_reminders_are_told(told, receiver):
    await told.endpoint(receiver.url)
    ada, bo = await pair(told)
    letter = await told.town.sends(ada, bo)
    await told.passes(hours=71)
    report = ReportId("01a206ae-50e2-768d-8c9c-477b24b2b656")
    await told.town.do(
        lambda tx: reports.report(
            tx,
            bo,
            report,
            member=ada,
            conversation=letter,
            reason=reports.Reason.SPAM,
            note="a secret note",
            now=told.town.now,
        )
    )
    await told.town.do(lambda tx: network.block(tx, bo, ada, told.town.now))
    await told.works()

    assert ids_of(receiver, "member.created") == {ada, bo}
    assert ids_of(receiver, "subscription.changed") == {ada, bo}
    assert {**receiver.of("subscription.changed")[0], "member_id": ada} == {
        "member_id": ada,
        "pool": "premium",
        "plan": "premium_career",
        "status": "active",
        "next_plan": None,
    }
    assert receiver.of("inmail.reminded") == [
        {"conversation_id": letter, "sender_id": ada, "recipient_id": bo}
    ]
    assert receiver.of("report.created") == [
        {"report_id": report, "reporter_id": bo, "member_id": ada, "conversation_id": letter}
    ]
    assert receiver.of("member.blocked") == [{"member_id": bo, "blocked_id": ada}]
    assert all(b"secret note" not in each.body for each in receiver.got)


async def test_a_closed_account_is_told_also_where_it_had_to_wait(told, receiver):
    await told.endpoint(receiver.url)
    ada, bo = await pair(told)
    letter = await told.town.sends(ada, bo)
    receiver.got.clear()
    receiver.behaves = answering(503)
    await told.works()
    await told.town.do(lambda tx: closing.close(tx, ada, told.town.now, told.town.book))
    await told.works()
    receiver.behaves = answering(200)
    receiver.got.clear()

    await told.works_again(hours=1)

    assert receiver.of("member.closed") == [{"member_id": ada}]
    assert [each["conversation_id"] for each in receiver.of("inmail.sent")] == [letter]
    assert [each["conversation_id"] for each in receiver.of("inmail.withdrawn")] == [letter]
    assert await told.waiting() == []


def test_every_type_has_a_shape_whose_fields_are_all_told():
    assert set(SHAPES) == {*EventType, "webhook.test"}
    for shape in SHAPES.values():
        assert all(each.required for each in msgspec.structs.fields(shape))


async def test_an_endpoint_is_told_of_what_it_wants_alone(told, receiver):
    async with receiving() as other:
        await told.endpoint(receiver.url, "inmail.sent", "member.*")
        await told.endpoint(other.url, "credits.changed")
        ada, bo = await pair(told)
        await told.town.sends(ada, bo)
        await told.works()

        assert receiver.types == ["member.created", "member.created", "inmail.sent"]
        assert set(other.types) == {"credits.changed"}


async def test_without_endpoints_nothing_is_made(told, receiver):
    ada, bo = await pair(told)
    await told.town.sends(ada, bo)
    await told.works()
    await told.endpoint(receiver.url)
    await told.works()

    assert receiver.got == []
    assert await told.waiting() == []


# Signatures -----------------------------------------------------------------------------------------


async def test_each_delivery_is_signed_with_its_endpoints_secret(told, receiver):
    endpoint = await told.endpoint(receiver.url)
    await told.town.member("ada")
    await told.works()

    (got,) = receiver.got
    assert got.verified_by(told.secrets[endpoint]) == {
        "type": "member.created",
        "timestamp": "2025-01-31T10:00:00Z",
        "data": got.told["data"],
    }
    assert got.headers["Content-Type"] == "application/json"
    assert got.headers["User-Agent"].startswith("Overture/")


async def test_while_secrets_overlap_both_verify_and_then_the_new_one_alone(told, receiver):
    endpoint = await told.endpoint(receiver.url)
    old, fresh = told.secrets[endpoint], secret_text(bytes(32))

    async def rotates(overlap: timedelta) -> None:
        await told.town.do(
            lambda tx: webhooks.rotate(
                tx, endpoint, fresh, overlap=overlap, real_now=real_now(), by=told.by()
            )
        )

    await rotates(HOUR)
    await told.town.member("ada")
    await told.works()
    (got,) = receiver.got
    assert got.verified_by(old) == got.verified_by(fresh)
    assert len(got.headers["webhook-signature"].split()) == 2

    await rotates(timedelta(0))
    await told.town.member("bo")
    await told.works()
    assert receiver.got[1].verified_by(fresh)
    with pytest.raises(Exception, match="signature"):
        receiver.got[1].verified_by(old)


# Failing --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "status", "problem"),
    [
        (answering(500), 500, "It answered 500."),
        (answering(404), 404, "It answered 404."),
        (answering(429), 429, "It answered 429."),
        (answering(304), 304, "It answered 304. Redirects are not followed."),
        (hang_up, None, "It ended the connection without an answer."),
    ],
)
async def test_what_is_not_taken_is_tried_again_under_the_same_id(
    told, receiver, behaviour, status, problem
):
    endpoint = await told.endpoint(receiver.url)
    receiver.behaves = behaviour
    await told.town.member("ada")
    await told.works()
    receiver.behaves = answering(200)

    await told.works_again(minutes=1)

    first, second = receiver.got
    assert first.id == second.id
    assert first.body == second.body
    assert second.verified_by(told.secrets[endpoint])
    taken, failed = [each.told for each in await told.log(endpoint)]
    assert (failed.outcome, failed.status, failed.problem) == (Outcome.FAILED, status, problem)
    assert (taken.outcome, taken.status, taken.problem) == (Outcome.DELIVERED, 200, None)
    assert (failed.tries, taken.tries) == (1, 2)
    assert failed.webhook_id == taken.webhook_id == first.id
    assert await told.waiting() == []


async def test_a_redirect_is_not_followed(told, receiver):
    async with receiving() as elsewhere:
        endpoint = await told.endpoint(receiver.url)
        receiver.behaves = answering(307, Location=elsewhere.url)
        await told.town.member("ada")
        await told.works()

        assert elsewhere.got == []
        assert (await told.log(endpoint))[0].told.status == 307


async def test_nobody_listening_is_a_failure_like_any_other(told, receiver):
    async with receiving() as gone:
        url = gone.url
    endpoint = await told.endpoint(url)
    await told.town.member("ada")
    await told.works()

    (tried,) = [each.told for each in await told.log(endpoint)]
    assert tried.problem == "It could not be connected to."
    assert tried.status is None


async def test_a_host_that_is_allowed_no_more_is_told_no_more(told, receiver):
    endpoint = await told.endpoint(receiver.url)
    told.runner = runner_in(told.town, webhook_allow_hosts=[])
    await told.town.member("ada")
    await told.works()

    assert receiver.got == []
    (tried,) = [each.told for each in await told.log(endpoint)]
    assert tried.problem.startswith("Webhooks go by https alone")


async def test_who_does_not_answer_in_time_is_tried_again(told, receiver, monkeypatch):
    monkeypatch.setattr("overture.outward.SECONDS", 0.2)
    endpoint = await told.endpoint(receiver.url)
    receiver.behaves = hang
    await told.town.member("ada")
    await told.works()

    (tried,) = [each.told for each in await told.log(endpoint)]
    assert tried.problem.startswith("It did not answer within")


async def test_a_body_without_end_is_not_read(told, receiver):
    async def pour(got: Got, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(1 << 16))

    endpoint = await told.endpoint(receiver.url)
    receiver.behaves = pour
    await told.town.member("ada")
    await told.works()

    assert (await told.log(endpoint))[0].told.outcome is Outcome.DELIVERED


async def test_what_fails_ten_times_is_given_up_until_an_operator_says_so(told, receiver):
    endpoint = await told.endpoint(receiver.url)
    receiver.behaves = answering(500)
    await told.town.member("ada")
    await told.works()
    # As long as the waits may become: 10 seconds, four times longer each time, up to a day.
    for minutes in (1, 1, 4, 15, 60, 240, 840, 1740, 1740, 1740):
        await told.works_again(minutes=minutes)

    assert len(receiver.got) == TRIES_MAX
    (_, tries, parked, problem) = (await told.waiting())[0]
    assert (tries, parked, problem) == (TRIES_MAX, True, "It answered 500.")
    newest, *before = await told.log(endpoint)
    assert newest.told.outcome is Outcome.GIVEN_UP
    assert {each.told.outcome for each in before} == {Outcome.FAILED}

    receiver.behaves = answering(200)
    told.runner._rests.clear()
    queued = await told.town.do(
        lambda tx: webhooks.replay_one(tx, endpoint, newest.number, by=told.by())
    )
    await told.works()
    assert queued == receiver.got[-1].id == receiver.got[0].id
    assert await told.waiting() == []


# Order and isolation --------------------------------------------------------------------------------


async def test_a_members_events_come_in_their_order_and_nobody_elses_wait(told, receiver):
    await told.endpoint(receiver.url, "member.*")
    ada, bo = await pair(told)
    receiver.got.clear()
    stuck = True

    async def behave(got: Got, request: web.Request) -> web.StreamResponse:
        mine = got.told["data"]["member_id"] == ada
        return web.Response(status=500 if mine and stuck else 200)

    receiver.behaves = behave
    for other in (ada, bo):
        for verb in (network.block, network.unblock, network.block):
            third = bo if other == ada else ada
            await told.town.do(lambda tx, v=verb, o=other, t=third: v(tx, o, t, told.town.now))
    await told.works()

    bos = [each.type for each in receiver.got if each.told["data"]["member_id"] == bo]
    assert bos == ["member.blocked", "member.unblocked", "member.blocked"]
    adas = [each.type for each in receiver.got if each.told["data"]["member_id"] == ada]
    assert adas == ["member.blocked"]

    stuck = False
    receiver.got.clear()
    await told.works_again(minutes=1)
    assert receiver.types == ["member.blocked", "member.unblocked", "member.blocked"]


async def test_many_members_events_arrive_whole_and_each_ones_in_order(told, receiver):
    await told.endpoint(receiver.url, "member.*")
    members = [await told.town.member(f"member-{number}") for number in range(30)]
    turns = {"even": 0}

    async def behave(got: Got, request: web.Request) -> web.StreamResponse:
        turns["even"] += 1
        await asyncio.sleep(0.001 * (turns["even"] % 5))
        return web.Response(status=500 if turns["even"] % 3 == 0 else 200)

    receiver.behaves = behave
    for _ in range(2):
        for one, other in pairwise(members):
            await told.town.do(lambda tx, o=one, t=other: network.block(tx, o, t, told.town.now))
            await told.town.do(lambda tx, o=one, t=other: network.unblock(tx, o, t, told.town.now))
    for _ in range(60):
        await told.works_again(days=2)
        if not await told.waiting():
            break

    assert await told.waiting() == []
    for member in members[:-1]:
        mine = [each for each in receiver.got if each.told["data"]["member_id"] == member]
        once = list(dict.fromkeys((each.id, each.type) for each in mine))
        assert [kind for _, kind in once] == [
            "member.created",
            *["member.blocked", "member.unblocked"] * 2,
        ]


async def test_an_endpoint_that_hangs_delays_no_other(told, receiver):
    async with receiving() as dead:
        dead.behaves = hang
        await told.endpoint(dead.url)
        await told.endpoint(receiver.url)
        for number in range(30):
            await told.town.member(f"member-{number}")
        running = asyncio.create_task(told.runner.run())
        try:
            async with asyncio.timeout(30):
                while len(receiver.got) < 30:
                    receiver.arrived.clear()
                    await receiver.arrived.wait()
            assert 1 <= len(dead.got) <= AT_ONCE
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


# Disabling ------------------------------------------------------------------------------------------


async def test_who_answers_gone_is_disabled_and_what_waits_goes_out_once_enabled(told, receiver):
    endpoint = await told.endpoint(receiver.url)
    receiver.behaves = answering(410)
    ada = await told.town.member("ada")
    await told.works()
    receiver.behaves = answering(200)
    await told.works_again(hours=1)
    assert len(receiver.got) == 1

    known = await told.known(endpoint)
    assert known.disabled_at is not None
    assert known.disabled_why == "It answered 410 Gone: it wants no more."
    actor, action, detail = (await told.audited())[-1]
    assert (actor, action) == ("overture", "webhook.disabled")
    assert json.loads(detail) == {"endpoint_id": endpoint, "why": known.disabled_why}
    # While it is disabled, nothing is made for it.
    await told.town.member("bo")
    await told.works()
    assert len(await told.waiting()) == 1

    await _enable(told, endpoint)
    await told.works()
    assert [each.told["data"] for each in receiver.got[1:]] == [{"member_id": ada}]
    assert (await told.known(endpoint)).disabled_why is None


async def test_days_of_failure_disable_an_endpoint_and_one_success_begins_anew(told, receiver):
    endpoint = await told.endpoint(receiver.url)
    receiver.behaves = answering(500)

    numbers = count()

    async def days_fail(days: int) -> None:
        for _ in range(days):
            await told.town.member(f"member-{next(numbers)}")
            await told.works_again(days=1)

    await days_fail(4)
    assert (await told.known(endpoint)).disabled_at is None
    receiver.behaves = answering(200)
    await told.works_again(days=1)
    assert (await told.known(endpoint)).failing_since is None

    receiver.behaves = answering(500)
    await days_fail(5)
    assert (await told.known(endpoint)).disabled_at is None
    await days_fail(1)
    known = await told.known(endpoint)
    assert known.disabled_at is not None
    assert known.disabled_why == "Nothing could be delivered to it for 5 days."


async def test_the_operator_is_written_to_when_an_endpoint_disables_itself(
    told, receiver, tmp_path
):
    told.runner = runner_in(told.town, tmp_path, operator_email="ops@example.org")
    endpoint = await told.endpoint(receiver.url + "?key=a-secret-of-the-receivers")
    receiver.behaves = answering(410)
    await told.town.member("ada")
    await told.works()

    (mail,) = mails_in(tmp_path)
    assert mail["To"] == "ops@example.org"
    assert mail["Subject"] == "An endpoint of webhooks was disabled"
    text = text_of(mail)
    assert "It answered 410 Gone: it wants no more." in text
    assert receiver.url in text
    assert endpoint in text
    for each in (text, html_of(mail)):
        assert "a-secret-of-the-receivers" not in each
        assert told.secrets[endpoint] not in each


async def test_nobody_is_written_to_without_an_address_nor_where_an_operator_was_quicker(
    told, receiver, tmp_path
):
    told.runner = runner_in(told.town, tmp_path)
    await told.endpoint(receiver.url)
    receiver.behaves = answering(410)
    await told.town.member("ada")
    await told.works()
    assert mails_in(tmp_path) == []

    told.runner = runner_in(told.town, tmp_path, operator_email="ops@example.org")
    other = await told.endpoint(receiver.url)
    disabled = told.runner.queues

    async def without_mail() -> dict[str, object]:
        return {n: q for n, q in (await disabled()).items() if n != "mail:operator"}

    told.runner.queues = without_mail
    await told.town.member("bo")
    await told.works()
    assert (await told.known(other)).disabled_at is not None
    await _enable(told, other)
    receiver.behaves = answering(200)
    told.runner.queues = disabled
    await told.works()
    assert mails_in(tmp_path) == []


async def test_one_failure_long_after_another_disables_nothing(told, receiver):
    endpoint = await told.endpoint(receiver.url)
    receiver.behaves = answering(500)
    await told.town.member("ada")
    await told.works()
    await told.town.do(lambda tx: tx.execute("delete from jobs"))

    await told.real_time_passes(days=30)
    await told.town.member("bo")
    await told.works()

    known = await told.known(endpoint)
    assert known.disabled_at is None
    assert known.failing_since is not None
    assert real_now() - known.failing_since < HOUR


async def test_a_deleted_endpoint_leaves_nothing_behind(told, receiver, monkeypatch):
    monkeypatch.setattr("overture.actions.webhooks._DROPPED_AT_ONCE", 1)
    endpoint = await told.endpoint(receiver.url)
    receiver.behaves = answering(500)
    for name in ("ada", "bo", "cleo"):
        await told.town.member(name)
    await told.works()
    await told.works_again(hours=1)
    assert len(await told.waiting()) == 3
    assert len(await told.log(endpoint)) == 6

    receiver.got.clear()
    assert await told.town.do(lambda tx: webhooks.delete(tx, endpoint, by=told.by())) is None
    await told.town.member("dora")
    await told.works_again(hours=1)

    assert receiver.got == []
    assert await told.waiting() == []
    rows = await told.town.look(lambda tx: all_rows(tx, "select from webhook_deliveries"))
    assert rows == []
    gone = await told.town.do(lambda tx: webhooks.delete(tx, endpoint, by=told.by()))
    assert gone is Refusal.NO_SUCH_ENDPOINT


async def test_what_was_tried_a_month_ago_is_dropped_from_the_log(told, receiver):
    endpoint = await told.endpoint(receiver.url)
    await told.town.member("ada")
    await told.works()
    await told.real_time_passes(days=29)
    await told.town.member("bo")
    await told.works()

    await told.town.do(lambda tx: store.forget_old(tx, timedelta(days=30)))
    assert len(await told.log(endpoint)) == 2
    await told.real_time_passes(days=2)
    await told.town.do(lambda tx: store.forget_old(tx, timedelta(days=30)))
    assert len(await told.log(endpoint)) == 1


# Replaying ------------------------------------------------------------------------------------------


async def test_a_span_is_delivered_again_in_order_under_the_same_ids(told, receiver):
    endpoint = await told.endpoint(receiver.url, "member.*")
    ada, bo = await pair(told)
    receiver.got.clear()
    for verb in (network.block, network.unblock) * 3:
        await told.town.do(lambda tx, v=verb: v(tx, ada, bo, told.town.now))
        await told.passes(hours=1)
    first = list(receiver.got)
    receiver.got.clear()

    await _replay(told, endpoint, SIGN_UP + HOUR, SIGN_UP + 4 * HOUR)
    await told.works()

    assert [each.id for each in receiver.got] == [each.id for each in first[1:5]]
    assert [each.body for each in receiver.got] == [each.body for each in first[1:5]]
    assert await told.waiting() == []


async def test_a_span_brings_what_was_missed_and_hurries_what_waits(told, receiver):
    endpoint = await told.endpoint(receiver.url)
    receiver.behaves = answering(500)
    ada = await told.town.member("ada")
    await told.works()
    await _enable(told, endpoint, on=False)
    bo = await told.town.member("bo")
    await told.works()
    await _enable(told, endpoint)
    receiver.behaves = answering(200)
    receiver.got.clear()
    told.runner._rests.clear()

    await _replay(told, endpoint, SIGN_UP, told.town.now)
    await told.works()

    assert ids_of(receiver, "member.created") == {ada, bo}


async def test_a_long_span_is_replayed_in_parts(told, receiver, monkeypatch):
    monkeypatch.setattr("overture.actions.webhooks._CHUNK", 7)
    endpoint = await told.endpoint(receiver.url, "member.created")
    for number in range(40):
        await told.town.member(f"member-{number}")
    await told.works()
    first = [each.id for each in receiver.got]
    receiver.got.clear()

    await _replay(told, endpoint, SIGN_UP, told.town.now)
    await told.works()

    assert sorted(each.id for each in receiver.got) == sorted(first)


async def test_a_test_arrives_whatever_the_endpoint_wants(told, receiver):
    endpoint = await told.endpoint(receiver.url, "report.created")
    a_test = "01a206ae-50e2-768d-8c9c-477b24b2b656"
    await told.town.do(lambda tx: webhooks.test(tx, endpoint, a_test, by=told.by()))
    await told.works()

    (got,) = receiver.got
    assert got.told["type"] == "webhook.test"
    assert got.told["data"] == {"endpoint_id": endpoint}
    assert got.verified_by(told.secrets[endpoint])
    (delivery,) = await told.log(endpoint)
    assert delivery.told.member is None
    again = await told.town.do(
        lambda tx: webhooks.replay_one(tx, endpoint, delivery.number, by=told.by())
    )
    await told.works()
    assert again == receiver.got[1].id == got.id == a_test


async def _enable(told: Told, endpoint, *, on: bool = True) -> None:
    changed = await told.town.do(
        lambda tx: webhooks.change(
            tx,
            endpoint,
            Changes(enabled=on),
            allowed_hosts={"127.0.0.1"},
            real_now=real_now(),
            by=told.by(),
        )
    )
    assert (changed.disabled_at is None) == on


async def _replay(told: Told, endpoint, since, until) -> None:
    refused = await told.town.do(
        lambda tx: webhooks.replay_span(
            tx, endpoint, "replay-1", since=since, until=until, by=told.by()
        )
    )
    assert refused is None
