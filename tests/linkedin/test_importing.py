"""Exports brought in from their files: every row accounted for, and the whole sample, counted."""

import asyncio
import json
import os
import subprocess
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from overture import ids
from overture.actions import inbox as inbox_actions
from overture.core.ids import ConversationId, MemberId, MessageId
from overture.core.policy import PolicyBook
from overture.core.refusals import Refusal
from overture.core.sending import Done, Refused, Write
from overture.linkedin import importing
from overture.linkedin.archive import ArchiveRefused, Limits
from overture.linkedin.importing import FileReport, ImportRefused, Report
from overture.store import inbox
from overture.store.inbox import Box, ListRow
from tests.cast import Town, policy, town_in
from tests.running import COMMAND, command, environment

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
SAMPLE = Path(__file__).parent / "sample"
ROOT = Path(__file__).parents[2]
WHOLE = Path(
    os.environ.get("OVERTURE_SAMPLE_ARCHIVE")
    or ROOT.parent / "shared" / "data" / "linkedin-sample-export.zip"
)
needs_the_whole = pytest.mark.skipif(
    not WHOLE.is_file(),
    reason="the sample export is not beside the project, nor named by OVERTURE_SAMPLE_ARCHIVE",
)
NOTHING_ADDED = {
    "members": 0,
    "connections": 0,
    "invitations": 0,
    "conversations": 0,
    "groups": 0,
    "messages": 0,
}
ZipOf = Callable[[dict[str, str | bytes]], Path]


@pytest.fixture
def mina(zip_of: ZipOf) -> Path:
    return zip_of({path.name: path.read_bytes() for path in SAMPLE.glob("*.csv")})


async def brings(url: str, path: Path, handle: str = "mina", **more: object) -> Report:
    return await importing.import_archive(
        url,
        path,
        handle,
        now=NOW,
        book=policy("seed"),
        **more,  # type: ignore[arg-type]
    )


def rows(url: str, statement: str, *params: object) -> list[tuple]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement, params).fetchall()


def value(url: str, statement: str, *params: object) -> object:
    ((found,),) = rows(url, statement, *params)
    return found


def everything(url: str) -> dict[str, list[tuple]]:
    tables = rows(url, "select relname from pg_stat_user_tables where schemaname = 'public'")
    return {name: rows(url, f"select t::text from {name} t order by t::text") for (name,) in tables}


def files(report: Report) -> dict[str, FileReport]:
    return {each.file: each for each in report.files}


def adds_up(report: Report) -> bool:
    return all(
        each.rows == each.taken + each.already_there + sum(each.left_out.values()) + each.problems
        for each in report.files
    )


# The small sample


async def test_every_row_of_an_export_is_accounted_for(database_url, mina):
    report = await brings(database_url, mina)

    assert adds_up(report)
    found = files(report)
    assert found["Connections.csv"] == FileReport(
        "Connections.csv", 5, 3, 0, {"hidden_connection": 1}, 1
    )
    assert found["Invitations.csv"] == FileReport("Invitations.csv", 3, 2, 0, {"connected": 1})
    assert found["messages.csv"] == FileReport("messages.csv", 8, 6, 0, {"draft": 1}, 1)
    assert found["Positions.csv"] == FileReport("Positions.csv", 2, 1, 0, {"not_held_now": 1})
    assert found["Profile.csv"] == FileReport("Profile.csv", 1, 1)
    assert found["Receipts_v2.csv"] == FileReport("Receipts_v2.csv", 4, 3, 0, {"no_plan": 1})
    assert [(each.file, each.line) for each in report.problems] == [
        ("Connections.csv", 8),
        ("messages.csv", 12),
    ]


async def test_what_is_reported_is_what_is_in_the_database(database_url, mina):
    added = (await brings(database_url, mina)).imported.added

    assert (added.members, added.connections, added.invitations) == (6, 3, 2)
    assert (added.conversations, added.groups, added.messages) == (4, 1, 6)
    counted = {
        name: value(database_url, f"select count(*) from {name}")
        for name in ("members", "connections", "invitations", "conversations", "messages")
    }
    assert counted == {
        "members": 6,
        "connections": 2 * 3,
        "invitations": 2 * 2,
        "conversations": 4,
        "messages": 6,
    }


