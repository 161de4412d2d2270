"""The members of a simulated network, drawn by a seed: who they are, and what they are like."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from overture.core.policy import Policy
from overture.sim.columns import NO_PLAN, Flags, Ints, Small
from overture.sim.knobs import Knobs

Reals = NDArray[np.float32]

HONEST, SPAMMER, COLLUDER, HOARDER = range(4)
ROLES = ("honest", "spammer", "colluder", "hoarder")

# Colluders stand in rings, and each writes to the next ones of the ring: never both ways.
RING = 21
ACCOMPLICES = 10


@dataclass(frozen=True, slots=True)
class People:
    """Members are numbered from 0; `account` is the number of a member's account, or -1.

    What has one row an account: `member`, `first_plan` (a place among the policy's plans), `wish` (a
    day), `effort`, `signs_up` (the day). The other columns have one a member.
    """

    count: int
    role: NDArray[np.int8]
    account: Small
    open_profile: Flags
    accepts: Flags
    attention: Reals
    taste: Reals
    popularity: Reals
    member: Small
    first_plan: Small
    wish: Reals
    effort: Reals
    signs_up: Small
    arrives: Small  # of spammers, the day on which each begins
    colluders: Small  # accounts, ring after ring

    def accomplices(self, colluder: Small, turn: Ints) -> Small:
        """The members to whom colluders (by their places) write as their accomplices, by turn."""
        ring = colluder // RING * RING
        place = (colluder - ring + 1 + turn % ACCOMPLICES) % RING
        return self.member[self.colluders[ring + place]]


def stream(seed: int, purpose: int, day: int = 0) -> np.random.Generator:
    """Chance, by what it is for: so two policies meet the same members with the same wishes."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, purpose, day])))


def draw(
    policy: Policy, knobs: Knobs, count: int, seed: int, *, first_days: int, days: int
) -> People:
    """So many members; accounts sign up within the first days, spammers on any of all days."""
    rng = stream(seed, 1)
    plans = list(policy.plans.values())
    # By name: policies that differ in the order of their plans alone meet the same members.
    by_name = sorted(range(len(plans)), key=lambda number: plans[number].name)
    weights = np.array([knobs.plan_shares.get(plans[n].name, 0.0) for n in by_name])
    if not weights.any():
        weights = np.ones(len(plans))
    role = np.full(count, HONEST, np.int8)
    roll = rng.random(count)
    spammers = roll < knobs.spammer_share
    role[spammers] = SPAMMER
    chosen = rng.choice(len(plans), count, p=weights / weights.sum())
    plan = np.array(by_name, np.int32)[chosen]
    premium = rng.random(count) < knobs.premium_share
    most = int(np.argmax([each.allotment for each in plans]))
    plan[spammers] = most
    premium[spammers] = rng.random(int(spammers.sum())) < knobs.paying_spammer_share
    # Rings are whole; hoarders are as many, for comparison.
    rings = round(count * knobs.colluder_share / RING)
    alike = rng.permutation(np.flatnonzero(role == HONEST))[: 2 * rings * RING]
    rings = len(alike) // (2 * RING)
    colluders = alike[: rings * RING]
    hoarders = alike[rings * RING : 2 * rings * RING]
    role[colluders], role[hoarders] = COLLUDER, HOARDER
    premium[colluders] = premium[hoarders] = True
    plan[hoarders] = plan[colluders]
    member = np.flatnonzero(premium).astype(np.int32)
    account = np.full(count, NO_PLAN, np.int32)
    account[member] = np.arange(len(member), dtype=np.int32)
    wished = np.array([knobs.wishes.get(each.name, 0.8 * each.allotment) for each in plans])
    signs_up = rng.integers(0, max(first_days, 1), len(member)).astype(np.int32)
    arrives = rng.integers(0, max(days, 1), count).astype(np.int32)
    arrives[role != SPAMMER] = 0
    signs_up = np.where(role[member] == SPAMMER, arrives[member], signs_up)
    open_profile = rng.random(count) < knobs.open_profile_share
    accepts = rng.random(count) >= knobs.opted_out_share
    open_profile[colluders], accepts[colluders] = False, True
    return People(
        count=count,
        role=role,
        account=account,
        open_profile=open_profile & premium,
        accepts=accepts,
        attention=knobs.attention * _spread(rng, count, knobs.attention_spread),
        taste=(knobs.taste_spread * rng.standard_normal(count)).astype(np.float32),
        popularity=np.where(
            # Nobody writes to colluders by chance: what is between them is theirs.
            role == COLLUDER,
            np.float32(0),
            _spread(rng, count, knobs.popularity_spread),
        ),
        member=member,
        first_plan=plan[member],
        wish=(
            wished[plan[member]] * 12 / 365 * _spread(rng, len(member), knobs.wish_spread)
        ).astype(np.float32),
        effort=rng.beta(2.5, 2.5, len(member)).astype(np.float32),
        signs_up=signs_up,
        arrives=arrives,
        colluders=account[colluders],
    )


def _spread(rng: np.random.Generator, count: int, sigma: float) -> Reals:
    """Around a mean of 1, the logarithm normal."""
    return np.exp(sigma * rng.standard_normal(count) - sigma * sigma / 2).astype(np.float32)
