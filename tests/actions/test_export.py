"""What members take along: everything about them, and nothing that is not theirs."""

import json
from collections.abc import AsyncIterator
from typing import Any
from zipfile import ZipFile

import pytest

from overture import ids
from overture.actions import files, network
from overture.actions.export import export
from overture.actions.files import Upload
from overture.core.ids import (
    ConversationId,
    FileId,
    InvitationId,
    MemberId,
    MessageId,
    ReportId,
    TokenId,
)
from overture.core.refusals import Refusal
from overture.core.sending import Done, Start, Withdraw, Write
from overture.store import export as store
from overture.store import reports, tokens
from overture.store.db import all_rows
from tests.cast import Town, town_in

PLAN = {"premium": "premium_career"}


@pytest.fixture
async def town(database_url: str) -> AsyncIterator[Town]:
    async with town_in(database_url) as town:
        yield town


async def exported(town: Town, member: MemberId) -> dict[str, Any]:
    packed = await town.look(lambda tx: export(tx, member, town.now, town.book))
    with packed, ZipFile(packed) as archive:
        assert archive.testzip() is None
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    readme = texts.pop("README.txt")
    assert all(name in readme for name in texts)
    return {name.removesuffix(".json"): json.loads(text) for name, text in texts.items()}


async def starts(town: Town, sender: MemberId, to: MemberId, body: str) -> ConversationId:
    town.pass_by(seconds=1)
    command = Start(sender, to, ConversationId(ids.new()), MessageId(ids.new()), body)
    answer = await town.acts(command)
    assert isinstance(answer, Done), answer
    return answer.conversation.id


async def test_everything_about_a_member_is_in_it(town: Town):
    ada, grace = await town.member("ada", **PLAN), await town.member("grace", **PLAN)
    alan, eve = await town.member("alan", **PLAN), await town.member("eve", **PLAN)
    await town.do(lambda tx: network.upsert_pairs(tx, [(ada, grace)], town.now))
    direct = await starts(town, ada, grace, "Dear Grace")
    await town.acts(Write(grace, direct, MessageId(ids.new()), "Dear Ada"))
    inmail = await starts(town, ada, alan, "Dear Alan")
    await town.do(
        lambda tx: network.invite(
            tx, ada, alan, note="Let us", invitation_id=InvitationId(ids.new()), now=town.now
        )
    )
    await town.do(lambda tx: network.block(tx, ada, eve, town.now))
    report = reports.Report(ReportId(ids.new()), ada, eve, None, "spam", "Look", town.now)
    await town.db.writing(lambda tx: reports.add(tx, report))
    row = tokens.TokenRow(TokenId(ids.new()), ada, ["read"], "phone", None)
    await town.db.writing(lambda tx: tokens.add(tx, row, b"\x11" * 32))

    found = await exported(town, ada)

    assert found["profile"]["handle"] == "ada"
    assert found["preferences"]["accept_inmail"] is True
    assert [each["handle"] for each in found["connections"]] == ["grace"]
    assert [(each["handle"], each["note"]) for each in found["invitations"]] == [("alan", "Let us")]
    assert [each["handle"] for each in found["blocks"]] == ["eve"]
    assert {
        each["id"]: [message["body"] for message in each["messages"]]
        for each in found["conversations"]
    } == {direct: ["Dear Grace", "Dear Ada"], inmail: ["Dear Alan"]}
    running = found["subscriptions"]["running"]
    assert [(each["plan"], each["balance"]) for each in running] == [("premium_career", 4)]
    assert [each["wish"] for each in found["subscriptions"]["history"]] == ["choose"]
    assert [(each["kind"], each["credits"]) for each in found["ledger"]] == [
        ("grant", 5),
        ("spend", -1),
    ]
    assert [each["note"] for each in found["reports"]] == ["Look"]
    assert [each["label"] for each in found["tokens"]] == ["phone"]
    assert "11" * 32 not in json.dumps(found["tokens"])


async def test_a_member_with_nothing_gets_empty_lists(town: Town):
    found = await exported(town, await town.member("ada"))

    lists = {name: part for name, part in found.items() if name not in ("profile", "preferences")}
    assert lists.pop("subscriptions") == {"running": [], "history": []}
    assert set(map(len, lists.values())) == {0}


async def test_the_ledger_in_it_is_settled_without_being_written(town: Town):
    ada = await town.member("ada", **PLAN)
    town.pass_by(days=59)

    found = await exported(town, ada)

    assert [each["at"] for each in found["ledger"]] == [
        "2025-01-31T10:00:00Z",
        "2025-02-28T10:00:00Z",
        "2025-03-31T10:00:00Z",
    ]
    stored = await town.look(lambda tx: all_rows(tx, "select number from ledger_entries"))
    assert len(stored) == 1


async def test_what_was_withdrawn_is_in_the_senders_alone(town: Town):
    ada, grace = await town.member("ada", **PLAN), await town.member("grace", **PLAN)
    inmail = await starts(town, ada, grace, "A secret")
    await town.acts(Withdraw(ada, inmail))

    assert "A secret" in json.dumps(await exported(town, ada))
    seen = (await exported(town, grace))["conversations"]
    assert [(each["state"], each["messages"]) for each in seen] == [("withdrawn", [])]


async def test_many_conversations_are_all_in_it(town: Town, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(store, "_AT_ONCE", 2)
    ada = await town.member("ada", **PLAN)
    begun = {await starts(town, ada, await town.member(f"m{n}", **PLAN), str(n)) for n in range(5)}

    found = (await exported(town, ada))["conversations"]

    assert [each["id"] for each in found] == sorted(begun)
    assert {each["messages"][0]["body"] for each in found} == set("01234")


async def test_files_are_in_it_with_where_they_are(town: Town):
    ada, grace = await town.member("ada"), await town.member("grace")
    await town.do(lambda tx: network.upsert_pairs(tx, [(ada, grace)], town.now))
    direct = await starts(town, ada, grace, "Dear Grace")
    sent = await files.examine([Upload(FileId(ids.new()), "résumé.txt", b"Compilers")])
    assert not isinstance(sent, Refusal)
    await town.acts(Write(ada, direct, MessageId(ids.new()), "My résumé", files=sent))

    for member in (ada, grace):
        packed = await town.look(lambda tx, who=member: export(tx, who, town.now, town.book))
        with packed, ZipFile(packed) as archive:
            [conversation] = json.loads(archive.read("conversations.json"))
            [file] = conversation["messages"][1]["files"]
            assert (file["name"], file["kind"]) == ("résumé.txt", "text/plain")
            assert archive.read(file["is_at"]) == b"Compilers"
