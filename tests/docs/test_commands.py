"""The commands of the pages for operators, run as they stand there, one page after the other."""

from __future__ import annotations

import asyncio
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from overture import ids
from overture.actions import reports
from overture.core.ids import ReportId
from overture.store import accounts, two_steps
from overture.store.db import Tx
from tests.cast import town_in
from tests.databases import temporary_folder
from tests.docs.blocks import ROOT, Block, blocks, run, surroundings
from tests.docs.quick import forking
from tests.ports import free_port
from tests.running import OPERATOR_TOKEN

# Payments last: from then on plans are paid for.
PAGES = ("operate", "console", "policy", "lab", "mail", "observe", "../README", "payments")
# What a page leaves to its reader, and what would take longer than a test may.
READER: Mapping[str, Mapping[str, str]] = {
    "operate": {
        "revoke ID": "revoke $(overture token list | tail -n 1 | cut -d ' ' -f 1)",
        "/backups/": "",
        "/srv/": "",
    },
    "policy": {
        "overture policy check": "sed -i.bak 's/^expiry_days = .*/expiry_days = 100/' mine.toml\n"
        "overture policy check",
        # They take effect in times to come.
        "2027-01-01": f"{datetime.now(UTC).year + 1}-01-01",
        "2027-02-01": f"{datetime.now(UTC).year + 1}-02-01",
    },
    # One way and another.
    "mail": {"overture serve --reply": "unset OVERTURE_SMTP_PASSWORD; overture serve --reply"},
    "payments": {"whsec_…": "whsec_c2VjcmV0c2VjcmV0", "price_1Pg…": "price_1Pg"},
    "../README": {"/srv/": "readme/", "postgresql://…": "$OVERTURE_DATABASE_URL"},
}
# A server is left to answer while what stands below is run, until the page starts another one. Where
# data are to lie somewhere, the variable of where all others lie does not count.
OVERTURE = """
served=
overture() {
  local run=(env)
  case " $* " in *" --data "*) run=(env -u OVERTURE_DATABASE_URL);; esac
  # Itself, for the server is to be ended by its number; all else is quicker this way.
  if [ "$1" = serve ]; then run+=(overture); else run+=($QUICK); fi
  case $1 in
    serve)
      if [ -n "$served" ]; then kill $served; wait $served || :; fi
      : >answers
      "${run[@]}" "$@" >answers 2>>log &
      served=$!
      until grep -q "answers at" answers; do
        kill -0 $served || { cat log >&2; return 1; }
        sleep 0.1
      done;;
    simulate)
      case " $* " in *" --knobs "*) ;; *) set -- "$@" --knobs ours.toml;; esac
      "${run[@]}" "$@" --members 300 --months 1 --seeds 1 --processes 1;;
    # It finds faults with hosts that are made up.
    doctor) "${run[@]}" "$@" || [ $? = 1 ];;
    *) "${run[@]}" "$@";;
  esac
}
api=http://127.0.0.1:8000/api/v1
op="Authorization: Bearer $OVERTURE_OPERATOR_TOKEN"
json="Content-Type: application/json"
"""


def shell(page: str, reader: Mapping[str, str]) -> list[Block]:
    """A page's blocks, with what its reader puts in; each of that must stand there."""
    found = blocks((ROOT / "docs" / f"{page}.md").resolve())
    for shown, given in reader.items():
        assert any(shown in each.text for each in found), f"{page} has no {shown}"
        found = [replace(each, text=each.text.replace(shown, given)) for each in found]
    # The other blocks of the README start a server of their own, and are run by tests of their own.
    return [each for each in found if "serve &" not in each.text]


def printed(told: Sequence[tuple[Block, str, str]]) -> str:
    return "".join(text for _, text, _ in told)


