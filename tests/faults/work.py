"""Kills in the midst of due work, by the step and by chance.

By the step: a worker is let run up to its n-th step, and no further. A step is a statement to the
database, or something that is written to anybody else: a receiver of webhooks, a mail server. What lies
between two of them is a place to end at as well.

By chance: a whole server and its PostgreSQL are killed while the test clock is being moved through an
hour in which much falls due.

    python -m tests.faults.work --kills 30

kills the server and PostgreSQL in turn, so many times each.
"""

from __future__ import annotations

import argparse
import asyncio
import asyncio.selector_events
import itertools
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

import httpx
import psycopg

from overture import ids
from overture.actions import ledger, members
from overture.actions.accounts import Mail
from overture.core.ids import ConversationId, MemberId
from overture.core.refusals import Refusal
from overture.jobs.runner import Runner
from overture.mail.smtp import Smtp
from overture.store import accounts, embedded, installation, mails
from overture.store.db import WORK_OPTIONS, Database, Tx
from overture.store.mails import Wanted
from overture.store.migrate import migrate
from tests.cast import SIGN_UP, Town, policy, town_in
from tests.faults.servers import OPERATOR_TOKEN, kill_postgres, launch
from tests.jobs.year import ZONES
from tests.mail.conftest import Server as MailServer
from tests.mail.conftest import listening
from tests.webhooks.conftest import Receiver, Told, receiving
from tests.work import runner_in

T = TypeVar("T")

CAREER = {"premium": "premium_career"}
BACK_SECONDS_MAX = 120

# How a worker is put together, in its own process.
MakeRunner = Callable[[Town], Runner]

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(
    [__name__, "overture.worker", "overture.outward", "tests.work", "tests.faults.test_work"]
)


@dataclass(frozen=True)
class Ended:
    """How a worker ended: killed, or with nothing left to do."""

    killed: bool


def works(url: str, make: MakeRunner, until: datetime, *, steps: int | None = None) -> Ended:
    """Has a worker move the clock to `until`, in a process of its own, which is killed before its
    `steps`th step."""
    process = _processes.Process(target=_work, args=(url, make, until, steps))
    process.start()
    process.join(120)
    assert process.exitcode is not None, "The worker hangs."
    assert process.exitcode in (0, -signal.SIGKILL), f"The worker ended with {process.exitcode}."
    return Ended(process.exitcode != 0)


