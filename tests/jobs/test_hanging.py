"""A dead endpoint and a mail server that hangs, both at once: nothing else waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from aiohttp import web

from overture import ids
from overture.actions import members
from overture.actions.accounts import Mail
from overture.core.ids import ConversationId, MemberId
from overture.jobs.runner import Outside
from overture.mail.smtp import Smtp
from overture.store import installation, mails
from overture.store.db import all_rows
from overture.store.mails import Wanted
from overture.webhooks.delivery import AT_ONCE
from tests.cast import SIGN_UP, Town, town_in
from tests.mail.conftest import Server, listening
from tests.webhooks.conftest import Got, Receiver, Told, receiving
from tests.work import runner_in

CAREER = {"premium": "premium_career"}
# Of the machine that this runs on: so long that it is never what is waited for.
AGES = 3600


async def test_a_dead_endpoint_and_a_mail_server_that_hangs_delay_nothing_else(
    database_url: str, monkeypatch: pytest.MonkeyPatch
):
    # What hangs is held by the test, and given up by nobody.
    monkeypatch.setattr("overture.outward.SECONDS", AGES)
    monkeypatch.setattr("overture.worker.SECONDS", AGES)
    async with (
        town_in(database_url) as town,
        receiving() as dead,
        receiving() as alive,
        listening(None) as server,
    ):
        await town.do(lambda tx: installation.set_test_clock(tx, SIGN_UP))
        told = Told(town, runner_in(town, smtp=_smtp(server)))
        dead.behaves = hang = Hanging()
        for each in (dead, alive):
            await told.endpoint(each.url)
        ada = await town.member("ada", **CAREER)
        others = [await town.member(f"member-{n}", **CAREER) for n in range(2 * AT_ONCE)]
        letters = [await town.sends(ada, other) for other in others[:4]]
        queue = (await told.runner.queues())[mails.QUEUE]
        assert isinstance(queue, Outside)
        # All but one of the mails that go at once.
        stuck = [f"stuck-{n}@example.org" for n in range(queue.at_once - 1)]
        server.hangs_for.update(stuck, ["stuck-too@example.org"])
        for address in stuck:
            await mail_to(town, address)

        async with running(told):
            await until(lambda: hang.holds == AT_ONCE)
            await until(lambda: sorted(server.held) == sorted(stuck))

            # Other members' mails go by those that hang.
            fine = [f"fine-{n}@example.org" for n in range(2 * queue.at_once)]
            for address in fine:
                await mail_to(town, address)
            await until(lambda: sorted(each.to for each in server.taken) == sorted(fine))

            # Now no mail goes at all; members send and answer, the other endpoint hears of it.
            await mail_to(town, "stuck-too@example.org")
            await until(lambda: len(server.held) == queue.at_once)
            late = [await town.sends(ada, others[-1])]
            await town.accepts(others[0], letters[0])
            await until(
                lambda: (
                    {each["conversation_id"] for each in alive.of("inmail.sent")}
                    == {*letters, *late}
                )
            )
            await until(lambda: told_of(alive, "inmail.responded") == {letters[0]})

            # Reminders fall due, come, and are told.
            pending = {*letters[1:], *late}
            end = SIGN_UP + timedelta(hours=72)
            await town.do(lambda tx: installation.set_test_clock(tx, end))
            await until(lambda: told_of(alive, "inmail.reminded") == pending)
            assert await reminded(town) == pending

            # All of that while the very same connections were held.
            assert hang.holds == hang.came == AT_ONCE
            assert sorted(server.held) == sorted([*stuck, "stuck-too@example.org"])
            assert sorted(each.to for each in server.taken) == sorted(fine)


def told_of(receiver: Receiver, kind: str) -> set[str]:
    return {each["conversation_id"] for each in receiver.of(kind)}


class Hanging:
    """Answers nobody; `holds` is how many are waiting right now, `came` how many came at all."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []

    @property
    def came(self) -> int:
        return len(self.requests)

    @property
    def holds(self) -> int:
        ways = [each.transport for each in self.requests]
        return sum(way is not None and not way.is_closing() for way in ways)

    async def __call__(self, got: Got, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        await asyncio.Event().wait()
        raise AssertionError


def _smtp(server: Server) -> Smtp:
    return Smtp(
        host="localhost",
        port=server.port,
        security="none",
        user=None,
        password=None,
        hello="overture.example",
        seconds=AGES,
        trusted=None,
    )


async def mail_to(town: Town, address: str) -> None:
    """Somebody with this address, who asks for a link to set a new password."""
    new = members.NewMember(
        MemberId(ids.new()), address.partition("@")[0], "Somebody", email=address
    )
    made = await town.do(lambda tx: members.create(tx, new, SIGN_UP))
    assert isinstance(made, members.Profile), made
    wanted = Wanted(ids.new(), Mail.RESET.value, address, None, "en")
    await town.do(lambda tx: mails.want(tx, wanted, SIGN_UP))


async def reminded(town: Town) -> set[ConversationId]:
    rows = await town.look(
        lambda tx: all_rows(
            tx, "select distinct conversation_id::text from inbox where reminded_at is not null"
        )
    )
    return {ConversationId(each) for (each,) in rows}


@asynccontextmanager
async def running(told: Told) -> AsyncIterator[None]:
    work = asyncio.create_task(told.runner.run())
    try:
        yield
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


async def until(true: Callable[[], bool]) -> None:
    """Waits for it; where it never comes true, the test fails after a while."""
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110  several things come from several sides
            await asyncio.sleep(0.01)
