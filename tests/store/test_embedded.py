"""PostgreSQL under a data folder: started, shared, killed, recovered and refused."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TypeVar

import psycopg
import pytest

from overture.store import embedded
from overture.store.embedded import engine
from tests.databases import server_to_throw_away, temporary_folder

T = TypeVar("T")

# A run in the background may have been told to ignore what a terminal sends.
HOLDER = """
import signal
import sys
from pathlib import Path
from typing import TypeVar
from overture.store import embedded
signal.signal(signal.SIGINT, signal.default_int_handler)
with embedded.start(Path(sys.argv[1])) as held:
    print(held.postmaster_pid, flush=True)
    sys.stdin.read()
"""
SERVER = HOLDER.replace("embedded.start(", "embedded.serve_lock(").replace(
    "held.postmaster_pid", '"serving"'
)
VISITOR = """
import sys
from pathlib import Path
from typing import TypeVar
import psycopg
from overture.store import embedded
with embedded.start(Path(sys.argv[1])) as held, psycopg.connect(held.url) as connection:
    print(connection.execute("select current_user").fetchone()[0])
"""


@pytest.fixture
def new_data() -> Iterator[Path]:
    """Where a data folder may be made."""
    with temporary_folder() as folder:
        yield folder / "data"


@pytest.fixture
def data(new_data: Path, made_once: Path) -> Path:
    """A data folder with a database that was stopped."""
    return Path(shutil.copytree(made_once, new_data))


@pytest.fixture(scope="module")
def made_once() -> Iterator[Path]:
    with temporary_folder() as folder:
        embedded.start(folder / "data").release()
        yield folder / "data"


# --- Starting, sharing, stopping ----------------------------------------------------------------


def test_a_first_start_makes_a_database_that_its_role_owns(new_data: Path):
    with server_to_throw_away(new_data) as server, psycopg.connect(server.url) as connection:
        row = connection.execute(
            """
            select current_user, current_database(), pg_get_userbyid(datdba), datlocale,
                pg_encoding_to_char(encoding), (select rolsuper from pg_roles where rolname = user)
            from pg_database where datname = current_database()
            """
        ).fetchone()
        trigrams = connection.execute(
            "create extension pg_trgm; select 'Ørsted Мария' % 'ørsted мария'"
        )
        trigrams.nextset()

        assert row == ("overture", "overture", "overture", "C.UTF-8", "UTF8", False)
        assert trigrams.fetchone() == (True,)


def test_nothing_is_given_up_for_speed_and_nobody_listens_on_a_port(data: Path):
    with server_to_throw_away(data) as server, psycopg.connect(server.url) as connection:
        settings = dict(connection.execute("select name, setting from pg_settings").fetchall())

        assert settings["fsync"] == settings["full_page_writes"] == "on"
        assert settings["synchronous_commit"] == settings["data_checksums"] == "on"
        assert settings["listen_addresses"] == ""


def test_the_socket_lies_in_a_folder_that_only_its_user_may_enter(data: Path):
    with server_to_throw_away(data):
        socket = data / "postgres" / ".s.PGSQL.5432"
        assert stat.S_ISSOCK(socket.stat().st_mode)
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(socket.stat().st_mode) == 0o700


def test_the_last_one_out_stops_it(data: Path):
    first = embedded.start(data)
    second = embedded.start(data)
    assert first.postmaster_pid == second.postmaster_pid

    first.release()
    first.release()
    assert answers(second.url)

    second.release()
    assert not runs(second.postmaster_pid)
    assert not (data / "postgres" / "postmaster.pid").exists()


def test_a_second_start_finds_what_was_written(data: Path):
    with embedded.start(data) as server:
        write(server.url, "kept")
    with server_to_throw_away(data) as server:
        assert written(server.url) == ["kept"]


def test_a_killed_holder_takes_nothing_down_and_leaves_nothing_stuck(data: Path):
    with another_process(HOLDER, data) as other:
        server = embedded.start(data)
        assert other.said == str(server.postmaster_pid)

        other.kill()
        assert answers(server.url)

    server.release()
    assert not runs(server.postmaster_pid)


def test_a_server_whose_only_holder_was_killed_is_taken_over(data: Path):
    with another_process(HOLDER, data) as other:
        pid = int(other.said)
        other.kill()
        assert runs(pid)

    with embedded.start(data) as server:
        assert server.postmaster_pid == pid
    assert not runs(pid)


def test_a_signal_from_the_terminal_does_not_reach_it(data: Path):
    with another_process(HOLDER, data) as other, embedded.start(data) as server:
        os.killpg(other.process.pid, signal.SIGINT)
        other.process.wait()

        assert answers(server.url)


# --- Kills --------------------------------------------------------------------------------------


def test_it_recovers_when_the_postmaster_was_killed(data: Path):
    with server_to_throw_away(data) as server:
        write(server.url, "before the kill")
        os.kill(server.postmaster_pid, signal.SIGKILL)

        url = server.url
        server.revive()

        assert server.url == url
        assert written(url) == ["before the kill"]


def test_it_recovers_when_all_its_processes_were_killed(data: Path):
    server = embedded.start(data)
    write(server.url, "before the kill")
    kill_tree(server.postmaster_pid)
    server.release()

    with server_to_throw_away(data) as server:
        assert written(server.url) == ["before the kill"]


def test_reviving_one_that_lives_does_nothing(data: Path):
    with server_to_throw_away(data) as server:
        pid = server.postmaster_pid
        server.revive()
        assert server.postmaster_pid == pid


def test_it_waits_for_a_killed_postmasters_child_that_still_works(data: Path):
    with server_to_throw_away(data) as server:
        busy = subprocess.Popen(
            # Computing all the time, it does not notice that its postmaster is gone.
            [
                *(embedded.binary("psql"), "--dbname", server.url, "--command"),
                "do $$ begin for i in 1..60000000 loop end loop; end $$",
            ],
            stderr=subprocess.DEVNULL,
        )
        child = wait_for(lambda: busy_backend(server.admin_url))
        os.kill(server.postmaster_pid, signal.SIGKILL)
        assert runs(child)

        server.revive()

        assert not runs(child)
        busy.wait()
        assert answers(server.url)


def test_a_start_that_was_killed_while_recovering_is_continued(data: Path):
    server = embedded.start(data)
    with psycopg.connect(server.url) as connection:
        connection.execute("create table many as select n from generate_series(1, 500000) n")
    kill_tree(server.postmaster_pid)
    server.release()

    starter = subprocess.Popen(
        [sys.executable, "-c", HOLDER, data], env=environment(), stdout=subprocess.DEVNULL
    )
    wait_for((data / "postgres" / ".s.PGSQL.5432.lock").exists)
    starter.kill()
    starter.wait()

    with server_to_throw_away(data) as server, psycopg.connect(server.url) as connection:
        assert connection.execute("select count(*) from many").fetchone() == (500_000,)


def test_a_first_start_that_was_killed_is_begun_anew(new_data: Path):
    starter = subprocess.Popen([sys.executable, "-c", HOLDER, new_data], env=environment())
    wait_for((new_data / "postgres.new" / "PG_VERSION").exists)
    starter.kill()
    starter.wait()

    with server_to_throw_away(new_data) as server:
        assert answers(server.url)


def test_a_stale_process_id_that_belongs_to_another_program_by_now_does_not_mislead(data: Path):
    server = embedded.start(data)
    kill_tree(server.postmaster_pid)
    server.release()
    # As the same user: PostgreSQL itself would refuse to start.
    with a_process_of(owner_of(data / "postgres"), ["sleep", "600"]) as unrelated:
        record = data / "postgres" / "postmaster.pid"
        lines = record.read_text().splitlines()
        record.write_text("\n".join([str(unrelated.pid), *lines[1:], ""]))

        with server_to_throw_away(data) as server:
            assert answers(server.url)
        assert unrelated.poll() is None


# --- Refusals -----------------------------------------------------------------------------------


def test_a_second_server_on_the_same_data_is_refused_until_the_first_is_gone(data: Path):
    with another_process(SERVER, data) as other:
        with pytest.raises(embedded.DataInUse, match=f"process {other.process.pid}"):
            embedded.serve_lock(data)
        other.kill()

        with embedded.serve_lock(data), pytest.raises(embedded.DataInUse):
            embedded.serve_lock(data)
    embedded.serve_lock(data).release()


@pytest.mark.parametrize(
    ("version", "sentence"), [("19", "newer than the 18"), ("17", "overture backup")]
)
def test_data_of_another_major_version_are_refused(data: Path, version: str, sentence: str):
    (data / "postgres" / "PG_VERSION").write_text(f"{version}\n")

    with pytest.raises(embedded.DataVersion, match=sentence):
        embedded.start(data)


def test_a_folder_with_something_else_in_it_is_refused_and_left_alone(new_data: Path):
    new_data.mkdir()
    (new_data / "thesis.odt").touch()

    with pytest.raises(embedded.DataNotOurs, match=r"thesis\.odt"):
        embedded.start(new_data)
    assert [entry.name for entry in new_data.iterdir()] == ["thesis.odt"]


def test_an_empty_folder_and_a_freshly_mounted_disk_are_used(new_data: Path):
    (new_data / "lost+found").mkdir(parents=True)
    with server_to_throw_away(new_data) as server:
        assert answers(server.url)


def test_a_file_instead_of_a_folder_is_refused(new_data: Path):
    new_data.touch()
    with pytest.raises(embedded.DataNotOurs, match="is a file"):
        embedded.start(new_data)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_refused(new_data: Path):
    new_data.mkdir(mode=0o500)
    with pytest.raises(embedded.DataNotReachable, match="cannot be written"):
        embedded.start(new_data)


def test_a_server_that_lives_but_cannot_be_reached_is_not_joined_by_a_second_one(
    data: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(engine, "_SILENT_SECONDS_MAX", 0.2)
    with server_to_throw_away(data):
        (data / "postgres" / ".s.PGSQL.5432").unlink()

        with pytest.raises(embedded.DataInUse, match="does not answer"):
            embedded.start(data)


def test_data_in_use_on_another_machine_are_refused(data: Path):
    with server_to_throw_away(data):
        here = (data / "engine.lock").read_text()
        (data / "engine.lock").write_text('{"host": "elsewhere", "boot": "", "processes": ""}')

        with pytest.raises(embedded.DataInUse, match="elsewhere"):
            embedded.start(data)
        (data / "engine.lock").write_text(here)


def test_data_that_somebodys_own_postgresql_runs_on_are_refused(data: Path):
    embedded.start(data).release()
    pgdata = data / "postgres"
    folder = "/proc/self/cwd" if Path("/proc/self/cwd").exists() else str(pgdata)
    command = [str(embedded.binary("postgres")), "-D", folder, "-k", ".", "-h", ""]
    with a_process_of(owner_of(pgdata), command, cwd=pgdata):
        wait_for((pgdata / ".s.PGSQL.5432").exists)

        with pytest.raises(embedded.DataInUse, match="not started by Overture"):
            embedded.start(data)


def test_a_start_that_fails_says_why_and_can_be_mended(data: Path):
    settings = data / "postgres" / "postgresql.auto.conf"
    settings.write_text("work_mem = 'much'\n")

    with pytest.raises(embedded.DatabaseFailed, match='invalid value for parameter "work_mem"'):
        embedded.start(data)

    settings.write_text("")
    with server_to_throw_away(data) as server:
        assert answers(server.url)


# --- Places and users ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["long" * 30, "with, a comma", "mit Umlaut ü 'und' %20"])
def test_awkward_paths_work_and_their_sockets_are_private_too(data: Path, name: str):
    data = data.rename(data.with_name(name))
    with embedded.start(data) as server:
        assert answers(server.url)
        folder = Path(str(psycopg.conninfo.conninfo_to_dict(server.url)["host"]))
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700

        write(server.url, "before the kill")
        kill_tree(server.postmaster_pid)
        server.revive()
        assert written(server.url) == ["before the kill"]

    in_the_data = folder == data / "postgres"
    assert in_the_data or not folder.exists()


def test_it_works_as_a_normal_user(new_data: Path):
    if os.geteuid() != 0:
        pytest.skip("all the other tests have just shown it")
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("there is no setpriv to become another user with")
    someone = pwd.getpwnam("nobody").pw_uid
    new_data.parent.chmod(0o711)
    new_data.mkdir()
    os.chown(new_data, someone, someone)
    command = [setpriv, f"--reuid={someone}", f"--regid={someone}", "--clear-groups"]
    importing = [*command, sys.executable, "-c", "import overture"]
    if subprocess.run(importing, env=environment(), check=False).returncode:
        pytest.skip("another user cannot read this checkout")

    visit = subprocess.run(
        [*command, sys.executable, "-c", VISITOR, new_data],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )

    assert (visit.stdout, visit.stderr) == ("overture\n", "")
    assert owner_of(new_data / "postgres") == someone


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may look after another user's folder")
def test_root_leaves_another_users_folder_usable_by_its_owner(data: Path):
    someone = 47_213
    for path in [data, *data.rglob("*")]:
        os.chown(path, someone, someone)

    embedded.start(data).release()

    assert {owner_of(path) for path in [*data.iterdir(), *data.rglob("*")]} == {someone}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts PostgreSQL as another user")
def test_as_root_a_private_parent_folder_is_no_obstacle_and_stays_private(new_data: Path):
    assert stat.S_IMODE(new_data.parent.stat().st_mode) == 0o700

    with server_to_throw_away(new_data) as server:
        assert answers(server.url)

    assert owner_of(new_data) == 0
    assert stat.S_IMODE(new_data.parent.stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts PostgreSQL as another user")
def test_as_root_a_database_that_root_unpacked_is_used(data: Path):
    assert {owner_of(path) for path in data.rglob("*")} == {0}

    with server_to_throw_away(data) as server:
        assert answers(server.url)


# --- Helpers ------------------------------------------------------------------------------------


class Process:
    """Another process that has said its first line."""

    def __init__(self, process: subprocess.Popen[str], said: str) -> None:
        self.process = process
        self.said = said

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def another_process(script: str, data: Path) -> Generator[Process]:
    with subprocess.Popen(
        [sys.executable, "-c", script, data],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(),
        start_new_session=True,
    ) as process:
        assert process.stdout
        yield Process(process, process.stdout.readline().strip())


@contextlib.contextmanager
def a_process_of(
    uid: int, command: list[str], cwd: Path | None = None
) -> Generator[subprocess.Popen[bytes]]:
    user = uid if os.geteuid() == 0 else None
    process = subprocess.Popen(command, cwd=cwd, user=user, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def environment() -> dict[str, str]:
    """For a process that imports what this one does."""
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def answers(url: str) -> bool:
    with psycopg.connect(url) as connection:
        return connection.execute("select true").fetchone() == (True,)


def write(url: str, words: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("create table if not exists notes (words text)")
        connection.execute("insert into notes values (%s)", [words])


def written(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [words for (words,) in connection.execute("select words from notes")]


def runs(pid: int) -> bool:
    listed = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return listed.stdout.strip()[:1] not in {"", "Z"}


def busy_backend(admin_url: str) -> int:
    with psycopg.connect(admin_url) as connection:
        found = connection.execute(
            "select pid from pg_stat_activity where state = 'active' and query like 'do %%'"
        ).fetchone()
    return found[0] if found else 0


def kill_tree(postmaster: int) -> None:
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
    )
    parents = [line.split() for line in listed.stdout.splitlines()]
    # Stopped first, so that it starts no new child meanwhile.
    os.kill(postmaster, signal.SIGSTOP)
    for pid in [postmaster, *(int(pid) for pid, parent in parents if int(parent) == postmaster)]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def owner_of(path: Path) -> int:
    return path.stat().st_uid


def wait_for(condition: Callable[[], T], seconds: float = 60) -> T:
    """What the condition gives once it is true; in vain only when something is wrong."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)
    return value
