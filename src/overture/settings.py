"""What an installation can be told, read once: one row a setting.

Each comes from the command line, else from its `OVERTURE_*` variable, else from its default. All are
texts until `read` has them, so that a bad value is refused with one sentence, wherever it was given.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from overture.core.replies import addresses


@dataclass(frozen=True, slots=True)
class Settings:
    """The rows below, in their types. `database_url` None: the embedded PostgreSQL in `data`."""

    host: str
    port: int
    data: Path
    database_url: str | None
    archive: str | None
    policy: str | None
    test_clock: datetime | None
    operator_token: str | None
    processes: int
    drain_seconds: int
    jobs: bool
    accept_unsafe_database: bool
    requests_per_minute: int
    writes_per_minute: int
    letters_daily: int
    letters_daily_new: int
    new_account_days: int
    log_level: str
    log_format: str
    log_requests: bool
    metrics_listen: str | None
    otlp_endpoint: str | None
    public_url: str | None
    allowed_hosts: Sequence[str]
    trusted_proxies: Sequence[str]
    requests_at_once: int
    connections_max: int
    smtp_host: str | None
    smtp_port: int
    smtp_security: str
    smtp_user: str | None
    smtp_password: str | None
    smtp_seconds: int
    smtp_hello: str | None
    smtp_trusted: str | None
    mail_from: str | None
    mail_domain: str | None
    reply_address: str | None
    operator_email: str | None
    webhook_allow_hosts: Sequence[str]
    push_allow_hosts: Sequence[str]
    stripe_webhook_secret: str | None
    stripe_api_key: str | None
    stripe_prices: Mapping[str, str]
    payment_grace_days: int
    checkout_url: str | None
    portal_url: str | None
    replies_listen: str | None
    replies_trust: str | None
    replies_from_own: bool
    oidc_issuer: str | None
    oidc_client_id: str | None
    oidc_client_secret: str | None
    oidc_name: str | None
    oidc_external_ids: bool
    handover_issuer: str | None
    handover_secret: Sequence[str]
    handover_keys: str | None
    handover_creates: bool
    embed_origins: Sequence[str]
    outbox_days: int
    deliveries_days: int
    reports_days: int
    audit_days: int
    mail_folder_days: int


def carried(settings: Settings) -> dict[str, Any]:
    """The settings as plain values, to be handed to another process."""
    return msgspec.to_builtins(settings, enc_hook=str)


def carried_back(values: Mapping[str, Any]) -> Settings:
    return msgspec.convert(values, Settings, dec_hook=lambda kind, value: kind(value))


class SettingProblem(ValueError):
    """A setting that cannot be taken; the text is a sentence for the operator."""


@dataclass(frozen=True, slots=True)
class Row:
    """A setting. `default` and `form` are for people; `secret` ones have no command-line option,
    which anybody on the machine could read."""

    name: str
    default: str
    help: str
    value: Callable[[str], object]
    form: str = "TEXT"
    flag: bool = False
    secret: bool = False

    @property
    def option(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return "OVERTURE_" + self.name.upper()


def read(given: Mapping[str, str | None], environment: Mapping[str, str]) -> Settings:
    """The settings from the options given and the environment. Raises SettingProblem."""
    values: dict[str, object] = {}
    for row in ROWS:
        text, place = given.get(row.name), row.option
        if text is None:
            # An empty variable is how a service file or a container says "not set".
            text, place = environment.get(row.variable) or None, row.variable
        if text is None:
            text, place = _from_file(row, environment)
        if text is None:
            text, place = row.default, row.option
        try:
            values[row.name] = row.value(text)
        except ValueError as problem:
            shown = "its value" if row.secret else f"“{text}”"
            raise SettingProblem(f"{place}: {shown} {problem}.") from None
    settings = Settings(**values)  # pyright: ignore[reportArgumentType]
    _check_together(settings)
    return settings


def _from_file(row: Row, environment: Mapping[str, str]) -> tuple[str | None, str]:
    """What a file says, and how it was named: by the variable with _FILE at its end, as containers
    are given secrets, or among systemd's credentials. Raises SettingProblem."""
    named = row.variable + "_FILE"
    file = environment.get(named)
    if not file and (folder := environment.get("CREDENTIALS_DIRECTORY")):
        kept = Path(folder, row.variable.lower())
        file = str(kept) if kept.is_file() else None
    if not file:
        return None, row.variable
    try:
        return Path(file).read_text(encoding="utf-8").strip() or None, named
    except (OSError, UnicodeError) as problem:
        why = getattr(problem, "strerror", None) or "it is no text"
        raise SettingProblem(f"{named}: {file} cannot be read: {why.lower()}.") from None


