"""A bill of materials of what ships, in CycloneDX: `make sbom` writes build/overture.cdx.json."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from supply.licences import licences
from supply.packages import BUILD, ROOT, shipped

FILE = BUILD / "overture.cdx.json"


def main() -> int:
    BUILD.mkdir(exist_ok=True)
    made = of_what_ships(of_everything(validate=True))
    FILE.write_text(json.dumps(made, indent=2) + "\n")
    print(f"{len(made['components'])} components: {FILE.relative_to(ROOT)}")
    return 0


def of_everything(*, validate: bool) -> dict[str, Any]:
    """Of all that is installed here, the tools of development too; perhaps held against the standard's
    schema, which takes a while."""
    made = subprocess.run(
        [
            *(Path(sys.executable).with_name("cyclonedx-py"), "environment"),
            *("--pyproject", ROOT / "pyproject.toml", "--mc-type", "application"),
            *("--spec-version", "1.6", "--output-format", "JSON", "--output-reproducible"),
            "--validate" if validate else "--no-validate",
            sys.executable,
        ],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(made.stdout)


def of_what_ships(everything: dict[str, Any]) -> dict[str, Any]:
    ships, known = shipped(), licences()
    components = [
        _licensed(each, known)
        for each in everything["components"]
        if canonicalize_name(each["name"]) in ships
    ]
    refs = {each["bom-ref"] for each in components}
    refs.add(everything["metadata"]["component"]["bom-ref"])
    dependencies = [
        each | {"dependsOn": [ref for ref in each.get("dependsOn", []) if ref in refs]}
        for each in everything["dependencies"]
        if each["ref"] in refs
    ]
    return everything | {"components": components, "dependencies": dependencies}


def _licensed(component: dict[str, Any], known: dict[str, str]) -> dict[str, Any]:
    """With the licence as it was looked up, where the package says it in no way the tool knows."""
    if component.get("licenses"):
        return component
    found = known.get(canonicalize_name(component["name"]))
    return component | {"licenses": [{"expression": found}]} if found else component


if __name__ == "__main__":
    sys.exit(main())
