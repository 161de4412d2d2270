"""Writing to members over HTTP: every no beside the yes from which only its cause differs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest

from overture import ids
from overture.actions import members, network
from tests.api.conftest import Caller, Site
from tests.cast import SIGN_UP


@pytest.fixture
async def ada(site: Site) -> Caller:
    """She pays."""
    return await site.member("ada", premium="premium_career")


@pytest.fixture
async def grace(site: Site) -> Caller:
    """She may be written to."""
    return await site.member("grace", premium="premium_career")


async def prefers(site: Site, who: Caller, **preferences: bool) -> None:
    changes = members.PreferenceChanges(**preferences)
    await site.town.do(lambda tx: members.change_preferences(tx, who.id, changes, site.town.now))


async def connect(site: Site, one: Caller, other: Caller) -> None:
    await site.town.do(lambda tx: network.upsert_pairs(tx, [(one.id, other.id)], site.town.now))


async def contact(who: Caller, to: Caller | str, **query: str) -> dict[str, Any]:
    to_id = to if isinstance(to, str) else to.id
    answer = await who.get(f"/members/{to_id}/contact", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def assert_no(answer: httpx.Response, status: int, code: str, **more: Any) -> None:
    """A no: its status, code and the preview's fields."""
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code), answer.text
    assert problem["status"] == status
    assert problem["type"]
    assert problem["title"]
    assert problem["detail"]
    for name, value in more.items():
        assert problem[name] == value, name


async def test_an_inmail_costs_a_credit_and_waits(site, ada, grace):
    answer = await ada.writes(grace, "Hello Grace", subject="Compilers")

    assert answer.status_code == 201, answer.text
    assert answer.headers["content-type"] == "application/json"
    written = answer.json()
    assert written["charge"] == {"pool": "premium", "credits": 1, "balance": 4}
    assert written["message"] == {
        "id": written["message"]["id"],
        "conversation_id": written["conversation"]["id"],
        "number": 1,
        "sender_id": ada.id,
        "body": "Hello Grace",
        "sent_at": "2025-01-31T10:00:00Z",
        "quick_reply": None,
        "edited_at": None,
        "deleted_at": None,
        "attachments": [],
    }
    assert written["conversation"] == {
        "id": written["conversation"]["id"],
        "subject": "Compilers",
        "kind": "inmail",
        "state": "pending",
        "with": {"id": grace.id, "handle": "grace", "name": "Grace"},
        "last_message": {
            "id": written["message"]["id"],
            "sender_id": ada.id,
            "body": "Hello Grace",
            "sent_at": "2025-01-31T10:00:00Z",
        },
        "unread": 0,
        "pending_since": "2025-01-31T10:00:00Z",
        "credits": 1,
        "expires_refund_at": "2025-05-01T10:00:00Z",
        "last_activity_at": "2025-01-31T10:00:00Z",
    }


async def test_the_preview_tells_what_the_send_then_does(site, ada, grace):
    assert await contact(ada, grace) == {
        "allowed": True,
        "channel": "inmail",
        "credits": 1,
        "pool": "premium",
        "balance": 5,
        "code": None,
        "remedy": None,
    }

    assert (await ada.writes(grace)).json()["charge"]["credits"] == 1

    assert await contact(ada, grace) == {
        "allowed": False,
        "channel": None,
        "credits": 0,
        "pool": None,
        "balance": None,
        "code": "pending_inmail",
        "remedy": {"kind": "none"},
    }


# The ladder of "Who may write to whom" ----------------------------------------------------------


async def test_nobody_writes_to_themselves(site, ada, grace):
    assert_no(await ada.writes(ada), 403, "no_such_member", allowed=False, credits=0)
    assert (await contact(ada, ada))["code"] == "no_such_member"

    assert (await ada.writes(grace)).status_code == 201


async def test_nobody_writes_to_an_id_that_nobody_has(site, ada, grace):
    stranger = ids.new()
    answer = await ada.post("/conversations", {"to": stranger, "body": "Hello"})
    assert_no(answer, 404, "no_such_member", allowed=False)
    assert_no(await ada.get(f"/members/{stranger}/contact"), 404, "no_such_member")

    assert (await ada.writes(grace)).status_code == 201