async def test_the_owner_comes_from_profile_and_position(database_url, mina):
    await brings(database_url, mina)

    assert rows(
        database_url,
        "select name, headline, company, location from members where handle = 'mina'",
    ) == [
        (
            "Mina Fernsby",
            "Keeper of the Harbour Almanac",
            "Saltmarsh Almanac Society",
            "Saltmarsh Harbour",
        )
    ]


async def test_folders_become_boxes_and_threads_stay_apart(database_url, mina):
    report = await brings(database_url, mina)

    assert rows(
        database_url,
        """
        select subject, box, counterpart_name, json_array_length(participants)
        from inbox
        where owner_id = %s
        order by last_activity_at desc
        """,
        report.imported.owner,
    ) == [
        ("Almanacs", "inbox", "", 2),
        ("Another matter", "spam", "Otto Quillfeather", None),
        ("Blue", "inbox", "Otto Quillfeather", None),
        ("", "inbox", "", 0),
    ]


async def test_old_html_is_text(database_url, mina):
    await brings(database_url, mina)
    assert value(database_url, "select body from messages where body like 'Dear%%'") == (
        "Dear Otto,\n\nsee my shelf (https://example.com/blue) & smile."
    )


async def test_the_same_export_again_changes_nothing(database_url, mina):
    await brings(database_url, mina)
    before = everything(database_url)

    again = await brings(database_url, mina)

    assert everything(database_url) == before
    assert importing.as_json(again)["added"] == NOTHING_ADDED
    assert adds_up(again)
    assert files(again)["messages.csv"].already_there == 6
    assert "Nothing is new: all of it was here already." in importing.told(again)


async def test_a_plan_is_suggested_and_not_begun(database_url, mina):
    report = await brings(database_url, mina)

    assert report.suggestion is not None
    assert report.suggestion.sentence == (
        "Receipts suggest Premium Business since 2024-02-29; "
        "subscribe with PUT /me/subscriptions/premium."
    )
    assert value(database_url, "select count(*) from credit_accounts") == 0


async def test_a_plan_that_the_policy_lacks_is_said_to_be_lacking(database_url, mina):
    (version,) = policy("seed").versions
    plans = {name: plan for name, plan in version.plans.items() if name != "premium_business"}
    book = PolicyBook((replace(version, plans=plans),))

    report = await importing.import_archive(database_url, mina, "mina", now=NOW, book=book)

    assert report.suggestion is not None
    assert report.suggestion.sentence == (
        "Receipts suggest Premium Business since 2024-02-29, a plan that this installation does "
        "not have."
    )


async def test_an_export_of_connections_alone_says_nobodys_name(database_url, zip_of):
    text = "First Name,Last Name,Connected On\nOtto,Quillfeather,12 Mar 2019\n,,12 Mar 2019\n"

    report = await brings(database_url, zip_of({"Connections.csv": text}))

    assert report.imported.name == "mina"
    assert rows(database_url, "select handle from handles order by 1") == [
        ("mina",),
        ("otto-quillfeather",),
    ]


async def test_a_very_long_text_is_cut_and_said_to_be(database_url, zip_of):
    header = "CONVERSATION ID,FROM,TO,DATE,CONTENT\n"
    texts = ["a" * 100_000, "b" * 100_001]
    body = "".join(
        f'1,Mina Fernsby,Otto Quillfeather,2020-01-0{day} 10:00:00 UTC,"{text}"\n'
        for day, text in enumerate(texts, start=1)
    )
    profile = "First Name,Last Name\nMina,Fernsby\n"

    report = await brings(
        database_url, zip_of({"messages.csv": header + body, "Profile.csv": profile})
    )

    assert rows(database_url, "select length(body) from messages") == [(100_000,), (100_000,)]
    assert [each.sentence() for each in report.notices] == [
        "messages.csv, line 3: the text was cut to 100,000 characters"
    ]


