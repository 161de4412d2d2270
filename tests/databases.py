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
from pathlib import Path
from typing import LiteralString
from urllib.parse import urlsplit

import psycopg
from psycopg import conninfo, sql

from overture.store import embedded
from overture.store.migrate import migrate


class Databases:
    """Makes databases, and drops them all at the end.

    A copy of the template takes up to 0.3 s, most of it in creating files: so the next one is made,
    and used ones are dropped, in the background.
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
        self._template: str | None = None
        self._spare: Future[str] | None = None
        self._background = ThreadPoolExecutor(max_workers=1)

    def fresh(self) -> str:
        """The URL of a new database with Overture's schema and nothing in it."""
        if self._template is None:
            url = self.empty()
            migrate(url)
            self._template = name_in(url)
        url = self._spare.result() if self._spare else self._create(self._template)
        self._spare = self._background.submit(self._create, self._template)
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
    embedded.SHARED_BUFFERS_MAX = 64 * 2**20
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
