"""Policies: looked at, checked, compared, and put in force from a date on."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from overture.cli.failures import Failed
from overture.cli.installation import ACTOR, on_installation, writing
from overture.cli.options import INSTALLATION, as_json, takes
from overture.cli.terminal import print_json
from overture.settings import Settings

if TYPE_CHECKING:
    from datetime import datetime

    from overture.app import Installation
    from overture.core.differences import Difference
    from overture.core.policy import PolicyBook
    from overture.policies import SideBySide, Step
    from overture.store.db import Tx


@click.group()
def policy() -> None:
    """Look at policies, the numbers of the rules, and change them from a date on."""


@policy.command("presets")
@click.option("--all", "every", is_flag=True, help="All values, also those that are as in seed.")
@as_json
def policy_presets(every: bool, as_json: bool) -> None:
    """The policies that come with Overture, side by side, and how each differs from seed."""
    from overture import policies

    table = policies.side_by_side()
    if as_json:
        print_json(_preset_table(table))
        return
    width = max(map(len, table.presets))
    for name, preset in table.presets.items():
        click.echo(f"{name:{width}}  {preset.about}")
    rows = [row for row in table.rows if every or row.differs]
    lines = [("", *table.presets), *((row.name, *row.values) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    click.echo()
    for line in lines:
        cells = (f"{cell:{width}}" for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
    for name, preset in table.presets.items():
        if preset.differences:
            click.echo(f"\n{name}, beside {policies.DEFAULT}:")
            _echo_differences(preset.differences)


@policy.command("list")
@takes(*INSTALLATION)
@as_json
def policy_list(settings: Settings, as_json: bool) -> None:
    """The versions of this installation's policy: what held, holds and will hold, and what changed."""
    from overture import policies

    book, now = on_installation(settings, _book_and_now)
    told = [
        (book.versions[0], ()),
        *((each.version, each.differences) for each in policies.steps(book)),
    ]
    if as_json:
        print_json(
            [
                {
                    "holds_from": policies.told_instant(version.holds_from),
                    "state": policies.state(version, book, now),
                    "changes": _changes(changes),
                }
                for version, changes in told
            ]
        )
        return
    for version, changes in told:
        at, state = policies.told_instant(version.holds_from), policies.state(version, book, now)
        click.echo(f"{at}  {state.replace('_', ' ')}")
        _echo_differences(changes)


@policy.command("show")
@click.argument("name_or_file", required=False, metavar="[NAME|FILE]")
@click.option("--at", metavar="DATE", help="The version of this installation that holds then.")
@takes(*INSTALLATION)
def policy_show(settings: Settings, name_or_file: str | None, at: str | None) -> None:
    """Print a policy, checked; without an argument what this installation has recorded."""
    from overture import policies

    if name_or_file is not None and at is not None:
        raise click.UsageError("Say either a NAME or FILE, or --at DATE.")
    if name_or_file is not None:
        document = policies.document_of(name_or_file)
        policies.load(name_or_file)
        click.echo(document, nl=False)
        return
    instant = None if at is None else policies.instant_of(at)
    book, _ = on_installation(settings, _book_and_now)
    versions = book.versions if instant is None else (book.at(instant),)
    click.echo("\n".join(map(policies.written, versions)), nl=False)


@policy.command("check")
@click.argument("name_or_file", metavar="FILE")
@as_json
def policy_check(name_or_file: str, as_json: bool) -> None:
    """Say what is wrong in a policy: each mistake with its line, and what to write instead."""
    from overture import policies
    from overture.core.policy import PolicyProblem, parse

    document = policies.document_of(name_or_file)
    try:
        book = parse(document)
    except PolicyProblem as problem:
        found = problem.mistakes
    else:
        found = ()
        if not as_json:
            plans, count = len(book.versions[-1].plans), len(book.versions)
            versions = f"{count} version{'' if count == 1 else 's'}"
            click.echo(f"{name_or_file} is sound: {versions}, {plans} plans.")
    if as_json:
        print_json(
            [
                {
                    "line": each.line,
                    "place": each.place,
                    "sentence": str(each.sentence),
                    "example": each.example or None,
                }
                for each in found
            ]
        )
    elif found:
        for each in found:
            click.echo(f"{name_or_file}: {each}")
    if found:
        count = f"{len(found)} mistake{'' if len(found) == 1 else 's'}"
        raise Failed(f"{name_or_file} has {count}.")


