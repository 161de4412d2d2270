"""The project's own promises: floors, lock, declared dependencies, clean text, a whole wheel."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


# Floors: lint-imports reads the contracts of pyproject.toml on a copy of the source, to which modules
# are added that import what they may, or what they must not.

KEPT = [
    ("core.planted", "overture.core.ids"),
    ("core.planted", "dataclasses"),
    ("store.planted", "overture.core.ids"),
    ("store.planted", "psycopg"),
    ("actions.planted", "overture.store.planted"),
    ("api.planted", "overture.actions"),
    ("app", "overture.api"),
    ("cli", "overture.app"),
]
BROKEN = [
    ("core.planted", "overture.store", "Floors"),
    ("core.planted", "psycopg", "Core"),
    ("core.planted", "random", "Core"),
    ("core.planted", "overture.clock", "Floors"),
    ("store.planted", "overture.actions", "Floors"),
    ("actions.planted", "overture.api", "Floors"),
    ("api.planted", "overture.web", "Floors"),
    ("jobs.planted", "overture.mail", "Floors"),
    ("linkedin.planted", "overture.app", "Floors"),
    ("app", "overture.cli", "Floors"),
]


def test_imports_downward_are_kept(tmp_path):
    lint = lint_with_imports_planted(tmp_path, KEPT)

    assert lint.returncode == 0, lint.stdout


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What is said of all that break the contracts, by the contract."""
    planted = [(module, imports) for module, imports, _ in BROKEN]
    lint = lint_with_imports_planted(tmp_path_factory.mktemp("floors"), planted)
    assert lint.returncode != 0
    parts = re.split(r"^(Floors|Core): .*\n-+$", lint.stdout, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize(("module", "imports", "broken"), BROKEN)
def test_an_import_upward_or_sideways_breaks_the_contract(found, module, imports, broken):
    assert f"overture.{module} -> {imports} (" in found[broken], found[broken]


def test_a_module_that_no_floor_knows_breaks_the_contract(tmp_path):
    lint = lint_with_imports_planted(tmp_path, [("unheard_of", "dataclasses")])

    assert lint.returncode != 0
    assert re.search(r"^Floors: .* BROKEN$", lint.stdout, re.MULTILINE), lint.stdout


def test_core_may_import_no_dependency_of_the_project():
    (core,) = (c for c in PROJECT["tool"]["importlinter"]["contracts"] if "Core" in c["name"])

    distributions = packages_distributions()
    forbidden = {
        canonicalize_name(distribution)
        for package in core["forbidden_modules"]
        for distribution in distributions.get(package, [])
    }

    assert forbidden >= {canonicalize_name(r.name) for r in runtime_requirements() if applies(r)}


def lint_with_imports_planted(tmp_path, planted):
    shutil.copytree(SOURCE, tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for module, imports in planted:
        imported = imports.removeprefix("overture.")
        if imported != imports:
            plant(tmp_path, imported, "")
        plant(tmp_path, module, f"import {imports}\n")
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "src"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def plant(tmp_path, module, text):
    """Append to the module, which is made, as are the packages around it, where it is missing."""
    path = tmp_path / "src" / "overture"
    *packages, name = module.split(".")
    for package in packages:
        path /= package
        path.mkdir(exist_ok=True)
        (path / "__init__.py").touch()
    path = path / name / "__init__.py" if (path / name).is_dir() else path / f"{name}.py"
    with path.open("a") as file:
        file.write(f"\n{text}")


# Dependencies.


def test_the_lock_pins_every_direct_dependency_with_hashes():
    pins = locked_pins()

    for requirement in [*runtime_requirements(), *dev_requirements(), *build_requirements()]:
        version, hash_count = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement}: {version}; run make lock"
        assert hash_count > 0


def test_the_lock_pins_exactly_and_names_no_place():
    lock = (ROOT / "requirements.lock").read_text()

    assert "://" not in lock
    assert not re.search(r"^\s*-(?!-hash=sha256:)", lock, re.MULTILINE)
    assert all(hash_count for _, hash_count in locked_pins().values())


def test_what_is_deployed_is_pinned_as_what_is_tested_without_the_tools():
    tested = locked_pins()
    deployed = locked_pins(ROOT / "deploy/requirements.lock")

    assert {name: tested[name] for name in deployed} == deployed, "run make lock"
    for requirement in [*runtime_requirements(), *build_requirements()]:
        assert canonicalize_name(requirement.name) in deployed
    assert not {"pytest", "playwright", "basedpyright"} & deployed.keys()


def test_every_package_that_the_source_imports_is_declared():
    declared = {name for r in runtime_requirements() for name in with_extras(r)}
    distributions = packages_distributions()

    for path, package in imported_packages():
        if package not in {*sys.stdlib_module_names, "overture"}:
            providers = {canonicalize_name(d) for d in distributions.get(package, [])}
            assert providers & declared, f"{path} imports {package}: add it to pyproject.toml"


def runtime_requirements() -> list[Requirement]:
    """Those of every installation, and those of the extras."""
    extras = PROJECT["project"]["optional-dependencies"].values()
    lines = [*PROJECT["project"]["dependencies"], *(line for extra in extras for line in extra)]
    return [Requirement(line) for line in lines]


def dev_requirements() -> list[Requirement]:
    return [Requirement(line) for line in PROJECT["dependency-groups"]["dev"]]


def build_requirements() -> list[Requirement]:
    return [Requirement(line) for line in PROJECT["build-system"]["requires"]]


def applies(requirement: Requirement) -> bool:
    return requirement.marker is None or requirement.marker.evaluate()


def with_extras(requirement: Requirement) -> Iterator[str]:
    """What a requirement declares: `psycopg[pool]` also declares psycopg-pool."""
    yield canonicalize_name(requirement.name)
    for line in (requires(requirement.name) or []) if requirement.extras else []:
        part = Requirement(line)
        if part.marker and any(part.marker.evaluate({"extra": e}) for e in requirement.extras):
            yield canonicalize_name(part.name)


def locked_pins(lock: Path = ROOT / "requirements.lock") -> dict[str, tuple[str, int]]:
    """Version and count of hashes by name; a name may stand twice, for two platforms."""
    logical_lines = lock.read_text().replace("\\\n", " ").splitlines()
    pins = {}
    for line in logical_lines:
        pin = re.match(r"(?P<name>[\w.-]+)==(?P<version>[\w.!+-]+)(?=\s)", line)
        assert pin, f"not an exact pin: {line[:80]}"
        pins[canonicalize_name(pin["name"])] = pin["version"], line.count("--hash=sha256:")
    return pins


def imported_packages() -> Iterator[tuple[Path, str]]:
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from ((path, alias.name.split(".")[0]) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield path, node.module.split(".")[0]


# What is in the repository, and in the wheel. The names that must not stand in any file are put
# together here, so that this one does not name them either.

REGISTRIES = [
    ".".join(host)
    for host in (
        ("pypi", "org"),
        ("files", "pythonhosted", "org"),
        ("registry", "npmjs", "org"),
        ("deb", "debian", "org"),
    )
]
MACHINE_FOLDERS = ["work", "root"]


def test_no_file_names_a_machine_path_or_a_registry():
    paths = tracked_files()

    assert ROOT / "Makefile" in paths
    for path in paths:
        names = unwanted_names(path.read_bytes().decode(errors="replace"))
        assert not names, path


@pytest.mark.parametrize("folder", MACHINE_FOLDERS)
def test_machine_paths_are_found_and_told_from_others(folder):
    assert unwanted_names(f"see '/{folder}/x'")
    assert not unwanted_names(f"see docs/{folder}/x and {{base}}/{folder}/x and ../{folder}/x")


@pytest.mark.parametrize("host", REGISTRIES)
def test_registries_are_found(host):
    assert unwanted_names(f"https://{host}/simple")


def unwanted_names(text: str) -> list[str]:
    machine_paths = re.findall(rf"(?<![\w.}}-])/(?:{'|'.join(MACHINE_FOLDERS)})/\S*", text)
    return machine_paths + [host for host in REGISTRIES if host in text]


def test_the_wheel_carries_policies_and_migrations(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )

    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())

    policies = {f"overture/policies/{path.name}" for path in (ROOT / "policies").glob("*.toml")}
    migrations = {path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.sql")}
    assert policies
    assert migrations
    assert names >= policies | migrations
    assert not [name for name in names if not name.startswith("overture")]


def tracked_files() -> list[Path]:
    # The checkout may belong to another user, as in a container.
    git = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    try:
        listing = subprocess.run(git, cwd=ROOT, check=True, capture_output=True, text=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [path for name in listing.stdout.split("\0") if (path := ROOT / name).is_file()]
