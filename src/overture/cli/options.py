"""The options that commands share: settings, and --json."""

import os
from collections.abc import Callable
from typing import Any

import click

from overture.settings import ROWS, read

Command = Callable[..., None]

# Where the installation is that a command works on.
INSTALLATION = ("data", "database_url")

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def takes(*names: str) -> Callable[[Command], Command]:
    """Gives a command these settings as options, and hands it the `Settings`."""
    rows = [row for row in ROWS if row.name in names]

    def decorate(command: Command) -> Command:
        def with_settings(**given: Any) -> None:
            told = {row.name: given.pop(row.name) for row in rows}
            command(read(told, os.environ), **given)

        with_settings.__name__ = command.__name__
        with_settings.__doc__ = command.__doc__
        with_settings.__click_params__ = getattr(command, "__click_params__", [])  # pyright: ignore[reportFunctionMemberAccess]
        decorated: Command = with_settings
        for row in reversed(rows):
            default = f" [{row.variable}{f'; default {row.default}' if row.default else ''}]"
            if row.flag:
                option = click.option(
                    row.option, row.name, flag_value="true", default=None, help=row.help + default
                )
            else:
                option = click.option(
                    row.option, row.name, metavar=row.form, help=row.help + default
                )
            decorated = option(decorated)
        return decorated

    return decorate
