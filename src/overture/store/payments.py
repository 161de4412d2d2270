"""What a payment provider told, in SQL: its customers, contracts and events."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from overture.core.ids import MemberId
from overture.core.payments import Contract, Event, Price, Standing, Telling, Terms
from overture.store import pages
from overture.store.db import Tx, all_rows, as_json, one_row, pipelined
from overture.store.pages import Page, page_of

# Longer than a provider tries to tell an event, also when an operator has it told again by hand.
EVENTS_KEPT_DAYS = 90


class Trouble(StrEnum):
    """Why nothing follows from a contract."""

    UNKNOWN_MEMBER = "unknown_member"
    UNKNOWN_PRICE = "unknown_price"
    ACCOUNT_CLOSED = "account_closed"


# Events ---------------------------------------------------------------------------------------------


async def take_event(tx: Tx, event: Event) -> bool:
    """False where it was taken before. Whoever takes the same at the same time waits for the first."""
    row = await one_row(tx, _TAKE_EVENT, (event.id, event.kind, event.at))
    return row is not None


async def note_outcome(tx: Tx, event: Event, outcome: str) -> None:
    await tx.execute("update payment_events set outcome = %s where id = %s", (outcome, event.id))


async def forget_old(tx: Tx) -> None:
    """Drops events that are not told again any more, and contracts over by then that were nobody's."""
    await pipelined(tx, [(each, {"days": EVENTS_KEPT_DAYS}) for each in _FORGET_OLD])


# Customers ------------------------------------------------------------------------------------------


async def member_named(tx: Tx, names: Sequence[str]) -> MemberId | None:
    """The member with an open account whom the first fitting of these ids and external ids names."""
    row = await one_row(tx, _MEMBER_NAMED, {"names": list(names)})
    return None if row is None else row[0]


async def member_of(tx: Tx, customer: str) -> MemberId | None:
    row = await one_row(tx, "select member_id from payment_customers where id = %s", (customer,))
    return None if row is None else row[0]


async def is_open(tx: Tx, member: MemberId) -> bool:
    row = await one_row(tx, "select closed_at is null from members where id = %s", (member,))
    return row is not None and bool(row[0])


async def introduce(tx: Tx, customer: str, member: MemberId) -> bool:
    """Says whose a customer is, unless it is known already; whether that is new."""
    return await one_row(tx, _INTRODUCE, (customer, member)) is not None


async def reassign(tx: Tx, customer: str, member: MemberId) -> None:
    """Says whose a customer is from now on."""
    await tx.execute(_REASSIGN, (customer, member))


# Contracts ------------------------------------------------------------------------------------------


async def contract(tx: Tx, contract_id: str) -> Contract | None:
    """What is known of a contract, which nobody else changes meanwhile."""
    row = await one_row(tx, _LOCK_CONTRACT, (contract_id,))
    return None if row is None else _contract(row)


async def contracts_of(tx: Tx, member: MemberId) -> list[Contract]:
    """All contracts of a member's customers."""
    return [_contract(row) for row in await all_rows(tx, _CONTRACTS_OF, (member,))]


async def contracts_with(tx: Tx, customer: str) -> list[Contract]:
    """All contracts of a customer."""
    return [_contract(row) for row in await all_rows(tx, _CONTRACTS_WITH, (customer,))]


async def keep(tx: Tx, known: Contract) -> None:
    """Writes what is known of a contract now."""
    terms = known.terms
    params = {
        "id": known.id,
        "customer_id": known.customer,
        "standing": terms.standing,
        "standing_at": known.standing_at,
        "prices": as_json(terms.prices),
        "ends_at": terms.ends_at,
        "told_at": known.told_at,
        "telling": int(known.telling),
        "changed": sorted(known.changed),
        "grace_until": known.grace_until,
        "pools": list(known.pools),
    }
    await tx.execute(_KEEP, params)


async def note_pools(tx: Tx, known: Contract) -> None:
    """Writes down for which pools a contract gives plans."""
    statement = "update payment_contracts set pools = %s where id = %s"
    await tx.execute(statement, (list(known.pools), known.id))


async def note_trouble(tx: Tx, contract_id: str, trouble: Trouble | None) -> bool:
    """Notes why nothing follows from a contract; whether that is news."""
    params = {"id": contract_id, "problem": trouble}
    return await one_row(tx, _NOTE_TROUBLE, params) is not None


async def forget_over(tx: Tx, member: MemberId) -> None:
    """Drops the contracts of a member that are over, and customers without any other."""
    await pipelined(tx, [(statement, {"member": member}) for statement in FORGET_OVER])


async def running(tx: Tx, members: Sequence[MemberId]) -> dict[MemberId, list[str]]:
    """The contracts of these members that are not over."""
    found: dict[MemberId, list[str]] = {}
    for member, contract_id in await all_rows(tx, _RUNNING, (list(members),)):
        found.setdefault(member, []).append(contract_id)
    return found


async def troubled(tx: Tx) -> list[MemberId]:
    """The members of whose contracts some are not understood."""
    return [row[0] for row in await all_rows(tx, _TROUBLED)]


# Pools ----------------------------------------------------------------------------------------------


async def pools_of(tx: Tx, member: MemberId) -> list[str]:
    """The pools in which a member's subscription is the provider's."""
    return [row[0] for row in await all_rows(tx, _POOLS_OF, (member,))]


async def take_over(tx: Tx, member: MemberId, pool: str) -> None:
    await tx.execute(_TAKE_OVER, (member, pool))


async def let_go(tx: Tx, member: MemberId, pool: str) -> None:
    await tx.execute("delete from payment_pools where owner_id = %s and pool = %s", (member, pool))


