"""Policy documents: what is wrong in one is said where it stands, and nothing else ever comes of it."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from overture import policies
from overture.core import credits
from overture.core.credits import Account
from overture.core.differences import differences, values
from overture.core.ids import MemberId
from overture.core.places import places
from overture.core.policy import (
    GrantsOn,
    Outcome,
    Plan,
    Policy,
    PolicyBook,
    PolicyProblem,
    QuickReply,
    parse,
)
from tests.cast import POLICIES, SIGN_UP, policy
from tests.machine import TIGHT

SEED = (POLICIES / "seed.toml").read_text()
(FIRST,) = policy("seed").versions


def mistakes(document: str) -> list[tuple[int | None, str]]:
    with pytest.raises(PolicyProblem) as caught:
        parse(document)
    return [(each.line, str(each.sentence)) for each in caught.value.mistakes]


def line_of(document: str, text: str) -> int:
    """The line that begins so, the first one of several."""
    return next(n for n, line in enumerate(document.splitlines(), 1) if line.startswith(text))


# What is wrong, where, and what to write ----------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "right", "sentence"),
    [
        ("expiry_days = 0", "expiry_days", "must be a whole number from 1 to 3660, not 0."),
        ('expiry_days = "120"', "expiry_days", 'must be a whole number from 1 to 3660, not "120".'),
        ("expiry_days = true", "expiry_days", "must be a whole number from 1 to 3660, not true."),
        ("follow_ups = 1", "follow_ups", "`follow_ups` must be true or false, not 1."),
        ("topups = true", "topups", "credits cannot be bought beyond the allotment."),
        ("waking_from = 8", "waking_from", "`waking_from` must be a time of day, not 8."),
        ("waking_until = 07:00:00", "waking_until", "The waking hours end before they begin."),
        ("reminder_latest_hours = 1", "reminder_latest_hours", "lies before its aim. Write 48 or"),
        ("holds_from = 2027-01-01", "holds_from", "must be an instant with its offset"),
        ("holds_from = 0001-01-01T00:00:00+14:00", "holds_from", "must be an instant with its"),
        ("expiry_day = 120", "expiry_days", "`expiry_day` is unknown here. Did you mean `expiry_d"),
        ("unheard_of = 120", "expiry_days", "`unheard_of` is unknown here. Known are plans, quick"),
        ('name = "Career"', 'name = "premium_career"', "must be 1 to 40 of a-z, 0-9, '_' and '-'"),
        ('pool = ""', "pool", "must be 1 to 40 of a-z"),
        ('title = " "', "title", '`title` must be a text, not " ".'),
        (f'title = "{"x" * 101}"', "title", "must have at most 100 characters; it has 101."),
        ("cap = 4", "cap", "Write a cap of 5 or more, or a smaller allotment."),
        (
            'grants_on = "daily"',
            "cap",
            '`grants_on` must be one of "anniversary", "first_of_month"',
        ),
        ('outcome = "perhaps"', "outcome", 'must be one of "accepted", "declined", not "perhaps".'),
    ],
)
def test_a_mistake_is_told_where_it_stands(wrong, right, sentence):
    place = line_of(SEED, right)
    lines = SEED.splitlines()
    lines[place - 1] = wrong

    found = mistakes("\n".join(lines))

    assert (place, True) in [(line, sentence in told) for line, told in found], found


def test_what_to_write_is_a_line_that_would_do():
    document = SEED.replace("expiry_days = 120", "expiry_days = 0")
    with pytest.raises(PolicyProblem) as caught:
        parse(document)

    (mistake,) = caught.value.mistakes

    assert (
        parse(document.replace("expiry_days = 0", mistake.example)).versions[0].expiry.days == 120
    )
    assert str(caught.value).endswith("not 0. Write, for example: expiry_days = 120")


def test_a_misspelt_name_is_one_mistake_and_a_missing_one_another():
    misspelt = SEED.replace("expiry_days", "expiry_dais")
    missing = "".join(line for line in SEED.splitlines(True) if "expiry_days" not in line)

    assert [told for _, told in mistakes(misspelt)] == [
        "`expiry_dais` is unknown here. Did you mean `expiry_days`?"
    ]
    assert mistakes(missing) == [(line_of(SEED, "[[versions]]"), "`expiry_days` is missing.")]


def test_all_mistakes_are_told_at_once_in_the_order_of_their_lines():
    wrong = SEED.replace("cap = 45", "cap = 1").replace("refund_days = 90", "refund_days = -1")

    assert [line for line, _ in mistakes(wrong)] == [
        line_of(SEED, "refund_days"),
        line_of(SEED, "cap = 45"),
    ]


def test_what_stands_twice_is_told_at_the_second():
    second = SEED.replace('name = "premium_business"', 'name = "premium_career"')

    assert mistakes(second) == [
        (
            line_of(SEED, 'name = "premium_business"'),
            (
                '`name` "premium_career" stands here twice. Write another one, or leave one of the two '
                "out."
            ),
        )
    ]


def test_lines_of_tables_within_a_line_are_found():
    line = line_of(TIGHT, '  {name = "pair"')

    assert [line for line, _ in mistakes(TIGHT.replace("cap = 4", "cap = 1"))] == [line]


def test_versions_that_cannot_follow_each_other_are_told_at_the_later_one():
    one = policies.written(replace(FIRST, holds_from=datetime(2026, 1, 1, tzinfo=UTC)))
    early = policies.written(replace(FIRST, holds_from=datetime(2025, 1, 1, tzinfo=UTC)))
    place = one.count("\n") + 2

    (found,) = mistakes(f"{one}\n{early}")
    assert found[0] == place
    assert "2025-01-01 00:00:00 does not come after 2026-01-01 00:00:00" in found[1]

    later = policies.written(replace(FIRST, holds_from=datetime(2027, 1, 1, tzinfo=UTC)))
    (found,) = mistakes(f"{one}\n{later.replace('recruiter_lite', 'recruiter_heavy')}")
    assert found[0] == place
    assert "drops the plan recruiter_lite" in found[1]


def test_the_first_version_may_leave_its_date_to_whoever_applies_it():
    undated = policies.written(FIRST, dated=False)
    assert "holds_from" not in undated
    assert parse(undated).versions == (FIRST,)

    dated = policies.written(replace(FIRST, holds_from=datetime(2027, 1, 1, tzinfo=UTC)))
    assert [told for _, told in mistakes(f"{dated}\n{undated}")] == ["`holds_from` is missing."]


@pytest.mark.parametrize(
    ("document", "line", "sentence"),
    [
        ("", None, "The policy has no version: write at least one [[versions]] table."),
        (
            "a = 1\nb",
            2,
            "The policy is not valid TOML: Expected '=' after a key in a key/value pair.",
        ),
        ("versions = 3", 1, "`versions` must be a list of tables, not 3."),
        ("versions = [1]", 1, "`versions` must be a list of tables, not […]."),
        ("[versions]", 1, "`versions` must be a list of tables, not {…}."),
        ("a = " + "[" * 5000, None, "The policy is not valid TOML: "),
        ("a = " + "9" * 6000, None, "The policy is not valid TOML: a number is too long."),
        ("#" * 100_001, None, "The document has 100001 characters; a policy has at most 100000."),
    ],
)
def test_what_is_no_policy_at_all_is_a_sentence_too(document, line, sentence):
    (found, *_) = mistakes(document)

    assert found[1].startswith(sentence)
    assert line is None or found[0] == line


# Whatever is written ------------------------------------------------------------------------------

texts = st.text(st.characters(codec="utf-8"), max_size=30)
keys = st.sampled_from([*FIRST.__slots__, "holds_from", "expiry_days", "plans", "name", "cap"])
scalars = st.one_of(
    st.integers(-5, 10**6).map(str),
    st.sampled_from(["true", "false", "nan", "08:00:00", "2027-01-01T00:00:00Z", "2027-01-01"]),
    st.sampled_from(['"seed"', "'x'", '"""\n"""', "[]", "{}", "[1, {a = 2}]", '{name = "a"}', "="]),
)
lines = st.one_of(
    st.builds("{} = {}".format, keys, scalars),
    st.sampled_from(["[[versions]]", "[[versions.plans]]", "[[versions.quick_replies]]", "[x]"]),
    st.sampled_from(SEED.splitlines()),
    texts,
)


def read(document: str) -> None:
    """As a policy, or as mistakes that stand somewhere in it."""
    try:
        parse(document)
    except PolicyProblem as problem:
        found = problem.mistakes
    else:
        return
    assert found
    count = document.count("\n") + 1
    assert all(each.line is None or 1 <= each.line <= count for each in found)
    assert all(each.sentence for each in found)


@given(texts)
@example('"""')
@example("[[versions]]\r")
@example("a = '''")
def test_any_text_is_a_policy_or_a_sentence(document):
    read(document)
    places(document)


