"""The policy lab: a policy tried before anybody lives under it."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from overture.cli.failures import Failed
from overture.cli.installation import on_installation
from overture.cli.options import INSTALLATION, as_json, takes
from overture.cli.terminal import print_json, showing
from overture.settings import Settings

if TYPE_CHECKING:
    from datetime import datetime

    from overture.app import Installation
    from overture.core.policy import PolicyBook
    from overture.store.db import Tx
    from overture.store.history import History


@click.command()
@click.argument("policy", metavar="POLICY")
@click.option(
    "--against",
    multiple=True,
    metavar="OTHER",
    help="Another policy, on the same members; may be given again.",
)
@click.option("--members", default=10_000, type=click.IntRange(100, 10_000_000), show_default=True)
@click.option("--months", default=12, type=click.IntRange(1, 120), show_default=True)
@click.option(
    "--seed", default=1, type=click.IntRange(0), help="The first seed.", show_default=True
)
@click.option(
    "--seeds",
    default=5,
    type=click.IntRange(1, 1000),
    help="How many seeds: the intervals are over them.",
    show_default=True,
)
@click.option(
    "--knobs",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="TOML with what is assumed of members; docs/lab.md lists it.",
)
@click.option(
    "--processes", type=click.IntRange(1), metavar="N", help="At once; as many as cores by default."
)
@click.option(
    "--replay",
    "replayed",
    is_flag=True,
    help="Play this installation's own history again instead.",
)
@click.option("--fit", is_flag=True, help="Fit the knobs to this installation's own history.")
@takes(*INSTALLATION)
@as_json
@click.option(
    "--html", type=click.Path(path_type=Path), metavar="FILE", help="Write a page with the charts."
)
@click.option(
    "--pictures", type=click.Path(path_type=Path), metavar="DIR", help="Write the charts as SVG."
)
def simulate(
    settings: Settings,
    *,
    policy: str,
    against: tuple[str, ...],
    members: int,
    months: int,
    seed: int,
    seeds: int,
    knobs: Path | None,
    processes: int | None,
    replayed: bool,
    fit: bool,
    as_json: bool,
    html: Path | None,
    pictures: Path | None,
) -> None:
    """Try a policy, a preset's name or a FILE, on invented members, and print what comes of it.

    Senders, recipients, spammers and colluders live under its last version. The same arguments bring
    the same figures. With --replay the letters, answers and plans that this installation has recorded
    are played again under the policy, beside what they came to.
    """
    from overture import policies, sim
    from overture.core.policy import PolicyBook
    from overture.sim.knobs import Knobs, read
    from overture.store.history import history

    if not sim.is_installed():
        raise Failed("The policy lab needs numpy: pip install 'overture[lab]'.")
    from overture.sim import lab, report

    names = (policy, *against)
    if len(set(names)) < len(names):
        raise click.UsageError("Compare a policy with another one, not with itself.")
    # As if its last version had always held.
    books = {name: PolicyBook(policies.load(name).versions[-1:]) for name in names}
    turned = Knobs() if knobs is None else read(knobs.read_text(encoding="utf-8"))

    async def look(installation: "Installation") -> "tuple[History, PolicyBook, datetime]":
        async def read(tx: "Tx") -> "tuple[History, datetime]":
            now = await installation.clock.now(tx)
            return await history(tx, now), now

        found, now = await installation.db.reading(read)
        return found, installation.book, now

    own = on_installation(settings, look) if replayed or fit else None
    with showing("Simulating") as progress:
        if replayed and own is not None:
            recorded, book, now = own
            outcome = lab.of_history(recorded, book, books, now, progress)
        else:
            if own is not None:
                turned = lab.fitted(turned, *own)
            experiment = lab.Experiment(
                {name: book.versions[0] for name, book in books.items()},
                members=members,
                months=months,
                seed=seed,
                seeds=seeds,
                knobs=turned,
            )
            outcome = lab.run(experiment, processes=processes, progress=progress)
    if html is not None:
        html.write_text(report.page(outcome), encoding="utf-8")
    if pictures is not None:
        report.write_pictures(outcome, pictures)
    if as_json:
        print_json(report.as_json(outcome))
        return
    report.show(outcome)
    for written in filter(None, (html, pictures)):
        click.echo(f"Written: {written}")