async def test_the_commands_of_the_pages_for_operators_run(tmp_path: Path, database_url: str):
    ada, report = await network(database_url)
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        for file in (ROOT / "tests/linkedin/sample").iterdir():
            archive.write(file, file.name)
    (tmp_path / "ours.toml").write_text("warm_up_months = 1\n")
    page = [each for name in PAGES for each in shell(name, READER.get(name, {}))]
    port = free_port()
    with temporary_folder() as folder, forking(folder) as quick:
        told = await asyncio.to_thread(
            run,
            page,
            tmp_path,
            surroundings(
                QUICK=quick,
                OVERTURE_DATABASE_URL=database_url,
                OVERTURE_ACCEPT_UNSAFE_DATABASE="true",
                OVERTURE_OPERATOR_TOKEN=OPERATOR_TOKEN,
                OVERTURE_DATA=str(tmp_path / "data"),
                OVERTURE_PORT=str(port),
            ),
            port=port,
            before=f"{OVERTURE}ada={ada}\nreport={report}\n"
            "overture policy show seed > my-policy.toml\n",
            timeout=600,
        )

    all_of_it = printed(told)
    for said in (
        "1 to be done again.",
        "fault    mail",
        '"measure":"suspension"',
        "ada signs in with the password alone.",
        "today.overture holds all data",
        "Restored today.overture.",
        "ada may enter the console",
        "ada may not enter the console any more.",
        "Lots die after 100 days",
        "300 members for 1 month, one seed from 1 on",
        "letters of the deployment's own history, replayed",
        "Written: lab.html",
        "cus_NffrFeUfNV2Hib",
    ):
        assert said in all_of_it, said
    assert (tmp_path / "docs/pictures/lab/spam.svg").exists()


def test_a_backup_and_any_moment_are_restored_as_the_page_says():
    with temporary_folder() as folder:
        # PostgreSQL, a user of its own, has to walk there.
        folder.chmod(0o755)
        page = shell(
            "backup",
            {
                "overture restore /backups/archive --to 2026-11-26T08:15:00Z --data /srv/again": f"""
sleep 1  # for the copy names its beginning to the second
moment=$(python3 -c 'from datetime import *; print(datetime.now(UTC).isoformat())')
overture token create --operator --label later
kill $served && wait $served
overture restore {folder}/archive --to $moment --data {folder}/moment
overture token list --data {folder}/moment""",
                "/backups/": f"{folder}/",
                "/srv/": f"{folder}/",
            },
        )
        told = run(
            page,
            folder,
            surroundings(
                QUICK="overture",
                OVERTURE_OPERATOR_TOKEN=OPERATOR_TOKEN,
                OVERTURE_DATA=str(folder / "data"),
                OVERTURE_PORT="0",
            ),
            port=0,
            before=f"{OVERTURE}overture serve\noverture token create --operator --label sooner\n",
            timeout=600,
        )

    assert "later" not in printed(told[-1:]).partition("Restored")[2]
    assert "sooner" in printed(told[-1:]).partition("Restored")[2]


async def network(database_url: str) -> tuple[str, str]:
    """Ada, who signs in in two steps, a report of hers on Mallory, and work that was given up."""
    async with town_in(database_url) as town:
        ada = await town.member("ada", premium="premium_career")
        mallory = await town.member("mallory", premium="premium_career")
        await town.sends(ada, await town.member("bo", premium="premium_career"))
        report = ReportId(ids.new())

        async def happens(tx: Tx) -> None:
            await reports.report(
                tx,
                ada,
                report,
                member=mallory,
                conversation=None,
                reason=reports.Reason.SPAM,
                note="",
                now=town.now,
            )
            await accounts.take_address(tx, "ada@example.org", ada)
            await accounts.add(tx, ada, email="ada@example.org", password=None, verified=True)
            await two_steps.turn_on(tx, ada)
            await tx.execute(_GIVEN_UP, (ada,))

        await town.do(happens)
    return ada, report


# A job of a queue that nobody works on, with the number that the page has.
_GIVEN_UP = """
    insert into jobs (owner_id, queue, key, number, due_at, payload, parked_at, problem)
        overriding system value
    values (%s, 'a-test', '1', 1234, now(), '{}', now(), 'The server hung up.')
"""