@given(st.lists(lines, max_size=40).map("\n".join))
def test_anything_like_a_policy_is_one_or_a_sentence(document):
    read(document)


@given(st.data())
def test_a_policy_with_one_line_changed_is_one_or_a_sentence(data):
    document = data.draw(st.sampled_from([SEED, TIGHT])).splitlines()
    place = data.draw(st.integers(0, len(document) - 1))
    document[place] = data.draw(lines)

    read("\n".join(document))


# A version takes a while to be drawn, and one says nearly all that many do.
few = settings(max_examples=25)
names = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,39}", fullmatch=True)
titles = st.text(st.characters(codec="utf-8"), min_size=1, max_size=100).filter(str.strip)


def _usual(at: datetime) -> bool:
    return 1 < at.year < 9999


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    allotment = draw(st.integers(1, 100_000))
    return Plan(
        draw(names),
        draw(titles),
        draw(st.sampled_from(["premium", "recruiter", "p-1"])),
        allotment,
        draw(st.integers(allotment, 1_000_000)),
        draw(st.sampled_from(GrantsOn)),
    )


@st.composite
def versions(draw: st.DrawFn) -> Policy:
    made = draw(st.lists(plans(), min_size=1, max_size=4, unique_by=lambda plan: plan.name))
    replies = st.builds(QuickReply, names, titles, st.sampled_from(Outcome))
    aim = draw(st.integers(1, 2400))
    waking = draw(st.lists(st.times(), min_size=2, max_size=2, unique=True).map(sorted))
    return Policy(
        holds_from=draw(st.datetimes(timezones=st.just(UTC), allow_imaginary=False).filter(_usual)),
        plans={plan.name: plan for plan in made},
        expiry=timedelta(days=draw(st.integers(1, 3660))),
        refund_window=timedelta(days=draw(st.integers(0, 3660))),
        decline_unlocks=draw(st.booleans()),
        follow_ups=draw(st.booleans()),
        open_profile_daily=draw(st.integers(0, 1000)),
        recipient_requires_premium=draw(st.booleans()),
        subject_chars_max=draw(st.integers(1, 1000)),
        body_chars_max=draw(st.integers(1, 20_000)),
        reminder_aim=timedelta(hours=aim),
        reminder_latest=timedelta(hours=draw(st.integers(aim, 2400))),
        waking_from=waking[0],
        waking_until=waking[1],
        quick_replies=tuple(draw(st.lists(replies, max_size=4, unique_by=lambda reply: reply.id))),
    )


