"""`make simulation`: seed after seed, or every mistake that is planted; prints what it came to."""

from __future__ import annotations

import argparse
import sys
import time
from itertools import count

import pytest

from tests.simulation.mistakes import MISTAKES
from tests.simulation.shelf import Broken
from tests.simulation.town import Played, play


def main() -> int:
    parser = argparse.ArgumentParser(prog="make simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=100, help="how many of them")
    parser.add_argument("--steps", type=int, default=0, help="or until so many steps were made")
    parser.add_argument("--days", type=int, default=200, help="how long each is")
    parser.add_argument("--mistakes", action="store_true", help="look for each planted mistake")
    given = parser.parse_args()
    if given.mistakes:
        return _look_for_mistakes(given.seed, given.seeds, given.days)
    return _play(given.seed, given.seeds, given.steps, given.days)


def _play(first: int, seeds: int, steps: int, days: int) -> int:
    began, made, broken = time.process_time(), list[Played](), list[str]()
    for seed in count(first):
        if sum(each.steps for each in made) >= steps if steps else seed >= first + seeds:
            break
        try:
            made.append(play(seed, days))
        except Broken as problem:
            broken.append(str(problem))
            print(problem, flush=True)
    took = time.process_time() - began
    print(f"{len(made) + len(broken)} seeds of {days} days, {took:.0f} s of processor time")
    for name in (
        "member_days", "steps", "requests", "acknowledged", "refused", "unanswered", "commits",
        "crashes", "outages",
    ):  # fmt: skip
        total = sum(getattr(each, name) for each in made)
        print(f"  {name.replace('_', ' '):<14} {total:>12,}  {total / took * 60:>12,.0f} a minute")
    print(f"  broken promises {len(broken):>11,}")
    return bool(broken)


def _look_for_mistakes(first: int, seeds: int, days: int) -> int:
    missed = 0
    for plant in MISTAKES:
        with pytest.MonkeyPatch.context() as patch:
            plant(patch)
            found = None
            for seed in range(first, first + seeds):
                try:
                    _ = play(seed, days)
                except Broken as problem:
                    found = problem
                    break
        missed += found is None
        print(f"{plant.__name__.strip('_'):<50} {found or 'NOT FOUND'}"[:160], flush=True)
    print(f"{len(MISTAKES) - missed} of {len(MISTAKES)} mistakes found")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
