"""A database to a file and back.

A backup is an archive of `pg_dump` (its custom format). The programs that Overture brings do the
work, whichever server holds the database.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

import psycopg
from psycopg import Connection, conninfo
from psycopg.rows import TupleRow

from overture.store import embedded, migrate
from overture.store.durability import sync

# Bytes done, and in all: of tables on the way out, of the file on the way back.
Progress = Callable[[int, int], None]

_DUMPING = re.compile(r'pg_dump: dumping contents of table "(.+)"')
_ACL = re.compile(r"\d+; \d+ \d+ ACL ")
_PRIVILEGE = re.compile(
    r"(?P<rights>(?:GRANT|REVOKE) .+)(?P<direction> (?:FROM|TO) )"
    + r'(?P<grantee>"(?:[^"]|"")+"|\w+)(?P<end>[^"]*;)'
)
# What an archive may hold that servers before the given version do not know.
_YOUNG_SETTINGS = {"SET transaction_timeout": 170_000}
_YOUNG_RIGHTS = {"MAINTAIN": 170_000}


class BackupProblem(Exception):
    """A backup could not be made or restored; nothing was changed."""


def backup(
    url: str, target: Path, progress: Progress | None = None, *, overwrite: bool = False
) -> None:
    """Write a database's present state to a file; servers may go on writing to it.

    The file appears once it is whole and on disk, readable by its owner alone. Raises
    `BackupProblem`, also when the file exists and is not to be overwritten.
    """
    if target.exists() and not overwrite:
        raise BackupProblem(f"{target} exists already. Choose another name, or allow overwriting.")
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.unfinished")
    try:
        # Made here, and not by pg_dump, so that it is never readable by others.
        os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise BackupProblem(f"{target} cannot be written: {error.strerror}.") from None
    try:
        _dump(url, unfinished, progress)
        sync(unfinished)
        _ = unfinished.replace(target)
        sync(target.parent)
    finally:
        unfinished.unlink(missing_ok=True)


def restore(url: str, source: Path, progress: Progress | None = None) -> None:
    """Bring a backup into an empty database, all of it or nothing.

    A backup of an older Overture needs `migrate` afterwards.

    What the old owner might do with a table, its new owner, the role of `url`, may do. Raises
    `BackupProblem` when the database is not empty, and when the file is no backup of Overture's or
    one of a newer Overture.
    """
    check(source)
    with psycopg.connect(url) as connection:
        if thing := _anything_in(connection):
            raise BackupProblem(
                f"The database is not empty (it has {thing}). Restore into a new one."
            )
        version = connection.info.server_version
        role = connection.execute("select quote_ident(current_user)").fetchone()
    assert role
    _replay(url, source, progress, server_version=version, role=role[0])
    with psycopg.connect(url, autocommit=True) as connection:
        # Without statistics the first minutes' plans would be poor.
        _ = connection.execute("analyze")


def check(source: Path) -> None:
    """Raises `BackupProblem` unless the file is a backup that this Overture can restore."""
    if not source.is_file():
        raise BackupProblem(f"There is no backup at {source}.")
    steps = _output(
        *("pg_restore", "--data-only", "--table=schema_migrations", "--file=-", str(source)),
        failing=f"{source} is not a backup of Overture, or is damaged",
    )
    applied = [
        migrate.Applied(int(number), name, checksum)
        for number, name, checksum in re.findall(
            r"^(\d+)\t(\w+)\t([0-9a-f]{64})\t", steps, re.MULTILINE
        )
    ]
    if not applied:
        raise BackupProblem(f"{source} is not a backup of Overture.")
    try:
        _ = migrate.remaining(migrate.migrations(), applied)
    except migrate.MigrationProblem as problem:
        raise BackupProblem(f"{source} cannot be restored. {problem}") from None


# --- Out ----------------------------------------------------------------------------------------


def _dump(url: str, target: Path, progress: Progress | None) -> None:
    sizes = _table_sizes(url)
    if not any(name.endswith(".schema_migrations") for name in sizes):
        raise BackupProblem("The database holds no data of Overture.")
    total = sum(sizes.values())
    done = current = 0
    said: list[str] = []
    command = ["--format=custom", "--verbose", "--no-password", f"--file={target}"]
    with _client("pg_dump", url, *command, stderr=subprocess.PIPE) as dump:
        assert dump.stderr
        for raw in dump.stderr:
            line = raw.decode(errors="replace").rstrip()
            said.append(line)
            if progress and (match := _DUMPING.fullmatch(line)):
                # pg_dump names a table when it begins with it.
                done += current
                current = sizes.get(match[1], 0)
                progress(done, total)
    if dump.returncode:
        raise BackupProblem("pg_dump failed: " + _last_words(said))
    if progress:
        progress(total, total)


def _table_sizes(url: str) -> dict[str, int]:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            """
            select n.nspname || '.' || c.relname, pg_table_size(c.oid)
            from pg_class c
            join pg_namespace n on n.oid = c.relnamespace
            where c.relkind = 'r' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
            """
        )
        return dict(rows)


# --- And back -----------------------------------------------------------------------------------


def _anything_in(connection: Connection[TupleRow]) -> str | None:
    """Some table, view, sequence, type or function that is not an extension's."""
    found = connection.execute(
        """
        with things (class, id, schema_id, name) as (
            select 'pg_class'::regclass, oid, relnamespace, relname from pg_class
            union all select 'pg_proc'::regclass, oid, pronamespace, proname from pg_proc
            union all select 'pg_type'::regclass, oid, typnamespace, typname from pg_type
        )
        select n.nspname || '.' || name
        from things
        join pg_namespace n on n.oid = schema_id
        where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
            and not exists (
                select from pg_depend
                where classid = class and objid = id and deptype = 'e'
            )
        order by class <> 'pg_class'::regclass, name
        limit 1
        """
    ).fetchone()
    return found[0] if found else None


