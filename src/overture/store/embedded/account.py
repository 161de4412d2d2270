"""Whom PostgreSQL runs as, and what of our surroundings it sees."""

import os
import pwd
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from overture.store.embedded.problems import DataNotReachable

SYSTEM_USER = "overture-db"


class _SubprocessUser(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class Account:
    """The user whom PostgreSQL runs as: ourselves, unless we are root, whom it refuses."""

    uid: int
    gid: int

    def as_subprocess_user(self) -> _SubprocessUser:
        if os.geteuid() != 0:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def take(self, folder: Path) -> None:
        if os.geteuid() == 0:
            os.chown(folder, self.uid, self.gid)


def account_of(pgdata: Path) -> Account:
    """Ourselves; for root the database's owner, or a system user made for it."""
    if os.geteuid() != 0:
        if pgdata.exists() and pgdata.stat().st_uid != os.geteuid():
            raise DataNotReachable(
                f"The database in {pgdata} belongs to another user. Run Overture as its owner."
            )
        return Account(os.geteuid(), os.getegid())
    if pgdata.exists() and (owner := pgdata.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    account = _system_account()
    if pgdata.exists():
        # Root's own copy of a database, such as one unpacked from an archive.
        for folder, _, files in os.walk(pgdata):
            os.chown(folder, account.uid, account.gid)
            for file in files:
                os.chown(Path(folder, file), account.uid, account.gid, follow_symlinks=False)
    return account


def _system_account() -> Account:
    nowhere = "/nonexistent"
    debian = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", nowhere]
    busybox = ["adduser", "-S", "-D", "-H", "-h", nowhere, "-s", "/sbin/nologin", SYSTEM_USER]
    for command in ([*debian, "--shell", "/usr/sbin/nologin", SYSTEM_USER], busybox):
        if account := _named_account():
            return account
        with suppress(FileNotFoundError):
            # Its failure shows below, unless another process has just made the same user.
            _ = subprocess.run(command, capture_output=True, check=False)
    if account := _named_account():
        return account
    raise DataNotReachable(
        "PostgreSQL does not run as root, and the system user for it could not be made. "
        + f"Make a user named {SYSTEM_USER}, or run Overture as a normal user."
    )


def _named_account() -> Account | None:
    try:
        user = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        return None
    return Account(user.pw_uid, user.pw_gid)


def as_seen_from_inside(folder: Path) -> str:
    """How PostgreSQL, started in the folder, names it.

    Its own user often may not walk there: root's data tend to lie in private folders, whose
    permissions are not ours to loosen. A process may always use the folder it is in.
    """
    if os.geteuid() == 0 and Path("/proc/self/cwd").exists():
        return "/proc/self/cwd"
    return str(folder)


def environment() -> dict[str, str]:
    """Our environment without what would steer PostgreSQL elsewhere."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return kept | {"LC_ALL": "C"}
