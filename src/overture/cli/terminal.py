"""What commands show beside their sentences: JSON, and a bar for long work."""

import json
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

import click


def print_json(value: object) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


@contextmanager
def showing(title: str) -> Generator[Callable[[int, int], None]]:
    """A bar for long work, on a terminal only: told what is done and what there is to do."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(title, total=None)

        def advance(done: int, total: int) -> None:
            shown.update(task, completed=done, total=total)

        yield advance
