"""Runs the example: an Overture with data of its own, and this site beside it.

`python examples/django/run.py [--overture 8000] [--port 8100]`, after `make clients`. With
`--beside URL` it is this site alone, beside an Overture that runs already and knows the same secrets.
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CLIENT = ROOT / "build" / "clients" / "python" / "src"
PASSWORD = "example"  # noqa: S105
PEOPLE = {
    "ada": ("Ada Example", "Analyst"),
    "bo": ("Bo Sample", "Builds bridges"),
    "chidi": ("Chidi Specimen", "Looks for work"),
}
ISSUER = "the example"


def secrets_of_one_run() -> dict[str, str]:
    """What both servers know."""
    return {
        "OVERTURE_OPERATOR_TOKEN": secrets.token_urlsafe(32),
        "OVERTURE_HANDOVER_SECRET": secrets.token_urlsafe(48),
    }


def options(port: int) -> list[str]:
    """What Overture is told of a host on this port."""
    return [
        *("--handover-issuer", ISSUER),
        *("--embed-origins", f"http://127.0.0.1:{port}"),
        *("--webhook-allow-hosts", "127.0.0.1"),
    ]


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        _ = format, args


@contextmanager
def host(overture: str, data: Path, known: dict[str, str], port: int = 0) -> Iterator[str]:
    """This site with its people, who are made known to Overture: its address."""
    os.environ |= {**known, "OVERTURE_URL": overture, "HOST_DATA": str(data)}
    os.environ |= {
        "OVERTURE_HANDOVER_ISSUER": ISSUER,
        "DJANGO_SETTINGS_MODULE": "hostsite.settings",
    }
    sys.path[:0] = [str(HERE), str(CLIENT)]

    import django
    from django.core.management import call_command
    from django.core.wsgi import get_wsgi_application

    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)
    server = make_server("127.0.0.1", port, get_wsgi_application(), WSGIServer, _Quiet)
    address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    from people import overture as said

    try:
        # Whoever is answered finds all of it done.
        _people()
        said.listen(f"{address}/overture/hook")
        thread.start()
        yield address
    finally:
        said.overture().close()
        if thread.is_alive():
            server.shutdown()
            thread.join()
        server.server_close()


def _people() -> None:
    from django.contrib.auth.models import User
    from people import overture as said
    from people.models import Person

    made: list[Person] = []
    for handle, (name, headline) in PEOPLE.items():
        user = User.objects.create_user(handle, f"{handle}@example.org", PASSWORD)
        made.append(Person.objects.create(user=user, name=name, headline=headline))
        said.sync(made[-1])
    made[0].knows.add(made[2])
    said.sync_connections()
    # Ada is to pay first: who has no plan can neither write to strangers nor be written to by them.
    for person in made[1:]:
        said.subscribe(person, "premium", "premium_career")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--overture", type=int, default=8000)
    parser.add_argument("--beside", metavar="URL")
    parser.add_argument("--port", type=int, default=int(os.environ.get("HOST_PORT", "8100")))
    asked = parser.parse_args()
    # As by Ctrl-C: both are ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if asked.beside:
        _beside(asked.beside, asked.port)
    else:
        _both(asked.overture, asked.port)


def _beside(overture: str, port: int) -> None:
    known = {name: os.environ.get(name, "") for name in secrets_of_one_run()}
    if missing := [name for name, secret in known.items() if not secret]:
        sys.exit(f"Set {' and '.join(missing)} to what that Overture was started with.")
    with (
        suppress(KeyboardInterrupt),
        tempfile.TemporaryDirectory() as folder,
        host(overture, Path(folder), known, port) as site,
    ):
        _tell(site)
        threading.Event().wait()


def _both(overture: int, port: int) -> None:
    known = secrets_of_one_run()
    with tempfile.TemporaryDirectory() as folder:
        serve = [sys.executable, "-m", "overture", "serve", "--port", str(overture)]
        server = subprocess.Popen(
            [*serve, "--data", f"{folder}/overture", *options(port)],
            env=os.environ | known,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            if not line:
                sys.exit("Overture did not start; the lines above say why.")
            address = line.rpartition(" ")[2].strip()
            with host(address, Path(folder), known, port) as site:
                _tell(site)
                server.wait()
        except KeyboardInterrupt:
            pass
        finally:
            server.terminate()
            server.wait(timeout=20)


def _tell(site: str) -> None:
    print(
        f"The example host answers at {site}: sign in as ada, bo or chidi, “{PASSWORD}”.",
        flush=True,
    )


if __name__ == "__main__":
    main()
