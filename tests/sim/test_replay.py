"""A deployment's history, replayed: its ledger under its own policy, and what another changes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from overture.core.ids import ConversationId, MemberId
from overture.core.policy import Outcome, PolicyBook, PolicyProblem
from overture.core.refusals import Refusal
from overture.core.sending import Done, Respond, Withdraw
from overture.sim import lab
from overture.sim.figures import Run, of_run
from overture.sim.fit import fitted
from overture.sim.knobs import Knobs
from overture.sim.play import play
from overture.sim.replay import Replayed, replay, run_of
from overture.store.credits import books_of
from overture.store.history import Habits, History, history
from tests.cast import Town, policy, town_in
from tests.running import command

OPEN = "linkedin-premium"
SEED = policy("seed").versions[-1]


@pytest.fixture
async def town(database_url: str) -> AsyncIterator[Town]:
    async with town_in(database_url) as made:
        await _live(made)
        yield made


async def _live(town: Town) -> None:
    """Half a year: letters answered soon, late and never, plans that change, a cap that is reached."""
    ada = await town.member("ada", premium="premium_career", recruiter="recruiter_lite")
    grace = await town.member("grace", premium="premium_business")
    others = [await town.member(f"other-{n}", premium="premium_career") for n in range(8)]
    sent = list[ConversationId]()
    for other in others[:5]:
        town.pass_by(days=1)
        sent.append(await wrote(town, ada, other, "premium"))
    town.pass_by(days=3)
    for other, inmail in zip(others, sent[:2], strict=False):
        await town.acts(Respond(other, inmail, Outcome.DECLINED))
    await town.accepts(others[2], sent[2])
    await town.acts(Withdraw(ada, sent[3]))
    # Written again after the decline, as decline_unlocks allows.
    town.pass_by(hours=2)
    again = await wrote(town, ada, others[0], "premium")
    for other in others[5:]:
        await town.sends(grace, other)
    town.pass_by(days=100)
    await town.acts(Respond(others[4], sent[4], Outcome.DECLINED))
    await town.accepts(others[0], again)
    await town.chooses(grace, "premium", "premium_career")
    await town.cancels(ada, "recruiter")
    town.pass_by(days=50)
    await town.chooses(grace, "premium", "premium_business")
    for other in others[:3]:
        await town.sends(grace, other)
    town.pass_by(days=10)


async def wrote(
    town: Town, sender: MemberId, to: MemberId, pool: str | None = None
) -> ConversationId:
    sent = await town.sends(sender, to, pool)
    assert not isinstance(sent, Refusal), sent
    return sent


async def recorded(town: Town) -> History:
    return await town.look(lambda tx: history(tx, town.now))


def only(book: PolicyBook, **changes: Any) -> PolicyBook:
    return PolicyBook((replace(book.versions[-1], **changes),))


async def test_under_its_own_policy_the_recorded_ledger_comes_out(town: Town) -> None:
    found = await recorded(town)
    played = replay(found, town.book, town.now)

    owners = sorted({owner for owner, _ in played.ledgers})
    stored = await town.look(lambda tx: books_of(tx, owners))
    assert sum(len(books.entries) for books in stored) > 30
    for books in stored:
        # What fell due since the last look is not stored yet.
        key = books.account.owner, books.account.pool
        assert played.ledgers[key][: len(books.entries)] == books.entries
    assert not played.refused
    assert len(played.sent) == len(found.letters) == 12
    assert len(played.answered) == 5


async def test_other_policies_refuse_and_refund_otherwise(town: Town) -> None:
    found = await recorded(town)

    def under(book: PolicyBook) -> Replayed:
        return replay(found, book, town.now)

    def figures(book: PolicyBook) -> dict[str, float]:
        return dict(run_of(found, under(book), book, town.now).overall)

    usual = figures(town.book)
    assert usual["refused"] == 0
    assert usual["answer_rate"] == pytest.approx(5 / 12)
    shut = under(only(town.book, decline_unlocks=False))
    assert shut.refused == {Refusal.PENDING_INMAIL: 1}
    assert len(shut.answered) == 4
    poor = {
        name: replace(plan, allotment=1, cap=1)
        for name, plan in town.book.versions[-1].plans.items()
    }
    assert under(only(town.book, plans=poor)).refused[Refusal.NO_CREDITS] > 0
    assert figures(only(town.book, plans=poor))["unmet"] > 0
    assert figures(only(town.book, refund_window=timedelta(0)))["returned"] == 0
    assert usual["returned"] > 0
    assert figures(only(town.book, expiry=timedelta(days=9)))["expired"] > usual["expired"]


async def test_a_free_letter_stays_free_and_its_sender_is_held_to_the_other_limit(
    town: Town, database_url: str
) -> None:
    ada = await town.member("basic-ada")
    for n in range(3):
        other = await town.member(f"open-{n}", premium="premium_career")
        with psycopg.connect(database_url) as db:
            db.execute("update members set open_profile = true where id = %s", (other,))
        inmail = await wrote(town, ada, other)
        assert isinstance(await town.acts(Respond(other, inmail, Outcome.ACCEPTED)), Done)
    found = await recorded(town)

    usual = replay(found, town.book, town.now)
    narrow = replay(found, only(town.book, open_profile_daily=2), town.now)

    assert len(usual.sent) == 15
    assert narrow.refused == {Refusal.OPEN_PROFILE_LIMIT: 1}
    assert len(narrow.answered) == len(usual.answered) - 1


async def test_a_policy_without_a_plan_that_members_chose_is_refused(town: Town) -> None:
    plans = dict(town.book.versions[-1].plans)
    del plans["recruiter_lite"]

    with pytest.raises(PolicyProblem, match="the plan recruiter_lite of the pool recruiter"):
        replay(await recorded(town), only(town.book, plans=plans), town.now)


@pytest.mark.usefixtures("town")
async def test_the_command_shows_the_past_as_it_was_beside_another_policy(
    database_url: str,
) -> None:
    asked = ("simulate", OPEN, "--replay", "--database-url", database_url)
    printed, as_json = command(*asked), command(*asked, "--json")

    assert printed.returncode == 0, printed.stderr
    assert "12 letters of the deployment's own history, replayed" in printed.stdout
    was, would = json.loads(as_json.stdout)["policies"]
    assert (was["policy"], would["policy"]) == ("as it was", OPEN)
    assert was["overall"]["refused"]["mean"] == 0
    assert would["overall"]["refused"]["mean"] == 0
    assert "spam_weeks" not in was["months"]


async def test_knobs_are_fitted_to_what_members_did(town: Town) -> None:
    found = await recorded(town)

    knobs = lab.fitted(Knobs(), found, town.book, town.now)

    assert knobs.premium_share == pytest.approx(1.0, abs=0.1)
    assert knobs.opted_out_share == 0
    assert set(knobs.plan_shares) == set(town.book.versions[-1].plans)
    assert knobs.plan_shares["sales_navigator_core"] == 0
    assert 0 < knobs.wishes["premium_career"] < 2
    # A dozen letters say too little of how likely an answer is.
    assert knobs.answer_base == Knobs().answer_base


def test_odds_and_delays_are_turned_until_the_agents_answer_as_members_did() -> None:
    def own(rate: float, hours: float) -> Run:
        return Run({"answer_rate": rate, "hours_to_answer": hours}, {}, {})

    habits = Habits(members=1000, premium=250, open_profiles=50, opted_out=30)

    knobs = fitted(Knobs(), SEED, own(0.12, 50), habits, letters=1000)

    tally, _ = play(SEED, replace(knobs, warm_up_months=1), members=2000, months=2, seed=1)
    found = of_run(SEED, tally, 2000).overall
    assert found["answer_rate"] == pytest.approx(0.12, abs=0.02)
    assert found["hours_to_answer"] == pytest.approx(50, rel=0.2)
    assert knobs.open_profile_share == 0.2