def time_passes(url: str) -> None:
    """As if all leases had ended, and all that failed had waited."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("update jobs set held_until = '-infinity', not_before = '-infinity'")


# Servers ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Report:
    """What killed servers made of what was due."""

    kills: int
    reminders: int
    webhooks: int
    mails: int
    wrong: list[str]


@contextmanager
def prepared(letters: int, told: Receivers) -> Generator[tuple[Path, list[ConversationId]]]:
    """A data folder with letters that wait for their answers, of which nobody was told yet; nothing
    runs on it."""
    folder = Path(tempfile.mkdtemp(prefix="overture-work-"))
    try:
        with embedded.start(folder / "data") as server:
            migrate(server.url)
            sent = asyncio.run(_send(server.url, letters, told))
        yield folder / "data", sent
    finally:
        kill_postgres(folder / "data")
        shutil.rmtree(folder)


def servers_killed(
    data: Path,
    sent: Sequence[ConversationId],
    told: Receivers,
    log: Path,
    kills: Sequence[str],
) -> Report:
    """Moves the clock over all reminders while "server" and "postgres" are killed in this order."""
    start = partial(
        launch, log, data=data, test_clock=f"{SIGN_UP:%Y-%m-%dT%H:%M:%SZ}", **told.settings
    )
    server = start()
    port = server.port
    # The reminders come between the 48th and the 60th hour.
    targets = [SIGN_UP + timedelta(hours=46 + 14 * (n + 1) / len(kills)) for n in range(len(kills))]
    try:
        for what, target in zip(kills, targets, strict=True):
            moving = Thread(target=_move_clock, args=(port, target))
            moving.start()
            time.sleep(random.uniform(0.02, 0.3))
            if what == "server":
                server.kill()
                moving.join()
                _time_passes_in(data)
                server = start(port=port)
            else:
                kill_postgres(data)
                # What was claimed by a commit whose answer was cut off is held, and by nobody.
                _time_passes_in(data)
                moving.join()
            _until(lambda target=target: _move_clock(port, target) == 200)
        # What PostgreSQL's end cut short waits to be tried again, or for its lease to end.
        server.stop()
        _time_passes_in(data)
        server = start(port=port)
        _until(lambda: _move_clock(port, SIGN_UP + timedelta(days=4)) == 200)
    finally:
        server.stop()
        kill_postgres(data)
    webhooks, mails = len(told.webhooks.got), len(told.mails.taken)
    with embedded.start(data) as found:
        wrong = [
            *reminders_wrong(found.url, sent, len(kills)),
            *webhooks_wrong(told.webhooks, found.url, sent, len(kills)),
            *webhooks_wrong(told.webhooks, found.url, sent, len(kills), kind="inmail.reminded"),
            *mails_wrong(
                told.mails,
                found.url,
                [name for each in sent for name in names_of(each)],
                len(kills),
            ),
        ]
        with psycopg.connect(found.url) as connection:
            came = connection.execute("select from outbox where kind = 'inmail.reminded'").rowcount
        wrong += asyncio.run(_unsound(found.url))
    return Report(len(kills), came, webhooks, mails, wrong)


def _time_passes_in(data: Path) -> None:
    with embedded.start(data) as found:
        time_passes(found.url)


def _move_clock(port: int, to: datetime) -> int:
    """The answer's status; 0 where none came."""
    headers = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}
    address = f"http://127.0.0.1:{port}/api/v1/operator/clock"
    try:
        body = {"now": to.isoformat()}
        return httpx.put(address, json=body, headers=headers, timeout=BACK_SECONDS_MAX).status_code
    except httpx.HTTPError:
        return 0


def _until(done: Callable[[], bool]) -> None:
    until = time.monotonic() + BACK_SECONDS_MAX
    while not done():
        assert time.monotonic() < until, "The server does not come back."
        time.sleep(0.05)


async def _send(url: str, count: int, told: Receivers) -> list[ConversationId]:
    """Letters to members everywhere, whose mornings come at other hours."""
    async with town_in(url) as town:
        await town.do(lambda tx: installation.set_test_clock(tx, SIGN_UP))
        events = ("inmail.sent", "inmail.reminded")
        await Told(town, runner_in(town)).endpoint(told.webhooks.url, *events)
        sent: list[ConversationId] = []
        sender = ""
        for number in range(count):
            if number % 5 == 0:
                sender = await town.member(f"sender-{number}", **CAREER)
            zone = ZONES[number % len(ZONES)]
            recipient = await reads_mail(town, f"recipient-{number}", zone)
            town.pass_by(minutes=1)
            conversation = await town.sends(MemberId(sender), recipient)
            assert not isinstance(conversation, Refusal)
            sent.append(conversation)
        return sent


async def reads_mail(town: Town, handle: str, time_zone: str = "UTC") -> MemberId:
    """A Premium member with the address HANDLE@example.org, which they have shown to be theirs."""
    new = members.NewMember(MemberId(ids.new()), handle, handle.title(), time_zone=time_zone)
    address = f"{handle}@example.org"

    async def join(tx: Tx) -> None:
        made = await members.create(tx, new, town.now)
        assert isinstance(made, members.Profile), made
        await accounts.take_address(tx, address, new.id)
        await accounts.add(tx, new.id, email=address, password="-", verified=True)

    await town.do(join)
    for pool, plan in CAREER.items():
        await town.chooses(new.id, pool, plan)
    return new.id


