"""`overture` for many commands in a row: a process that has imported it forks for each of them.

Starting Python and importing all of it is most of what a short command takes. Whoever asks (`ASK`,
which imports next to nothing) hands over its arguments, folder, environment and three files.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import print_exc

ASK = """
import array, json, os, socket, sys
asked = json.dumps([sys.argv[2:], os.getcwd(), dict(os.environ)]).encode()
with socket.socket(socket.AF_UNIX) as there:
    there.connect(sys.argv[1])
    files = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))]
    there.sendmsg([len(asked).to_bytes(4, "big")], files)
    there.sendall(asked)
    sys.exit(int(there.recv(16)))
"""


@contextmanager
def forking(folder: Path) -> Iterator[str]:
    """The words to say in a shell instead of `overture`; each is answered as by the command."""
    place, ask = folder / "quick", folder / "ask.py"
    ask.write_text(ASK)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        listener.listen()
        # Not out of this process, which has threads and connections.
        server = os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", "tests.docs.quick", str(listener.fileno())],
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, listener.fileno(), 9)],
        )
        yield f"{sys.executable} -S -E {ask} {place}"
        os.kill(server, signal.SIGTERM)
        os.waitpid(server, 0)


def _serve() -> None:
    from overture import app, cli, doctor, policies, sim  # noqa: F401
    from overture.sim import lab, report  # noqa: F401
    from overture.store import backup, embedded, history  # noqa: F401

    listener = socket.socket(fileno=9)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        asker, _ = listener.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _answer(asker)
        asker.close()


def _answer(asker: socket.socket) -> None:
    size, files, _, _ = socket.recv_fds(asker, 4, 3)
    with asker.makefile("rb") as told:
        arguments, folder, environment = json.loads(told.read(int.from_bytes(size, "big")))
    for number, file in enumerate(files):
        os.dup2(file, number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["overture", *arguments]
    status = 70
    try:
        from overture.cli import main

        main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  whoever asks must hear of it
        print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    asker.sendall(str(status).encode())
    os._exit(0)


if __name__ == "__main__":
    _serve()
