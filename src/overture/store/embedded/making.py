"""A database made: `initdb`, and what stands in its `postgresql.conf` at first."""

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from overture.store.durability import sync
from overture.store.embedded.account import Account, as_seen_from_inside, environment
from overture.store.embedded.log import log_file, tail
from overture.store.embedded.problems import DatabaseFailed

_MEBIBYTE = 2**20
# Of an eighth of the memory: the inboxes of a million conversations take about a gigabyte.
SHARED_BUFFERS_MAX = 2048 * _MEBIBYTE


def make_database(data: Path, programs: Path, account: Account, engine: int) -> None:
    """Run `initdb`, under another name until it is complete and on disk."""
    new = data / "postgres.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    account.take(new)
    command = [
        str(programs / "initdb"),
        *("-D", as_seen_from_inside(new)),
        *("--username", "postgres", "--auth-local=trust", "--auth-host=reject"),
        # The builtin provider orders text alike on every system. What a letter is (for trigrams)
        # comes from the C library, where macOS has no C.UTF-8.
        *("--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
        "--locale=en_US.UTF-8" if sys.platform == "darwin" else "--locale=C.UTF-8",
        "--lc-messages=C",
    ]
    for name, value in _initial_settings().items():
        command += ["--set", f"{name}={value}"]
    with log_file(data) as output:
        log_start = output.seek(0, os.SEEK_END)
        made = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=new,
            env=environment(),
            pass_fds=(engine,),
            check=False,
            **account.as_subprocess_user(),
        )
    if made.returncode:
        raise DatabaseFailed(
            f"PostgreSQL could not make a database in {data}. The end of its log:\n"
            + tail(data / "postgres.log", log_start)
        )
    _ = new.rename(data / "postgres")
    sync(data)


def _initial_settings() -> dict[str, str]:
    """What goes into a new `postgresql.conf`, where an operator may change it."""
    shared_buffers = min(max(_memory_bytes() // 8, 64 * _MEBIBYTE), SHARED_BUFFERS_MAX)
    return {
        "shared_buffers": f"{shared_buffers // _MEBIBYTE}MB",
        "max_connections": "100",
        "max_wal_size": "2GB",
        "wal_compression": "on",
        "random_page_cost": "1.1",
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_checkpoints": "off",
        # The log must hold no member's words: neither statements nor the values in details.
        "log_error_verbosity": "terse",
        "log_min_error_statement": "panic",
    }


def _memory_bytes() -> int:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):
        memory = min(memory, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return memory