@policy.command("diff")
@click.argument("name_or_file", metavar="FILE")
@click.option(
    "--against",
    metavar="VERSION",
    help="A preset, a file, or a DATE: this installation's version of then. "
    "Without it, what applying the policy now would change.",
)
@takes(*INSTALLATION)
@as_json
def policy_diff(settings: Settings, name_or_file: str, against: str | None, as_json: bool) -> None:
    """Say what a policy changes, and what becomes of what exists."""
    from overture import policies
    from overture.core.differences import differences
    from overture.core.policy import PolicyProblem

    chosen = policies.load(name_or_file)
    if against is None:
        book, now = on_installation(settings, _book_and_now)
        _, steps = policies.proposed(book, chosen, starts_at=None, now=now)
        _tell_steps(steps, as_json=as_json)
        return
    try:
        instant = policies.instant_of(against)
    except PolicyProblem:
        version = policies.load(against).versions[-1]
    else:
        version = on_installation(settings, _book_and_now)[0].at(instant)
    found = differences(version, chosen.versions[-1])
    if as_json:
        print_json(_changes(found))
    elif found:
        _echo_differences(found, indent="")
    else:
        click.echo("The two say the same.")


@policy.command("apply")
@click.argument("name_or_file", metavar="FILE")
@click.option(
    "--from",
    "from_date",
    metavar="DATE",
    help="When it takes effect: a day (00:00 UTC), or an instant with its offset. "
    "Without it in a minute, or as the file's versions say.",
)
@takes(*INSTALLATION)
@as_json
def policy_apply(
    settings: Settings, name_or_file: str, from_date: str | None, as_json: bool
) -> None:
    """Have a policy, a file or a preset, take effect. What happened before is never judged anew.

    A server may run meanwhile, and goes by it from that instant on.
    """
    from overture import ids, policies

    chosen = policies.load(name_or_file)
    starts_at = None if from_date is None else policies.instant_of(from_date)

    async def put(tx: "Tx", now: "datetime") -> "list[Step]":
        return await policies.apply(
            tx, chosen, starts_at=starts_at, actor=ACTOR, audit_id=ids.new(), now=now
        )

    _tell_steps(writing(settings, put), as_json=as_json)


@policy.command("withdraw")
@click.argument("date", required=False, metavar="[DATE]")
@takes(*INSTALLATION)
def policy_withdraw(settings: Settings, date: str | None) -> None:
    """Take back a version that has not taken effect; the DATE says which, where there are several."""
    from overture import ids, policies

    starts_at = None if date is None else policies.instant_of(date)

    async def take_back(tx: "Tx", now: "datetime") -> str:
        gone = await policies.withdraw(tx, starts_at, actor=ACTOR, audit_id=ids.new(), now=now)
        return policies.told_instant(gone.holds_from)

    at = writing(settings, take_back)
    click.echo(f"The version of {at} is withdrawn. What holds now goes on.")


async def _book_and_now(installation: "Installation") -> "tuple[PolicyBook, datetime]":
    return installation.book, await installation.db.reading(installation.clock.now)


def _tell_steps(steps: "list[Step]", *, as_json: bool) -> None:
    from overture import policies

    if as_json:
        print_json(
            [
                {
                    "holds_from": policies.told_instant(each.version.holds_from),
                    "until": each.until and policies.told_instant(each.until),
                    "changes": _changes(each.differences),
                }
                for each in steps
            ]
        )
        return
    for each in steps:
        until = f", until {policies.told_instant(each.until)}" if each.until else ""
        click.echo(f"From {policies.told_instant(each.version.holds_from)} on{until}:")
        _echo_differences(each.differences)


def _echo_differences(found: "Sequence[Difference]", indent: str = "  ") -> None:
    for each in found:
        click.echo(f"{indent}{each.sentence}")


def _changes(found: "Sequence[Difference]") -> list[dict[str, str]]:
    return [
        {
            "name": each.name,
            "before": str(each.before),
            "after": str(each.after),
            "sentence": str(each.sentence),
        }
        for each in found
    ]


def _preset_table(table: "SideBySide") -> dict[str, object]:
    return {
        "presets": [
            {"name": name, "about": preset.about, "changes": _changes(preset.differences)}
            for name, preset in table.presets.items()
        ],
        "values": [
            {
                "name": row.name,
                "label": str(row.label),
                "values": dict(zip(table.presets, map(str, row.values), strict=True)),
            }
            for row in table.rows
        ],
    }
