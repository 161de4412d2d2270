"""Reports, decisions, suspensions, complaints over HTTP: what each side reads, what is refused."""

from __future__ import annotations

from datetime import timedelta
from io import BytesIO
from typing import Any
from zipfile import ZipFile

import httpx
import pytest

from overture import ids
from overture.api.app import operations
from tests.api.conftest import Caller, Site
from tests.cast import SIGN_UP

WHY = "You sent the same advertisement to forty strangers. Our terms, 4: no advertising."
OWN = ("/me/premium", "/me/ledger", "/conversations?box=sent")
ANSWER = "Thank you. We have seen what you reported and acted on it."


@pytest.fixture
async def ada(site: Site) -> Caller:
    return await site.member("ada", premium="premium_career")


@pytest.fixture
async def grace(site: Site) -> Caller:
    return await site.member("grace", premium="premium_career")


async def reported(site: Site, ada: Caller, grace: Caller) -> tuple[str, str]:
    """Grace reports a letter of Ada's: the report and the conversation."""
    sent = (await ada.writes(grace, "Buy my book", subject="A book")).json()["conversation"]["id"]
    said = {"member_id": ada.id, "conversation_id": sent, "reason": "spam", "note": "Again."}
    made = await grace.post("/reports", said)
    assert made.status_code == 201, made.text
    return made.json()["id"], sent


async def suspends(site: Site, member: Caller) -> dict[str, Any]:
    made = await site.operator.post(
        "/operator/suspensions", {"member_id": member.id, "statement": WHY}
    )
    assert made.status_code == 201, made.text
    return made.json()


