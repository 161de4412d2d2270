"""A whole export, counted: what goes in comes out. It is no part of the project; without it this
is skipped."""

import os
import tracemalloc
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from overture.linkedin.archive import Archive, open_archive
from overture.linkedin.records import Connection, Direction, Invitation, Message, Skip, Skipped

ROOT = Path(__file__).parents[2]
PATH = Path(
    os.environ.get("OVERTURE_SAMPLE_ARCHIVE")
    or ROOT.parent / "shared" / "data" / "linkedin-sample-export.zip"
)
OWNER = "fake-ada-byron-lovelace"

pytestmark = pytest.mark.skipif(
    not PATH.is_file(),
    reason="the sample export is not beside the project, nor named by OVERTURE_SAMPLE_ARCHIVE",
)


@pytest.fixture
def export() -> Iterator[Archive]:
    with open_archive(PATH) as archive:
        yield archive


def test_every_connection_goes_in(export):
    rows = list(export.connections())
    assert len(rows) == 2000
    assert all(isinstance(row, Connection) for row in rows)
    assert len({row.person.key for row in rows}) == 2000
    assert all(row.email and row.company and row.position and row.connected_on for row in rows)
    assert rows[0].connected_on == date(1833, 6, 5)
    assert rows[0].line == 5
    assert len({row.person.name for row in rows}) < 2000  # Names do not tell people apart.


def test_every_invitation_goes_in(export):
    rows = list(export.invitations())
    assert all(isinstance(row, Invitation) for row in rows)
    directions = Counter(row.direction for row in rows)
    assert directions == {Direction.OUTGOING: 85, Direction.INCOMING: 77}
    assert {row.owner.key for row in rows} == {OWNER}
    assert len({row.other.key for row in rows}) == 154
    assert sum(bool(row.message) for row in rows) == 83
    connected = {row.person.key for row in export.connections()}
    assert len({row.other.key for row in rows} - connected) == 6


def test_every_message_goes_in_but_the_drafts(export):
    kinds = Counter(type(row) for row in export.messages())
    assert kinds == {Message: 19_959, Skipped: 41}
    assert {row.why for row in export.messages() if isinstance(row, Skipped)} == {Skip.DRAFT}


def test_conversations_groups_and_people_stay_what_they_are(export):
    parties = defaultdict(set)
    messages = Counter()
    moments = []
    for row in export.messages():
        if isinstance(row, Message):
            parties[row.conversation_id] |= {row.sender.key, *(one.key for one in row.recipients)}
            messages[row.conversation_id] += 1
            moments.append(row.sent_at)

    assert len(parties) == 463
    assert Counter(map(len, parties.values())) == {2: 403, 3: 17, 4: 27, 5: 16}
    assert all(OWNER in keys for keys in parties.values())
    pairs = Counter(frozenset(keys) for keys in parties.values() if len(keys) == 2)
    assert (len(pairs), max(pairs.values())) == (102, 42)
    assert sum(count > 1 for count in pairs.values()) == 13
    assert len(set().union(*parties.values())) == 153
    assert min(moments) == datetime(1833, 2, 23, 15, 37, tzinfo=UTC)
    assert max(moments) == datetime(1853, 4, 29, 2, 51, tzinfo=UTC)


def test_nobody_in_it_is_without_key_or_name(export):
    for row in export.messages():
        if isinstance(row, Message):
            assert row.sender.key
            assert row.sender.name
            assert all(one.key and one.name for one in row.recipients)


def test_the_owner_and_the_plan_are_known(export):
    owner, problems = export.owner()
    assert (owner.person.name, owner.person.key) == ("Ada Byron-Lovelace", OWNER)
    assert owner.location == "London, England, United Kingdom"
    assert problems == ()
    suggested, problems = export.suggested_plan()
    assert suggested.plan == "premium_career"
    assert suggested.signed_up_at == datetime(2023, 11, 10, 12, 18, tzinfo=UTC)
    assert problems == ()


def test_all_of_it_passes_through_little_memory(export):
    tracemalloc.start()
    try:
        for _ in export.messages():
            pass
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 8 << 20