async def wants_a_link(town: Town, handle: str) -> str:
    """They want to set a new password; what the mail is called that lets them."""
    wanted = Wanted(ids.new(), Mail.RESET.value, f"{handle}@example.org", None, "en")
    await town.do(lambda tx: mails.want(tx, wanted, town.now))
    return wanted.id


async def _unsound(url: str) -> list[str]:
    """What `overture ledger verify` finds."""
    async with town_in(url) as town:
        at = SIGN_UP + timedelta(days=4)
        verified = await town.look(lambda tx: ledger.verify(tx, at, town.book))
        return [each.sentence for each in verified.discrepancies]


# Receivers --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Receivers:
    """Who is told from outside: an endpoint of webhooks, and a mail server."""

    webhooks: Receiver
    mails: MailServer

    @property
    def settings(self) -> dict[str, str]:
        """A server's that tells them."""
        return {
            "webhook_allow_hosts": "127.0.0.1",
            "smtp_host": "127.0.0.1",
            "smtp_port": str(self.mails.port),
            "smtp_security": "none",
            # A mail that was taken on with a commit whose answer never came waits until nobody can be
            # at it any more: four steps, and a margin. As long as that the clock's next move may take.
            "smtp_seconds": "5",
        }


@contextmanager
def receivers() -> Generator[Receivers]:
    with beside(receiving) as webhooks, beside(partial(listening, None)) as server:
        yield Receivers(webhooks, server)


def smtp_to(server: MailServer) -> Smtp:
    return Smtp(
        host="127.0.0.1",
        port=server.port,
        security="none",
        user=None,
        password=None,
        hello="overture.example",
        seconds=60,
        trusted=None,
    )


@contextmanager
def beside(make: Callable[[], AbstractAsyncContextManager[T]]) -> Generator[T]:
    """A server that answers from a thread of its own, while this one waits for other processes."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()

    async def enter() -> tuple[AbstractAsyncContextManager[T], T]:
        held = make()
        return held, await held.__aenter__()

    async def leave(held: AbstractAsyncContextManager[T]) -> None:
        await held.__aexit__(None, None, None)

    try:
        held, made = asyncio.run_coroutine_threadsafe(enter(), loop).result()
        try:
            yield made
        finally:
            asyncio.run_coroutine_threadsafe(leave(held), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


# Checks -----------------------------------------------------------------------------------------


def reminders_wrong(url: str, sent: Sequence[ConversationId], kills: int) -> list[str]:
    with psycopg.connect(url) as connection:
        told = connection.execute("select payload from outbox where kind = 'inmail.reminded'")
        came = Counter(payload["conversation_id"] for (payload,) in told)
        noted = connection.execute(
            "select conversation_id::text from inbox where reminded_at is not null"
        ).fetchall()
        left = connection.execute("select key from jobs where queue = 'reminders'").fetchall()
    return [
        # Within the database a kill repeats nothing.
        *counted_wrong(came, sent, kills=0),
        *counted_wrong(Counter(each for (each,) in noted), sent, kills=0),
        *(f"The reminder {key} is still to come." for (key,) in left),
    ]


def webhooks_wrong(
    receiver: Receiver,
    url: str,
    sent: Sequence[ConversationId],
    kills: int,
    kind: str = "inmail.sent",
) -> list[str]:
    """Each letter is told of, in the order of each member's events, and has arrived by the log."""
    got = [each for each in receiver.got if each.type == kind]
    told = [each.told["data"] for each in got]
    names = {each.id: each.told["data"]["conversation_id"] for each in got}
    came: dict[str, list[str]] = {}
    for each in told:
        came.setdefault(each["sender_id"], []).append(each["conversation_id"])
    with psycopg.connect(url) as connection:
        logged = connection.execute(
            "select webhook_id::text from webhook_deliveries"
            " where outcome = 'delivered' and type = %s",
            (kind,),
        ).fetchall()
        events = connection.execute(
            "select payload ->> 'conversation_id' from outbox where kind = %s order by sequence",
            (kind,),
        ).fetchall()
        left = connection.execute("select key from jobs where queue like 'webhook%'").fetchall()
    return [
        *counted_wrong(Counter(each["conversation_id"] for each in told), sent, kills),
        # A line whose commit was cut off before its answer is written once more.
        *counted_wrong(Counter(names.get(each, each) for (each,) in logged), sent, kills),
        *(
            f"Of {sender} they came in another order."
            for sender, theirs in came.items()
            if list(dict.fromkeys(theirs)) != [each for (each,) in events if each in theirs]
        ),
        *(f"The webhook {key} is still to come." for (key,) in left),
    ]


