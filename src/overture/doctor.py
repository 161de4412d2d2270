"""`overture doctor`: looks at all that an installation rests on, and says what to do where it does not
hold. It changes nothing and sends nothing.
"""

import asyncio
import platform
import re
import shutil
import ssl
import subprocess
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from tempfile import gettempdir
from typing import Any
from urllib.parse import urlsplit

import aiodns
import aiohttp
import msgspec
import psycopg
from yarl import URL

from overture import app, mirror, sim, tracing
from overture.clock import real_now
from overture.core.findings import Finding, Grade, fault, ok, warning, worst
from overture.core.replies import addresses
from overture.mail.smtp import Smtp
from overture.payments import stripe
from overture.push import encryption
from overture.settings import Settings
from overture.store import archive, durability, examination, installation, metrics, migrate
from overture.store.db import Tx, Unavailable
from overture.store.examination import Setup
from overture.store.metrics import State
from overture.worker import Means, means_of

__all__ = ["Finding", "Grade", "examine", "worst"]

# What may be worked on so long, each by itself; then that is what is found.
CHECK_SECONDS = 20.0
_ANSWER_SECONDS = 10
_CONNECT_SECONDS = 5
_CLOCKS_APART = timedelta(seconds=2)
_CLOCKS_FAR_APART = timedelta(seconds=30)
_SCARCE_BYTES, _SCARCE_SHARE = 2_000_000_000, 0.10
_GONE_BYTES, _GONE_SHARE = 300_000_000, 0.02
_LATE, _TOO_LATE = timedelta(minutes=2), timedelta(minutes=15)
_OLD_TRANSACTION_SECONDS = 600
# Where this machine is busy, it may read the first half of an answer late, as if it had been held back.
_STREAM_TRIES = 2
_VERIFIED_WITHIN = timedelta(days=8)
_EXPIRES_SOON = timedelta(days=14)
_ACCOUNTS_LOOKED_AT = 1000
# Less than a message's files may have, but quickly sent, and twice what nginx takes by itself.
_LARGE_BYTES = 2_000_000
# Of a resolver that says that there is no such record, rather than nothing at all.
_NO_DATA, _NOT_FOUND = 1, 4

Resolver = Callable[[], aiodns.DNSResolver]


def _resolver() -> aiodns.DNSResolver:
    return aiodns.DNSResolver(timeout=2, tries=2)


async def examine(
    settings: Settings,
    url: str,
    *,
    dkim: Sequence[str] = (),
    resolver: Resolver = _resolver,
) -> list[Finding]:
    """Looks at everything, side by side. `url` is the database's; `dkim` are selectors to look for."""
    means = means_of(settings, f"http://{settings.host}:{settings.port}")
    checks: Sequence[tuple[str, Awaitable[Sequence[Finding]]]] = (
        ("versions", _versions(settings)),
        ("database", _database(url)),
        ("disk", _disk(settings)),
        ("clock", _clock()),
        ("mail", _mail(means)),
        ("dns", _dns(settings, means, dkim, resolver)),
        ("proxy", _proxy(settings)),
    )
    found = await asyncio.gather(*(_within(name, check) for name, check in checks))
    return [each for some in found for each in some]


async def _within(name: str, check: Awaitable[Sequence[Finding]]) -> Sequence[Finding]:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check
    except TimeoutError:
        says = f"This took longer than {CHECK_SECONDS:g} seconds, and was given up."
        return [fault(name, says, "See what hangs, and look again.")]


# Versions -------------------------------------------------------------------------------------------


async def _versions(settings: Settings) -> list[Finding]:
    found = [ok("versions", f"Overture {version('overture')}, Python {platform.python_version()}.")]
    extras = {
        "lab": (sim.is_installed(), False),
        "push": (encryption.is_installed(), False),
        "stripe": (stripe.is_installed(), settings.stripe_webhook_secret is not None),
        "otel": (tracing.is_installed(), settings.otlp_endpoint is not None),
    }
    there = [name for name, (installed, _) in extras.items() if installed]
    found.append(ok("versions", f"Extras: {', '.join(there) or 'none'}."))
    found += [
        fault(
            "versions",
            f"The settings need the extra {name}, which is not installed.",
            f"pip install 'overture[{name}]'",
        )
        for name, (installed, needed) in extras.items()
        if needed and not installed
    ]
    return found


# The database ---------------------------------------------------------------------------------------