async def test_who_has_blocked_must_unblock_to_write(site, ada, grace):
    await site.town.do(lambda tx: network.block(tx, ada.id, grace.id, site.town.now))
    refused = await ada.writes(grace)
    assert_no(refused, 403, "you_blocked", remedy={"kind": "unblock"}, allowed=False)

    await site.town.do(lambda tx: network.unblock(tx, ada.id, grace.id, site.town.now))
    assert (await ada.writes(grace)).status_code == 201


async def test_writing_to_whoever_waits_for_an_answer_is_the_answer(site, ada, grace):
    sent = (await ada.writes(grace)).json()
    assert (await contact(grace, ada))["channel"] == "message"

    answered = (await grace.writes(ada, "With pleasure")).json()

    assert answered["conversation"]["id"] == sent["conversation"]["id"]
    assert answered["conversation"]["state"] == "accepted"
    assert answered["charge"] == {"pool": None, "credits": 0, "balance": None}
    assert (await contact(ada, grace))["channel"] == "message"


async def test_connections_write_freely_into_one_conversation(site, ada, grace):
    await connect(site, ada, grace)

    first, second = await ada.writes(grace), await grace.writes(ada)

    assert first.json()["conversation"]["kind"] == "direct"
    assert first.json()["conversation"]["state"] == "open"
    assert first.json()["charge"] == {"pool": None, "credits": 0, "balance": None}
    assert second.status_code == 201
    assert second.json()["conversation"]["id"] == first.json()["conversation"]["id"]


async def test_a_second_inmail_waits_for_the_answer_to_the_first(site, ada, grace):
    first = (await ada.writes(grace)).json()["conversation"]["id"]
    assert_no(await ada.writes(grace), 409, "pending_inmail", allowed=False, channel=None)
    on = await ada.post(f"/conversations/{first}/messages", {"body": "And?"})
    assert_no(on, 409, "pending_inmail")

    assert (await grace.post(f"/conversations/{first}/decline")).status_code == 200
    again = await ada.writes(grace)
    assert again.status_code == 201
    assert again.json()["conversation"]["id"] != first


async def test_the_unavailable_cannot_be_told_apart(site, ada, grace):
    opted_out, blocking, closed = [
        await site.member(handle, premium="premium_career") for handle in ("joan", "mary", "ruth")
    ]
    await prefers(site, opted_out, accept_inmail=False)
    await site.town.do(lambda tx: network.block(tx, blocking.id, ada.id, site.town.now))
    assert (await closed.delete("/me")).status_code == 204

    problems = [(await ada.writes(each)) for each in (opted_out, blocking, closed)]

    for problem in problems:
        assert_no(problem, 403, "recipient_unavailable", remedy={"kind": "none"})
    assert len({problem.text for problem in problems}) == 1
    assert (await ada.writes(grace)).status_code == 201


async def test_open_profiles_are_free_until_the_day_is_full(site, grace):
    basic = await site.member("basil")
    await prefers(site, grace, open_profile=True)
    for number in range(24):
        other = await site.member(f"open-{number}", premium="premium_career")
        await prefers(site, other, open_profile=True)
        assert (await basic.writes(other)).status_code == 201
    assert (await contact(basic, grace))["channel"] == "open_profile"
    last = await site.member("last", premium="premium_career")
    await prefers(site, last, open_profile=True)
    assert (await basic.writes(grace)).json()["charge"]["credits"] == 0

    wait = {"kind": "wait", "at": "2025-02-01T10:00:00Z"}
    assert_no(await basic.writes(last), 403, "open_profile_limit", remedy=wait)

    await site.clock(SIGN_UP + timedelta(hours=24))
    assert (await basic.writes(last)).status_code == 201


async def test_who_has_no_premium_receives_no_inmail(site, ada, grace):
    basic = await site.member("basil")
    assert_no(await ada.writes(basic), 403, "recipient_not_premium", remedy={"kind": "none"})

    assert (await ada.writes(grace)).status_code == 201


async def test_who_has_no_plan_is_shown_the_plans(site, ada, grace):
    basic = await site.member("basil")
    plans = ["premium_career", "premium_business", "sales_navigator_core", "recruiter_lite"]
    refused = await basic.writes(grace)
    assert_no(refused, 403, "not_premium", remedy={"kind": "plans", "plans": plans}, credits=1)
    other_pool = await ada.writes(grace, pool="recruiter")
    one_plan = {"kind": "plans", "plans": ["recruiter_lite"]}
    assert_no(other_pool, 403, "not_premium", remedy=one_plan, pool="recruiter")

    assert (await ada.writes(grace, pool="premium")).status_code == 201


