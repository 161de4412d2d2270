"""What an examination asks of a database: how it is set up, and whether its books' heads fit."""

from dataclasses import dataclass
from datetime import datetime

from overture.store.db import Tx, one_row


@dataclass(frozen=True, slots=True)
class Setup:
    """`failed_at` and `archived_at` tell of the last tries to archive the log; `superuser` of the role
    that we are. `oldest_seconds` is the age of the oldest open transaction."""

    version: str
    at: datetime
    superuser: bool
    connections: int
    connections_max: int
    oldest_seconds: float
    checksums: bool
    archives: bool
    archived_at: datetime | None
    failed_at: datetime | None
    bytes: int


async def setup(tx: Tx) -> Setup:
    row = await one_row(tx, _SETUP)
    assert row is not None, "a statement without a table has a row"
    return Setup(*row)


async def audit_fits(tx: Tx) -> bool:
    """Whether the head of the audit log is the link of its last entry, without going over the rest."""
    row = await one_row(tx, _AUDIT_FITS)
    return row is not None and bool(row[0])


async def ledger_fits(tx: Tx, accounts: int) -> bool:
    """Whether the newest accounts, so many, have the balance that their last entry tells."""
    row = await one_row(tx, _LEDGER_FITS, (accounts,))
    return row is not None and bool(row[0])


_SETUP = """
    select current_setting('server_version'), clock_timestamp(),
        (select rolsuper from pg_roles where rolname = current_user),
        (select count(*)::integer from pg_stat_activity where backend_type = 'client backend'),
        current_setting('max_connections')::integer,
        coalesce((
            select extract(epoch from clock_timestamp() - min(a.xact_start))::float8
            from pg_stat_activity a
            where a.datname = current_database() and a.pid <> pg_backend_pid()), 0),
        current_setting('data_checksums')::boolean,
        current_setting('archive_mode') <> 'off',
        r.last_archived_time, r.last_failed_time, pg_database_size(current_database())
    from pg_stat_archiver r
"""
_AUDIT_FITS = """
    select h.number = 0 or exists (
        select from audit a where a.number = h.number and a.link = h.link)
    from audit_head h
"""
_LEDGER_FITS = """
    select not exists (
        select
        from (select owner_id, pool, balance from credit_accounts order by owner_id desc limit %s) a
        cross join lateral (
            select l.balance
            from ledger_entries l
            where l.owner_id = a.owner_id and l.pool = a.pool
            order by l.number desc
            limit 1
        ) l
        where l.balance <> a.balance)
"""