async def _database(url: str) -> list[Finding]:
    if (no := await asyncio.to_thread(_unreachable, url)) is not None:
        return [no]
    found = await asyncio.to_thread(_schema, url)
    try:
        async with app.opened_database(url, connections=2) as db:
            before = real_now()
            setup = await db.reading(examination.setup)
            after = real_now()
            found += _of_setup(setup)
            found.append(_clocks(setup.at, before, after))
            if not _is_behind(found):
                found += await db.reading(_contents)
    except Unavailable:
        found.append(
            fault("database", "It stopped answering meanwhile.", "Look at PostgreSQL's log.")
        )
    except psycopg.errors.UndefinedTable:
        found.append(
            warning("database", "Its schema is older than what looks here.", "overture migrate")
        )
    return found


def _unreachable(url: str) -> Finding | None:
    try:
        with psycopg.connect(url, connect_timeout=_CONNECT_SECONDS):
            return None
    except psycopg.OperationalError as problem:
        lines = str(problem).strip().splitlines()
        return fault(
            "database",
            f"It cannot be reached: {lines[-1].strip() if lines else 'no reason is given'}",
            "See that PostgreSQL runs, that --database-url names its host, port, role and database, "
            "and that pg_hba.conf lets us in.",
        )


def _schema(url: str) -> list[Finding]:
    found: list[Finding] = []
    if too_old := durability.check_version(url):
        found.append(fault("database", too_old, "Upgrade PostgreSQL."))
    if off := durability.check_durability(url):
        found.append(
            fault(
                "durability",
                f"It may lose what it has acknowledged: {' and '.join(off)} "
                f"{'is' if len(off) == 1 else 'are'} off.",
                "Switch it on in postgresql.conf, or for the role with `alter role … reset`.",
            )
        )
    else:
        found.append(ok("durability", "What is acknowledged is on disk: fsync, full_page_writes."))
    try:
        missing = migrate.pending(url)
    except migrate.MigrationProblem as problem:
        found.append(fault("schema", str(problem), "Use the Overture that wrote the data."))
    else:
        newest = migrate.migrations()[-1].label
        if missing:
            found.append(
                fault(
                    "schema",
                    f"{len(missing)} migrations are not applied, the first {missing[0]}.",
                    "overture migrate",
                )
            )
        else:
            found.append(ok("schema", f"It is up to date ({newest})."))
    return found


def _is_behind(found: Sequence[Finding]) -> bool:
    return any(each.about == "schema" and each.grade is Grade.FAULT for each in found)


def _of_setup(setup: Setup) -> list[Finding]:
    found = [ok("database", f"PostgreSQL {setup.version}, {_size(setup.bytes)}.")]
    used = f"{setup.connections} of {setup.connections_max} connections are in use"
    if setup.connections > 0.9 * setup.connections_max:
        do = "Raise max_connections, or find who holds them in pg_stat_activity."
        found.append(fault("connections", f"{used}.", do))
    elif setup.connections > 0.7 * setup.connections_max:
        do = (
            "Each process of the server takes up to 15; raise max_connections before they are gone."
        )
        found.append(warning("connections", f"{used}.", do))
    else:
        found.append(ok("connections", f"{used}."))
    if setup.superuser:
        says = "We sign in as a superuser, whom nothing keeps from changing the ledger."
        found.append(
            warning("role", says, "Give Overture a role of its own that owns its database.")
        )
    if setup.oldest_seconds > _OLD_TRANSACTION_SECONDS:
        says = f"A transaction has been open for {setup.oldest_seconds / 60:.0f} minutes."
        do = "It keeps PostgreSQL from tidying up: find it in pg_stat_activity and end it."
        found.append(warning("transactions", says, do))
    if not setup.checksums:
        says = "Data checksums are off: a disk that returns wrong data would not be noticed."
        found.append(
            warning("checksums", says, "pg_checksums --enable, while PostgreSQL is stopped.")
        )
    found.append(_of_archive(setup))
    return found


def _of_archive(setup: Setup) -> Finding:
    if not setup.archives:
        return ok(
            "archive",
            "PostgreSQL's log is not archived: a backup restores its own moment and nothing later.",
        )
    at = setup.archived_at
    if setup.failed_at is not None and (at is None or setup.failed_at > at):
        says = "PostgreSQL's log "
        says += "could never be archived." if at is None else f"was archived last at {_minute(at)}."
        do = "Its own log says why. What happens since cannot be restored, and the disk fills."
        return fault("archive", says, do)
    if at is None:
        return ok("archive", "PostgreSQL's log is archived; nothing was due yet.")
    return ok("archive", f"PostgreSQL's log was archived last at {_minute(at)}.")