async def test_an_empty_pool_waits_for_its_next_grant(site, ada, grace):
    for number in range(5):
        other = await site.member(f"other-{number}", premium="premium_career")
        assert (await ada.writes(other)).status_code == 201

    wait = {"kind": "wait", "at": "2025-02-28T10:00:00Z"}
    refused = await ada.writes(grace)
    assert_no(refused, 402, "no_credits", remedy=wait, pool="premium", balance=0, credits=1)

    await site.clock(SIGN_UP + timedelta(days=28))
    assert (await ada.writes(grace)).json()["charge"]["balance"] == 4


async def test_nobody_pays_more_than_they_allow(site, ada, grace):
    refused = await ada.writes(grace, max_credits=0)
    assert_no(refused, 402, "price_exceeds_max", credits=1, pool="premium", balance=5)

    assert (await ada.writes(grace, max_credits=1)).status_code == 201


async def test_a_declined_conversation_is_closed_to_the_sender_alone(site, ada, grace):
    one = (await ada.writes(grace)).json()["conversation"]["id"]
    await grace.post(f"/conversations/{one}/decline")
    refused = await ada.post(f"/conversations/{one}/messages", {"body": "Why?"})
    assert_no(refused, 403, "conversation_closed")

    reopened = await grace.post(f"/conversations/{one}/messages", {"body": "After all"})
    assert reopened.json()["conversation"]["state"] == "accepted"
    answer = await ada.post(f"/conversations/{one}/messages", {"body": "Good"})
    assert answer.status_code == 201


# Responses --------------------------------------------------------------------------------------


async def test_the_first_response_counts(site, ada, grace):
    one = (await ada.writes(grace)).json()["conversation"]["id"]
    accepted = await grace.post(f"/conversations/{one}/accept")
    assert accepted.status_code == 200
    assert accepted.json()["state"] == "accepted"

    again = await grace.post(f"/conversations/{one}/accept")
    assert again.status_code == 200
    assert again.json()["state"] == "accepted"
    contrary = await grace.post(f"/conversations/{one}/decline")
    assert_no(contrary, 409, "already_answered")
    late = await ada.post(f"/conversations/{one}/withdraw")
    assert_no(late, 409, "already_answered")


async def test_a_quick_reply_answers_with_its_own_text_and_outcome(site, ada, grace):
    replies = (await grace.get("/quick-replies")).json()
    assert replies == {
        "items": [
            {"id": "interested", "text": "Interested, tell me more", "outcome": "accepted"},
            {"id": "maybe_later", "text": "Maybe later", "outcome": "accepted"},
            {"id": "no_thanks", "text": "No thanks", "outcome": "declined"},
        ],
        "next": None,
    }
    one = (await ada.writes(grace)).json()["conversation"]["id"]

    answer = await grace.post(f"/conversations/{one}/messages", {"quick_reply": "no_thanks"})

    assert answer.status_code == 201
    assert answer.json()["message"]["body"] == "No thanks"
    assert answer.json()["message"]["quick_reply"] == "no_thanks"
    assert answer.json()["conversation"]["state"] == "declined"
    again = await grace.post(f"/conversations/{one}/messages", {"quick_reply": "no_thanks"})
    assert (again.status_code, again.json()["message"]) == (200, None)
    contrary = await grace.post(f"/conversations/{one}/messages", {"quick_reply": "interested"})
    assert_no(contrary, 409, "already_answered")


async def test_a_quick_reply_keeps_its_outcome_when_its_text_is_edited(site, ada, grace):
    one = (await ada.writes(grace)).json()["conversation"]["id"]
    edited = {"quick_reply": "no_thanks", "body": "Not now, but thank you"}

    answer = (await grace.post(f"/conversations/{one}/messages", edited)).json()

    assert answer["message"]["body"] == "Not now, but thank you"
    assert answer["conversation"]["state"] == "declined"


async def test_a_quick_reply_that_the_policy_does_not_have_is_refused(site, ada, grace):
    one = (await ada.writes(grace)).json()["conversation"]["id"]
    answer = await grace.post(f"/conversations/{one}/messages", {"quick_reply": "shout"})
    assert_no(answer, 422, "unknown_quick_reply")
    assert answer.json()["errors"][0]["field"] == "quick_reply"


