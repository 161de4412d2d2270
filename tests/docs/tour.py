"""The tour: docs/tutorial.md from its first line to its last, by whoever has nothing but this folder.

`make tour`. It needs what the page says that it needs: Python, make and curl. All else, this project's
packages too, is installed by the page's own lines; so nothing of them is imported here.
"""

from __future__ import annotations

import shutil
import sys

from tests.docs.blocks import ROOT, blocks, fits, run, surroundings
from tests.ports import free_port

PAGE = ROOT / "docs/tutorial.md"
# What the page makes in Overture's folder, beside what `make` does.
MADE = ("tutorial", "again", "first.overture")
SECONDS = 1200


def main() -> str | None:
    """What was not as the page says."""
    if there := [name for name in MADE if (ROOT / name).exists()]:
        return f"Put these away first, for the page makes them: {', '.join(there)}"
    port, host = free_port(), free_port()
    try:
        told = run(
            blocks(PAGE),
            ROOT,
            surroundings(OVERTURE_PORT=str(port), HOST_PORT=str(host)),
            port=port,
            host=host,
            timeout=SECONDS,
        )
    except AssertionError as problem:
        return str(problem)
    finally:
        for name in MADE:
            if (ROOT / name).is_dir():
                shutil.rmtree(ROOT / name)
            else:
                (ROOT / name).unlink(missing_ok=True)
    shown = [each for each in told if each[2]]
    wrong = [f"{block} printed {said!r}" for block, said, so in shown if not fits(said, so)]
    if wrong or len(shown) < 11:
        return "\n".join(wrong) or f"Of {PAGE.name} only {len(shown)} outputs were found."
    print(
        f"{len(told)} blocks of {PAGE.name} were run; {len(shown)} printed what stands below them."
    )
    return None


if __name__ == "__main__":
    sys.exit(main())