def _clocks(there: datetime, before: datetime, after: datetime) -> Finding:
    """By how much the database's clock is off at least, whatever of the time between was the way."""
    apart = max(before - there, there - after, timedelta(0))
    says = f"The database's clock and ours are {apart.total_seconds():.1f} seconds apart."
    do = "Let both machines set their clocks by NTP."
    if apart > _CLOCKS_FAR_APART:
        return fault("clocks", says, do)
    if apart > _CLOCKS_APART:
        return warning("clocks", says, do)
    return ok("clocks", says)


async def _contents(tx: Tx) -> list[Finding]:
    test_clock = await installation.test_clock(tx)
    now = test_clock or real_now()
    found: list[Finding] = []
    if test_clock is not None:
        found.append(
            warning("clock", "These data live by a test clock.", "Do not serve members with them.")
        )
    found += _of_work(await metrics.state(tx, now))
    found.append(
        ok("audit", "The audit log's head fits its last entry.")
        if await examination.audit_fits(tx)
        else fault(
            "audit", "The audit log's head does not fit its last entry.", "overture audit verify"
        )
    )
    found.append(
        ok("ledger", f"The newest {_ACCOUNTS_LOOKED_AT} accounts' balances fit their last entries.")
        if await examination.ledger_fits(tx, _ACCOUNTS_LOOKED_AT)
        else fault(
            "ledger",
            "An account's balance does not fit its last entry.",
            "Make a backup, then `overture ledger verify` names it.",
        )
    )
    return found


def _of_work(state: State) -> list[Finding]:
    found: list[Finding] = []
    for lag in state.lags:
        behind = timedelta(seconds=lag.seconds)
        says = (
            f"{lag.events} events wait to have work made of them, the oldest for {_span(behind)}."
        )
        do = "Start a server with jobs, or `overture worker`; its log says what hinders it."
        if lag.events and behind > _TOO_LATE:
            found.append(fault("outbox", says, do))
        elif lag.events and behind > _LATE:
            found.append(warning("outbox", says, do))
        else:
            found.append(ok("outbox", f"{lag.events} events wait to have work made of them."))
    late = [
        (each.queue, state.at - each.oldest_due_at)
        for each in state.waiting
        if each.oldest_due_at is not None and state.at - each.oldest_due_at > _LATE
    ]
    for queue, by in late:
        grade = fault if by > _TOO_LATE else warning
        do = "`overture jobs list` shows what fails and why; is a server or worker with jobs running?"
        found.append(grade("jobs", f"Work in {queue} is {_span(by)} late.", do))
    for each in state.waiting:
        if each.parked:
            says = f"{each.parked} jobs in {each.queue} were given up."
            do = "Mend the reason (`overture jobs list`), then `overture jobs replay --all`."
            found.append(warning("jobs", says, do))
    if not late and not any(each.parked for each in state.waiting):
        found.append(ok("jobs", f"{sum(each.due for each in state.waiting)} jobs are due."))
    if state.webhooks[1]:
        says = f"{state.webhooks[1]} endpoints of webhooks are disabled."
        found.append(warning("webhooks", says, "See docs/webhooks.md for enabling and replaying."))
    return [*found, *(_verified(state, what) for what in ("ledger", "audit"))]


def _verified(state: State, what: str) -> Finding:
    command = f"overture {what} verify"
    last = state.verified.get(what)
    if last is None:
        return warning(
            what, "It was never verified as a whole.", f"{command}, every night by a timer."
        )
    when = f"{_minute(last.at)} ({last.entries} entries)"
    if last.found:
        do = f"Make a backup, then `{command}` names the first discrepancy."
        return fault(what, f"When it was last verified, {when}, it was found wrong.", do)
    if real_now() - last.at > _VERIFIED_WITHIN:
        return warning(what, f"It was last verified {when}.", f"{command}, every night by a timer.")
    return ok(what, f"It was verified whole and sound {when}.")


# This machine ---------------------------------------------------------------------------------------


