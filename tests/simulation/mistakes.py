"""Mistakes to plant: each breaks a promise, and some seed must find it.

Those in `core` are those that the property tests must find as well; those here are of the kind that
only shows when several act at once, or something fails in the middle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

import pytest

from overture.actions import conversations, lanes
from overture.actions.conversations import Ask
from overture.store import db
from overture.store.db import Unavailable
from tests.core import test_planted_mistakes as in_core
from tests.simulation.shelf import Connection, Shelf

Patch = pytest.MonkeyPatch


def _repeats_are_looked_up_before_the_facts(patch: Patch) -> None:
    """What another server did in between is taken for the request's own doing, and refused."""
    facts, kept = Shelf.facts, Shelf.kept_of
    early: dict[Any, Any] = {}

    async def look_first(self: Shelf, tx: Any, *args: Any, **how: Any) -> Any:
        early[tx] = dict(self.kept)
        return await facts(self, tx, *args, **how)

    async def from_before(self: Shelf, tx: Any, asked: Sequence[Any]) -> Any:
        await kept(self, tx, asked)
        return {each.scope: early[tx][each.scope] for each in asked if each.scope in early[tx]}

    patch.setattr(Shelf, "facts", look_first)
    patch.setattr(Shelf, "kept_of", from_before)


def _keys_are_not_kept(patch: Patch) -> None:
    async def forget(self: Shelf, tx: Any, answers: Any) -> None:
        await self.weather.step(tx)

    patch.setattr(Shelf, "keep", forget)


def _answered_before_the_commit(patch: Patch) -> None:
    """Whether the commit took effect or not, the answer is yes."""
    writing = db.Database.writing

    async def hasty(self: Any, work: Any) -> Any:
        made: list[Any] = []

        async def remembered(tx: Any) -> Any:
            made[:] = [await work(tx)]
            return made[0]

        try:
            return await writing(self, remembered)
        except Unavailable:
            if made:
                return made[0]
            raise

    patch.setattr(db.Database, "writing", hasty)


def _a_commit_in_doubt_is_tried_again(patch: Patch) -> None:
    """As without keys: what may have been carried out is carried out again, under new ids."""
    serve = lanes.Lane._serve

    async def again(self: Any, batch: Any) -> None:
        renewed = [(_without_key(command), future) for command, future in batch]
        await serve(self, renewed)

    patch.setattr(lanes.Lane, "_serve", again)


def _without_key(ask: Any) -> Any:
    return Ask(ask.command, None, None) if isinstance(ask, Ask) else ask


class _Whatever(dict[Any, Any]):
    """Says of every row that it is as it was read."""

    def __getitem__(self, key: Any) -> Any:
        return mock.ANY


def _written_blindly(patch: Patch, column: str) -> None:
    record = Shelf.record

    async def blind(self: Shelf, tx: Any, loaded: Any) -> None:
        setattr(loaded, column, _Whatever())
        await record(self, tx, loaded)

    patch.setattr(Shelf, "record", blind)


def _accounts_are_written_whatever_they_are(patch: Patch) -> None:
    _written_blindly(patch, "accounts")


def _conversations_are_written_whatever_they_are(patch: Patch) -> None:
    _written_blindly(patch, "conversations")


def _free_letters_are_counted_whatever_they_are(patch: Patch) -> None:
    _written_blindly(patch, "open_profile_sends")


def _members_are_not_locked(patch: Patch) -> None:
    """A block, a closed account or a switch is passed by whoever looked just before."""
    lock = Shelf.lock

    async def open_doors(self: Shelf, tx: Any, keys: Any, *, alone: bool) -> None:
        await lock(self, tx, [key for key in keys if key[0] != "member"], alone=alone)

    patch.setattr(Shelf, "lock", open_doors)


def _a_pair_may_have_two_letters(patch: Patch) -> None:
    patch.setattr("tests.simulation.shelf._place", lambda conversation: (conversation.id,))


def _letters_that_cross_are_written_as_answered(patch: Patch) -> None:
    """Nobody beside this server meets one that waits."""
    patch.setattr(conversations, "_pair", lambda command: frozenset((id(command),)))


def _what_was_committed_is_lost(patch: Patch) -> None:
    """As with `synchronous_commit` off: the last commits go with the server."""
    commit = Connection._commit

    async def later(self: Connection) -> None:
        if self.writes and self.shelf.weather.rng.random() < 0.02:
            self.writes.clear()
        await commit(self)

    patch.setattr(Connection, "_commit", later)


def _answers_go_to_whoever_waits(patch: Patch) -> None:
    """A lane hands its results out in another order than it took the commands."""
    serve = lanes.Lane._serve

    async def mixed(self: Any, batch: Any) -> None:
        futures = [future for _, future in batch]
        turned = [*futures[1:], *futures[:1]]
        await serve(self, [(command, f) for (command, _), f in zip(batch, turned, strict=True)])

    patch.setattr(lanes.Lane, "_serve", mixed)


IN_CONCURRENCY: tuple[Callable[[Patch], None], ...] = (
    _repeats_are_looked_up_before_the_facts,
    _keys_are_not_kept,
    _answered_before_the_commit,
    _a_commit_in_doubt_is_tried_again,
    _accounts_are_written_whatever_they_are,
    _conversations_are_written_whatever_they_are,
    _free_letters_are_counted_whatever_they_are,
    _members_are_not_locked,
    _a_pair_may_have_two_letters,
    _letters_that_cross_are_written_as_answered,
    _what_was_committed_is_lost,
    _answers_go_to_whoever_waits,
)
# What takes a minute to be found.
LATE = (
    _a_pair_may_have_two_letters,
    _letters_that_cross_are_written_as_answered,
    _conversations_are_written_whatever_they_are,
    _free_letters_are_counted_whatever_they_are,
)
# Of this the database makes nothing worse than a send that comes to no end: its index lets a pair have
# one letter that waits.
_HARMLESS = (in_core._pending_does_not_block,)
MISTAKES = (*IN_CONCURRENCY, *(each for each in in_core.MISTAKES if each not in _HARMLESS))
