"""The fenced blocks of the docs, and bash to run them in."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("clients/*/README.md"),
        *ROOT.glob("examples/*/README.md"),
    ]
)
_FENCE = re.compile(
    r"(?:<!-- not run: (?P<why>[^>]+) -->\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
_MARK = "==> block"
_BEFORE = """
trap 'jobs=$(jobs -p); [ -z "$jobs" ] || kill $jobs' EXIT
curl() {
  case " $* " in
    *" -N "*) command curl -sS --max-time 2 "$@" || [ $? = 28 ];;
    *" -sf "*) command curl "$@";;
    *) command curl -sS --fail-with-body --max-time 60 "$@";;
  esac
}
"""


@dataclass(frozen=True, slots=True)
class Block:
    """A fence of a page: its language, its text, the line it stands at, and why it is not run."""

    page: Path
    line: int
    kind: str
    text: str
    why: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(
            page,
            text.count("\n", 0, found.start()) + 1,
            found["kind"],
            found["text"],
            found["why"] or "",
        )
        for found in _FENCE.finditer(text)
    ]


def code(page: str, kind: str) -> list[str]:
    """What a page has in one language."""
    return [each.text for each in blocks(ROOT / page) if each.kind == kind]


def surroundings(**more: str) -> dict[str, str]:
    """The environment that a page's reader has: `overture` on the path, and no settings."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("OVERTURE_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return ours | {"PATH": path} | more


def run(
    page: Sequence[Block],
    folder: Path,
    environment: dict[str, str],
    *,
    port: int,
    host: int = 8100,
    before: str = "",
    timeout: float = 400,
) -> list[tuple[Block, str, str]]:
    """Runs the shell blocks of a page in one bash, which ends at the first that fails.

    Each comes with what it printed, and with what stands below it as its output, if anything does.

    An answer other than 2xx fails too; a stream is read for two seconds.
    """
    shell = [each for each in page if each.kind == "sh" and not each.why]
    script = "\n".join(
        [
            "set -euo pipefail",
            _BEFORE,
            before,
            *(f"printf '\\n{_MARK} {number}\\n'\n{each.text}" for number, each in enumerate(shell)),
        ]
    )
    for shown, given in ((8000, port), (8100, host)):
        script = script.replace(f"127.0.0.1:{shown}", f"127.0.0.1:{given}")
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    # A server in the background says so once it answers, whenever that is.
    spoken = re.sub(
        r"^(?:Overture|The example host) answers at .*\n", "", done.stdout, flags=re.MULTILINE
    )
    printed = re.split(rf"^{_MARK} \d+\n", spoken, flags=re.MULTILINE)[1:]
    last = shell[len(printed) - 1] if printed else page[0]
    assert done.returncode == 0, (
        f"{last} ended with {done.returncode}: {done.stderr[-2000:]}{done.stdout[-500:]}"
    )
    follows = dict(pairwise(page))
    return [
        (each, told, follows[each].text if each in follows and follows[each].kind == "text" else "")
        for each, told in zip(shell, printed, strict=True)
    ]


def fits(told: str, shown: str) -> bool:
    """Whether what was printed is what is shown, in which `…` stands for anything."""
    pattern = ".*".join(re.escape(part) for part in shown.strip().split("…"))
    return re.fullmatch(pattern, told.strip(), re.DOTALL) is not None