async def _disk(settings: Settings) -> list[Finding]:
    found: list[Finding] = []
    for about, folder, without in _folders(settings):
        there = next((each for each in (folder, *folder.parents) if each.exists()), None)
        if there is None:
            continue
        usage = await asyncio.to_thread(shutil.disk_usage, there)
        share = usage.free / usage.total
        says = f"{_size(usage.free)} of {_size(usage.total)} are free for {about} ({there})."
        do = f"Make room: {without}"
        if usage.free < _GONE_BYTES or (share < _GONE_SHARE and usage.free < _SCARCE_BYTES):
            found.append(fault("disk", says, do))
        elif usage.free < _SCARCE_BYTES or share < _SCARCE_SHARE:
            found.append(warning("disk", says, do))
        else:
            found.append(ok("disk", says))
    if settings.database_url is not None:
        found.append(ok("disk", "How full PostgreSQL's own disk is shows where it runs, not here."))
    return found


def _folders(settings: Settings) -> Sequence[tuple[str, Path, str]]:
    """What lies where, and what happens where there is no room for it."""
    within = settings.database_url is None
    stops = "PostgreSQL stops taking writes when there is none."
    found = [
        ("data", settings.data, stops if within else "without a mail server, mails are put there."),
        ("temporary files", Path(gettempdir()), "members' exports are made there."),
    ]
    if within and settings.archive is not None and settings.archive != archive.NONE:
        keeps = "PostgreSQL keeps what it cannot archive, until its own disk is full."
        found.append(("the archive", Path(settings.archive).expanduser(), keeps))
    return found


async def _clock() -> list[Finding]:
    """Whether this machine's clock is set by others; where nobody here can tell, that is said."""

    def asked() -> str | None:
        with suppress(OSError, subprocess.TimeoutExpired):
            told = subprocess.run(
                ["timedatectl", "show", "--property=NTPSynchronized", "--value"],  # noqa: S607
                capture_output=True,
                text=True,
                timeout=5,
                check=False,
            )
            return told.stdout.strip() or None
        return None

    said = await asyncio.to_thread(asked)
    shown = f"It is {real_now():%Y-%m-%d %H:%M:%S} UTC"
    if said == "yes":
        return [ok("clock", f"{shown}, set by NTP.")]
    if said == "no":
        do = (
            "Switch NTP on: `timedatectl set-ntp true`. Credits and codes of apps go by this clock."
        )
        return [warning("clock", f"{shown}, and nothing sets this clock.", do)]
    return [ok("clock", f"{shown}. Whether NTP sets this clock cannot be told here.")]


# Mail -----------------------------------------------------------------------------------------------


async def _mail(means: Means) -> list[Finding]:
    if means.smtp is None:
        do = "Name a mail server with --smtp-host; docs/mail.md says how."
        return [warning("mail", f"No mail leaves: they are written into {means.mail_folder}.", do)]
    smtp: Smtp = means.smtp
    where = f"{smtp.host} port {smtp.port} ({smtp.security})"
    why = await smtp.tried()
    if why is not None:
        do = "Try the same with `openssl s_client`; see --smtp-host, --smtp-port, --smtp-security, "
        do += "--smtp-user, OVERTURE_SMTP_PASSWORD and --smtp-trusted."
        return [fault("mail", f"{where}: {why}", do)]
    signed_in = f", and lets {smtp.user} in" if smtp.user else ""
    return [ok("mail", f"{where} answers{signed_in}. Nothing was sent.")]


# Names ----------------------------------------------------------------------------------------------


class _NoResolver(Exception):
    """Nobody answers what is asked of the names' servers."""


async def _dns(
    settings: Settings, means: Means, dkim: Sequence[str], resolver: Resolver
) -> list[Finding]:
    domain = means.mail_from.rpartition("@")[2]
    if "." not in domain:
        says = f"Mails come from {means.mail_from}, which is no address that anybody could answer."
        return [warning("dns", says, "Name the site with --public-url, or --mail-domain.")]
    async with _open(resolver) as names:
        try:
            return [
                await _spf(names, domain),
                await _dmarc(names, domain),
                *[await _dkim(names, domain, each) for each in dkim],
                *([] if dkim else [_no_selector(domain)]),
                await _mx(names, domain, settings.reply_address),
            ]
        except _NoResolver:
            says = f"No resolver answers here: of the records of {domain} nothing can be told."
            return [
                warning("dns", says, "Look from a machine that has one, or at /etc/resolv.conf.")
            ]


