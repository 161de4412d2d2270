"""Whether a locked package is known to be vulnerable: `make audit` asks the registry's database.

Ends with 1 where one is, and with 0 where none is. Where the database cannot be reached nothing is
known: it says so and ends with 0, unless `--strict` is given.
"""

import subprocess
import sys
from pathlib import Path

from supply.packages import ROOT

# What the auditor says where it could ask nobody. Without --strict it passes such packages over and
# then finds no vulnerabilities.
NOT_ASKED = (
    "ConnectionError",
    "ConnectTimeout",
    "Connection refused",
    "Could not connect to",
    "Failed to establish a new connection",
    "Max retries exceeded",
    "NameResolutionError",
    "ReadTimeout",
    "ServiceError",
    "could not be audited",
    "not found on PyPI",
    "timed out",
)


def main(arguments: list[str]) -> int:
    asked = subprocess.run(
        [
            *(Path(sys.executable).with_name("pip-audit"), "--strict", "--disable-pip"),
            *("--require-hashes", "--progress-spinner", "off", "--timeout", "15"),
            *("--requirement", ROOT / "requirements.lock"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    status, told = judged(asked.returncode, asked.stdout, asked.stderr)
    print(told)
    return 1 if status is None and "--strict" in arguments else status or 0


def judged(status: int, said: str, complained: str) -> tuple[int | None, str]:
    """The exit status that is due, None where nothing could be learned; and what to tell."""
    if status == 0:
        return 0, "No locked package is known to be vulnerable."
    if any(sign in complained for sign in NOT_ASKED):
        return (
            None,
            "SKIPPED: the database of vulnerabilities could not be asked. Nothing is known.",
        )
    return 1, f"{said}\n{complained}".strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