@few
@given(versions())
def test_any_version_is_written_and_read_back(version):
    document = policies.written(version)

    assert parse(document).versions == (version,)
    assert policies.written(parse(document).versions[0]) == document


@few
@given(versions())
def test_the_line_of_everything_in_a_written_version_is_known(version):
    document = policies.written(version)
    found, written = places(document), document.split("\n")
    tree = tomllib.loads(document)["versions"][0]

    for key in tree:
        if key not in ("plans", "quick_replies"):
            assert written[found["versions", 1, key] - 1].startswith(f"{key} = ")
    for kind in ("plans", "quick_replies"):
        for number, table in enumerate(tree.get(kind, ()), 1):
            for key, value in table.items():
                line = written[found["versions", 1, kind, number, key] - 1]
                assert tomllib.loads(line) == {key: value}


# What changes -------------------------------------------------------------------------------------


@few
@given(versions(), versions())
def test_whatever_differs_is_told_and_nothing_else(one, other):
    same = policies.written(one, dated=False) == policies.written(other, dated=False)

    found = differences(one, other)

    assert (found == ()) == same
    assert all(each.before != each.after and each.sentence for each in found)
    assert differences(one, replace(one, holds_from=other.holds_from)) == ()


@pytest.mark.parametrize("name", ["expiry_days", "follow_ups", "cap", "text"])
def test_a_change_of_each_kind_is_told_with_what_becomes_of_what_exists(name):
    told = {
        "expiry_days": (
            {"expiry": timedelta(days=90)},
            "Lots die after 90 days instead of 120: lots that exist keep their date.",
        ),
        "follow_ups": (
            {"follow_ups": True},
            (
                "A sender may write again before the answer, for a credit each, also on letters that "
                "are pending already."
            ),
        ),
        "cap": (
            {
                "plans": {
                    **FIRST.plans,
                    "recruiter_lite": replace(FIRST.plans["recruiter_lite"], cap=60),
                }
            },
            (
                "Recruiter Lite holds at most 60 credits instead of 90: who holds more keeps them, and "
                "gets no new ones until there is room."
            ),
        ),
        "text": (
            {
                "quick_replies": (
                    replace(FIRST.quick_replies[0], text="Yes"),
                    *FIRST.quick_replies[1:],
                )
            },
            "The quick reply “Interested, tell me more” says “Yes”.",
        ),
    }
    changes, sentence = told[name]

    (found,) = differences(FIRST, replace(FIRST, **changes))

    assert found.name.split()[-1] == name
    assert found.sentence == sentence