@asynccontextmanager
async def _open(resolver: Resolver) -> AsyncGenerator[aiodns.DNSResolver]:
    names = resolver()
    try:
        yield names
    finally:
        await names.close()


async def _asked(names: aiodns.DNSResolver, name: str, kind: str) -> list[Any]:
    """What stands there of this kind; nothing where there is none. Raises _NoResolver."""
    try:
        answer = await names.query_dns(name, kind)
    except aiodns.error.DNSError as problem:
        if problem.args and problem.args[0] in (_NO_DATA, _NOT_FOUND):
            return []
        raise _NoResolver from None
    return [record.data for record in answer.answer]


async def _texts(names: aiodns.DNSResolver, name: str) -> list[str]:
    found = await _asked(names, name, "TXT")
    texts = [getattr(each, "data", b"") for each in found]
    return [
        each.decode(errors="replace") if isinstance(each, bytes) else str(each) for each in texts
    ]


async def _spf(names: aiodns.DNSResolver, domain: str) -> Finding:
    found = [each for each in await _texts(names, domain) if each.lower().startswith("v=spf1")]
    if not found:
        do = f"Say in a TXT record of {domain} who may send for it: v=spf1 include:… -all"
        return warning("spf", f"{domain} has no SPF record: many will not take its mail.", do)
    if len(found) > 1:
        return fault("spf", f"{domain} has {len(found)} SPF records, so none counts.", "Keep one.")
    if found[0].rstrip().endswith("+all"):
        return fault("spf", f"{domain} lets anybody send for it (+all).", "End it with -all.")
    return ok("spf", f"{domain}: {found[0]}")


async def _dmarc(names: aiodns.DNSResolver, domain: str) -> Finding:
    # A domain that has none falls under the one that it is part of; how far up, only a list could say.
    for name in (domain, domain.partition(".")[2]):
        if "." not in name:
            continue
        for text in await _texts(names, f"_dmarc.{name}"):
            if text.lower().startswith("v=dmarc1"):
                if "p=none" in text.replace(" ", "").lower():
                    do = "Once its reports look right, make it p=quarantine or p=reject."
                    return warning("dmarc", f"{name} only watches (p=none).", do)
                return ok("dmarc", f"{name}: {text}")
    do = f"Add a TXT record at _dmarc.{domain}: v=DMARC1; p=quarantine; rua=mailto:…"
    return warning("dmarc", f"{domain} has no DMARC record.", do)


async def _dkim(names: aiodns.DNSResolver, domain: str, selector: str) -> Finding:
    name = f"{selector}._domainkey.{domain}"
    found = await _texts(names, name)
    # An empty one takes the key back.
    if any(re.search(r"\bp=\s*[A-Za-z0-9+/]", each) for each in found):
        return ok("dkim", f"{name} has a key.")
    do = "Your mail server signs: publish the key that it signs with under this name."
    return fault("dkim", f"{name} has no key, so its signatures count for nothing.", do)


def _no_selector(domain: str) -> Finding:
    do = f"Say under which selector your mail server signs for {domain}: --dkim SELECTOR."
    return warning("dkim", "Whether mails are signed was not looked at.", do)


async def _mx(names: aiodns.DNSResolver, domain: str, reply_form: str | None) -> Finding:
    where = addresses(reply_form).host if reply_form else domain
    found = await _asked(names, where, "MX")
    hosts = ", ".join(str(getattr(each, "exchange", "")) for each in found)
    if hosts:
        return ok("mx", f"Mail to {where} goes to {hosts}.")
    if reply_form:
        do = f"Add an MX record for {where} that leads to the mail server that hands replies on."
        return fault("mx", f"{where}, where members reply, takes no mail.", do)
    do = "Some refuse mail from a domain that takes none: add an MX record."
    return warning("mx", f"{where} takes no mail.", do)


# The way here ---------------------------------------------------------------------------------------


async def _proxy(settings: Settings) -> list[Finding]:
    url = settings.public_url
    if url is None:
        do = "Say with --public-url where browsers reach the site: links in mails begin with it."
        return [warning("proxy", "No public URL is set.", do)]
    timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
    try:
        async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:
            return await _through(session, url)
    except aiohttp.ClientConnectorCertificateError:
        do = "Renew it, and see that the whole chain is sent."
        return [fault("proxy", f"{url} has a certificate that cannot be trusted.", do)]
    except (aiohttp.ClientError, TimeoutError, OSError):
        do = "See that the proxy runs and leads here, and that this machine may ask for the name."
        return [fault("proxy", f"{url} does not answer from here.", do)]