async def test_an_export_that_turns_out_bad_halfway_leaves_nothing(database_url, mina):
    before = everything(database_url)
    with pytest.raises(ArchiveRefused):
        await brings(database_url, mina, limits=Limits(unpacked_bytes_max=100))
    assert everything(database_url) == before


async def test_progress_goes_from_little_to_all(database_url, mina):
    told: list[tuple[int, int]] = []

    await brings(database_url, mina, progress=lambda done, total: told.append((done, total)))

    assert told
    assert told[-1][0] <= told[-1][1]


def an_export_of(name: str, path: Path, people: int) -> Path:
    """Someone's export: all know the same people."""
    url = "https://www.linkedin.com/in/"
    connections = "First Name,Last Name,URL,Connected On\n" + "".join(
        f"Person,{number},{url}person-{number},12 Mar 2019\n" for number in range(people)
    )
    messages = (
        "CONVERSATION ID,FROM,SENDER PROFILE URL,TO,RECIPIENT PROFILE URLS,DATE,CONTENT\n"
        + "".join(
            f"{number},{name},{url}{name},Person {number},{url}person-{number},"
            f"2020-01-01 10:00:00 UTC,Hello\n"
            for number in range(people)
        )
    )
    with zipfile.ZipFile(path, "w") as zipped:
        zipped.writestr("Connections.csv", connections)
        zipped.writestr("messages.csv", messages)
        zipped.writestr("Profile.csv", f"First Name,Last Name\n{name},\n")
    return path


async def test_two_imports_at_once_agree_on_who_is_who(database_url, tmp_path):
    names = ["ada", "bo"]
    paths = [an_export_of(name, tmp_path / f"{name}.zip", 50) for name in names]

    one, two = await asyncio.gather(
        *(brings(database_url, path, name) for path, name in zip(paths, names, strict=True))
    )

    assert one.imported.added.members + two.imported.added.members == 52
    assert one.imported.added.messages == two.imported.added.messages == 50
    assert value(database_url, "select count(*) from connections") == 200


async def test_what_goes_on_being_in_the_way_is_said(database_url, mina, monkeypatch):
    async def conflicts(*_: object) -> None:
        raise psycopg.errors.UniqueViolation

    monkeypatch.setattr(importing.imports, "bring_in", conflicts)
    with pytest.raises(ImportRefused, match="Nothing was imported; try again"):
        await brings(database_url, mina)


# The command


def runs(url: str, path: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return command("import", "linkedin", path, "--database-url", url, *more)


def test_the_command_tells_what_went_in_and_which_rows_did_not(database_url, mina):
    done = runs(database_url, mina, "--as", "mina")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "Imported as mina: Mina Fernsby, a new member who has not claimed the account.",
        "  Connections.csv  5 rows: 3 taken, 1 hidden by themselves, 1 could not be read",
        "  Invitations.csv  3 rows: 2 taken, 1 connected since",
        "  messages.csv     8 rows: 6 taken, 1 never sent, 1 could not be read",
        "  Positions.csv    2 rows: 1 taken, 1 not held now",
        "  Profile.csv      1 row: 1 taken",
        "  Receipts_v2.csv  4 rows: 3 taken, 1 not for a plan",
        "New here: 6 members, 3 connections, 2 invitations, 4 conversations (1 group among them), "
        + "6 messages.",
        "Receipts suggest Premium Business since 2024-02-29; "
        + "subscribe with PUT /me/subscriptions/premium.",
        "Not taken:",
        "  Connections.csv, line 8: the date “31 Feb 2020” could not be read",
        "  messages.csv, line 12: the date “yesterday” could not be read",
    ]


def test_the_command_tells_scripts_the_same(database_url, mina):
    done = runs(database_url, mina, "--as", "mina", "--json")

    assert done.returncode == 0
    told = json.loads(done.stdout)
    assert told["member"]["handle"] == "mina"
    assert told["added"] == {
        "members": 6,
        "connections": 3,
        "invitations": 2,
        "conversations": 4,
        "groups": 1,
        "messages": 6,
    }
    assert told["files"][0]["left_out"] == {"hidden_connection": 1}
    assert told["suggestion"] == {
        "plan": "premium_business",
        "pool": "premium",
        "signed_up_at": "2024-02-29T10:00:00Z",
    }
    assert [each["line"] for each in told["problems"]] == [8, 12]


