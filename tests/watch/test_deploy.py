"""The files to deploy with: read by the programs that they are for, where those are here."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from overture.cli import overture
from overture.settings import ROWS

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SYSTEMD = DEPLOY / "systemd"
VARIABLES = {row.variable for row in ROWS}


def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path):
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd is not here, to say what it thinks of its units")
    for unit in SYSTEMD.iterdir():
        # The program has another place here.
        text = unit.read_text().replace("/opt/overture/bin/overture", "/bin/true")
        (tmp_path / unit.name).write_text(text)
    ran = subprocess.run(
        [analyze, "verify", *sorted(tmp_path.iterdir())],
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in ran.stderr.splitlines() if "overture" in line]

    assert ours == []
    assert ran.returncode == 0, ran.stderr


def test_the_service_is_shut_in_and_waits_for_what_it_says():
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.read(SYSTEMD / "overture.service")
    # Whose names it has in small letters.
    service = unit["Service"]

    assert service["Type"] == "notify"
    assert service["User"] == "overture"
    assert service["NoNewPrivileges"] == "yes"
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] == ""
    assert service["loadcredential"].partition(":")[0].upper() in VARIABLES


def test_every_variable_and_command_that_a_file_names_exists():
    named = 0
    for file in (each for each in DEPLOY.rglob("*") if each.is_file()):
        text = file.read_text()
        for variable in re.findall(r"\bOVERTURE_[A-Z_]+", text):
            named += 1
            assert variable.removesuffix("_FILE") in VARIABLES, f"{file.name}: {variable}"
        for command in re.findall(r"/bin/overture (\w+)", text):
            assert command in overture.commands, f"{file.name}: {command}"
        for kept in re.findall(r"LoadCredential=(\w+)", text):
            assert kept.upper() in VARIABLES, f"{file.name}: {kept}"
    assert named > 8


def test_the_compose_file_names_what_there_is():
    compose = yaml.safe_load((DEPLOY / "docker" / "compose.yml").read_text())
    server = compose["services"]["overture"]
    context = (DEPLOY / "docker" / server["build"]["context"]).resolve()

    assert context == ROOT
    assert (context / server["build"]["dockerfile"]).is_file()
    for each in compose["configs"].values():
        assert (DEPLOY / "docker" / each["file"]).is_file()
    assert server["cap_drop"] == ["ALL"]
    assert server["read_only"] is True
    for each in compose["services"].values():
        assert set(each["secrets"]) <= compose["secrets"].keys()


def test_the_image_installs_by_hash_and_does_not_run_as_root():
    lines = (DEPLOY / "docker" / "Dockerfile").read_text()

    assert "--require-hashes" in lines
    assert lines.index("USER overture") < lines.index("ENTRYPOINT")
    assert "deploy/requirements.lock" in lines
    for copied in re.findall(r"^COPY ([^-].*) \S+$", lines, re.MULTILINE):
        for name in copied.split():
            assert (ROOT / name).exists(), name


def test_nginx_takes_its_file(tmp_path: Path):
    nginx = shutil.which("nginx")
    if nginx is None:
        pytest.skip("nginx is not here, to say what it thinks of its file")
    site = (DEPLOY / "proxy" / "nginx.conf").read_text()
    # Without the certificate, which nobody has here.
    site = re.sub(r"^\s*ssl_certificate.*$", "", site, flags=re.MULTILINE).replace("443 ssl", "443")
    whole = tmp_path / "nginx.conf"
    whole.write_text(f"pid {tmp_path}/pid;\nevents {{}}\nhttp {{\n{site}\n}}\n")
    ran = subprocess.run(
        [nginx, "-t", "-c", str(whole)], capture_output=True, text=True, check=False
    )

    assert ran.returncode == 0, ran.stderr


def test_each_proxy_passes_on_what_the_doctor_looks_for():
    nginx = (DEPLOY / "proxy" / "nginx.conf").read_text()
    traefik = yaml.safe_load((DEPLOY / "proxy" / "traefik.yml").read_text())
    streams = nginx.partition("/events$")[2].partition("}")[0]

    assert "proxy_set_header Host $host;" in nginx
    assert "proxy_set_header X-Forwarded-For $remote_addr;" in nginx
    assert "client_max_body_size 51m;" in nginx
    assert "proxy_buffering off;" in streams
    assert traefik["http"]["services"]["overture"]["loadBalancer"]["passHostHeader"] is True
    assert "middlewares" not in traefik["http"]
    assert "flush_interval -1" in (DEPLOY / "proxy" / "Caddyfile").read_text()
    for file in (DEPLOY / "proxy").iterdir():
        text = file.read_text()
        assert text.count("{") == text.count("}"), file.name


def test_postgresql_takes_its_settings_and_they_are_none_that_lose_anything(tmp_path: Path):
    from overture.store import embedded

    text = (DEPLOY / "postgresql" / "overture.conf").read_text()
    for name in ("fsync", "full_page_writes", "synchronous_commit"):
        assert re.search(rf"^{name} = on$", text, re.MULTILINE)
    known = subprocess.run(
        [embedded.binary("postgres"), "--describe-config"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    names = {line.partition("\t")[0].lower() for line in known.splitlines()}
    assert len(names) > 200
    said = set(re.findall(r"^(\w+) =", text, re.MULTILINE))
    assert {each.lower() for each in said} <= names
