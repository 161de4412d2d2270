"""Boxes, threads, search, export and closing over HTTP."""

from __future__ import annotations

from io import BytesIO
from zipfile import ZipFile

import pytest

from overture import ids
from overture.actions import files, network
from overture.actions.files import Upload
from overture.core.ids import FileId, MessageId
from overture.core.sending import Write
from tests.api.conftest import Caller, Site


@pytest.fixture
async def ada(site: Site) -> Caller:
    return await site.member("ada", premium="premium_career")


@pytest.fixture
async def grace(site: Site) -> Caller:
    return await site.member("grace", premium="premium_career")


async def starts(sender: Caller, to: Caller, body: str = "Hello", **more: str) -> dict:
    answer = await sender.writes(to, body, **more)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def listed(who: Caller, box: str) -> list[str]:
    answer = await who.get("/conversations", params={"box": box})
    assert answer.status_code == 200, answer.text
    return [each["id"] for each in answer.json()["items"]]


async def test_a_list_shows_what_the_send_answered(ada: Caller, grace: Caller):
    written = await starts(ada, grace, "Hello Grace", subject="Compilers")

    own = (await ada.get("/conversations")).json()
    assert own == {"items": [written["conversation"]], "next": None}
    seen = (await grace.get("/conversations", params={"box": "requests"})).json()["items"][0]
    assert seen == written["conversation"] | {
        "with": {"id": ada.id, "handle": "ada", "name": "Ada"},
        "unread": 1,
    }
    assert await listed(grace, "inbox") == []
    assert await listed(grace, "unread") == [written["conversation"]["id"]]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"box": "outbox"}, "box"),
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"cursor": "x"}, "cursor"),
        ({"offset": "30"}, "offset"),
    ],
)
async def test_a_bad_query_names_what_is_wrong(ada: Caller, query: dict[str, str], field: str):
    answer = await ada.get("/conversations", params=query)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


async def test_lists_go_on_at_their_cursor(site: Site, ada: Caller):
    ids_begun = []
    for number in range(5):
        other = await site.member(f"m{number}", premium="premium_career")
        ids_begun.append((await starts(ada, other))["conversation"]["id"])
        await site.days_pass(1)

    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await ada.get("/conversations", params={"limit": 2, **cursor})).json()
        found += [each["id"] for each in page["items"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}

    assert found == ids_begun[::-1]


async def test_a_thread_with_its_messages(ada: Caller, grace: Caller):
    written = await starts(ada, grace)
    thread = f"/conversations/{written['conversation']['id']}"

    assert (await ada.get(thread)).json() == written["conversation"] | {
        "box": "inbox",
        "seen_up_to": None,
    }
    messages = (await grace.get(f"{thread}/messages")).json()
    assert messages == {"items": [written["message"]], "next": None}


async def test_a_strangers_id_and_an_unknown_one_are_the_same_404(
    site: Site, ada: Caller, grace: Caller
):
    written = await starts(ada, grace)
    eve = await site.member("eve")
    up_to = {"up_to": written["message"]["id"]}
    answers = []
    for conversation in (written["conversation"]["id"], ids.new(), "nonsense"):
        path = f"/conversations/{conversation}"
        answers += [
            await eve.get(path),
            await eve.get(f"{path}/messages"),
            await eve.post(f"{path}/read", up_to),
            *[
                await eve.post(f"{path}/{verb}")
                for verb in ("typing", "archive", "unarchive", "spam")
            ],
        ]

    assert {(a.status_code, a.json()["code"]) for a in answers} == {(404, "no_such_conversation")}
    assert len({a.text for a in answers}) == 1


async def test_reading_answers_with_the_conversation(ada: Caller, grace: Caller):
    written = await starts(ada, grace)
    path = f"/conversations/{written['conversation']['id']}"

    read = await grace.post(f"{path}/read", {"up_to": written["message"]["id"]})
    assert (read.status_code, read.json()["unread"]) == (200, 0)
    unknown = await grace.post(f"{path}/read", {"up_to": ids.new()})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "no_such_message")
    assert (await grace.post(f"{path}/read", {})).status_code == 422

    # Nothing of it reaches the sender before the answer.
    assert (await ada.get(path)).json()["seen_up_to"] is None
    await grace.post(f"{path}/accept")
    assert (await ada.get(path)).json()["seen_up_to"] == written["message"]["id"]


async def test_moving_answers_with_the_conversation_where_it_lies(ada: Caller, grace: Caller):
    inmail = (await starts(ada, grace))["conversation"]["id"]
    for verb, box in (
        ("archive", "archived"),
        ("archive", "archived"),
        ("spam", "spam"),
        ("unarchive", "requests"),
    ):
        moved = await grace.post(f"/conversations/{inmail}/{verb}")
        assert (moved.status_code, moved.json()["box"]) == (200, box)
        assert await listed(grace, box) == [inmail]