def names_of(letter: ConversationId) -> list[str]:
    """What the mails of a letter are called: that it came, and the reminder."""
    return [f"{letter}.2", f"{letter}.2.again"]


def mails_wrong(server: MailServer, url: str, names: Sequence[str], kills: int) -> list[str]:
    """Each mail comes, and again under the same name; among them those of new plans."""
    taken = Counter(
        str(each.message["message-id"]).strip("<>").partition("@")[0] for each in server.taken
    )
    with psycopg.connect(url) as connection:
        left = connection.execute("select key from jobs where queue like 'mail%'").fetchall()
        plans = connection.execute(
            "select 'plan-' || o.sequence || '.' || o.owner_id from outbox o"
            " where o.kind = 'subscription.changed'"
            " and exists (select from accounts a where a.member_id = o.owner_id)"
        ).fetchall()
    return [
        *counted_wrong(taken, [*names, *(name for (name,) in plans)], kills),
        *(f"The mail {key} is still to come." for (key,) in left),
    ]


def counted_wrong(came: Counter[str], sent: Sequence[str], kills: int) -> list[str]:
    return [
        *(f"What was due for {each} never came." for each in sent if not came[each]),
        *(
            f"What was due for {each} came {came[each]} times."
            for each in sent
            if came[each] > 1 + kills
        ),
        *(f"Something came for {each}." for each in came.keys() - set(sent)),
    ]


# In the worker's process ------------------------------------------------------------------------


def _work(url: str, make: MakeRunner, until: datetime, steps: int | None) -> None:
    asyncio.run(_play(url, make, until, steps))


async def _play(url: str, make: MakeRunner, until: datetime, steps: int | None) -> None:
    db = await Database.open(url, connections=4, options=WORK_OPTIONS)
    runner = make(Town(db, policy("seed")))
    if steps is not None:
        _end_before(steps)
    await runner.play(until)
    await db.close()


def _end_before(steps: int) -> None:
    """From now on steps are counted, and this process ends in the place of one."""
    execute = psycopg.AsyncConnection.execute
    # psycopg's own connections are none of these.
    outward = asyncio.selector_events._SelectorSocketTransport  # type: ignore[attr-defined]
    write = outward.write
    count = itertools.count(1)

    def step() -> None:
        if next(count) == steps:
            os.kill(os.getpid(), signal.SIGKILL)

    async def executes(self: psycopg.AsyncConnection[Any], *given: Any, **options: Any) -> Any:
        step()
        return await execute(self, *given, **options)

    def writes(self: Any, data: bytes) -> None:
        step()
        write(self, data)

    psycopg.AsyncConnection.execute = executes  # type: ignore[method-assign,assignment]
    outward.write = writes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tests.faults.work")
    parser.add_argument("--kills", type=int, default=30, help="kills of each (default 30)")
    given = parser.parse_args()
    with receivers() as told, prepared(20 * given.kills, told) as (data, sent):
        report = servers_killed(
            data, sent, told, data.parent / "server.log", ["server", "postgres"] * given.kills
        )
    print(
        f"{report.kills} kills, {len(sent)} letters, {report.reminders} reminders; for each two "
        f"webhooks and two mails: {report.webhooks} and {report.mails} came; "
        f"{len(report.wrong)} things wrong."
    )
    for each in report.wrong[:20]:
        print(f"  {each}")
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