def _replay(
    url: str, source: Path, progress: Progress | None, *, server_version: int, role: str
) -> None:
    """Send the archive as a script through psql, in one transaction.

    `pg_restore` alone would not do. A table whose owner gave up rights of his own (a ledger that
    nobody may change) names that owner, who need not exist in the new server; and an older server
    refuses settings that only concern newer ones.
    """
    privileges = _privileges(source, role=role, server_version=server_version)
    # The comment on an extension could only be made by whoever made the extension.
    script = [
        *(embedded.binary("pg_restore"), "--no-owner", "--no-privileges", "--no-comments"),
        "--file=-",
    ]
    psql = ["--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", "--file=-"]
    with (
        _client("psql", url, *psql, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as sink,
        subprocess.Popen(
            script, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.PIPE
        ) as archive,
    ):
        assert sink.stdin
        assert sink.stderr
        assert archive.stdin
        assert archive.stdout
        assert archive.stderr
        # From a thread of its own, so that what the two programs say does not wait for what they read.
        feeding = threading.Thread(target=_feed, args=(source, archive.stdin, progress))
        feeding.start()
        complete = False
        try:
            _ = sink.stdin.write(b"begin;\n")
            _copy_script(archive.stdout, sink.stdin, server_version)
            complete = archive.wait() == 0
            if complete:
                # Without the commit, the end of the script rolls it back.
                _ = sink.stdin.write("".join(privileges).encode())
                _ = sink.stdin.write(b"commit;\n")
            sink.stdin.close()
        except BrokenPipeError:
            archive.kill()  # psql has refused something, and says below what.
            with suppress(BrokenPipeError):
                sink.stdin.close()
        feeding.join()
        refused = sink.stderr.read().decode(errors="replace").splitlines()
        damaged = archive.stderr.read().decode(errors="replace").splitlines()
    if sink.returncode:
        raise BackupProblem("The backup could not be restored: " + _last_words(refused))
    if not complete:
        raise BackupProblem(f"{source} is damaged: " + _last_words(damaged))


def _feed(source: Path, sink: IO[bytes], progress: Progress | None) -> None:
    """Gives the file to `pg_restore`, and tells how far it is."""
    total = source.stat().st_size
    done = 0
    # Whoever reads it may have failed, and says so; or restoring was interrupted, and it is closed.
    with source.open("rb") as file, suppress(BrokenPipeError, ValueError), sink:
        while part := file.read(2**18):
            _ = sink.write(part)
            done += len(part)
            if progress is not None:
                progress(done, total)


def _copy_script(source: IO[bytes], sink: IO[bytes], server_version: int) -> None:
    for line in source:
        setting = line.decode(errors="replace").partition(" =")[0]
        if server_version >= _YOUNG_SETTINGS.get(setting, 0):
            _ = sink.write(line)
        # The settings come before everything else; further on may be anybody's words.
        if line.startswith((b"CREATE ", b"COPY ")):
            break
    shutil.copyfileobj(source, sink, 2**18)


def _privileges(source: Path, *, role: str, server_version: int) -> list[str]:
    """The statements by which owners gave up rights, or gave everyone some, now for `role`.

    What other roles were granted is left out: they may not exist.
    """
    damaged = f"{source} is damaged"
    contents = _output("pg_restore", "--list", str(source), failing=damaged).splitlines()
    wanted = [line for line in contents if _ACL.match(line)]
    if not wanted:
        return []
    script = _output(
        *("pg_restore", "--use-list=/dev/stdin", "--file=-", str(source)),
        stdin="\n".join(wanted).encode(),
        failing=damaged,
    )
    statements: list[str] = []
    for line in script.splitlines():
        if (match := _PRIVILEGE.fullmatch(line)) is None:
            continue
        named = match["grantee"]
        plain = named.removeprefix('"').removesuffix('"').replace('""', '"')
        if named != "PUBLIC" and not any(entry.endswith(f" {plain}") for entry in wanted):
            continue
        rights = match["rights"]
        for right, version in _YOUNG_RIGHTS.items():
            if server_version < version:
                rights = rights.replace(f",{right}", "")
        grantee = named if named == "PUBLIC" else role
        statements.append(f"{rights}{match['direction']}{grantee}{match['end']}\n")
    return statements


# --- PostgreSQL's programs ----------------------------------------------------------------------


def _client(
    name: str, url: str, *arguments: str, stdin: int | None = None, stderr: int | None = None
) -> subprocess.Popen[bytes]:
    """A program that connects, its password kept from the list of processes."""
    parts = conninfo.conninfo_to_dict(url)
    password = parts.pop("password", None)
    secret = {} if password is None else {"PGPASSWORD": str(password)}
    return subprocess.Popen(
        [embedded.binary(name), *arguments, f"--dbname={conninfo.make_conninfo('', **parts)}"],
        stdin=stdin if stdin is not None else subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        env=os.environ | {"LC_ALL": "C"} | secret,
    )


def _output(name: str, *arguments: str, stdin: bytes = b"", failing: str) -> str:
    """What a program prints. Raises `BackupProblem`, with `failing` and its last words."""
    ran = subprocess.run(
        [embedded.binary(name), *arguments],
        input=stdin,
        capture_output=True,
        env=os.environ | {"LC_ALL": "C"},
        check=False,
    )
    if ran.returncode:
        said = ran.stderr.decode(errors="replace").splitlines()
        raise BackupProblem(f"{failing}: {_last_words(said)}")
    return ran.stdout.decode(errors="replace")


def _last_words(lines: Sequence[str]) -> str:
    """The first complaint of a program, else its last line."""
    complaints = [line for line in lines if "error:" in line.lower()]
    return (complaints or [*lines[-1:], "it said nothing."])[0]