async def test_decline_and_do_not_contact_again(site, ada, grace):
    one = (await ada.writes(grace)).json()["conversation"]["id"]

    declined = await grace.post(f"/conversations/{one}/decline", {"block": True})

    assert declined.json()["state"] == "declined"
    assert_no(await ada.writes(grace), 403, "recipient_unavailable")
    assert (await contact(grace, ada))["code"] == "you_blocked"


async def test_a_withdrawn_inmail_shows_its_recipient_nothing(site, ada, grace):
    sent = (await ada.writes(grace, "Secret", subject="Secret")).json()["conversation"]["id"]
    refused = await grace.post(f"/conversations/{sent}/withdraw")
    assert_no(refused, 403, "not_the_sender")

    withdrawn = await ada.post(f"/conversations/{sent}/withdraw")

    assert withdrawn.json()["state"] == "withdrawn"
    assert withdrawn.json()["subject"] == "Secret"
    assert (await ada.post(f"/conversations/{sent}/withdraw")).status_code == 200
    assert_no(await grace.post(f"/conversations/{sent}/accept"), 409, "not_pending")
    assert_no(await ada.writes(grace), 409, "pending_inmail")


async def test_the_sender_cannot_answer_for_the_recipient(site, ada, grace):
    one = (await ada.writes(grace)).json()["conversation"]["id"]
    assert_no(await ada.post(f"/conversations/{one}/accept"), 403, "not_the_recipient")

    assert (await grace.post(f"/conversations/{one}/accept")).status_code == 200


async def test_somebody_elses_conversation_is_as_absent_as_none(site, ada, grace):
    one = (await ada.writes(grace)).json()["conversation"]["id"]
    eve = await site.member("eve", premium="premium_career")
    calls = (
        ("messages", {"body": "Hello"}),
        ("messages", {"quick_reply": "interested"}),
        ("accept", {}),
        ("decline", {"block": True}),
        ("withdraw", {}),
    )
    for verb, body in calls:
        answers = [
            await eve.post(f"/conversations/{conversation}/{verb}", body)
            for conversation in (one, ids.new(), "no-uuid")
        ]
        for answer in answers:
            assert_no(answer, 404, "no_such_conversation")
        assert len({answer.text for answer in answers}) == 1
    assert (await grace.post(f"/conversations/{one}/accept")).status_code == 200


# Texts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("body", "a" * 2000, "a" * 2001),
        ("body", "\U0001f600" * 2000, "\U0001f600" * 2001),
        ("body", "e\u0301" * 2000, "e\u0301" * 2001),
        ("body", "a\r\n" * 1000, "a\r\n" * 1001),
        ("body", "tab\tand\nline", "bell\a"),
        ("body", ".", " \n\t "),
        ("body", "\u202eshown isolated", "\x85"),
        ("subject", "s" * 200, "s" * 201),
        ("subject", "one line", "two\nlines"),
        ("subject", "plain", "\u202eover"),
        ("subject", "", "\u2066isolate"),
    ],
)
async def test_texts_have_limits(ada, grace, field, good, bad):
    refused = await ada.writes(grace, **{"body": "Hello", field: bad})
    assert_no(refused, 422, "invalid")
    assert [error["field"] for error in refused.json()["errors"]] == [field]

    assert (await ada.writes(grace, **{"body": "Hello", field: good})).status_code == 201


async def test_texts_are_stored_normalised(site, ada, grace):
    sent = (await ada.writes(grace, "Re\u0301sume\u0301\r\nline\rend")).json()
    assert sent["message"]["body"] == "Résumé\nline\nend"


async def test_a_text_or_a_quick_reply_is_needed(site, ada, grace):
    one = (await ada.writes(grace)).json()["conversation"]["id"]
    for body in ({}, {"body": None}, {"body": None, "quick_reply": None}):
        refused = await grace.post(f"/conversations/{one}/messages", body)
        assert_no(refused, 422, "invalid")
        assert refused.json()["errors"][0]["field"] == "body"


async def test_a_pool_that_the_policy_does_not_have_is_refused(site, ada, grace):
    refused = await ada.writes(grace, pool="gold")
    assert_no(refused, 422, "unknown_pool")
    assert refused.json()["errors"][0]["field"] == "pool"
    preview = await ada.get(f"/members/{grace.id}/contact", params={"pool": "gold"})
    assert_no(preview, 422, "unknown_pool")

    assert (await contact(ada, grace, pool="premium"))["allowed"] is True
