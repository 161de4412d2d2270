"""Each entry of a ledger seals all before it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from overture.core import credits
from overture.core.chain import link
from overture.core.credits import Account, linked
from overture.core.ids import ConversationId, MemberId
from overture.core.refusals import Refusal
from tests.cast import SIGN_UP, policy

OWNER = MemberId("00000000-0000-7000-8000-000000000001")
BOOK = policy("seed")


def a_year() -> tuple[Account, list[credits.Entry]]:
    plan = BOOK.at(SIGN_UP).plans["premium_career"]
    begun = credits.choose(Account(OWNER, "premium", SIGN_UP), plan, SIGN_UP, BOOK)
    inmail = ConversationId("00000000-0000-7000-8000-000000000002")
    sent = credits.spend(begun.account, SIGN_UP + timedelta(days=9), BOOK, inmail_id=inmail)
    assert not isinstance(sent, Refusal)
    later = credits.settle(sent.account, SIGN_UP + timedelta(days=365), BOOK)
    return later.account, [*begun.entries, *sent.entries, *later.entries]


def test_each_entry_follows_the_one_before_it():
    account, entries = a_year()

    before = ""
    for entry in entries:
        assert entry.link == linked(entry, OWNER, "premium", before)
        before = entry.link
    assert account.link == before
    assert len({entry.link for entry in entries}) == len(entries)


@pytest.mark.parametrize(
    "changed",
    [
        {"number": 7},
        {"at": SIGN_UP},
        {"kind": credits.Kind.REFUND},
        {"credits": 4},
        {"forfeited": 1},
        {"plan": None},
        {"lot": 9},
        {"expires_at": SIGN_UP},
        {"inmail_id": None},
        {"balance": 3},
        {"reason": "follow_up"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_no_field_can_be_changed_unnoticed(changed: dict[str, object]):
    spent = a_year()[1][1]

    assert linked(replace(spent, **changed), OWNER, "premium", "x") != linked(
        spent, OWNER, "premium", "x"
    )


def test_fields_cannot_run_into_each_other():
    assert link("", "a", None, "b") != link("", "a", "b", None)
    assert link("", "ab", "c") != link("", "a", "bc")