def no(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


# Suspension -------------------------------------------------------------------------------------


async def test_a_suspended_member_reads_why_complains_and_leaves_and_nothing_else(site, ada, grace):
    token = await site.token(ada)
    made = await suspends(site, ada)

    for caller in (ada, token):
        for method, path in (
            ("GET", "/me"),
            ("GET", "/conversations"),
            ("GET", "/plans"),
            ("GET", "/events"),
            ("POST", "/conversations"),
            ("PATCH", "/me"),
        ):
            assert no(await caller.call(method, path)) == (403, "suspended"), (method, path)
    told = (await token.get("/me/decisions")).json()["items"]
    assert told == [made]
    assert (told[0]["measure"], told[0]["ground"], told[0]["statement"]) == (
        "suspension",
        "terms",
        WHY,
    )
    assert (told[0]["after_report"], told[0]["complaint"]) == (False, None)
    assert told[0]["complain_until"] == "2025-07-31T10:00:00Z"
    packed = await token.get("/me/export")
    assert WHY in ZipFile(BytesIO(packed.content)).read("decisions.json").decode()
    said = {"about": "decision", "id": made["id"], "text": "It was not me."}
    assert (await token.post("/me/complaints", said)).status_code == 201
    assert (await token.delete("/me")).status_code == 204
    assert no(await token.get("/me/decisions")) == (401, "unauthorized")
    # Nothing of what was written about them is left.
    listed = (await site.operator.get("/operator/complaints")).json()["items"]
    assert listed[0]["complaint"]["text"] == ""


def test_what_a_suspended_member_may_do_stands_here():
    assert {f"{each.method} {each.path}" for each in operations() if each.while_suspended} == {
        "GET /me/export",
        "DELETE /me",
        "GET /me/decisions",
        "GET /me/reports",
        "POST /me/complaints",
    }


async def test_a_lifted_suspension_leaves_everything_as_it_was(site, ada, grace):
    await ada.writes(grace)
    before = [
        (await ada.get(path)).json()
        for path in ("/me/premium", "/me/ledger", "/conversations?box=sent")
    ]
    made = await suspends(site, ada)
    lift = f"/operator/suspensions/{ada.id}/lift"

    listed = (await site.operator.get("/operator/suspensions")).json()["items"]
    assert [each["member_id"] for each in listed] == [ada.id]
    lifted = await site.operator.post(lift, {"statement": "We were wrong."})

    assert (lifted.status_code, lifted.json()["measure"]) == (200, "lifted")
    after = [
        (await ada.get(path)).json()
        for path in ("/me/premium", "/me/ledger", "/conversations?box=sent")
    ]
    assert after == before
    assert (await site.operator.get("/operator/suspensions")).json()["items"] == []
    assert no(await site.operator.post(lift, {"statement": "Again."})) == (409, "not_suspended")
    again = {"about": "decision", "id": lifted.json()["id"], "text": "Why so late?"}
    assert no(await ada.post("/me/complaints", again)) == (404, "no_such_decision")
    assert (await ada.get("/me/decisions")).json()["items"] == [lifted.json(), made]


async def test_a_suspended_member_is_not_found_and_not_reached(site, ada, grace):
    await suspends(site, ada)

    assert (await grace.get("/members?q=ada")).json()["items"] == []
    told = (await grace.get(f"/members/{ada.id}/contact")).json()
    assert (told["allowed"], told["code"]) == (False, "recipient_unavailable")
    assert no(await grace.writes(ada)) == (403, "recipient_unavailable")
    # As of one who takes no InMail.
    alan = await site.member("alan", premium="premium_career")
    await alan.patch("/me/preferences", {"accept_inmail": False})
    assert (await grace.get(f"/members/{alan.id}/contact")).json() == told


async def test_only_the_operator_suspends_and_says_why(site, ada, grace):
    said = {"member_id": grace.id, "statement": WHY}

    assert no(await ada.post("/operator/suspensions", said)) == (403, "operator_only")
    blank = said | {"statement": " "}
    assert no(await site.operator.post("/operator/suspensions", blank)) == (422, "invalid")
    unknown = said | {"member_id": ids.new()}
    assert no(await site.operator.post("/operator/suspensions", unknown)) == (404, "no_such_member")
    await suspends(site, grace)
    assert no(await site.operator.post("/operator/suspensions", said)) == (409, "already_suspended")


# Reports ----------------------------------------------------------------------------------------


async def test_the_operator_sees_what_was_reported_as_it_looked_then(site, ada, grace):
    report, sent = await reported(site, ada, grace)
    await grace.post(f"/conversations/{sent}/accept")
    await grace.post(f"/conversations/{sent}/messages", {"body": "What Grace wrote"})
    await ada.patch("/me", {"headline": "Nothing happened here"})

    found = await site.operator.get(f"/operator/reports/{report}")

    case = found.json()
    assert case["snapshot"]["handle"] == "ada"
    assert case["snapshot"]["headline"] == ""
    assert case["snapshot"]["subject"] == "A book"
    assert [each["body"] for each in case["snapshot"]["messages"]] == ["Buy my book"]
    assert (case["open_reports"], case["reporters"], case["suspended"]) == (1, 1, False)
    assert case["report"]["note"] == "Again."
    unknown = await site.operator.get(f"/operator/reports/{ids.new()}")
    assert no(unknown) == (404, "no_such_report")
    assert no(await site.operator.get("/operator/reports/x")) == (404, "no_such_report")


async def test_both_sides_are_told_of_a_decision_each_its_own(site, ada, grace):
    report, _ = await reported(site, ada, grace)
    waiting = (await grace.get("/me/reports")).json()["items"]
    assert [(each["acted"], each["decided_at"]) for each in waiting] == [(None, None)]

    decided = await site.operator.post(
        f"/operator/reports/{report}/decide",
        {"measure": "warning", "answer": ANSWER, "statement": WHY, "ground": "law"},
    )

    assert decided.status_code == 200, decided.text
    (hers,) = (await grace.get("/me/reports")).json()["items"]
    assert (hers["acted"], hers["answer"]) == (True, ANSWER)
    assert hers["complain_until"] == "2025-07-31T10:00:00Z"
    (his,) = (await ada.get("/me/decisions")).json()["items"]
    assert (his["measure"], his["ground"], his["statement"]) == ("warning", "law", WHY)
    assert his["after_report"] is True
    # Neither reads the other's, and the member never who reported.
    assert WHY not in (await grace.get("/me/reports")).text
    assert grace.id not in (await ada.get("/me/decisions")).text
    assert (await ada.get("/me")).status_code == 200
    again = {"measure": "none", "answer": "No."}
    assert no(await site.operator.post(f"/operator/reports/{report}/decide", again)) == (
        409,
        "already_decided",
    )


async def test_a_report_on_which_nothing_is_done_is_told_to_its_reporter_alone(site, ada, grace):
    report, _ = await reported(site, ada, grace)

    await site.operator.post(
        f"/operator/reports/{report}/decide",
        {"measure": "none", "answer": "A letter of this kind is allowed."},
    )

    (hers,) = (await grace.get("/me/reports")).json()["items"]
    assert (hers["acted"], hers["answer"]) == (False, "A letter of this kind is allowed.")
    assert (await ada.get("/me/decisions")).json()["items"] == []
    listed = (await site.operator.get("/operator/reports?state=open")).json()["items"]
    decided = (await site.operator.get("/operator/reports?state=decided")).json()["items"]
    assert (listed, [each["id"] for each in decided]) == ([], [report])


async def test_a_report_can_suspend_and_a_second_one_adds_nothing_to_it(site, ada, grace):
    report, _ = await reported(site, ada, grace)
    alan = await site.member("alan", premium="premium_career")
    second = (await alan.post("/reports", {"member_id": ada.id, "reason": "spam"})).json()["id"]
    case = (await site.operator.get(f"/operator/reports/{second}")).json()
    assert (case["open_reports"], case["reporters"]) == (2, 2)
    said = {"measure": "suspension", "answer": ANSWER, "statement": WHY}

    for each in (report, second):
        decided = await site.operator.post(f"/operator/reports/{each}/decide", said)
        assert decided.status_code == 200, decided.text

    assert no(await ada.get("/me")) == (403, "suspended")
    assert len((await ada.get("/me/decisions")).json()["items"]) == 1
    assert (await alan.get("/me/reports")).json()["items"][0]["acted"] is True


async def test_a_measure_needs_its_reasons(site, ada, grace):
    report, _ = await reported(site, ada, grace)
    decide = f"/operator/reports/{report}/decide"

    for said in (
        {"measure": "warning", "answer": ANSWER},
        {"measure": "none", "answer": " "},
        {"measure": "lifted", "answer": ANSWER},
    ):
        assert (await site.operator.post(decide, said)).status_code in {400, 422}
    assert no(await grace.post(decide, {"measure": "none", "answer": "No."})) == (
        403,
        "operator_only",
    )


# Complaints -------------------------------------------------------------------------------------


async def test_a_complaint_that_is_right_lifts_the_suspension(site, ada):
    made = await suspends(site, ada)
    said = {"about": "decision", "id": made["id"], "text": "It was not me."}
    complained = await ada.post("/me/complaints", said, headers={"Idempotency-Key": "one"})
    assert complained.status_code == 201
    assert no(await ada.post("/me/complaints", said)) == (409, "already_complained")
    (listed,) = (await site.operator.get("/operator/complaints?state=open")).json()["items"]
    assert (listed["member_id"], listed["complaint"]["text"]) == (ada.id, "It was not me.")

    answer = f"/operator/complaints/{complained.json()['id']}/answer"
    said = {"verdict": "reversed", "answer": "You are right, and we are sorry."}
    answered = await site.operator.post(answer, said)

    assert answered.status_code == 200, answered.text
    assert (await ada.get("/me")).status_code == 200
    lifted, suspended = (await ada.get("/me/decisions")).json()["items"]
    assert (lifted["measure"], lifted["statement"]) == ("lifted", said["answer"])
    assert suspended["complaint"]["verdict"] == "reversed"
    assert suspended["complaint"]["answer"] == said["answer"]
    assert no(await site.operator.post(answer, said)) == (409, "already_decided")
    assert (await site.operator.get("/operator/complaints?state=open")).json()["items"] == []


async def test_a_complaint_that_is_not_right_changes_nothing(site, ada):
    made = await suspends(site, ada)
    said = {"about": "decision", "id": made["id"], "text": "It was not me."}
    complained = (await ada.post("/me/complaints", said)).json()

    said = {"verdict": "stands", "answer": "It was."}
    await site.operator.post(f"/operator/complaints/{complained['id']}/answer", said)

    assert no(await ada.get("/me")) == (403, "suspended")
    (told,) = (await ada.get("/me/decisions")).json()["items"]
    assert (told["complaint"]["verdict"], told["complaint"]["answer"]) == ("stands", "It was.")


async def test_a_complaint_of_an_earlier_suspension_does_not_lift_a_later_one(site, ada):
    first = await suspends(site, ada)
    said = {"about": "decision", "id": first["id"], "text": "It was not me."}
    complained = (await ada.post("/me/complaints", said)).json()
    await site.operator.post(f"/operator/suspensions/{ada.id}/lift", {"statement": "Enough."})
    await site.days_pass(1)
    await suspends(site, ada)

    said = {"verdict": "reversed", "answer": "The first time you were right."}
    await site.operator.post(f"/operator/complaints/{complained['id']}/answer", said)

    assert no(await ada.get("/me")) == (403, "suspended")


async def test_a_reporter_who_is_right_has_the_report_decided_anew(site, ada, grace):
    report, _ = await reported(site, ada, grace)
    complaint = {"about": "report", "id": report, "text": "Read it again."}
    assert no(await grace.post("/me/complaints", complaint)) == (409, "not_decided_yet")
    decide = f"/operator/reports/{report}/decide"
    await site.operator.post(decide, {"measure": "none", "answer": "It is allowed."})
    assert no(await ada.post("/me/complaints", complaint)) == (404, "no_such_report")
    made = (await grace.post("/me/complaints", complaint)).json()

    said = {"verdict": "reversed", "answer": "We will."}
    await site.operator.post(f"/operator/complaints/{made['id']}/answer", said)

    (hers,) = (await grace.get("/me/reports")).json()["items"]
    assert (hers["acted"], hers["complaint"]["verdict"]) == (None, "reversed")
    again = await site.operator.post(
        decide, {"measure": "warning", "answer": ANSWER, "statement": WHY}
    )
    assert again.status_code == 200


async def test_after_six_months_it_is_too_late_to_complain(site, ada):
    made = await suspends(site, ada)
    await site.clock(SIGN_UP + timedelta(days=182))
    said = {"about": "decision", "id": made["id"], "text": "It was not me."}

    assert no(await ada.post("/me/complaints", said)) == (409, "too_late_to_complain")


async def test_every_act_of_the_operator_stands_in_the_audit_log_without_its_words(
    site, ada, grace
):
    report, _ = await reported(site, ada, grace)
    await site.operator.post(
        f"/operator/reports/{report}/decide",
        {"measure": "suspension", "answer": ANSWER, "statement": WHY},
    )
    await site.operator.post(f"/operator/suspensions/{ada.id}/lift", {"statement": "Enough."})

    log = await site.operator.get("/operator/audit")

    told = [(each["action"], each["member_id"]) for each in log.json()["items"][:2]]
    assert told == [("member.reinstated", ada.id), ("report.decided", ada.id)]
    assert "advertisement" not in log.text