# For the operator -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Listed:
    """A contract as the operator sees it."""

    contract: Contract
    member: MemberId | None
    trouble: Trouble | None


async def listed(tx: Tx, *, only_troubled: bool, cursor: str | None, limit: int) -> Page[Listed]:
    """The contracts, by their ids. Raises BadCursor."""
    (after,) = ("",) if cursor is None else pages.decode(cursor, tuple[str])
    params = {"after": after, "troubled": only_troubled, "limit": limit + 1}
    rows = await all_rows(tx, _LISTED, params)
    return page_of(rows, limit, _listed, lambda row: (row[0],))


@dataclass(frozen=True, slots=True)
class Counts:
    contracts: int
    troubled: int


async def counts(tx: Tx) -> Counts:
    row = await one_row(tx, _COUNTS)
    assert row is not None
    return Counts(*row)


def _contract(row: Sequence[Any]) -> Contract:
    terms = Terms(Standing(row[2]), _prices(row[4]), row[5])
    return Contract(
        id=row[0],
        customer=row[1],
        terms=terms,
        told_at=row[6],
        telling=Telling(row[7]),
        standing_at=row[3],
        changed=frozenset(row[8]),
        grace_until=row[9],
        pools=tuple(row[10]),
    )


def _listed(row: Sequence[Any]) -> Listed:
    return Listed(_contract(row), row[11], None if row[12] is None else Trouble(row[12]))


_prices = msgspec.json.Decoder(tuple[Price, ...]).decode

_COLUMNS = """
    s.id, s.customer_id, s.standing, s.standing_at, s.prices, s.ends_at, s.told_at, s.telling,
    s.changed, s.grace_until, s.pools
"""
_TAKE_EVENT = """
    insert into payment_events (id, kind, at)
    values (%s, %s, %s)
    on conflict (id) do nothing
    returning id
"""
_FORGET_OLD = (
    "delete from payment_events where taken_at < now() - make_interval(days => %(days)s)",
    """
    delete from payment_contracts s
    where s.standing = 'over' and s.told_at < now() - make_interval(days => %(days)s)
        and not exists (select from payment_customers c where c.id = s.customer_id)
    """,
)
_UUID = "'^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'"
_MEMBER_NAMED = f"""
    select m.id
    from (
        select place, 0 as rank, case when name ~ {_UUID} then name::uuid end as id
        from unnest(%(names)s::text[]) with ordinality as n (name, place)
        union all
        select n.place, 1, e.member_id
        from unnest(%(names)s::text[]) with ordinality as n (name, place)
        join external_ids e on e.external_id = n.name
    ) named
    join members m on m.id = named.id
    where m.closed_at is null
    order by named.place, named.rank
    limit 1
"""
_INTRODUCE = """
    insert into payment_customers (id, member_id)
    values (%s, %s)
    on conflict (id) do nothing
    returning id
"""
_REASSIGN = """
    insert into payment_customers (id, member_id)
    values (%s, %s)
    on conflict (id) do update set member_id = excluded.member_id
"""
_LOCK_CONTRACT = f"select {_COLUMNS} from payment_contracts s where s.id = %s for update"
_CONTRACTS_OF = f"""
    select {_COLUMNS}
    from payment_customers c
    join payment_contracts s on s.customer_id = c.id
    where c.member_id = %s
    order by s.id
"""
_CONTRACTS_WITH = f"""
    select {_COLUMNS} from payment_contracts s where s.customer_id = %s order by s.id
"""
_KEEP = """
    insert into payment_contracts (id, customer_id, standing, standing_at, prices, ends_at, told_at,
        telling, changed, grace_until, pools)
    values (%(id)s, %(customer_id)s, %(standing)s, %(standing_at)s, %(prices)s, %(ends_at)s,
        %(told_at)s, %(telling)s, %(changed)s, %(grace_until)s, %(pools)s)
    on conflict (id) do update
    set customer_id = excluded.customer_id, standing = excluded.standing,
        standing_at = excluded.standing_at, prices = excluded.prices, ends_at = excluded.ends_at,
        told_at = excluded.told_at, telling = excluded.telling, changed = excluded.changed,
        grace_until = excluded.grace_until, pools = excluded.pools
"""
_NOTE_TROUBLE = """
    update payment_contracts set problem = %(problem)s
    where id = %(id)s and problem is distinct from %(problem)s
    returning id
"""
FORGET_OVER = (
    """
    delete from payment_contracts s
    using payment_customers c
    where c.member_id = %(member)s and s.customer_id = c.id and s.standing = 'over'
    """,
    """
    delete from payment_customers c
    where c.member_id = %(member)s
        and not exists (select from payment_contracts s where s.customer_id = c.id)
    """,
)
_RUNNING = """
    select c.member_id, s.id
    from payment_customers c
    join payment_contracts s on s.customer_id = c.id
    where c.member_id = any (%s) and s.standing <> 'over'
    order by c.member_id, s.id
"""
_TROUBLED = """
    select distinct c.member_id
    from payment_contracts s
    join payment_customers c on c.id = s.customer_id
    where s.problem is not null
    order by c.member_id
"""
_POOLS_OF = "select pool from payment_pools where owner_id = %s order by pool"
_TAKE_OVER = """
    insert into payment_pools (owner_id, pool) values (%s, %s) on conflict do nothing
"""
_LISTED = f"""
    select {_COLUMNS}, c.member_id, s.problem
    from payment_contracts s
    left join payment_customers c on c.id = s.customer_id
    where s.id > %(after)s and (not %(troubled)s or s.problem is not null)
    order by s.id
    limit %(limit)s
"""
_COUNTS = """
    select count(*) filter (where standing <> 'over'), count(*) filter (where problem is not null)
    from payment_contracts
"""