def test_the_command_prints_fifty_problems_and_counts_the_rest(database_url, zip_of):
    bad = "".join(f"Nobody,{number},soon\n" for number in range(60))
    path = zip_of({"Connections.csv": "First Name,Last Name,Connected On\n" + bad})

    lines = runs(database_url, path, "--as", "mina").stdout.splitlines()

    assert len([line for line in lines if ", line " in line]) == 50
    assert lines[-1] == "  and 10 more"
    told = json.loads(runs(database_url, path, "--as", "mina", "--json").stdout)
    assert len(told["problems"]) == told["problems_in_all"] == 60


def bomb(path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("Connections.csv", "First Name,Last Name,Connected On\n")
        with zipped.open("messages.csv", "w") as stream:
            for _ in range(80):
                stream.write(bytes(1 << 20))
    return path


def outside(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as zipped:
        zipped.writestr("Connections.csv", "First Name,Last Name,Connected On\n")
        zipped.writestr("../../etc/messages.csv", "FROM,DATE,CONTENT\n")
    return path


def no_zip(path: Path) -> Path:
    path.write_text("First Name,Last Name\n")
    return path


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (bomb, "The archive would be too large when unpacked: 80 MB."),
        (outside, "The archive names a path outside itself"),
        (no_zip, "is not a zip file"),
        (lambda path: path, "There is no file"),
    ],
)
def test_the_command_refuses_an_archive_in_one_sentence(database_url, tmp_path, made, sentence):
    done = runs(database_url, made(tmp_path / "export.zip"), "--as", "mina")

    assert (done.returncode, done.stdout) == (1, "")
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert value(database_url, "select count(*) from members") == 0


def test_the_command_refuses_a_handle_that_is_none(database_url, mina):
    done = runs(database_url, mina, "--as", "Mina Fernsby")

    assert done.returncode == 1
    assert "A handle has 2 to 40 of a-z" in done.stderr


# The whole sample


