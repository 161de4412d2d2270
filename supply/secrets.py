"""Whether a secret lies in the repository: `make secrets` looks through what git tracks.

A line that only looks like one says so: `not-a-secret`, with the reason where that is not plain.
"""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from supply.packages import ROOT

RULES: Mapping[str, re.Pattern[str]] = {
    # On a line of its own as in a file, or with what follows as in a string.
    "a private key": re.compile(
        r"(?:^\s*-----BEGIN (?:[A-Z]+ )*PRIVATE KEY( BLOCK)?-----\s*$)"
        r"|-----BEGIN (?:[A-Z]+ )*PRIVATE KEY( BLOCK)?-----(?:\\n)?[A-Za-z0-9+/]"
    ),
    "a key of AWS": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a token of GitHub": re.compile(r"\b(?:gh[pousr]_\w{36}|github_pat_\w{60,})"),
    "a token of GitLab": re.compile(r"\bglpat-[\w-]{20}"),
    "a token of Slack": re.compile(r"\bxox[abprs]-[\w-]{10,}"),
    "a live key of Stripe": re.compile(r"\b[rs]k_live_\w{10,}"),
    "a secret of a webhook": re.compile(r"\bwhsec_[A-Za-z0-9+/=]{32,}"),
    "a token of a registry": re.compile(r"\b(?:pypi-AgE|npm_)[\w-]{30,}"),
    "a JSON web token": re.compile(r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"),
    "a password in an address": re.compile(
        r"\b[a-z][a-z+]+://[^\s/:@\"'{}<>]+:[^\s/:@\"'{}<>]{6,}@"
    ),
    "a secret in a setting": re.compile(
        r"(?i)\b\w*(?:password|passwd|secret|api_?key|token)\w*\s*[=:]\s*[\"']?"
        r"(?=[A-Za-z0-9+/_-]*[0-9][A-Za-z0-9+/_-]*[0-9])(?=[A-Za-z0-9+/_-]*[A-Z])(?=[A-Za-z0-9+/_-]*[a-z])"
        r"[A-Za-z0-9+/_-]{32,}"
    ),
}
MARK = "not-a-secret"
# What keeps hashes by the hundred.
PASSED_OVER = frozenset({"requirements.lock", "deploy/requirements.lock"})


def main() -> int:
    try:
        paths = tracked()
    except (FileNotFoundError, subprocess.CalledProcessError):
        print("SKIPPED: this is no checkout of git, which would say what is to be looked at.")
        return 0
    found = [
        f"{path.relative_to(ROOT)}:{line}: {what}"
        for path in paths
        for line, what in secrets_in(path.read_bytes().decode(errors="replace"))
    ]
    for each in found:
        print(each, file=sys.stderr)
    return 1 if found else 0


def tracked() -> list[Path]:
    """Raises FileNotFoundError, CalledProcessError where git knows of nothing."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ).stdout
    names = (name for name in listed.split("\0") if name and name not in PASSED_OVER)
    return [path for name in names if (path := ROOT / name).is_file()]


def secrets_in(text: str) -> Iterator[tuple[int, str]]:
    """The numbers of the lines that have one, with what it is."""
    for number, line in enumerate(text.splitlines(), 1):
        if MARK not in line and len(line) < 5000:
            for what, rule in RULES.items():
                if rule.search(line):
                    yield number, what


if __name__ == "__main__":
    sys.exit(main())
