"""Random lives of accounts, played by `core.credits` one by one and by columns all at once."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from overture.core import credits
from overture.core.credits import Account, Entry
from overture.core.ids import ConversationId, MemberId
from overture.core.policy import Policy, PolicyBook
from overture.core.refusals import Refusal
from overture.sim.columns import DAY, KINDS, Accounts, Act, Acts, Result, Terms, Written

FIRST_DAY = (datetime(2027, 12, 20, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).days
Line = tuple[int, str, int, str, int, str | None, int]


@dataclass
class Life:
    """One account: what its member does, as (instant, act, plan, sent at)."""

    deeds: list[tuple[int, Act, int, int]] = field(default_factory=list)


def lives(policy: Policy, seed: int, count: int, days: int) -> list[Life]:
    """Each of one pool, busy in its own measure; many things happen at the very instant of others."""
    rng = random.Random(seed)
    terms = Terms.of(policy)
    pools = [[terms.plans.index(p.name) for p in policy.plans_of(pool)] for pool in policy.pools]
    made: list[Life] = []
    for _ in range(count):
        life, plans, busy = Life(), rng.choice(pools), rng.choice((0.02, 0.3, 1.5, 8))
        eager, sent = rng.random(), list[int]()
        # Anniversaries and deaths of lots fall on these; so may all else.
        seconds = [0, rng.randrange(DAY), rng.randrange(DAY)]
        for day in range(FIRST_DAY, FIRST_DAY + days):
            today = list[tuple[int, Act, int, int]]()
            for _ in range(min(int(rng.expovariate(1 / busy)), 20)):
                at = day * DAY + (rng.choice(seconds) if rng.random() < 0.6 else rng.randrange(DAY))
                roll = rng.random()
                if roll < 0.06 / max(busy, 0.3):
                    today.append((at, Act.CHOOSE, rng.choice(plans), 0))
                elif roll < 0.07 / max(busy, 0.3):
                    today.append((at, Act.CANCEL_AT_PERIOD_END, -1, 0))
                elif roll < 0.075 / max(busy, 0.3):
                    today.append((at, Act.CANCEL_NOW, -1, 0))
                elif sent and rng.random() < eager:
                    late = rng.random() < 0.1
                    today.append(
                        (at, Act.GIVE_BACK, -1, sent.pop(0 if late else rng.randrange(len(sent))))
                    )
                else:
                    today.append((at, Act.SPEND, -1, at))
            today.sort(key=lambda deed: deed[0])
            sent += [at for at, act, *_ in today if act is Act.SPEND]
            if day == FIRST_DAY:
                today.insert(0, (day * DAY, Act.CHOOSE, rng.choice(plans), 0))
            life.deeds += today
        made.append(life)
    return made


def by_core(policy: Policy, lives: list[Life], days: int) -> tuple[list[list[Line]], list[Account]]:
    """Each account's ledger by the rules themselves, settled to the end of the last day."""
    book, terms = PolicyBook((policy,)), Terms.of(policy)
    ledgers, accounts = list[list[Line]](), list[Account]()
    for number, life in enumerate(lives):
        pool = policy.plans[terms.plans[life.deeds[0][2]]].pool
        account = Account(MemberId(str(number)), pool, _instant(FIRST_DAY * DAY))
        entries = list[Entry]()
        for at, act, plan, sent in life.deeds:
            now = _instant(at)
            settled = credits.settle(account, now, book)
            account = settled.account
            entries += settled.entries
            match act:
                case Act.CHOOSE:
                    change = credits.choose(account, policy.plans[terms.plans[plan]], now, book)
                case Act.CANCEL_NOW | Act.CANCEL_AT_PERIOD_END if account.subscription is None:
                    continue
                case Act.CANCEL_NOW:
                    change = credits.cancel_now(account, now, book)
                case Act.CANCEL_AT_PERIOD_END:
                    change = credits.cancel_at_period_end(account, now, book)
                case Act.SPEND:
                    change = credits.spend(account, now, book, inmail_id=ConversationId("x"))
                case _:
                    until = _instant(sent) + policy.refund_window
                    change = credits.give_back(
                        account, now, book, inmail_id=ConversationId("x"), refundable_until=until
                    )
            if not isinstance(change, Refusal):
                account, entries = change.account, [*entries, *change.entries]
        end = credits.settle(account, _instant((FIRST_DAY + days) * DAY - 1), book)
        accounts.append(end.account)
        ledgers.append([_line(entry) for entry in [*entries, *end.entries]])
    return ledgers, accounts


def by_columns(
    policy: Policy, lives: list[Life], days: int
) -> tuple[list[list[Line]], Accounts, Counter[Result]]:
    terms = Terms.of(policy)
    accounts = Accounts(terms, len(lives), FIRST_DAY)
    ledgers: list[list[Line]] = [[] for _ in lives]
    results: Counter[Result] = Counter()
    deeds = [
        (at, who, act, plan, sent)
        for who, life in enumerate(lives)
        for at, act, plan, sent in life.deeds
    ]
    by_day: dict[int, list[tuple[int, int, Act, int, int]]] = {}
    for deed in deeds:
        by_day.setdefault(deed[0] // DAY, []).append(deed)
    window = int(policy.refund_window.total_seconds())
    for day in range(FIRST_DAY, FIRST_DAY + days):
        today = by_day.get(day, [])
        acts = Acts(
            np.array([who for _, who, *_ in today], np.int32),
            np.array([at for at, *_ in today], np.int64),
            np.array([act for _, _, act, *_ in today], np.int32),
            np.array([plan for *_, plan, _ in today], np.int32),
            np.array([sent + window for *_, sent in today], np.int64),
        )
        result, written = accounts.play(acts)
        results.update(Result(each) for each in result)
        for each in written:
            for who, line in lines(each, terms):
                ledgers[who].append(line)
    return ledgers, accounts, results


def lines(written: Written, terms: Terms) -> list[tuple[int, Line]]:
    return [
        (
            int(who),
            (
                int(at),
                written.kind.value,
                int(change),
                written.reason.value,
                int(balance),
                None if plan < 0 else terms.plans[plan],
                int(forfeited),
            ),
        )
        for who, at, change, forfeited, balance, plan in zip(
            written.who,
            written.at,
            written.credits,
            written.forfeited,
            written.balance,
            written.plan,
            strict=True,
        )
    ]


def kinds_in(ledgers: list[list[Line]]) -> set[tuple[str, str]]:
    return {(line[1], line[3]) for ledger in ledgers for line in ledger}


def _line(entry: Entry) -> Line:
    assert entry.kind in KINDS
    at = int((entry.at - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(seconds=1))
    kind, reason = entry.kind.value, str(entry.reason)
    return (at, kind, entry.credits, reason, entry.balance, entry.plan, entry.forfeited)


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
