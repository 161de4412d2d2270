"""A PostgreSQL for a test run, and databases in it that are made within milliseconds."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString
from urllib.parse import urlsplit

import psycopg
from psycopg import conninfo, sql

from overture.store import embedded
from overture.store.embedded import making
from overture.store.migrate import migrate


class Databases:
    """Makes databases, and drops them all at the end.

    A copy of the template takes up to 0.3 s, most of it in creating files: so the next one is made in
    the background, and used ones are emptied there and given out again, which takes a tenth of that.
    """

    def __init__(self, *, admin_url: str, role_url: str) -> None:
        """`admin_url` logs in as a superuser, `role_url` as the owner of what is made."""
        self._admin_url = admin_url
        self._admin = psycopg.connect(admin_url, autocommit=True)
        self._role_url = role_url
        owner = conninfo.conninfo_to_dict(role_url).get("user")
        assert isinstance(owner, str), "the URL of the tests' database names its role"
        self._owner = owner
        self._made: set[str] = set()
        self._roles: set[str] = set()
        self._template: _Template | None = None
        self._emptied: list[Future[str | None]] = []
        self._spare: Future[str] | None = None
        self._background = ThreadPoolExecutor(max_workers=1)

    def fresh(self) -> str:
        """The URL of a new database with Overture's schema and nothing in it."""
        if self._template is None:
            url = self.empty()
            migrate(url)
            self._template = _Template.of(self._admin_url, name_in(url))
        while self._emptied:
            if (used := self._emptied.pop(0).result()) is not None:
                return used
        url = self._spare.result() if self._spare else self._create(self._template.name)
        self._spare = self._background.submit(self._create, self._template.name)
        return url

    def empty(self, owner: str | None = None) -> str:
        """The URL of a new database without any schema, of the usual or of another owner."""
        return self._background.submit(self._create, "template0", owner).result()

    def another_role(self) -> str:
        """A new role that may log in, and nothing else."""
        role = f"overture_test_{secrets.token_hex(6)}"
        self._admin.execute(sql.SQL("create role {} login").format(sql.Identifier(role)))
        self._roles.add(role)
        return role

    def execute_as_admin(self, url: str, statement: LiteralString) -> None:
        """Run a statement in a database as one who may do everything."""
        with psycopg.connect(self._admin_url, dbname=name_in(url)) as connection:
            connection.execute(statement)

    def forget_disk(self) -> None:
        """Never wait for the disk: half of a run's time would go into databases that come and go.

        What a crash leaves is tested on servers of their own, with `serve --data`.
        """
        self._admin.execute("alter system set fsync = off")
        self._admin.execute("select pg_reload_conf()")

    def drop(self, url: str) -> None:
        """Drop a database, disconnecting whoever uses it."""
        self._background.submit(self._drop, name_in(url))

    def take_back(self, url: str) -> None:
        """Empty a database that `fresh` gave, for another test, or drop it."""
        self._emptied.append(self._background.submit(self._empty, url))

    def _empty(self, url: str) -> str | None:
        assert self._template is not None, "only what `fresh` gave is taken back"
        name = name_in(url)
        try:
            with psycopg.connect(self._admin_url, dbname=name, autocommit=True) as connection:
                if self._template.restore(connection):
                    return url
        except psycopg.Error:
            pass  # it is gone, or broken: then there is another one
        self._drop(name)
        return None

    def close(self) -> None:
        for name in list(self._made):
            self._background.submit(self._drop, name)
        self._background.shutdown()
        # What the last background work made.
        for name in list(self._made):
            self._drop(name)
        for role in self._roles:
            self._admin.execute(sql.SQL("drop role {}").format(sql.Identifier(role)))
        self._admin.close()

    def _create(self, template: str, owner: str | None = None) -> str:
        name = f"overture_test_{secrets.token_hex(6)}"
        # Copied as files: it is logged nowhere, and what it would have to wait for is off.
        create = sql.SQL("create database {} template {} owner {} strategy file_copy").format(
            *map(sql.Identifier, (name, template, owner or self._owner))
        )
        self._admin.execute(create)
        self._made.add(name)
        url = urlsplit(self._role_url)
        if owner:
            host = url.netloc.rpartition("@")[2]
            url = url._replace(netloc=f"{owner}@{host}")
        return url._replace(path=f"/{name}").geturl()

    def _drop(self, name: str) -> None:
        drop = sql.SQL("drop database if exists {} with (force)")
        self._admin.execute(drop.format(sql.Identifier(name)))
        self._made.discard(name)


