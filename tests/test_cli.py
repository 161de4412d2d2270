"""The commands, as people and scripts call them."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.databases import temporary_folder
from tests.running import OPERATOR_TOKEN, command, serving


@pytest.fixture
def folder() -> Iterator[Path]:
    with temporary_folder() as made:
        yield made


@pytest.mark.parametrize(
    ("arguments", "settings", "sentence"),
    [
        (["serve", "--port", "http"], {}, "--port: “http” is not a whole number from 0 to 65535."),
        (["serve"], {"OVERTURE_PORT": "-1"}, "OVERTURE_PORT: “-1” is not a whole number"),
        (["serve", "--processes", "0"], {}, "--processes: “0” is not a whole number from 1 to 64."),
        (["serve", "--test-clock", "noon"], {}, "“noon” is not an instant such as 2025-01-31T1"),
        (["serve", "--test-clock", "2025-01-31T10:00"], {}, "has no offset: write Z at its end"),
        (["serve", "--log-level", "loud"], {}, "is none of debug, info, warning, error."),
        (["serve", "--policy", "nobody"], {}, "There is no policy nobody: it is neither a file"),
        (["serve"], {"OVERTURE_DATABASE_URL": "mysql://x"}, "is not of the form postgresql://"),
        (["serve"], {"OVERTURE_ACCEPT_UNSAFE_DATABASE": "perhaps"}, "is neither true nor false."),
        (["serve"], {"OVERTURE_OPERATOR_TOKEN": "hunter2"}, "its value is shorter than 16"),
        (
            ["serve", "--smtp-host", "mail.example.org", "--smtp-security", "none"],
            {},
            "It is for a server on this machine alone, which mail.example.org is not.",
        ),
        (
            ["serve", "--mail-from", "x y@example.org"],
            {},
            "is not of the form no-reply@example.org",
        ),
        (["worker"], {"OVERTURE_SMTP_PASSWORD": "s3cret"}, "but no --smtp-user that it belongs to"),
        (["token", "create"], {}, "Say whose token it is: either --operator or --as HANDLE."),
        (["token", "create", "--operator", "--scope", "admin"], {}, "'admin' is not one of"),
        (["serve", "--speed", "9"], {}, "No such option"),
        (["serve", "--stripe-prices", "a"], {}, "is not of the form PRICE=PLAN,PRICE=PLAN."),
        (["serve", "--stripe-prices", "a=b,a=c"], {}, "gives “a” two plans."),
        (["serve", "--stripe-prices", "a=b"], {}, "needs OVERTURE_STRIPE_WEBHOOK_SECRET"),
        (["serve"], {"OVERTURE_STRIPE_WEBHOOK_SECRET": "whsec_1"}, "needs --stripe-prices"),
        (["serve"], {"OVERTURE_STRIPE_WEBHOOK_SECRET": "a b"}, "its value has characters that"),
        (["serve"], {"OVERTURE_STRIPE_API_KEY": "sk_1"}, "needs OVERTURE_STRIPE_WEBHOOK_SECRET"),
        (["serve", "--payment-grace-days", "91"], {}, "is not a whole number from 0 to 90."),
        (["serve", "--checkout-url", "shop"], {}, "is not of the form https://shop.example.org"),
        (["serve", "--portal-url", "https://a.example/{id}"], {}, "has a placeholder other than"),
    ],
)
def test_a_bad_setting_is_one_sentence(arguments, settings, sentence):
    called = command(*arguments, **settings)

    assert called.returncode == 2
    assert sentence in called.stderr
    assert "Traceback" not in called.stderr
    assert called.stdout == ""


def test_a_database_that_does_not_answer_is_one_sentence():
    called = command("migrate", "--database-url", "postgresql://overture@127.0.0.1:1/overture")

    assert called.returncode == 1
    assert called.stderr.startswith("overture: The database does not answer: ")
    assert called.stderr.count("\n") == 1


def test_a_failure_shows_where_it_was_when_asked():
    called = command("--debug", "migrate", "--database-url", "postgresql://o@127.0.0.1:1/o")

    assert called.returncode == 1
    assert "Traceback" in called.stderr


def test_an_option_counts_more_than_its_variable(database_url):
    called = command(
        *("policy", "show", "--database-url", database_url),
        OVERTURE_DATABASE_URL="postgresql://overture@127.0.0.1:1/overture",
    )

    assert called.returncode == 0, called.stderr


def test_data_go_to_a_file_and_back(folder, database_url):
    with serving("--database-url", database_url) as server:
        server.make_member("ada")

        made = command("backup", folder / "all", "--database-url", database_url, "--json")
        assert made.returncode == 0, made.stderr
        assert json.loads(made.stdout)["bytes"] == (folder / "all").stat().st_size

    again = command("backup", folder / "all", "--database-url", database_url)
    assert again.returncode == 1
    assert "exists already" in again.stderr

    restored = command("restore", folder / "all", "--data", folder / "new")
    assert restored.returncode == 0, restored.stderr
    with serving("--data", folder / "new") as server:
        # Her profile, and the operator's token that shows it.
        assert server.request("GET", "/api/v1/members/ada").json()["name"] == "Ada"

    onto_data = command("restore", folder / "all", "--data", folder / "new")
    assert onto_data.returncode == 1
    assert "is not empty" in onto_data.stderr


def test_restoring_what_is_no_backup_makes_no_data_folder(folder):
    (folder / "letter").write_text("Dear Grace")

    called = command("restore", folder / "letter", "--data", folder / "new")

    assert called.returncode == 1
    assert "is not a backup" in called.stderr
    assert not (folder / "new").exists()


def test_a_command_makes_the_schema_but_never_changes_one(empty_database_url):
    on_it = ("--database-url", empty_database_url)
    assert command("ledger", "verify", *on_it).returncode == 0
    assert json.loads(command("migrate", "--json", *on_it).stdout) == {"applied": []}

    with psycopg.connect(empty_database_url) as connection:
        connection.execute("insert into schema_migrations values (9999, 'later', 'x')")
    refused = command("token", "create", "--operator", *on_it)

    assert refused.returncode == 1
    assert "newer than this Overture" in refused.stderr


# What the token of the environment is labelled.
FIRST = "OVERTURE_OPERATOR_TOKEN"


def test_a_token_opens_the_api_until_it_is_revoked(database_url):
    on_it = ("--database-url", database_url)
    made = json.loads(command("token", "create", "--operator", "--json", *on_it).stdout)
    assert made["member_id"] is None

    with serving(*on_it) as server:
        mine = {"Authorization": f"Bearer {made['token']}"}
        assert server.request("GET", "/api/v1/members", headers=mine).status_code == 200

        listed = json.loads(command("token", "list", "--json", *on_it).stdout)
        assert [(each["id"], each["label"]) for each in listed if each["label"] != FIRST] == [
            (made["id"], "")
        ]
        assert made["token"] not in command("token", "list", *on_it).stdout

        assert command("token", "revoke", made["id"], *on_it).returncode == 0
        assert made["id"] not in command("token", "list", *on_it).stdout
        assert server.request("GET", "/api/v1/members", headers=mine).status_code == 401

    unknown = command("token", "create", "--as", "nobody", *on_it)
    assert unknown.returncode == 1
    assert unknown.stderr == "overture: There is no member with the handle nobody.\n"


def test_a_token_for_a_handle_that_is_empty_is_nobodys(database_url):
    # As where a script's variable was never set: it must not come to be an operator's.
    called = command("token", "create", "--as", "", "--database-url", database_url)

    assert called.returncode == 1
    assert called.stderr == "overture: There is no member with the handle .\n"
    assert called.stdout == ""


def test_the_operators_token_of_the_environment_opens_the_api(database_url):
    on_it = ("--database-url", database_url)
    with serving(*on_it) as server:
        theirs = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}
        assert server.request("GET", "/api/v1/members", headers=theirs).status_code == 200

        server.make_member("ada")
        command("token", "create", "--as", "ada", "--scope", "read", "--label", "phone", *on_it)
        first, ada = command("token", "list", *on_it).stdout.splitlines()
        assert first.endswith(f"an operator  read+write  {FIRST}")
        assert ada.endswith("ada  read  phone")

        assert command("token", "revoke", first.split()[0], *on_it).returncode == 0
        assert server.request("GET", "/api/v1/members", headers=theirs).status_code == 401


def test_who_lost_app_and_recovery_codes_is_helped_by_the_operator(database_url):
    on_it = ("--database-url", database_url)
    with serving(*on_it) as server:
        server.make_member("ada")
    assert command("two-steps", "off", "nobody", *on_it).returncode == 1
    refused = command("two-steps", "off", "ada", *on_it)
    assert refused.stderr == "overture: ada signs in in one step already.\n"

    with psycopg.connect(database_url) as connection:
        connection.execute(
            """
            with ada as (
                insert into accounts (member_id, email, password, two_steps_at)
                select id, 'ada@example.org', '-', now() from members where handle = 'ada'
                returning member_id
            )
            insert into recovery_codes (member_id, hash) select member_id, 'one' from ada
            """
        )
    assert command("two-steps", "off", "ada", *on_it).returncode == 0

    with psycopg.connect(database_url) as connection:
        left = "select (select count(*) from recovery_codes), two_steps_at from accounts"
        assert connection.execute(left).fetchall() == [(0, None)]
        noted = "select actor, action from audit where action = 'two_steps.off'"
        assert connection.execute(noted).fetchall() == [("command line", "two_steps.off")]


def test_who_may_enter_the_console_is_decided_on_the_command_line(database_url):
    on_it = ("--database-url", database_url)
    with serving(*on_it) as server:
        server.make_member("ada")
    assert command("operator", "list", *on_it).stdout == "There is no operator.\n"
    assert command("operator", "add", "nobody", *on_it).returncode == 1
    # Who cannot sign in cannot enter either.
    assert command("operator", "add", "ada", *on_it).returncode == 1
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "insert into accounts (member_id, email, password) "
            "select id, 'ada@example.org', '-' from members where handle = 'ada'"
        )
    # Nor whom anybody could have signed up as.
    assert command("operator", "add", "ada", *on_it).returncode == 1
    with psycopg.connect(database_url) as connection:
        connection.execute("update accounts set verified_at = now()")

    added = command("operator", "add", "ada", *on_it)
    assert added.returncode == 0
    assert "have no second factor yet" in added.stdout
    told = command("operator", "list", *on_it).stdout
    assert told.startswith("ada  ")
    assert told.endswith("  no second factor yet\n")
    assert command("operator", "add", "ada", *on_it).returncode == 1
    assert command("operator", "remove", "ada", *on_it).returncode == 0
    refused = command("operator", "remove", "ada", *on_it)
    assert refused.stderr == "overture: ada is no operator.\n"

    with psycopg.connect(database_url) as connection:
        noted = "select actor, action from audit where action like 'operator.%' order by number"
        assert connection.execute(noted).fetchall() == [
            ("command line", "operator.added"),
            ("command line", "operator.removed"),
        ]


def test_a_discrepancy_in_the_ledger_is_told(database_url):
    on_it = ("--database-url", database_url)
    sound = command("ledger", "verify", *on_it)
    assert sound.returncode == 0, sound.stderr
    assert sound.stdout.startswith("Checked 0 accounts, 0 entries and 0 InMails.")

    with psycopg.connect(database_url) as connection:
        connection.execute(
            """
            insert into ledger_entries
                (owner_id, pool, number, at, kind, credits, forfeited, reason, balance, link)
            values (gen_random_uuid(), 'premium', 1, now(), 'grant', 5, 0, 'sign_up', 5, '')
            """
        )
    broken = command("ledger", "verify", *on_it)

    assert broken.returncode == 1
    assert "Discrepancies in all: " in broken.stderr


def test_an_archive_goes_in_without_its_bad_rows(folder, database_url):
    with zipfile.ZipFile(folder / "export.zip", "w") as archive:
        archive.writestr("Profile.csv", "First Name,Last Name\nAda,Byron\n")
        archive.writestr(
            "Connections.csv",
            "First Name,Last Name,URL,Email Address,Company,Position,Connected On\n"
            "Grace,Hopper,https://www.linkedin.com/in/grace,,Navy,Admiral,09 Dec 2019\n"
            "Joan,Clarke,https://www.linkedin.com/in/joan,,Hut 8,Analyst,in spring\n",
        )
    bring_in = ("import", "linkedin", folder / "export.zip", "--as", "ada")

    first = command(*bring_in, "--database-url", database_url, "--json")
    assert first.returncode == 0, first.stderr
    told = json.loads(first.stdout)
    assert told["added"]["connections"] == 1
    assert [(bad["file"], bad["line"]) for bad in told["problems"]] == [("Connections.csv", 3)]

    again = command(*bring_in, "--database-url", database_url)
    assert "Nothing is new" in again.stdout


def test_what_is_no_archive_is_refused_and_makes_no_data_folder(folder):
    (folder / "letter").write_text("Dear Grace")

    called = command("import", "linkedin", folder / "letter", "--as", "ada", "--data", folder / "d")

    assert called.returncode == 1
    assert called.stderr.endswith("is not a zip file, or only a part of one.\n")
    assert not (folder / "d").exists()


def test_the_policies_that_ship_are_shown_side_by_side():
    told = json.loads(command("policy", "presets", "--json").stdout)
    assert [each["name"] for each in told["presets"]] == [
        *("seed", "linkedin-premium", "recruiter", "sales-navigator"),
    ]
    (days,) = [each for each in told["values"] if each["name"] == "expiry_days"]
    assert days["values"] == {"seed": "120"} | dict.fromkeys(
        ("linkedin-premium", "recruiter", "sales-navigator"), "90"
    )

    shown = command("policy", "presets").stdout
    assert "linkedin-premium, beside seed:\n  Lots die after 90 days instead of 120" in shown
    assert "expiry_days = 120" in command("policy", "show", "seed").stdout


def test_a_policy_is_checked_before_it_is_anybody_s(folder):
    seed = command("policy", "show", "seed").stdout
    (folder / "good.toml").write_text(seed)
    (folder / "bad.toml").write_text(seed.replace("expiry_days", "expiry_day"))

    sound = command("policy", "check", folder / "good.toml")
    assert (sound.returncode, sound.stderr) == (0, "")
    assert sound.stdout == f"{folder / 'good.toml'} is sound: 1 version, 4 plans.\n"

    wrong = command("policy", "check", folder / "bad.toml")
    assert wrong.returncode == 1
    assert wrong.stdout == (
        f"{folder / 'bad.toml'}: line 9, versions 1: `expiry_day` is unknown here. Did you mean "
        "`expiry_days`?\n"
    )
    assert wrong.stderr == f"overture: {folder / 'bad.toml'} has 1 mistake.\n"


def test_a_policy_changes_from_a_date_on_and_is_taken_back(folder, database_url):
    on_it = ("--database-url", database_url)
    seed = command("policy", "show", "seed").stdout
    (folder / "new.toml").write_text(seed.replace("expiry_days = 120", "expiry_days = 90"))
    sentence = "Lots die after 90 days instead of 120: lots that exist keep their date."

    against = command("policy", "diff", folder / "new.toml", "--against", "seed")
    assert against.stdout == f"{sentence}\n"
    told = command("policy", "diff", folder / "new.toml", *on_it)
    assert told.stdout.endswith(f" on:\n  {sentence}\n")

    early = command("policy", "apply", folder / "new.toml", "--from", "2020-01-01", *on_it)
    assert early.returncode == 2
    assert "A policy cannot take effect at 2020-01-01T00:00:00Z: the past is never" in early.stderr
    applied = command("policy", "apply", folder / "new.toml", "--from", "2200-01-01", *on_it)
    assert applied.stdout == f"From 2200-01-01T00:00:00Z on:\n  {sentence}\n"

    listed = json.loads(command("policy", "list", "--json", *on_it).stdout)
    assert [(each["holds_from"], each["state"]) for each in listed] == [
        ("1970-01-01T00:00:00Z", "in_force"),
        ("2200-01-01T00:00:00Z", "to_come"),
    ]
    assert [each["sentence"] for each in listed[1]["changes"]] == [sentence]
    assert "expiry_days = 90" in command("policy", "show", "--at", "2200-01-01", *on_it).stdout
    assert "expiry_days = 120" in command("policy", "show", "--at", "2199-12-31", *on_it).stdout

    gone = command("policy", "withdraw", *on_it)
    assert (
        gone.stdout == "The version of 2200-01-01T00:00:00Z is withdrawn. What holds now goes on.\n"
    )
    again = command("policy", "withdraw", *on_it)
    assert again.returncode == 2
    assert again.stderr == "overture: No version is to come that could be withdrawn.\n"
