"""The operator's endpoints of webhooks: kept, tested, looked into, replayed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.conftest import Site
from tests.cast import SIGN_UP
from tests.webhooks.conftest import Receiver, answering, receiving

NOBODY = "01a206ae-50e2-768d-8c9c-477b24b2b656"


@pytest.fixture
async def receiver():
    async with receiving() as made:
        yield made


async def added(site: Site, url: str, **more: Any) -> dict[str, Any]:
    answer = await site.operator.post("/operator/webhooks", {"url": url, **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def works(site: Site) -> None:
    await site.clock(site.town.now)


async def log(site: Site, endpoint: str, **query: Any) -> list[dict[str, Any]]:
    answer = await site.operator.get(f"/operator/webhooks/{endpoint}/deliveries", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def test_an_endpoint_is_added_shown_changed_and_deleted(site: Site):
    made = await added(site, "https://example.org/hooks", events=["message.*", "inmail.sent"])
    endpoint, secret = made["endpoint"], made["secret"]
    path = f"/operator/webhooks/{endpoint['id']}"

    assert secret.startswith("whsec_")
    assert endpoint == {
        "id": endpoint["id"],
        "url": "https://example.org/hooks",
        "events": ["message.*", "inmail.sent"],
        "description": "",
        "created_at": "2025-01-31T10:00:00Z",
        "enabled": True,
        "disabled_at": None,
        "disabled_why": None,
        "failing_since": None,
    }
    assert (await site.operator.get(path)).json() == endpoint
    assert (await site.operator.get("/operator/webhooks")).json()["items"] == [endpoint]

    changed = await site.operator.patch(path, {"description": "The host site", "enabled": False})
    assert changed.status_code == 200
    assert changed.json()["enabled"] is False
    assert changed.json()["url"] == endpoint["url"]
    enabled = await site.operator.patch(path, {"enabled": True, "events": ["*"]})
    assert (enabled.json()["disabled_at"], enabled.json()["events"]) == (None, ["*"])

    assert (await site.operator.delete(path)).status_code == 204
    for method, more in (("GET", ""), ("DELETE", ""), ("PATCH", ""), ("GET", "/deliveries")):
        again = await site.operator.call(
            method, path + more, json={} if method == "PATCH" else None
        )
        assert (again.status_code, again.json()["code"]) == (404, "no_such_endpoint")


async def test_endpoints_are_listed_the_newest_first_by_pages(site: Site):
    made = [(await added(site, f"https://{n}.example.org"))["endpoint"]["id"] for n in "abc"]

    first = (await site.operator.get("/operator/webhooks", params={"limit": 2})).json()
    rest = await site.operator.get("/operator/webhooks", params={"cursor": first["next"]})

    assert [each["id"] for each in first["items"]] == [made[2], made[1]]
    assert [each["id"] for each in rest.json()["items"]] == [made[0]]
    assert rest.json()["next"] is None


async def test_a_secret_is_shown_once_and_stands_nowhere_else(site: Site):
    key = {"Idempotency-Key": "endpoint-1"}
    body = {"url": "https://example.org/hooks"}
    first = await site.operator.post("/operator/webhooks", body, headers=key)
    again = await site.operator.post("/operator/webhooks", body, headers=key)
    endpoint, secret = first.json()["endpoint"], first.json()["secret"]
    path = f"/operator/webhooks/{endpoint['id']}"
    rotated = await site.operator.post(f"{path}/secret", {}, headers=key)

    assert again.json() == {"endpoint": endpoint, "secret": None}
    assert rotated.json()["endpoint"] == endpoint
    secrets = {secret, rotated.json()["secret"]}
    assert len(secrets) == 2
    for told in (
        await site.operator.get(path),
        await site.operator.get("/operator/webhooks"),
        await site.operator.patch(path, {"description": "again"}),
        await site.operator.get("/operator/audit"),
        await site.operator.post(f"{path}/secret", {}, headers=key),
    ):
        assert told.status_code == 200
        assert not any(each.removeprefix("whsec_") in told.text for each in secrets)


async def test_deliveries_are_logged_and_can_be_repeated(site: Site, receiver: Receiver):
    endpoint = (await added(site, receiver.url, events=["member.created"]))["endpoint"]["id"]
    receiver.behaves = answering(500)
    ada = await site.member("ada")
    await works(site)
    receiver.behaves = answering(200)
    bo = await site.member("bo")
    await works(site)

    taken, failed = await log(site, endpoint)
    assert (
        failed.items()
        >= {
            "member_id": ada.id,
            "type": "member.created",
            "tries": 1,
            "outcome": "failed",
            "status": 500,
            "problem": "It answered 500.",
        }.items()
    )
    assert taken.items() >= {"member_id": bo.id, "outcome": "delivered", "problem": None}.items()
    assert taken["webhook_id"] == receiver.got[1].id
    now = datetime.now(UTC)
    assert timedelta(0) <= now - datetime.fromisoformat(taken["at"]) < timedelta(minutes=5)
    assert await log(site, endpoint, outcome="failed") == [failed]
    assert await log(site, endpoint, outcome="delivered") == [taken]
    assert await log(site, endpoint, outcome="given_up") == []
    first = await site.operator.get(
        f"/operator/webhooks/{endpoint}/deliveries", params={"limit": 1}
    )
    assert first.json()["items"] == [taken]
    assert await log(site, endpoint, cursor=first.json()["next"]) == [failed]

    path = f"/operator/webhooks/{endpoint}/deliveries"
    again = await site.operator.post(f"{path}/{failed['id']}/replay")
    assert (again.status_code, again.json()) == (202, {"webhook_id": failed["webhook_id"]})
    await works(site)
    assert (await log(site, endpoint))[0].items() >= {
        "webhook_id": failed["webhook_id"],
        "outcome": "delivered",
        "tries": 1,
    }.items()


async def test_a_time_is_delivered_again(site: Site, receiver: Receiver):
    await site.member("ada")
    await site.days_pass(1)
    bo = await site.member("bo")
    endpoint = (await added(site, receiver.url))["endpoint"]["id"]
    await works(site)
    receiver.got.clear()

    since = SIGN_UP + timedelta(hours=1)
    path = f"/operator/webhooks/{endpoint}/replay"
    answer = await site.operator.post(path, {"since": since.isoformat()})
    assert (answer.status_code, answer.json()) == (
        202,
        {"since": "2025-01-31T11:00:00Z", "until": "2025-02-01T10:00:00Z"},
    )
    await works(site)

    assert receiver.of("member.created") == [{"member_id": bo.id}]


async def test_a_test_is_sent_on_the_way_of_all_others(site: Site, receiver: Receiver):
    made = await added(site, receiver.url, events=["report.created"])
    endpoint = made["endpoint"]["id"]
    answer = await site.operator.post(f"/operator/webhooks/{endpoint}/test")
    await works(site)

    (got,) = receiver.got
    assert (answer.status_code, answer.json()) == (202, {"webhook_id": got.id})
    assert got.verified_by(made["secret"])["type"] == "webhook.test"
    (delivery,) = await log(site, endpoint)
    assert (delivery["type"], delivery["member_id"]) == ("webhook.test", None)


async def test_a_disabled_endpoint_takes_neither_tests_nor_replays(site: Site, receiver: Receiver):
    endpoint = (await added(site, receiver.url))["endpoint"]["id"]
    path = f"/operator/webhooks/{endpoint}"
    await site.member("ada")
    await works(site)
    (delivery,) = await log(site, endpoint)
    await site.operator.patch(path, {"enabled": False})

    for call, body in (
        ("/test", {}),
        ("/replay", {"since": "2025-01-01T00:00:00Z"}),
        (f"/deliveries/{delivery['id']}/replay", {}),
    ):
        refused = await site.operator.post(path + call, body)
        assert (refused.status_code, refused.json()["code"]) == (409, "endpoint_disabled")
    await site.operator.patch(path, {"enabled": True})
    assert (await site.operator.post(f"{path}/test")).status_code == 202


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "url"),
        ({"url": 7}, "url"),
        ({"url": "http://example.org/"}, "url"),
        ({"url": "https://127.0.0.2/"}, "url"),
        ({"url": "https://[::ffff:127.0.0.1]/"}, "url"),
        ({"url": "https://localhost/"}, "url"),
        ({"url": "https://user:word@example.org/"}, "url"),
        ({"url": "https://example.org/", "events": []}, "events"),
        ({"url": "https://example.org/", "events": ["inmail.lost"]}, "events"),
        ({"url": "https://example.org/", "events": ["**"]}, "events"),
        ({"url": "https://example.org/", "events": "*"}, "events"),
        ({"url": "https://example.org/", "description": "x" * 201}, "description"),
        ({"url": "https://example.org/", "description": "a\nb"}, "description"),
        ({"url": "https://example.org/", "secret": "whsec_mine"}, "secret"),
        ({"url": "https://example.org/", "enabled": True}, "enabled"),
    ],
)
async def test_what_cannot_be_an_endpoint_names_its_field(site: Site, body, field):
    refused = await site.operator.post("/operator/webhooks", body)

    assert (refused.status_code, refused.json()["code"]) == (422, "invalid")
    assert [each["field"] for each in refused.json()["errors"]] == [field]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("secret", {"overlap_seconds": -1}, "overlap_seconds"),
        ("secret", {"overlap_seconds": 7 * 24 * 60 * 60 + 1}, "overlap_seconds"),
        ("replay", {}, "since"),
        ("replay", {"since": "2025-01-31T10:00:00"}, "since"),
        ("replay", {"since": "2025-01-31T10:00:01Z"}, "since"),
        ("replay", {"since": "2025-01-02T00:00:00Z", "until": "2025-01-01T00:00:00Z"}, "since"),
        ("test", {"type": "inmail.sent"}, "type"),
    ],
)
async def test_what_cannot_be_done_with_one_names_its_field(site: Site, path, body, field):
    endpoint = (await added(site, "https://example.org/"))["endpoint"]["id"]

    refused = await site.operator.post(f"/operator/webhooks/{endpoint}/{path}", body)

    assert (refused.status_code, refused.json()["code"]) == (422, "invalid")
    assert [each["field"] for each in refused.json()["errors"]] == [field]


@pytest.mark.parametrize("number", ["0", "7", "-1", "1.0", "x", "9" * 18, "9" * 40, "\u0667"])
async def test_a_delivery_that_is_none_is_not_found(site: Site, number):
    endpoint = (await added(site, "https://example.org/"))["endpoint"]["id"]

    refused = await site.operator.post(f"/operator/webhooks/{endpoint}/deliveries/{number}/replay")

    assert (refused.status_code, refused.json()["code"]) == (404, "no_such_delivery")


async def test_a_delivery_of_another_endpoint_is_not_found(site: Site, receiver: Receiver):
    mine = (await added(site, receiver.url))["endpoint"]["id"]
    await site.member("ada")
    await works(site)
    other = (await added(site, receiver.url))["endpoint"]["id"]
    (delivery,) = await log(site, mine)

    for endpoint, status in ((other, 404), (NOBODY, 404), (mine, 202)):
        path = f"/operator/webhooks/{endpoint}/deliveries/{delivery['id']}/replay"
        assert (await site.operator.post(path)).status_code == status


async def test_members_have_no_part_in_it(site: Site):
    ada = await site.member("ada")
    token = await site.token(ada)
    for caller in (ada, token):
        refused = await caller.post("/operator/webhooks", {"url": "https://example.org/"})
        assert (refused.status_code, refused.json()["code"]) == (403, "operator_only")


async def test_whatever_is_done_to_an_endpoint_is_in_the_audit_log(site: Site):
    endpoint = (await added(site, "https://example.org/"))["endpoint"]["id"]
    path = f"/operator/webhooks/{endpoint}"
    await site.operator.patch(path, {})
    await site.operator.patch(path, {"events": ["inmail.*"]})
    await site.operator.post(f"{path}/secret", {"overlap_seconds": 60})
    await site.operator.post(f"{path}/test")
    await site.operator.post(f"{path}/replay", {"since": "2025-01-01T00:00:00Z"})
    await site.operator.delete(path)

    entries = (await site.operator.get("/operator/audit")).json()["items"]
    mine = [each for each in entries if each["detail"].get("endpoint_id") == endpoint]
    assert [each["action"] for each in reversed(mine)] == [
        "webhook.created",
        "webhook.changed",
        "webhook.secret_rotated",
        "webhook.tested",
        "webhook.replayed",
        "webhook.deleted",
    ]
    assert all(each["actor"].startswith("token:") for each in mine)
    assert mine[-2]["detail"] == {
        "endpoint_id": endpoint,
        "url": "https://example.org/",
        "events": ["inmail.*"],
        "enabled": True,
    }


async def test_the_document_tells_of_every_event(site: Site):
    document = (await site.http.get("/openapi.json")).json()
    told = document["webhooks"]

    assert {"inmail.sent", "member.closed", "report.created", "webhook.test"} <= set(told)
    sent = told["inmail.sent"]["post"]
    schema = sent["requestBody"]["content"]["application/json"]["schema"]
    assert schema["properties"]["type"] == {"const": "inmail.sent"}
    name = schema["properties"]["data"]["$ref"].rpartition("/")[2]
    assert set(document["components"]["schemas"][name]["required"]) == {
        *("conversation_id", "message_id", "sender_id", "recipient_id")
    }
    assert {each["name"] for each in sent["parameters"]} == {
        *("webhook-id", "webhook-timestamp", "webhook-signature")
    }
    page = (await site.http.get("/reference")).text
    assert "<h2 id='events-told'>" in page
    assert "webhook-signature" in page
