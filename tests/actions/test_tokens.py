"""Tokens: issued once, found by their hash alone, ended at once; and the audit log of it."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from overture import ids
from overture.actions import closing, tokens
from overture.actions.fields import Invalid
from overture.actions.tokens import TokenScope
from overture.core.ids import MemberId, TokenId
from overture.core.refusals import Refusal
from overture.store import audit
from overture.store.callers import Presented, tokens_of
from overture.store.db import all_rows
from tests.cast import town_in


@pytest.fixture
async def town(database_url):
    async with town_in(database_url) as made:
        made.ada = await made.member("ada")
        yield made


async def issues(town, secret, member, **more):
    return await town.do(
        lambda tx: tokens.issue(
            tx,
            secret,
            TokenId(ids.new()),
            member=member,
            actor="cli",
            audit_id=ids.new(),
            now=town.now,
            **more,
        )
    )


async def bearer(town, secret, act_as=None):
    shown = Presented(sha256(secret.encode()).hexdigest(), act_as)
    (found,) = await town.look(lambda tx: tokens_of(tx, [shown]))
    return found


async def revokes(town, token):
    return await town.do(
        lambda tx: tokens.revoke(tx, token, actor="cli", audit_id=ids.new(), now=town.now)
    )


async def entries(town):
    return (await town.look(lambda tx: audit.newest(tx, cursor=None, limit=30))).items


def test_tokens_differ_and_tell_whose_kind_they_are():
    members, operators = ids.new_token(), ids.new_token(operator=True)

    assert members.startswith("ovt_")
    assert operators.startswith("ovo_")
    assert len(members) == len(operators) == 4 + 43
    assert ids.new_token() != ids.new_token()


async def test_a_members_token_stands_for_the_member(town):
    secret = ids.new_token()

    issued = await issues(town, secret, town.ada, label="laptop")

    found = await bearer(town, secret)
    assert found is not None
    assert (found.id, found.operator, found.member) == (issued.id, False, town.ada)
    assert found.scopes == {"read", "write"}
    assert await bearer(town, ids.new_token()) is None


async def test_a_token_can_be_for_reading_alone(town):
    secret = ids.new_token()

    await issues(town, secret, town.ada, scopes=[TokenScope.READ])

    assert (await bearer(town, secret)).scopes == {"read"}
    assert isinstance(await issues(town, ids.new_token(), town.ada, scopes=[]), Invalid)


async def test_an_operators_token_stands_for_nobody_until_it_acts_as_someone(town):
    secret = ids.new_token(operator=True)
    await issues(town, secret, None)

    alone, acting = await bearer(town, secret), await bearer(town, secret, town.ada)

    assert (alone.operator, alone.member) == (True, None)
    assert (acting.operator, acting.member) == (True, town.ada)


async def test_no_token_is_for_somebody_who_is_not_there(town):
    assert await issues(town, ids.new_token(), MemberId(ids.new())) is Refusal.NO_SUCH_MEMBER
    await town.do(lambda tx: closing.close(tx, town.ada, town.now, town.book))
    assert await issues(town, ids.new_token(), town.ada) is Refusal.NO_SUCH_MEMBER


async def test_a_token_ends_with_its_time_by_the_real_clock(town):
    lasting, past = ids.new_token(), ids.new_token()
    real = datetime.now(UTC)

    await issues(town, lasting, town.ada, expires_at=real + timedelta(hours=1))
    await issues(town, past, town.ada, expires_at=real - timedelta(seconds=1))

    town.pass_by(days=10_000)
    assert await bearer(town, lasting) is not None
    assert await bearer(town, past) is None


async def test_a_revoked_token_ends_at_once_and_the_others_stay(town):
    one, other = ids.new_token(), ids.new_token()
    issued = await issues(town, one, town.ada)
    await issues(town, other, town.ada)

    assert await revokes(town, issued.id)

    assert await bearer(town, one) is None
    assert await bearer(town, other) is not None
    assert not await revokes(town, TokenId(ids.new()))


async def test_a_token_ends_with_the_account(town):
    secret = ids.new_token()
    await issues(town, secret, town.ada)

    await town.do(lambda tx: closing.close(tx, town.ada, town.now, town.book))

    assert await bearer(town, secret) is None


async def test_the_text_of_a_token_is_stored_nowhere(town):
    secret = ids.new_token()
    await issues(town, secret, town.ada)

    for table in ("tokens", "audit", "outbox"):
        rows = await town.look(lambda tx, t=table: all_rows(tx, f"select {t}::text from {t}"))
        assert rows or table == "outbox"
        assert not [row for row in rows if secret in row[0]]


async def test_what_is_done_with_tokens_is_in_the_audit_log_newest_first(town):
    issued = await issues(town, ids.new_token(), town.ada, scopes=[TokenScope.READ])
    town.pass_by(minutes=1)
    await revokes(town, issued.id)

    revoked, first = await entries(town)

    assert (first.actor, first.action, first.member) == ("cli", "token.issued", town.ada)
    assert first.detail == {"token_id": issued.id, "scopes": ["read"], "expires_at": None}
    assert (revoked.action, revoked.detail) == ("token.revoked", {"token_id": issued.id})


async def test_the_audit_log_comes_page_by_page(town):
    for _ in range(3):
        await issues(town, ids.new_token(), town.ada)
    whole = await entries(town)

    first = await town.look(lambda tx: audit.newest(tx, cursor=None, limit=2))
    rest = await town.look(lambda tx: audit.newest(tx, cursor=first.next, limit=2))

    assert first.items + rest.items == whole
    assert rest.next is None


async def test_the_operators_own_token_is_made_once_whatever_its_text(town):
    async def ensures(text):
        return await town.do(lambda tx: tokens.ensure_operator_token(tx, text, ids.new()))

    assert await ensures("a text of the operator's own")
    assert await ensures("a text of the operator's own")

    found = await bearer(town, "a text of the operator's own")
    assert found.operator
    assert await revokes(town, found.id)
    assert not await ensures("a text of the operator's own")
    assert await bearer(town, "a text of the operator's own") is None


async def test_a_members_token_does_not_become_the_operators(town):
    secret = ids.new_token()
    await issues(town, secret, town.ada)

    ensured = await town.do(lambda tx: tokens.ensure_operator_token(tx, secret, ids.new()))

    assert not ensured
    assert not (await bearer(town, secret)).operator