@dataclass(frozen=True)
class _Template:
    """What a new database is: its schema, the rows that migrations left, and where sequences begin."""

    name: str
    schema: str
    rows: dict[str, bytes]
    sequences: list[tuple[str, int, bool]]

    @classmethod
    def of(cls, admin_url: str, name: str) -> _Template:
        with psycopg.connect(admin_url, dbname=name, autocommit=True) as connection:
            rows = {table: _copied(connection, table) for table in _filled(connection)}
            sequences = [
                (sequence, *_one(connection, _IS_AT.format(sql.Identifier(sequence))))
                for (sequence,) in connection.execute(_SEQUENCES).fetchall()
            ]
            return cls(name, _one(connection, _SCHEMA)[0], rows, sequences)

    def restore(self, connection: psycopg.Connection) -> bool:
        """Makes a used database as new; False where its schema is another one, or it was analysed."""
        connection.execute(_DISCONNECT)
        if _one(connection, _SCHEMA)[0] != self.schema or _one(connection, _IS_ANALYSED)[0]:
            return False
        if filled := _filled(connection):
            names = sql.SQL(", ").join(map(sql.Identifier, filled))
            connection.execute(sql.SQL("truncate {} cascade").format(names))
        for table, rows in self.rows.items():
            copy = sql.SQL("copy {} from stdin").format(sql.Identifier(table))
            with connection.cursor().copy(copy) as into:
                into.write(rows)
        for sequence, last, called in self.sequences:
            connection.execute("select setval(%s::regclass, %s, %s)", (sequence, last, called))
        return True


def _copied(connection: psycopg.Connection, table: str) -> bytes:
    with connection.cursor().copy(
        sql.SQL("copy {} to stdout").format(sql.Identifier(table))
    ) as copy:
        return b"".join(map(bytes, copy))


def _filled(connection: psycopg.Connection) -> list[str]:
    return [name for (name,) in connection.execute(_FILLED).fetchall()]


def _one(connection: psycopg.Connection, query: Any) -> tuple[Any, ...]:
    row = connection.execute(query).fetchone()
    assert row is not None
    return row


_DISCONNECT = """
    select pg_terminate_backend(pid, 5000) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
"""
_FILLED = """
    select relname from pg_class
    where relnamespace = 'public'::regnamespace and relkind = 'r' and pg_relation_size(oid) > 0
    order by relname
"""
_SEQUENCES = """
    select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'S'
    order by relname
"""
_IS_AT = sql.SQL("select last_value, is_called from {}")
# With statistics of what a test before it had, a test would have other plans.
_IS_ANALYSED = """
    select exists (
        select from pg_statistic s join pg_class c on c.oid = s.starelid
        where c.relnamespace = 'public'::regnamespace
    )
"""
# A copy has the numbers (oids) of its template.
_SCHEMA = """
    select md5(concat_ws('|',
        (select string_agg(concat_ws(' ', oid, relname, relkind, relacl, reloptions, relowner,
            relpersistence, relrowsecurity, relhasrules), ',' order by oid)
            from pg_class where relnamespace = 'public'::regnamespace),
        (select string_agg(concat_ws(' ', attrelid, attname, atttypid, attnotnull, attidentity,
            attgenerated, attacl, atthasdef), ',' order by attrelid, attnum)
            from pg_attribute a join pg_class c on c.oid = a.attrelid
            where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'v')),
        (select string_agg(concat_ws(' ', indexrelid, indkey, indisunique, indisvalid), ','
            order by indexrelid)
            from pg_index i join pg_class c on c.oid = i.indrelid
            where c.relnamespace = 'public'::regnamespace),
        (select string_agg(concat_ws(' ', oid, conname, convalidated), ',' order by oid)
            from pg_constraint where connamespace = 'public'::regnamespace),
        (select string_agg(concat_ws(' ', oid, proacl), ',' order by oid)
            from pg_proc where pronamespace = 'public'::regnamespace),
        (select string_agg(oid::text, ',' order by oid) from pg_trigger where not tgisinternal),
        (select string_agg(nspname, ',' order by nspname) from pg_namespace
            where nspname !~ '^pg_(toast_)?temp_'),
        (select string_agg(extname, ',' order by extname) from pg_extension),
        (select string_agg(setconfig::text, ',') from pg_db_role_setting s
            join pg_database d on d.oid = s.setdatabase where d.datname = current_database())
    ))
"""


def name_in(url: str) -> str:
    name = conninfo.conninfo_to_dict(url)["dbname"]
    assert isinstance(name, str)
    return name


@contextmanager
def databases() -> Generator[Databases]:
    """Databases in the server of DATABASE_URL, else in an embedded one made for this run.

    DATABASE_URL must be of the form postgresql://superuser@host/database.
    """
    if url := os.environ.get("DATABASE_URL"):
        with closing(Databases(admin_url=url, role_url=url)) as made:
            yield made
        return
    with (
        temporary_folder() as folder,
        server_to_throw_away(folder / "data") as server,
        closing(Databases(admin_url=server.admin_url, role_url=server.url)) as made,
    ):
        made.forget_disk()
        yield made


@contextmanager
def server_to_throw_away(data: Path) -> Generator[embedded.Embedded]:
    """An embedded server whose data nobody needs afterwards, so that it stops at once."""
    # Each database that is dropped is looked for in all of the buffers.
    making.SHARED_BUFFERS_MAX = 64 * 2**20
    server = embedded.start(data)
    try:
        yield server
    finally:
        with suppress(ProcessLookupError):
            os.kill(server.postmaster_pid, signal.SIGQUIT)
        server.release()


@contextmanager
def temporary_folder() -> Generator[Path]:
    """A folder with a short name, whose path leaves room for a socket's."""
    folder = Path(tempfile.mkdtemp(prefix="overture-test-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