async def _through(session: aiohttp.ClientSession, url: str) -> list[Finding]:
    found: list[Finding] = []
    async with session.get(url + mirror.SEEN, allow_redirects=False) as answer:
        expires = _certificate_ends(answer)
        body = await answer.content.read(4096)
        if answer.status == 421:
            do = "Pass the Host header on (nginx: proxy_set_header Host $host), or see --allowed-hosts."
            return [fault("proxy", f"{url} is asked for under another name.", do)]
        try:
            seen = msgspec.json.decode(body, type=mirror.Seen)
        except (msgspec.DecodeError, msgspec.ValidationError):
            do = "See that the proxy passes all paths to this server, and is no older Overture."
            says = f"{url} answers {answer.status}, and not as Overture does."
            return [fault("proxy", says, do)]
    found.append(ok("proxy", f"{url} answers."))
    found += _of_certificate(url, expires)
    found.append(_of_client(url, seen))
    found.append(await _of_streams(session, url))
    found.append(await _of_size(session, url))
    return found


def _certificate_ends(answer: aiohttp.ClientResponse) -> datetime | None:
    transport = answer.connection and answer.connection.transport
    certificate = transport and transport.get_extra_info("peercert")
    if not certificate:
        return None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)


def _of_certificate(url: str, ends: datetime | None) -> list[Finding]:
    if ends is None:
        if urlsplit(url).scheme == "https":
            return []
        if URL(url).host in ("localhost", "127.0.0.1", "::1"):
            return [ok("tls", "Browsers treat this machine's own address as private.")]
        do = "Let the proxy speak https: passwords and cookies go over the network as anyone can read."
        return [fault("tls", f"{url} is not https.", do)]
    if ends - real_now() < _EXPIRES_SOON:
        return [warning("tls", f"The certificate ends on {ends:%Y-%m-%d}.", "Renew it.")]
    return [ok("tls", f"The certificate is good until {ends:%Y-%m-%d}.")]


def _of_client(url: str, seen: mirror.Seen) -> Finding:
    if seen.forwarded == "ignored":
        return fault(
            "client",
            f"The proxy {seen.client} tells who asks, and is not believed: all count as one client.",
            f"Name it: --trusted-proxies {seen.client}",
        )
    if seen.forwarded == "no" and urlsplit(url).scheme == "https":
        do = "Have it set X-Forwarded-For (nginx: proxy_set_header X-Forwarded-For $remote_addr)."
        return fault("client", "The proxy does not tell who asks: all count as one client.", do)
    return ok("client", f"We are seen as {seen.client}.")


async def _of_streams(session: aiohttp.ClientSession, url: str) -> Finding:
    loop = asyncio.get_running_loop()
    for _ in range(_STREAM_TRIES):
        async with session.get(url + mirror.SLOWLY) as answer:
            first = await answer.content.readexactly(len(mirror.FIRST))
            began = loop.time()
            rest = await answer.content.read()
            waited = loop.time() - began
        if first != mirror.FIRST or rest != mirror.LAST:
            do = "Let it pass answers on as they are, without compressing text/event-stream."
            return fault("streams", "The proxy changes what passes through it.", do)
        if waited >= mirror.PAUSE_SECONDS / 2:
            return ok("streams", "Event streams are passed on as they come.")
    do = "Switch buffering off for /events and /api/v1/events; docs/deploy.md says how."
    return fault("streams", "The proxy holds answers back: pages would not be live.", do)


async def _of_size(session: aiohttp.ClientSession, url: str) -> Finding:
    """The answer is a refusal of ours where it gets here: nothing takes a form at this address."""
    try:
        async with session.post(url + "/healthz", data=BytesIO(bytes(_LARGE_BYTES))) as answer:
            status = answer.status
    except (aiohttp.ClientError, OSError):
        # We had answered before all of it was sent.
        status = 405
    if status == 413:
        do = "Let a form of 51 MB through (nginx: client_max_body_size 51m)."
        return warning("size", "The proxy takes no files of 2 MB.", do)
    return ok("size", "Files of 2 MB are let through.")


# Words ----------------------------------------------------------------------------------------------


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _minute(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _span(time: timedelta) -> str:
    seconds = time.total_seconds()
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.0f} hours"
