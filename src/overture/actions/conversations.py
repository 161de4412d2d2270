"""What members do with conversations: start, write on, respond, withdraw. A batch a transaction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from overture.core.contact import Contact
from overture.core.ids import MemberId
from overture.core.pace import Paced
from overture.core.policy import PolicyBook
from overture.core.sending import Answer, Command, Done, Respond, Start, Withdraw, Write
from overture.store import conversations as store
from overture.store.db import Tx
from overture.store.idempotency import Kept, Once, keep, kept

# How an answer is kept for repeats: its status and body, as the edge will give it.
Render = Callable[[Done], tuple[int, bytes]]


@dataclass(frozen=True, slots=True)
class Ask:
    """A command, and what makes it the same one when it comes again; `render` goes with `once`."""

    command: Command
    once: Once | None = None
    render: Render | None = None


@dataclass(frozen=True, slots=True)
class KeyReused:
    """The Idempotency-Key came before with another body: nothing was done."""


async def act(
    tx: Tx, asks: Sequence[Ask], now: datetime, book: PolicyBook
) -> list[Answer | Kept | KeyReused]:
    """Carries out commands in their order, each on what those before it did.

    A request that was carried out before is answered with what was kept of it. Nothing is kept of a
    refusal, so that the key is free again.
    """
    answers: list[Answer | Kept | KeyReused] = []
    while len(answers) < len(asks):
        answers += await _act(tx, asks[len(answers) :], now, book)
    return answers


async def _act(
    tx: Tx, asks: Sequence[Ask], now: datetime, book: PolicyBook
) -> list[Answer | Kept | KeyReused]:
    """Carries out the first of these, until one goes on with what another of them began or ended."""
    commands = [ask.command for ask in asks]
    blocks = any(isinstance(command, Respond) and command.block for command in commands)
    loaded = await store.facts(
        tx,
        [store.asked_by(command) for command in commands],
        now,
        book,
        alone=blocks,
        with_files=[each.viewer for each in commands if isinstance(each, Write) and each.files],
        paced={c.viewer: c.paced for c in commands if isinstance(c, Start) and c.paced is not None},
    )
    # After the facts: whatever they show the effect of has its answer here. The other way round, a
    # repeat that another process carried out in between would be refused for its own effect.
    known = await kept(tx, [ask.once for ask in asks if ask.once is not None])
    answers: list[Answer | Kept | KeyReused] = []
    to_keep: list[tuple[Once, Kept]] = []
    changed: set[frozenset[MemberId]] = set()
    for ask in asks:
        # A letter is stored as one that waits before it is answered, so that a second one between the
        # two, which another server carries out at the same time, meets it. And it is stored as one that
        # waits no more before the next one is: they would meet each other.
        if isinstance(ask.command, Start) and _pair(ask.command) in changed:
            break
        once = ask.once
        if once is not None and (before := known.get(once.scope)) is not None:
            answers.append(before if before.fingerprint == once.fingerprint else KeyReused())
            continue
        answer = loaded.desk.decide(ask.command)
        answers.append(answer)
        if isinstance(answer, Done) and (answer.created or _may_end(ask.command)):
            changed.add(frozenset((ask.command.viewer, answer.conversation.with_.id)))
        if once is not None and ask.render is not None and isinstance(answer, Done):
            status, body = ask.render(answer)
            known[once.scope] = Kept(status, body, once.fingerprint)
            to_keep.append((once, known[once.scope]))
    await store.record(tx, loaded)
    await keep(tx, to_keep)
    return answers


def _may_end(command: Command) -> bool:
    """Whether a letter may wait no more after this."""
    return isinstance(command, Respond | Withdraw | Write)


def _pair(command: Start) -> frozenset[MemberId]:
    return frozenset((command.viewer, command.to))


async def preview(
    tx: Tx,
    viewer: MemberId,
    to: MemberId,
    *,
    pool: str | None,
    now: datetime,
    book: PolicyBook,
    paced: Paced | None = None,
) -> Contact:
    """May I write to this member, and at what price? The decision that a send would meet now."""
    loaded = await store.facts(
        tx,
        [store.Asked(viewer, other=to)],
        now,
        book,
        lock=False,
        deciding=False,
        paced=None if paced is None else {viewer: paced},
    )
    return loaded.desk.preview(viewer, to, pool, paced)