def test_the_presets_stand_beside_the_seed_with_their_differences():
    table = policies.side_by_side()

    assert list(table.presets) == ["seed", "linkedin-premium", "recruiter", "sales-navigator"]
    assert table.presets["seed"].differences == ()
    row = {row.name: row for row in table.rows}
    assert row["expiry_days"].values == ("120", "90", "90", "90")
    assert row["plans recruiter_lite cap"].values == ("90", "120", "120", "120")
    # What differs in the table is what the sentences are about.
    for place, name in enumerate(table.presets):
        differing = {each.name for each in table.rows if each.values[place] != each.values[0]}
        assert differing == {each.name for each in table.presets[name].differences}


@few
@given(versions())
def test_a_policy_says_every_name_of_its_document(version):
    document = tomllib.loads(policies.written(version))["versions"][0]
    told = {value.name for value in values(version)}

    assert document.keys() - {"holds_from", "topups", "plans", "quick_replies"} <= told
    for plan in document["plans"]:
        assert {f"plans {plan['name']} {key}" for key in plan.keys() - {"name"}} <= told


def test_a_day_begins_at_midnight_utc_and_an_instant_says_its_offset():
    assert policies.instant_of("2027-01-01") == datetime(2027, 1, 1, tzinfo=UTC)
    assert policies.instant_of("2027-01-01T09:00:00+01:00") == datetime(2027, 1, 1, 8, tzinfo=UTC)
    for wrong in ("tomorrow", "2027-01-01T09:00", "2027-13-01", "0001-01-01T00:00:00+14:00", ""):
        with pytest.raises(PolicyProblem, match=r"is no date\. Write a day, such as 2027-01-01"):
            policies.instant_of(wrong)


def test_times_of_day_keep_what_they_say():
    version = replace(FIRST, waking_from=time(7, 30, 15, 5))

    assert parse(policies.written(version)).versions == (version,)


# The past -----------------------------------------------------------------------------------------

days = st.integers(0, 700)
numbers_of_a_plan = st.tuples(st.integers(1, 12), st.integers(1, 30), st.integers(20, 200))


def changed(allotment: int, room: int, expiry: int, start: datetime) -> Policy:
    """The seed, in which Premium Career has other numbers."""
    career = replace(FIRST.plans["premium_career"], allotment=allotment, cap=allotment + room)
    made = {**FIRST.plans, "premium_career": career}
    return replace(FIRST, holds_from=start, plans=made, expiry=timedelta(days=expiry))


def ledger(book: PolicyBook, looks: Sequence[int]) -> list[credits.Entry]:
    """Of a member of Premium Career who is looked at after so many days, and in the end."""
    before = Account(MemberId("ada"), "premium", SIGN_UP)
    change = credits.choose(before, book.at(SIGN_UP).plans["premium_career"], SIGN_UP, book)
    entries = list(change.entries)
    for day in [*sorted(looks), 700]:
        change = credits.settle(change.account, SIGN_UP + timedelta(days=day), book)
        entries += change.entries
    return entries


@few
@given(
    st.lists(st.tuples(days, numbers_of_a_plan), min_size=1, max_size=4), st.lists(days, max_size=8)
)
def test_across_versions_lateness_changes_nothing_and_the_past_stays(coming, looks):
    book = PolicyBook((FIRST,))
    for day, numbers in sorted(dict(coming).items()):
        start = SIGN_UP + timedelta(days=day, seconds=1)
        before = ledger(book, [])
        book = PolicyBook((*book.versions, changed(*numbers, start)))

        after = ledger(book, [])

        assert after == ledger(book, looks)
        assert [e for e in after if e.at < start] == [e for e in before if e.at < start]