@pytest.fixture(scope="module")
def whole(databases):
    """The sample export imported once, by the command, for all tests of what is there then."""
    url = databases.fresh()
    began = time.monotonic()
    process = subprocess.Popen(
        [
            *COMMAND,
            "import",
            "linkedin",
            str(WHOLE),
            "--as",
            "ada",
            "--json",
            "--database-url",
            url,
        ],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    with process.stdout:
        printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    print(
        f"{WHOLE.name}: {time.monotonic() - began:.1f} s, "
        f"{usage.ru_utime + usage.ru_stime:.1f} s of them in the command, "
        f"{usage.ru_maxrss * resource_unit() >> 20} MB at most"
    )
    yield url, json.loads(printed)
    databases.drop(url)


def resource_unit() -> int:
    """What `ru_maxrss` counts in: kibibytes, but bytes on a Mac."""
    return 1 if os.uname().sysname == "Darwin" else 1024


@needs_the_whole
def test_the_whole_export_goes_in_and_is_counted(whole):
    url, told = whole

    found = {each["file"]: each for each in told["files"]}
    assert found["Connections.csv"]["rows"] == found["Connections.csv"]["taken"] == 2_000
    assert found["Invitations.csv"]["rows"] == 162
    assert found["Invitations.csv"]["taken"] == 6
    assert found["Invitations.csv"]["left_out"] == {"connected": 148, "repeated": 8}
    assert found["messages.csv"]["rows"] == 20_000
    assert found["messages.csv"]["taken"] == 19_959
    assert found["messages.csv"]["left_out"] == {"draft": 41}
    assert told["problems"] == told["notices"] == []
    assert told["added"] == {
        "members": 2_009,
        "connections": 2_000,
        "invitations": 6,
        "conversations": 463,
        "groups": 60,
        "messages": 19_959,
    }
    counts = {
        "members": 2_009,
        "handles": 2_009,
        "imported_profiles": 2_009,
        "connections": 2 * 2_000,
        "invitations": 2 * 6,
        "conversations": 463,
        "messages": 19_959,
        "inbox": 463 + 403,
        "outbox": 1,
        "ledger_entries": 0,
        "credit_accounts": 0,
    }
    assert counts == {name: value(url, f"select count(*) from {name}") for name in counts}


@needs_the_whole
def test_the_whole_exports_suggestion_is_told(whole):
    _, told = whole
    assert told["suggestion"] == {
        "plan": "premium_career",
        "pool": "premium",
        "signed_up_at": "2023-11-10T12:18:00Z",
    }


@needs_the_whole
def test_messages_of_the_whole_export_are_numbered_by_date_without_gaps(whole):
    url, _ = whole
    assert value(url, "select count(distinct id) from messages") == 19_959
    assert (
        value(
            url,
            """
            select count(*)
            from (
                select number, row_number() over w as wanted,
                    sent_at < lag(sent_at) over w as earlier
                from messages
                window w as (partition by owner_id, conversation_id order by number)
            ) m
            where number <> wanted or earlier
            """,
        )
        == 0
    )
    assert (
        value(
            url,
            """
            select count(*)
            from conversations c
            where messages <> (
                    select count(*) from messages m
                    where m.owner_id = c.owner_id and m.conversation_id = c.id
                )
                or sender_wrote_at is not null or recipient_wrote_at is not null
            """,
        )
        == 0
    )


@needs_the_whole
async def test_the_whole_inbox_is_paged_by_date(whole):
    url, told = whole
    ada = MemberId(told["member"]["id"])
    async with town_in(url) as town:
        seen = await whole_inbox(town, ada)

    assert len({row.id for row in seen}) == len(seen) == 463
    dates = [row.last_activity_at for row in seen]
    assert dates == sorted(dates, reverse=True)
    assert (dates[0].year, min(dates).year >= 1833) == (1853, True)
    assert sum(row.participants is not None for row in seen) == 60
    assert {row.unread for row in seen} == {0}


@needs_the_whole
async def test_the_whole_export_is_searched(whole):
    url, told = whole
    ada = MemberId(told["member"]["id"])
    async with town_in(url) as town:
        page = await town.look(lambda tx: inbox_actions.search(tx, ada, "bernoulli", None, 20))
    assert len(page.items) == 20
    dates = [found.message.sent_at for found in page.items]
    assert dates == sorted(dates, reverse=True)


@needs_the_whole
async def test_of_the_whole_export_only_threads_with_connections_are_written_in(whole):
    url, told = whole
    ada = MemberId(told["member"]["id"])
    known = {
        row[0]
        for row in rows(url, "select member_id::text from connections where owner_id = %s", ada)
    }
    async with town_in(url) as town:
        town.now = NOW
        threads = await whole_inbox(town, ada)
        answers = {
            (row.counterpart_id is None, row.counterpart_id in known): await writes(town, ada, row)
            for row in threads
        }

    expected: dict[tuple[bool, bool], object] = {
        (True, False): Refusal.READ_ONLY,
        (False, True): None,
        (False, False): Refusal.CONVERSATION_CLOSED,
    }
    assert answers == {case: expected[case] for case in answers}
    assert (False, True) in answers
    assert (True, False) in answers


async def whole_inbox(town: Town, viewer: MemberId) -> list[ListRow]:
    seen: list[ListRow] = []
    cursor = None
    while True:
        page = await town.look(lambda tx, c=cursor: inbox.page(tx, viewer, Box.INBOX, c, 50))
        seen += page.items
        cursor = page.next
        if cursor is None:
            return seen


async def writes(town: Town, viewer: MemberId, row: ListRow) -> Refusal | None:
    command = Write(viewer, ConversationId(row.id), MessageId(ids.new()), "A line")
    answer = await town.acts(command)
    assert isinstance(answer, Done | Refused)
    return None if isinstance(answer, Done) else answer.code


@needs_the_whole
def test_the_whole_export_again_changes_nothing(whole):
    url, _ = whole
    before = everything(url)

    done = runs(url, WHOLE, "--as", "ada", "--json")

    assert everything(url) == before
    assert json.loads(done.stdout)["added"] == NOTHING_ADDED