def _check_together(settings: Settings) -> None:
    """Raises SettingProblem where a setting needs another one."""
    host = settings.smtp_host
    if host and settings.smtp_security == "none" and not _is_loopback(host):
        raise SettingProblem(
            f"--smtp-security: “none” would send mails, and the links in them, over the network as "
            f"anyone can read them. It is for a server on this machine alone, which {host} is not."
        )
    if settings.smtp_password and not settings.smtp_user:
        raise SettingProblem(
            "OVERTURE_SMTP_PASSWORD is set, but no --smtp-user that it belongs to."
        )
    if settings.stripe_webhook_secret and not settings.stripe_prices:
        raise SettingProblem(
            "OVERTURE_STRIPE_WEBHOOK_SECRET needs --stripe-prices: without it no payment has a plan."
        )
    alone = {
        "--stripe-prices": settings.stripe_prices,
        "OVERTURE_STRIPE_API_KEY": settings.stripe_api_key,
        "--checkout-url": settings.checkout_url,
        "--portal-url": settings.portal_url,
    }
    for place, value in alone.items():
        if value and not settings.stripe_webhook_secret:
            raise SettingProblem(
                f"{place} needs OVERTURE_STRIPE_WEBHOOK_SECRET: without it nothing is paid for."
            )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _text(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty")
    return text


def _maybe(text: str) -> str | None:
    return text or None


def _count(least: int, most: int) -> Callable[[str], int]:
    def count(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
            raise ValueError(f"is not a whole number from {least} to {most}")
        return int(text)

    return count


def _flag(text: str) -> bool:
    match text.lower():
        case "1" | "true" | "yes" | "on":
            return True
        case "0" | "false" | "no" | "off":
            return False
        case _:
            raise ValueError("is neither true nor false")


def _instant(text: str) -> datetime | None:
    if not text:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("is not an instant such as 2025-01-31T10:00:00Z") from None
    if instant.tzinfo is None:
        raise ValueError("has no offset: write Z at its end for UTC")
    if not 1970 <= instant.year <= 2900:
        raise ValueError("lies outside the years 1970 to 2900")
    return instant.astimezone(UTC)


def instant(text: str) -> datetime:
    """An instant that a command is given. Raises ValueError with a sentence's end about it."""
    found = _instant(text)
    if found is None:
        raise ValueError("is no instant")
    return found


def _folder(text: str) -> Path:
    if text:
        return Path(text).expanduser()
    # Imported late: an explicit folder, as a server has it, does not need it.
    from platformdirs import user_data_path  # noqa: PLC0415

    return user_data_path("overture", appauthor=False)


def _database(text: str) -> str | None:
    if text and not text.startswith(("postgresql://", "postgres://")):
        raise ValueError("is not of the form postgresql://user@host/database")
    return text or None


def _public_url(text: str) -> str | None:
    parts = urlsplit(text)
    if text and not (
        parts.scheme in ("http", "https") and parts.netloc and not parts.path.strip("/")
    ):
        raise ValueError("is not of the form https://inmail.example.org")
    return text.rstrip("/") or None


def _reply_address(text: str) -> str | None:
    if text:
        _ = addresses(text)
    return text or None


def _hosts(text: str) -> Sequence[str]:
    hosts = _listed(text)
    if any("/" in host or "@" in host for host in hosts):
        raise ValueError("is no list of hosts such as hooks.internal,10.0.0.7")
    return hosts


def _names(text: str) -> Sequence[str]:
    names = _listed(text)
    if not all(name == "*" or _HOST.fullmatch(name) for name in names):
        raise ValueError("is no list of names such as inmail.example.org,overture.internal")
    return names


def _networks(text: str) -> Sequence[str]:
    if text.lower() == "none":
        return ()
    try:
        return [str(ip_network(each)) for each in _listed(text)]
    except ValueError:
        raise ValueError("is no list of addresses such as 10.0.0.7,192.168.0.0/24") from None


def _listed(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _endpoint(text: str) -> str | None:
    host, colon, port = text.rpartition(":")
    if text and not (host and colon and port.isascii() and port.isdigit() and int(port) <= 65535):
        raise ValueError("is not of the form HOST:PORT")
    return text or None


def _collector(text: str) -> str | None:
    parts = urlsplit(text)
    if text and not (parts.scheme in ("http", "https") and parts.netloc):
        raise ValueError("is not of the form http://127.0.0.1:4318")
    return text.rstrip("/") or None


def _issuer(text: str) -> str | None:
    parts = urlsplit(text)
    # Plain http only where nobody can listen: on this very machine.
    here = parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1")
    if text and (parts.query or parts.fragment or not parts.hostname):
        raise ValueError("is not of the form https://accounts.example.org")
    if text and parts.scheme != "https" and not here:
        raise ValueError("is not https, and what it says could not be believed")
    return text or None


def _origins(text: str) -> Sequence[str]:
    return [_origin(each) for each in _listed(text)]


def _origin(text: str) -> str:
    """As browsers write it: in lower case, and without the port that goes without saying."""
    try:
        parts = urlsplit(text.lower())
        port = parts.port
    except ValueError:
        raise ValueError("is no list of origins such as https://www.example.org") from None
    here = parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1")
    named = _HOST.fullmatch(parts.hostname or "") and parts.username is None and text.isascii()
    if not named or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("is no list of origins such as https://www.example.org")
    if parts.scheme != "https" and not here:
        raise ValueError("has one that is not https, whose pages anyone on the way could change")
    if port == (443 if parts.scheme == "https" else 80):
        return f"{parts.scheme}://{parts.netloc.rpartition(':')[0]}"
    return f"{parts.scheme}://{parts.netloc}"


def _shared_secrets(text: str) -> Sequence[str]:
    secrets = text.split()
    if any(len(each.encode()) < SECRET_BYTES_MIN for each in secrets):
        raise ValueError(f"is shorter than {SECRET_BYTES_MIN} bytes, and could be guessed")
    return secrets


def _token(text: str) -> str | None:
    if not text:
        return None
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("has characters that a token cannot have: use letters and digits")
    if len(text) < TOKEN_CHARS_MIN:
        raise ValueError(f"is shorter than {TOKEN_CHARS_MIN} characters, and could be guessed")
    return text


def _one_of(*names: str) -> Callable[[str], str]:
    def one(text: str) -> str:
        if text.lower() not in names:
            raise ValueError(f"is none of {', '.join(names)}")
        return text.lower()

    return one


def _host(text: str) -> str | None:
    if text and not _HOST.fullmatch(text):
        raise ValueError("is no name or address of a machine")
    return text or None


def _domain(text: str) -> str | None:
    if text and not _DOMAIN.fullmatch(text):
        raise ValueError("is not of the form mail.example.org")
    return text.lower() or None


def _address(text: str) -> str | None:
    name, _, domain = text.rpartition("@")
    if text and not (_LOCAL_PART.fullmatch(name) and _DOMAIN.fullmatch(domain)):
        raise ValueError("is not of the form no-reply@example.org")
    return text or None


def _file(text: str) -> str | None:
    if not text:
        return None
    path = Path(text).expanduser().absolute()
    if not path.is_file():
        raise ValueError("is no file")
    return str(path)


def _secret(text: str) -> str | None:
    if text and not (text.isascii() and text.isprintable() and " " not in text):
        raise ValueError("has characters that Stripe's secrets do not have")
    return text or None


def _prices(text: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        price, _, plan = (each.strip() for each in part.rpartition("="))
        if not price or not plan:
            raise ValueError("is not of the form PRICE=PLAN,PRICE=PLAN")
        if found.setdefault(price, plan) != plan:
            raise ValueError(f"gives “{price}” two plans")
    return found


def _link(text: str) -> str | None:
    if not text:
        return None
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc or "{" in parts.netloc:
        raise ValueError("is not of the form https://shop.example.org/plans?member={member}")
    unknown = set(re.findall(r"{([^}]*)}", text)) - set(LINK_WORDS)
    if unknown:
        words = ", ".join(f"{{{each}}}" for each in LINK_WORDS)
        raise ValueError(f"has a placeholder other than {words}")
    return text


def _level(text: str) -> str:
    if text.upper() not in LEVELS:
        raise ValueError(f"is none of {', '.join(level.lower() for level in LEVELS)}")
    return text.upper()


TOKEN_CHARS_MIN = 16
SECRET_BYTES_MIN = 32
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.:-]{0,252}[A-Za-z0-9])?|::[A-Za-z0-9:.]*")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
# What may stand in the addresses of a payment page, in braces.
LINK_WORDS = ("member", "external_id", "handle", "pool", "plan")
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

ROWS = (
    Row("host", "127.0.0.1", "The address to listen on; 0.0.0.0 for all.", _text, "HOST"),
    Row("port", "8000", "The port to listen on; 0 for any free one.", _count(0, 65535), "PORT"),
    Row("data", "", "The folder of the data (default: the user's data folder).", _folder, "DIR"),
    Row(
        "database_url",
        "",
        "A PostgreSQL 15 or newer to use instead of the embedded one.",
        _database,
        "URL",
    ),
    Row(
        "archive",
        "",
        "A folder, best on another disk, for all that the embedded PostgreSQL writes, so that any "
        "moment can be restored; none for none. Without it what was said last stays.",
        _maybe,
        "DIR",
    ),
    Row(
        "policy",
        "",
        "A preset's name, or a policy file; without it what is in force stays (at first: seed).",
        _maybe,
        "NAME|FILE",
    ),
    Row(
        "test_clock",
        "",
        "Start with a clock that stands at this instant and moves only through the API.",
        _instant,
        "INSTANT",
    ),
    Row("operator_token", "", "The first operator's token.", _token, secret=True),
    Row("processes", "1", "How many processes serve.", _count(1, 64), "N"),
    Row(
        "drain_seconds",
        "0",
        "How long it goes on answering after SIGTERM, while /readyz says that it ends, so that a "
        "balancer sends nobody here any more.",
        _count(0, 600),
        "N",
    ),
    Row(
        "jobs",
        "true",
        "Whether the server does what is due (reminders, mails, webhooks) or leaves it to "
        "`overture worker`.",
        _flag,
        "true|false",
    ),
    Row(
        "accept_unsafe_database",
        "false",
        "Serve although the database may lose what it has acknowledged.",
        _flag,
        flag=True,
    ),
    Row(
        "requests_per_minute",
        "600",
        "Requests that each member's token may make, in each process, and their browsers five times as "
        "many; 0 for no limit.",
        _count(0, 10**9),
        "N",
    ),
    Row(
        "writes_per_minute",
        "120",
        "Of a token's, requests that write; 0 for no limit.",
        _count(0, 10**9),
        "N",
    ),
    Row(
        "letters_daily",
        "200",
        "Letters to strangers that a member may begin in any 24 hours; 0 for no limit.",
        _count(0, 10**4),
        "N",
    ),
    Row(
        "letters_daily_new",
        "30",
        "The same, while the account is new.",
        _count(0, 10**4),
        "N",
    ),
    Row(
        "new_account_days",
        "7",
        "How many days an account is new.",
        _count(0, 3650),
        "N",
    ),
    Row(
        "public_url",
        "",
        "The address at which browsers reach the site, if a proxy stands before it.",
        _public_url,
        "URL",
    ),
    Row(
        "allowed_hosts",
        "",
        "The names to answer to, or * for any, besides localhost and addresses in numbers (default: "
        "the public URL's; without one none where --host is this machine alone, else any).",
        _names,
        "NAME,NAME",
    ),
    Row(
        "trusted_proxies",
        "127.0.0.0/8,::1/128",
        "Proxies, by address or network, that are believed where a request comes from "
        "(X-Forwarded-For); none for none.",
        _networks,
        "NETWORK,NETWORK",
    ),
    Row(
        "requests_at_once",
        "1000",
        "How many requests are worked on at once, in each process and without the event streams; "
        "further ones are told to come back.",
        _count(1, 10**6),
        "N",
    ),
    Row(
        "connections_max",
        "10000",
        "How many connections each process keeps, with the event streams; less where the system's "
        "limit of open files leaves less.",
        _count(1, 10**6),
        "N",
    ),
    Row(
        "smtp_host",
        "",
        "The mail server that takes mails; without one they are written into DATA/mail.",
        _host,
        "HOST",
    ),
    Row(
        "smtp_port",
        "0",
        "Its port; 0 for the usual one (587, for tls 465, for none 25).",
        _count(0, 65535),
        "PORT",
    ),
    Row(
        "smtp_security",
        "starttls",
        "How the way to it is kept private: starttls, tls from the first byte, or none, for a "
        "server on this machine alone.",
        _one_of("starttls", "tls", "none"),
        "starttls|tls|none",
    ),
    Row("smtp_user", "", "The name to sign in with, if it asks for one.", _maybe, "NAME"),
    Row("smtp_password", "", "The password to sign in with.", _maybe, secret=True),
    Row(
        "smtp_seconds",
        "30",
        "How long each step of a mail's way may take before it is tried again later.",
        _count(1, 600),
        "N",
    ),
    Row(
        "smtp_hello",
        "",
        "What this machine calls itself to the mail server (default: the mail domain).",
        _domain,
        "NAME",
    ),
    Row(
        "smtp_trusted",
        "",
        "A file of certificates to trust for the mail server, besides the system's.",
        _file,
        "FILE",
    ),
    Row(
        "mail_from",
        "",
        "The address that mails come from (default: no-reply at the mail domain).",
        _address,
        "ADDRESS",
    ),
    Row(
        "mail_domain",
        "",
        "The domain of mails and of their ids (default: the host of the public URL).",
        _domain,
        "DOMAIN",
    ),
    Row(
        "reply_address",
        "",
        "Where mails can be answered to, as r+*@inmail.example.org with a * for what tells them "
        "apart; without it they are answered in the browser.",
        _reply_address,
        "FORM",
    ),
    Row(
        "operator_email",
        "",
        "Who runs the installation, and is written to when something must be seen to.",
        _address,
        "ADDRESS",
    ),
    Row(
        "webhook_allow_hosts",
        "",
        "Hosts, by name or address, that webhooks may go to although they are not on the public "
        "internet; also by plain http.",
        _hosts,
        "HOST,HOST",
    ),
    Row(
        "push_allow_hosts",
        "",
        "Hosts, by name or address, that notices on devices may go to although they are not on the "
        "public internet; also by plain http.",
        _hosts,
        "HOST,HOST",
    ),
    Row(
        "stripe_webhook_secret",
        "",
        "The secret of Stripe's webhook to /api/v1/payments/stripe; with it, plans are paid for.",
        _secret,
        secret=True,
    ),
    Row(
        "stripe_api_key",
        "",
        "A key of Stripe's API, to cancel there what a closed account pays for.",
        _secret,
        secret=True,
    ),
    Row(
        "stripe_prices",
        "",
        "Which plan a price is for, by its id, its lookup key or its product's id.",
        _prices,
        "PRICE=PLAN,…",
    ),
    Row(
        "payment_grace_days",
        "14",
        "How many days a plan stays while a payment for it is missing.",
        _count(0, 90),
        "N",
    ),
    Row(
        "checkout_url",
        "",
        "Where members go to pay for a plan; {member}, {external_id}, {handle}, {pool} and {plan} are "
        "filled in.",
        _link,
        "URL",
    ),
    Row(
        "portal_url",
        "",
        "Where members change or cancel what they pay for; with the same placeholders.",
        _link,
        "URL",
    ),
    Row(
        "replies_listen",
        "",
        "Where the server itself takes mail from your mail server, by LMTP or SMTP, as 127.0.0.1:8025; "
        "else `overture mail-in` does.",
        _endpoint,
        "HOST:PORT",
    ),
    Row(
        "replies_trust",
        "",
        "Under which name your mail server writes Authentication-Results; mail that failed is refused.",
        _maybe,
        "NAME",
    ),
    Row(
        "replies_from_own",
        "false",
        "Take replies from members' own addresses alone, rather than from whoever has the address.",
        _flag,
        flag=True,
    ),
    Row(
        "oidc_issuer",
        "",
        "The identity provider to offer at the sign-in (OpenID Connect), as it calls itself.",
        _issuer,
        "URL",
    ),
    Row("oidc_client_id", "", "As what Overture is registered there.", _maybe, "ID"),
    Row(
        "oidc_client_secret",
        "",
        "The secret that goes with it, if it has one.",
        _maybe,
        secret=True,
    ),
    Row("oidc_name", "", "What members call it (default: the issuer's host).", _maybe, "NAME"),
    Row(
        "oidc_external_ids",
        "false",
        "That members' external ids are the provider's ids of them (its `sub`): they are linked.",
        _flag,
        flag=True,
    ),
    Row(
        "handover_issuer",
        "",
        "What the host site calls itself (`iss`) in the tokens with which it hands its people over.",
        _maybe,
        "TEXT",
    ),
    Row(
        "handover_secret",
        "",
        "The secret that it signs them with (HS256), of 32 bytes or more; two with a space hold "
        "both, while one takes the other's place.",
        _shared_secrets,
        secret=True,
    ),
    Row(
        "handover_keys",
        "",
        "A file of the public keys that it signs them with instead (PEM, or a JSON Web Key Set).",
        _file,
        "FILE",
    ),
    Row(
        "handover_creates",
        "false",
        "Make members of those whose external id nobody has yet, from what the host says of them.",
        _flag,
        flag=True,
    ),
    Row(
        "embed_origins",
        "",
        "Origins of the host's pages that may show the inbox and compose in frames, such as "
        "https://www.example.org; without any, none may.",
        _origins,
        "ORIGIN,ORIGIN",
    ),
    Row(
        "outbox_days",
        "90",
        "How many days what happened is kept for streams and webhooks to catch up; 0 for ever.",
        _count(0, 36500),
        "N",
    ),
    Row(
        "deliveries_days",
        "30",
        "How many days the log of webhooks' deliveries is kept; 0 for ever.",
        _count(0, 36500),
        "N",
    ),
    Row(
        "reports_days",
        "365",
        "How many days reports to the operator are kept; 0 for ever.",
        _count(0, 36500),
        "N",
    ),
    Row(
        "audit_days",
        "0",
        "How many days entries of the audit log are kept; 0 for ever.",
        _count(0, 36500),
        "N",
    ),
    Row(
        "mail_folder_days",
        "30",
        "How many days mails are kept in DATA/mail, where there is no mail server; 0 for ever.",
        _count(0, 36500),
        "N",
    ),
    Row("log_level", "info", f"One of {', '.join(LEVELS).lower()}.", _level, "LEVEL"),
    Row(
        "log_format",
        "text",
        "How the log is written: as text for people, or one JSON object a line.",
        _one_of("text", "json"),
        "text|json",
    ),
    Row(
        "log_requests",
        "false",
        "Have the log tell of each request: its id, route, status and time.",
        _flag,
        flag=True,
    ),
    Row(
        "metrics_listen",
        "",
        "Where Prometheus finds /metrics, as 127.0.0.1:9464; it asks for no password.",
        _endpoint,
        "HOST:PORT",
    ),
    Row(
        "otlp_endpoint",
        "",
        "A collector of OpenTelemetry's to send traces to by HTTP, as http://127.0.0.1:4318.",
        _collector,
        "URL",
    ),
)
# How an installation is watched over; of every process that goes on.
WATCH = ("log_level", "log_format", "metrics_listen", "otlp_endpoint")
# Those that mails are sent by.
MAIL = tuple(
    row.name for row in ROWS if row.name.startswith(("smtp_", "mail_", "reply_")) and not row.secret
)
