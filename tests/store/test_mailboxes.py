"""Mailboxes: who has one, and from which of them mail came back."""

from __future__ import annotations

from dataclasses import replace

from overture.store import accounts, mailboxes
from overture.store.mailboxes import Mailbox
from tests.cast import Town, town_in


async def with_account(town: Town, handle: str, email: str):
    member = await town.member(handle)
    await town.do(lambda tx: accounts.take_address(tx, email, member))
    await town.do(lambda tx: accounts.add(tx, member, email=email, password="-", verified=True))
    return member


async def mailbox(town: Town, member) -> Mailbox | None:
    return (await town.look(lambda tx: mailboxes.of(tx, [member]))).get(member)


async def test_an_address_that_mail_came_back_from_has_to_be_verified_again(
    database_url: str,
) -> None:
    async with town_in(database_url) as town:
        ada = await with_account(town, "ada", "ada@example.org")
        fine = Mailbox(
            ada, "ada@example.org", account=True, verified=True, failing=False, name="Ada"
        )
        assert await mailbox(town, ada) == fine

        await town.do(lambda tx: mailboxes.fail(tx, fine, "5.1.1", town.now))
        assert await mailbox(town, ada) == replace(fine, verified=False, failing=True)

        await town.do(lambda tx: accounts.verify(tx, ada))
        await town.do(lambda tx: mailboxes.works(tx, ada))
        assert await mailbox(town, ada) == fine


async def test_who_has_another_address_is_not_marked(database_url: str) -> None:
    async with town_in(database_url) as town:
        ada = await with_account(town, "ada", "ada@example.org")
        before = await mailbox(town, ada)
        await town.do(lambda tx: accounts.change_email(tx, ada, "ada@example.net"))

        await town.do(lambda tx: mailboxes.fail(tx, before, "5.1.1", town.now))
        after = replace(before, address="ada@example.net")
        assert await mailbox(town, ada) == after


async def test_who_has_no_address_has_no_mailbox(database_url: str) -> None:
    async with town_in(database_url) as town:
        assert await mailbox(town, await town.member("bob")) is None