async def test_typing_has_no_answer(ada: Caller, grace: Caller):
    inmail = (await starts(ada, grace))["conversation"]["id"]

    answer = await grace.post(f"/conversations/{inmail}/typing")

    assert (answer.status_code, answer.content) == (204, b"")


async def test_what_was_withdrawn_shows_nothing_to_its_recipient(ada: Caller, grace: Caller):
    inmail = (await starts(ada, grace, "A secret", subject="Weighty"))["conversation"]["id"]

    await ada.post(f"/conversations/{inmail}/withdraw")

    seen = (await grace.get(f"/conversations/{inmail}")).json()
    assert (seen["state"], seen["subject"], seen["last_message"]) == ("withdrawn", "", None)
    in_list = (await grace.get("/conversations")).json()["items"][0]
    assert in_list.items() <= seen.items()
    assert (await grace.get(f"/conversations/{inmail}/messages")).json()["items"] == []
    assert (await grace.get("/search/messages", params={"q": "secret"})).json()["items"] == []


async def test_search_tells_where_a_message_stands(ada: Caller, grace: Caller):
    written = await starts(ada, grace, "Shall we dine?", subject="Compilers")

    for wanted in ("dine", "comp shall"):
        found = await grace.get("/search/messages", params={"q": wanted})
        assert found.json() == {
            "items": [
                written["message"]
                | {"subject": "Compilers", "with": {"id": ada.id, "handle": "ada", "name": "Ada"}}
            ],
            "next": None,
        }
    for query in ({}, {"q": ""}, {"q": "x" * 201}):
        answer = await grace.get("/search/messages", params=query)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "q")


async def test_who_closes_the_account_is_gone_at_once(site: Site, ada: Caller, grace: Caller):
    await site.town.do(lambda tx: network.upsert_pairs(tx, [(ada.id, grace.id)], site.town.now))
    direct = (await starts(grace, ada, "Written by Grace"))["conversation"]["id"]
    with_token = await site.token(grace)

    answer = await with_token.delete("/me")

    assert (answer.status_code, answer.content) == (204, b"")
    assert (await with_token.get("/conversations")).status_code == 401
    assert (await grace.get("/conversations")).status_code == 404
    seen = (await ada.get(f"/conversations/{direct}")).json()
    assert seen["with"] == {"id": grace.id, "handle": "", "name": ""}
    assert seen["state"] == "closed"
    messages = (await ada.get(f"/conversations/{direct}/messages")).json()["items"]
    assert [each["body"] for each in messages] == ["Written by Grace"]


async def test_closing_takes_the_scope_to_write(site: Site, grace: Caller):
    reader = await site.token(grace, "read")

    assert (await reader.delete("/me")).status_code == 403
    assert (await reader.get("/me/export")).status_code == 200


async def test_the_export_is_a_zip_to_save(ada: Caller, grace: Caller):
    await starts(ada, grace, "Hello Grace")

    answer = await ada.get("/me/export")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"].startswith("attachment")
    with ZipFile(BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert b"Hello Grace" in archive.read("conversations.json")


async def test_a_message_tells_its_files_and_who_takes_part_can_fetch_them(site: Site):
    ada, grace = await site.member("ada"), await site.member("grace")
    stranger = await site.member("stranger")
    town = site.town
    await town.do(lambda tx: network.upsert_pairs(tx, [(ada.id, grace.id)], town.now))
    conversation = await town.sends(ada.id, grace.id)
    new = await files.examine([Upload(FileId(ids.new()), "résumé.txt", b"Compilers")])
    await town.acts(Write(ada.id, conversation, MessageId(ids.new()), "My résumé", files=new))

    last = (await grace.get(f"/conversations/{conversation}/messages")).json()["items"][0]
    found = (await grace.get("/search/messages?q=my")).json()["items"][0]
    [attached] = last["attachments"]
    assert attached | {"id": ""} == {
        "id": "",
        "name": "résumé.txt",
        "kind": "text/plain",
        "bytes": 9,
    }
    assert found["attachments"] == [attached]

    path = f"/conversations/{conversation}/attachments/{attached['id']}"
    fetched = await grace.get(path)
    assert fetched.content == b"Compilers"
    assert fetched.headers["content-disposition"].endswith("r%C3%A9sum%C3%A9.txt")
    for caller, wanted in ((stranger, path), (grace, path[:-4] + "ffff")):
        assert (await caller.get(wanted)).status_code == 404
