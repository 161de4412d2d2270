"""Under which licences the locked packages come: `make licences` writes them to build/licences.txt.

Ends with 1 where one has a licence that nobody has looked at, or ships under one that must not.
"""

import sys

from supply.packages import BUILD, locked, of, shipped

# What may ship with Overture, which is Apache-2.0: licences that ask for their text to come along, and
# those whose copyleft stays within the files or the library that has it.
SHIPS = frozenset(
    {
        "0BSD",
        "Apache-2.0",
        "BSD",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "CC0-1.0",
        "ISC",
        "LGPL-3.0-only",
        "MIT",
        "MIT-0",
        "MIT-CMU",
        "MPL-2.0",
        "PSF-2.0",
        "Unlicense",
        "Zlib",
    }
)
# Tools of development may be under a full copyleft: they stay here, and nothing is made of them.
TOOLS = SHIPS | {"GPL-3.0-or-later"}

# As packages from before SPDX expressions say it, in their classifiers or in their own words.
_SPDX = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache license": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd": "BSD",
    "bsd 2-clause license": "BSD-2-Clause",
    "bsd license": "BSD",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "psfl": "PSF-2.0",
    "python software foundation license": "PSF-2.0",
    "the unlicense (unlicense)": "Unlicense",
}
# Looked up by hand: what says nothing itself, and what is for other platforms than this one.
_BY_HAND = {
    "axe-playwright-python": "MIT",
    "colorama": "BSD-3-Clause",
    "promql-parser": "MIT",
    "pywin32": "PSF-2.0",
}


def main() -> int:
    ships = shipped()
    found = licences()
    lines = [
        f"{name} {version}: {found[name] or 'unknown'}{'' if name in ships else ' (development)'}"
        for name, version in sorted(locked().items())
    ]
    BUILD.mkdir(exist_ok=True)
    (BUILD / "licences.txt").write_text("\n".join(lines) + "\n")
    print(f"{len(lines)} packages, of which {len(ships & found.keys())} ship: build/licences.txt")
    wrong = problems(found, ships)
    for each in wrong:
        print(each, file=sys.stderr)
    return 1 if wrong else 0


def licences() -> dict[str, str]:
    """The licence of each locked package, as an SPDX expression; empty where none is known."""
    return {name: _BY_HAND.get(name) or _told_by(name) for name in locked()}


def problems(found: dict[str, str], ships: set[str]) -> list[str]:
    wrong: list[str] = []
    for name, licence in sorted(found.items()):
        if not licence:
            wrong.append(f"{name}: its licence is not known; look it up")
        elif not is_allowed(licence, SHIPS if name in ships else TOOLS):
            wrong.append(f"{name}: {licence} is not among the allowed licences")
    return wrong


def is_allowed(expression: str, allowed: frozenset[str]) -> bool:
    """Whether one of the alternatives has allowed licences alone."""
    return any(
        all(part.strip(" ()") in allowed for part in alternative.split(" AND "))
        for alternative in expression.replace(" or ", " OR ").split(" OR ")
    )


def _told_by(name: str) -> str:
    there = of(name)
    if there is None:
        return ""
    told = there.metadata
    if expression := told.get("License-Expression"):
        return expression
    own = (told.get("License") or "").strip()
    # Some have the whole text there.
    own = own.partition("\n")[0]
    if own in TOOLS or " OR " in own:
        return own
    classified = [
        _SPDX.get(each.rpartition(" :: ")[2].lower())
        for each in told.get_all("Classifier") or []
        if each.startswith("License :: ")
    ]
    known = [each for each in classified if each]
    return " OR ".join(known) or _SPDX.get(own.lower(), "")


if __name__ == "__main__":
    sys.exit(main())
