"""Members, the network, tokens and reports over HTTP: shapes, statuses and who may."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import httpx
import pytest

from overture import ids
from tests.api.conftest import Caller, Site


@pytest.fixture
async def ada(site: Site) -> Caller:
    return await site.member("ada", premium="premium_career")


@pytest.fixture
async def bob(site: Site) -> Caller:
    return await site.member("bob")


def said(answer: httpx.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


def assert_no(answer: httpx.Response, status: int, code: str, field: str | None = None) -> None:
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code), answer.text
    if field is not None:
        assert field in [error["field"] for error in problem["errors"]]


# Members


async def test_the_operator_makes_a_member(site):
    new = {
        "handle": "ada",
        "name": "Ada Lovelace",
        "email": "ada@example.org",
        "headline": "Analyst",
        "company": "Engines",
        "location": "London",
        "time_zone": "Europe/London",
        "external_id": "42",
    }

    made = said(await site.operator.post("/members", new), 201)

    assert {name: made[name] for name in new} == new
    assert {
        name: made[name] for name in ("premium", "open_profile", "claimed", "relation", "blocked")
    } == {
        "premium": False,
        "open_profile": False,
        "claimed": True,
        "relation": "none",
        "blocked": False,
    }
    assert said(await site.operator.get("/members/ada")) == made
    assert_no(await site.operator.post("/members", new), 409, "handle_taken")
    other = new | {"handle": "bob"}
    assert_no(await site.operator.post("/members", other), 409, "external_id_taken")


async def test_only_the_operator_makes_members_and_connects_them(site, ada):
    new = {"handle": "eve", "name": "Eve"}

    assert_no(await ada.post("/members", new), 403, "operator_only")
    assert_no(await ada.put("/connections", {"pairs": []}), 403, "operator_only")
    assert_no(await (await site.token(ada)).post("/members", new), 403, "operator_only")
    assert said(await site.operator.post("/members", new), 201)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("handle", "Ada"),
        ("handle", "ada\n"),
        ("handle", 5),
        ("handle", None),
        ("name", ""),
        ("name", "x" * 101),
        ("name", "a\u202eb"),
        ("name", "a\0b"),
        ("email", "nobody"),
        ("time_zone", "Mars"),
        ("time_zone", "x" * 65),
        ("headline", "a\nb"),
        ("external_id", "x" * 201),
        ("unheard_of", 1),
    ],
)
async def test_a_field_that_cannot_be_taken_is_named(site, field, value):
    body = {"handle": "ada", "name": "Ada"} | {field: value}

    assert_no(await site.operator.post("/members", body), 422, "invalid", field)


async def test_a_profile_by_id_and_by_handle_without_what_is_private(site, ada, bob):
    by_id = said(await bob.get(f"/members/{ada.id}"))

    assert by_id == said(await bob.get("/members/ada"))
    assert (by_id["premium"], by_id["relation"], by_id["shared_connections"]) == (True, "none", 0)
    assert not {"email", "time_zone", "external_id"} & by_id.keys()
    for unknown in (ids.new(), "nobody", "ADA", "%27", "x" * 300):
        assert_no(await bob.get(f"/members/{unknown}"), 404, "no_such_member")


async def test_members_are_found_and_paged(site, ada, bob):
    found = said(await bob.get("/members", params={"q": "ad"}))
    assert [item["handle"] for item in found["items"]] == ["ada"]
    assert found["next"] is None

    first = said(await site.operator.get("/members", params={"limit": 1}))
    rest = said(await site.operator.get("/members", params={"cursor": first["next"]}))
    assert [item["handle"] for item in first["items"] + rest["items"]] == ["bob", "ada"]

    assert_no(await bob.get("/members", params={"cursor": "x"}), 422, "invalid", "cursor")
    with_q = {"q": "ad", "cursor": first["next"]}
    assert_no(await bob.get("/members", params=with_q), 422, "invalid", "cursor")
    assert_no(await bob.get("/members", params={"q": "x" * 5000}), 422, "invalid", "q")
    assert_no(await bob.get("/members", params={"limit": 101}), 422, "invalid", "limit")
    for q in ("%", "_", "😀", "'", "\\", "a"):
        said(await bob.get("/members", params={"q": q}))


async def test_members_say_something_about_themselves(site, ada, bob):
    written = "I count.\r\n\r\nOn paper. "

    assert said(await ada.patch("/me", {"about": written}))["about"] == "I count.\n\nOn paper."
    assert said(await bob.get("/members/ada"))["about"] == "I count.\n\nOn paper."
    assert said(await ada.patch("/me", {"about": ""}))["about"] == ""
    assert_no(await ada.patch("/me", {"about": "x" * 2001}), 422, "invalid", "about")
    assert_no(await ada.patch("/me", {"about": "a\0b"}), 422, "invalid", "about")


async def test_ones_own_profile_changes_where_something_is_given(site, ada):
    before = said(await ada.get("/me"))
    assert (before["relation"], before["email"], before["time_zone"]) == ("self", None, "UTC")

    after = said(await ada.patch("/me", {"headline": "Analyst", "email": "ada@example.org"}))
    assert after == before | {"headline": "Analyst", "email": "ada@example.org"}
    assert said(await ada.patch("/me", {"email": None})) == before | {"headline": "Analyst"}
    assert said(await ada.patch("/me", {})) == said(await ada.get("/me"))
    assert_no(await ada.patch("/me", {"name": None}), 422, "invalid", "name")
    assert_no(await ada.patch("/me", {"premium": True}), 422, "invalid", "premium")
    assert_no(await ada.patch("/me", {"external_id": "7"}), 422, "invalid", "external_id")


async def test_a_handle_that_is_taken_is_a_conflict(site, ada, bob):
    assert_no(await ada.patch("/me", {"handle": "bob"}), 409, "handle_taken")
    assert said(await ada.patch("/me", {"handle": "augusta"}))["handle"] == "augusta"


async def test_preferences_are_the_documented_five(site, ada):
    before = said(await ada.get("/me/preferences"))

    assert before == {
        "accept_inmail": True,
        "open_profile": False,
        "receipts_and_typing": True,
        "email_notifications": True,
        "time_zone": "UTC",
    }
    changes = {"accept_inmail": False, "time_zone": "Asia/Tokyo"}
    assert said(await ada.patch("/me/preferences", changes)) == before | changes
    assert said(await ada.get("/me/preferences")) == before | changes
    no = await ada.patch("/me/preferences", {"time_zone": "Mars"})
    assert_no(no, 422, "invalid", "time_zone")
    no = await ada.patch("/me/preferences", {"accept_inmail": "yes"})
    assert_no(no, 422, "invalid", "accept_inmail")


async def test_what_comes_by_mail_is_chosen_beside_the_documented_five(site, ada):
    before = said(await ada.get("/me/preferences/email"))
    kinds = ("inmail", "answers", "messages", "network", "credits", "plans")

    assert before == {"email_notifications": True, "daily_digest": False} | dict.fromkeys(
        kinds, True
    )
    changes = {"daily_digest": True, "messages": False}
    assert said(await ada.patch("/me/preferences/email", changes)) == before | changes
    assert said(await ada.patch("/me/preferences/email", {"messages": True}))["daily_digest"]
    assert said(await ada.patch("/me/preferences", {"email_notifications": False}))
    assert not said(await ada.get("/me/preferences/email"))["email_notifications"]
    no = await ada.patch("/me/preferences/email", {"security": False})
    assert_no(no, 422, "invalid", "security")


async def test_what_needs_a_member_asks_for_one(site, ada):
    for path in ("/me", "/me/preferences", "/connections", "/blocks"):
        assert_no(await site.operator.get(path), 400, "act_as_required")
        said(await ada.get(path))
    for path in ("/members", f"/members/{ada.id}"):
        said(await site.operator.get(path))


# The network


async def test_an_invitation_is_sent_seen_and_accepted(site, ada, bob):
    invitation = {"member_id": bob.id, "note": "Hello"}

    sent = said(await ada.post("/connections", invitation), 201)

    assert sent == {
        "id": sent["id"],
        "member": {
            "id": bob.id,
            "handle": "bob",
            "name": "Bob",
            "headline": "",
            "company": "",
            "premium": False,
        },
        "note": "Hello",
        "state": "pending",
        "sent_at": "2025-01-31T10:00:00Z",
    }
    (waiting,) = said(await bob.get("/connections", params={"state": "received"}))["items"]
    assert (waiting["id"], waiting["member"]["id"], waiting["state"]) == (
        sent["id"],
        ada.id,
        "received",
    )
    assert len(said(await ada.get("/connections", params={"state": "sent"}))["items"]) == 1
    assert_no(await ada.post("/connections", invitation), 409, "already_invited")
    accept = f"/connections/{sent['id']}/accept"
    assert_no(await ada.post(accept), 404, "no_such_invitation")
    for _ in range(2):
        assert said(await bob.post(accept))["state"] == "accepted"
    (connection,) = said(await ada.get("/connections"))["items"]
    assert (connection["member"]["id"], connection["since"]) == (bob.id, "2025-01-31T10:00:00Z")
    assert_no(await ada.post("/connections", invitation), 409, "already_connected")
    assert said(await ada.get("/members/bob"))["relation"] == "connection"


async def test_inviting_back_accepts(site, ada, bob):
    sent = said(await ada.post("/connections", {"member_id": bob.id}), 201)

    back = said(await bob.post("/connections", {"member_id": ada.id}), 201)

    assert (back["id"], back["state"]) == (sent["id"], "accepted")


async def test_an_invitation_is_declined(site, ada, bob):
    sent = said(await ada.post("/connections", {"member_id": bob.id}), 201)

    for _ in range(2):
        assert said(await bob.post(f"/connections/{sent['id']}/decline"))["state"] == "declined"

    assert said(await ada.get("/connections", params={"state": "sent"}))["items"] == []
    assert_no(await bob.post(f"/connections/{sent['id']}/accept"), 404, "no_such_invitation")


async def test_who_cannot_be_invited(site, ada, bob):
    for member_id, status, code in (
        (ids.new(), 404, "no_such_member"),
        (ada.id, 422, "cannot_be_yourself"),
        ("x", 422, "invalid"),
    ):
        assert_no(await ada.post("/connections", {"member_id": member_id}), status, code)
    said(await ada.put(f"/blocks/{bob.id}"), 204)
    assert_no(await ada.post("/connections", {"member_id": bob.id}), 403, "you_blocked")
    long_note = {"member_id": bob.id, "note": "x" * 301}
    assert_no(await ada.post("/connections", long_note), 422, "invalid", "note")


async def test_a_connection_ends_as_often_as_one_asks(site, ada, bob):
    await site.operator.put("/connections", {"pairs": [[ada.id, bob.id]]})

    for _ in range(2):
        said(await ada.delete(f"/connections/{bob.id}"), 204)

    assert said(await bob.get("/connections"))["items"] == []
    for unknown in (ids.new(), "x"):
        assert_no(await ada.delete(f"/connections/{unknown}"), 404, "no_such_member")


async def test_pairs_are_connected_in_bulk(site, ada, bob):
    pairs = {"pairs": [[ada.id, bob.id], [bob.id, ada.id]]}

    assert said(await site.operator.put("/connections", pairs)) == {"connected": 1, "new": 1}
    assert said(await site.operator.put("/connections", pairs)) == {"connected": 1, "new": 0}

    stranger = ids.new()
    no = await site.operator.put("/connections", {"pairs": [[ada.id, stranger]]})
    assert_no(no, 422, "invalid", "pairs")
    assert stranger in no.text
    for wrong in ([[ada.id]], [[ada.id, "x"]], [ada.id], None, [[ada.id, ada.id]]):
        no = await site.operator.put("/connections", {"pairs": wrong})
        assert no.status_code == 422, no.text


async def test_ten_thousand_pairs_go_in_one_call(site, ada):
    names = [f"member-{number}" for number in range(150)]
    members = [ada.id, *[await site.town.member(name) for name in names]]
    pairs = [[one, other] for one in members for other in members if one < other][:10_000]

    answer = await site.operator.put("/connections", {"pairs": pairs})

    assert said(answer) == {"connected": 10_000, "new": 10_000}
    too_many = {"pairs": [*pairs, pairs[0]]}
    assert_no(await site.operator.put("/connections", too_many), 422, "invalid", "pairs")


async def test_blocks_are_put_listed_and_taken_away(site, ada, bob):
    for _ in range(2):
        said(await ada.put(f"/blocks/{bob.id}"), 204)

    (block,) = said(await ada.get("/blocks"))["items"]
    assert (block["member"]["handle"], block["at"]) == ("bob", "2025-01-31T10:00:00Z")
    assert said(await ada.get("/members/bob"))["blocked"]
    assert not said(await bob.get("/members/ada"))["blocked"]
    for _ in range(2):
        said(await ada.delete(f"/blocks/{bob.id}"), 204)
    assert said(await ada.get("/blocks"))["items"] == []
    assert_no(await ada.put(f"/blocks/{ada.id}"), 422, "cannot_be_yourself")
    assert_no(await ada.put(f"/blocks/{ids.new()}"), 404, "no_such_member")


# Reports, tokens, the audit log


async def test_a_report_reaches_the_operator(site, ada, bob):
    about = {"member_id": bob.id, "reason": "spam", "note": "Sells things"}

    made = said(await ada.post("/reports", about), 201)

    (listed,) = said(await site.operator.get("/operator/reports"))["items"]
    waits = {"measure": None, "answer": "", "decided_at": None}
    assert listed == made | {"reporter_id": ada.id} | waits
    assert_no(await ada.post("/reports", about | {"reason": "dull"}), 422, "invalid", "reason")
    unknown = about | {"conversation_id": ids.new()}
    assert_no(await ada.post("/reports", unknown), 404, "no_such_conversation")
    assert_no(await ada.get("/operator/reports"), 403, "operator_only")


async def test_a_token_is_issued_works_and_is_shown_once(site, ada):
    wanted = {"member_id": ada.id, "scopes": ["read"], "label": "laptop"}
    key = {"Idempotency-Key": "k"}

    issued = said(await site.operator.post("/operator/tokens", wanted, headers=key), 201)
    again = said(await site.operator.post("/operator/tokens", wanted, headers=key), 201)

    assert issued["token"].startswith("ovt_")
    assert again == issued | {"token": None}
    bearer = Caller(site.http, issued["token"])
    assert said(await bearer.get("/me"))["id"] == ada.id
    assert_no(await bearer.patch("/me", {"name": "A"}), 403, "insufficient_scope")
    (entry,) = said(await site.operator.get("/operator/audit"))["items"]
    assert (entry["action"], entry["member_id"], entry["detail"]["token_id"]) == (
        "token.issued",
        ada.id,
        issued["id"],
    )
    assert issued["token"] not in str(entry)


async def test_a_token_needs_a_member_a_scope_and_a_future(site, ada):
    wanted: dict[str, Any] = {"member_id": ada.id}
    real = datetime.now(UTC)

    for more, field in (
        ({"scopes": []}, "scopes"),
        ({"scopes": ["admin"]}, "scopes"),
        ({"expires_at": (real - timedelta(days=1)).isoformat()}, "expires_at"),
        ({"expires_at": "0001-01-01T00:00:00+23:59"}, "expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-23:59"}, "expires_at"),
        ({"expires_at": "2099-01-01T00:00:00"}, "expires_at"),
        ({"label": "x" * 101}, "label"),
    ):
        answer = await site.operator.post("/operator/tokens", wanted | more)
        assert answer.status_code == 422, answer.text
        assert answer.json()["errors"][0]["field"].startswith(field)
    unknown = {"member_id": ids.new()}
    assert_no(await site.operator.post("/operator/tokens", unknown), 404, "no_such_member")
    elsewhere = timezone(timedelta(hours=2))
    lasting = wanted | {"expires_at": (real + timedelta(days=1)).astimezone(elsewhere).isoformat()}
    issued = said(await site.operator.post("/operator/tokens", lasting), 201)
    assert issued["scopes"] == ["read", "write"]
    assert issued["expires_at"].endswith("Z")
    assert datetime.fromisoformat(issued["expires_at"]) == real + timedelta(days=1)
    assert_no(await ada.post("/operator/tokens", wanted), 403, "operator_only")
