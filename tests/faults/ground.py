"""Where experiments take place: data folders with a town in them, each experiment on its own copy."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from overture import ids, policies
from overture.actions import members, subscriptions, tokens
from overture.clock import real_now
from overture.core.ids import MemberId, TokenId
from overture.core.policy import PolicyBook, parse
from overture.store import embedded, installation
from overture.store.db import Database, Tx
from overture.store.migrate import migrate
from tests.faults.servers import OPERATOR_TOKEN, kill_postgres

SENDERS = 32


@dataclass(frozen=True, slots=True)
class Cast:
    """Who writes, who is written to."""

    senders: Sequence[MemberId]
    recipients: Sequence[MemberId]


@dataclass(frozen=True, slots=True)
class Ground:
    """A prepared data folder, on which nothing runs."""

    data: Path
    cast: Cast

    @contextmanager
    def copy(self, folder: Path | None = None) -> Generator[Path]:
        """A copy of the data folder, in a folder of its own or the one given, which goes at the end."""
        with _folder() if folder is None else _kept(folder) as where:
            data = where / "data"
            # With the owner of the files, who is PostgreSQL's own user where we are root.
            subprocess.run(["cp", "-a", self.data, data], check=True)
            try:
                yield data
            finally:
                kill_postgres(data)


@contextmanager
def prepared(*, recipients: int) -> Generator[Ground]:
    """A new data folder with a town in it."""
    with _folder() as folder:
        with embedded.start(folder / "data") as server:
            migrate(server.url)
            cast = asyncio.run(people(server.url, SENDERS, recipients))
        yield Ground(folder / "data", cast)


@contextmanager
def made_unsafe(ground: Ground) -> Generator[Ground]:
    """One whose PostgreSQL acknowledges what is not on the disk yet, and takes its time to bring it
    there."""
    with ground.copy() as data:
        configure(
            data, synchronous_commit="off", wal_writer_delay="10s", wal_writer_flush_after="1GB"
        )
        yield Ground(data, ground.cast)


def configure(data: Path, **settings: str) -> None:
    """Settings of a data folder's PostgreSQL from its next start on."""
    with (data / "postgres" / "postgresql.auto.conf").open("a") as file:
        for name, value in settings.items():
            file.write(f"{name} = '{value}'\n")


@contextmanager
def _folder() -> Generator[Path]:
    """A folder with a short name, whose path leaves room for a socket's."""
    folder = Path(tempfile.mkdtemp(prefix="overture-faults-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def _kept(folder: Path) -> Generator[Path]:
    yield folder


# The town ---------------------------------------------------------------------------------------


def rich_policy() -> PolicyBook:
    """The seed's rules with a plan that does not run out of credits under load."""
    seed = policies.document_of(policies.DEFAULT)
    plenty = seed.replace("allotment = 50\ncap = 150", "allotment = 20000\ncap = 60000")
    assert plenty != seed
    return parse(plenty)


async def people(url: str, senders: int, recipients: int) -> Cast:
    """Puts members into a migrated database: senders with credits, recipients with Premium."""
    now, book = real_now(), rich_policy()
    cast = Cast(
        [MemberId(ids.new()) for _ in range(senders)],
        [MemberId(ids.new()) for _ in range(recipients)],
    )
    plan = dict.fromkeys(cast.senders, ("sales_navigator", "sales_navigator_core"))
    plan |= dict.fromkeys(cast.recipients, ("premium", "premium_career"))

    async def install(tx: Tx) -> None:
        await policies.put_in_force(tx, book, now)
        await tokens.ensure_operator_token(tx, OPERATOR_TOKEN, TokenId(ids.new()))
        # So that a server that answers before it commits still finds it when it starts.
        await installation.ensure_secret(tx, ids.new_key())

    async def join(some: Sequence[MemberId]) -> None:
        async def work(tx: Tx) -> None:
            for member in some:
                handle = f"m{member[-12:]}{member[14:18]}"
                made = await members.create(tx, members.NewMember(member, handle, handle), now)
                assert isinstance(made, members.Profile), made
                chosen = await subscriptions.choose(tx, member, *plan[member], now=now, book=book)
                assert isinstance(chosen, subscriptions.SubscriptionChange), chosen

        await db.writing(work)

    db = await Database.open(url, connections=4)
    try:
        await db.writing(install)
        everyone = list(plan)
        for at in range(0, len(plan), 160):
            await asyncio.gather(*(join(everyone[at + n : at + 160 : 4]) for n in range(4)))
    finally:
        await db.close()
    return cast
