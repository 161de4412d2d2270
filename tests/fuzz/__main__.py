"""`make fuzz`: looks for bytes that break a parser, for MINUTES in all, and says what it found.

    python -m tests.fuzz --minutes 30          every target, each for its share
    python -m tests.fuzz --minutes 5 mail http these alone
    python -m tests.fuzz --try mail FILE       one input, without the fuzzer

What breaks a target is kept in build/fuzz/TARGET/found, the smallest of each kind. Mend it, and put the
file into tests/fuzz/findings/TARGET, where the tests try it.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path("build") / "fuzz"
# A target that takes so long over one input hangs.
SECONDS_AN_INPUT = 20
MEGABYTES_MAX = 2000
INPUT_BYTES_MAX = 8192
# A crash ends the fuzzer, which is started again; after so many of one kind there is nothing to learn.
CRASHES_MAX = 40
_RUNS = re.compile(r"^#(\d+)\s", re.MULTILINE)
_COVERED = re.compile(r"cov: (\d+)")
_PROBLEM = re.compile(r"^(\w[\w.]*(?:Error|Exception|Refused))\b", re.MULTILINE)


@dataclass
class Fuzzed:
    target: str
    runs: int = 0
    covered: int = 0
    found: dict[str, Path] = field(default_factory=dict)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("targets", nargs="*", help="all of them, where none is named")
    parser.add_argument("--minutes", type=float, default=5, help="how long in all")
    parser.add_argument("--try", dest="tried", nargs=2, metavar=("TARGET", "FILE"))
    logging.disable()
    if sys.argv[1:2] == ["--run"]:
        _run(sys.argv[2], sys.argv[3:])
    given = parser.parse_args()
    from tests.fuzz.targets import TARGETS

    if given.tried:
        target, file = given.tried
        TARGETS[target](Path(file).read_bytes())
        return 0
    chosen = given.targets or list(TARGETS)
    if unknown := set(chosen) - set(TARGETS):
        parser.error(
            f"there is no target {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}"
        )
    found = 0
    print(f"{'target':<18}{'inputs':>12}{'reached':>9}  found")
    for target in chosen:
        made = fuzz(target, given.minutes * 60 / len(chosen))
        found += len(made.found)
        print(f"{target:<18}{made.runs:>12,}{made.covered:>9,}  {len(made.found)}", flush=True)
        for kind, file in made.found.items():
            print(f"    {file}: {kind}", flush=True)
    return bool(found)


def fuzz(target: str, seconds: float) -> Fuzzed:
    """Fuzzes a target in processes of its own until the time is over."""
    from tests.fuzz.targets import seeds

    folder = FOLDER / target
    for name in ("corpus", "found", "crashes"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for seed in seeds(target):
        (folder / "corpus" / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    made = Fuzzed(target)
    until = time.monotonic() + seconds
    crashes = 0
    while (left := until - time.monotonic()) > 1 and crashes < CRASHES_MAX:
        shutil.rmtree(folder / "crashes")
        (folder / "crashes").mkdir()
        done = subprocess.run(
            [
                *(sys.executable, "-m", "tests.fuzz", "--run", target),
                f"-max_total_time={max(1, int(left))}",
                f"-timeout={SECONDS_AN_INPUT}",
                f"-rss_limit_mb={MEGABYTES_MAX}",
                f"-max_len={INPUT_BYTES_MAX}",
                f"-artifact_prefix={folder / 'crashes'}{os.sep}",
                str(folder / "corpus"),
            ],
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
        )
        made.runs += max(map(int, _RUNS.findall(done.stderr)), default=0)
        made.covered = max([made.covered, *map(int, _COVERED.findall(done.stderr))])
        broke = sorted((folder / "crashes").iterdir())
        if done.returncode != 0 and not broke:
            raise SystemExit(
                f"The fuzzer itself failed.\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
            )
        for file in broke:
            crashes += 1
            kind = _kind(done.stdout + done.stderr, file.name)
            kept = made.found.get(kind)
            if kept is None or file.stat().st_size < kept.stat().st_size:
                digest = hashlib.sha256(kind.encode()).hexdigest()[:12]
                made.found[kind] = Path(shutil.copy(file, folder / "found" / digest))
    return made


def _kind(told: str, file: str) -> str:
    """What broke, and where: the same for all inputs that break the same thing."""
    places = re.findall(r'File "[^"]*?((?:overture|tests/fuzz)/[^"]+)", line (\d+)', told)
    problem = _PROBLEM.findall(told)
    where = ":".join(places[-1]) if places else ""
    return f"{problem[-1] if problem else file.partition('-')[0]} at {where}"


def _run(target: str, options: list[str]) -> None:
    """The fuzzer itself; it ends the process."""
    import atheris

    # Of the libraries too what is written in Python, where it reads what strangers send.
    with atheris.instrument_imports(
        include=["overture", "email", "html", "zipfile", "csv", "starlette", "uvicorn", "justhtml",
                 "linkify_it", "python_multipart", "puremagic", "tomllib"]
    ):  # fmt: skip
        from tests.fuzz.targets import TARGETS

    atheris.Setup([sys.argv[0], *options], TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
