"""The packages of requirements.lock: which are pinned, which of them ship, and under what licences."""

import re
import tomllib
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build"


def locked() -> dict[str, str]:
    """The version of each package by its name."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = (re.match(r"([\w.-]+)==([\w.!+-]+)", line) for line in lines)
    return {canonicalize_name(pin[1]): pin[2] for pin in pins if pin}


def shipped() -> set[str]:
    """What Overture needs, and what its extras need, as far as it is installed here."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    direct = [*project["dependencies"], *(each for extra in extras for each in extra)]
    found: set[str] = set()
    wanted = [each for each in map(Requirement, direct) if _applies(each)]
    while wanted:
        requirement = wanted.pop()
        there = of(requirement.name)
        name = canonicalize_name(requirement.name)
        if there is None or (name in found and not requirement.extras):
            continue
        found.add(name)
        extras = {"", *requirement.extras}
        for line in there.requires or []:
            needed = Requirement(line)
            if any(_applies(needed, each) for each in extras):
                wanted.append(needed)
    return found


def _applies(requirement: Requirement, extra: str = "") -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def of(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None
