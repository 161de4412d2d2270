"""The page that a demo prints: whom to be, and lines to paste. All of it is true when it is printed.

What stands on it is looked up in the data, for whoever tried the last page may have changed them.
"""

import os
import secrets
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import click
from pyotp.totp import TOTP

from overture import ids
from overture.actions import accounts, credits, members, passwords, subscriptions, tokens
from overture.actions import operators as console
from overture.actions.conversations import preview
from overture.actions.fields import Invalid
from overture.actions.members import NewMember
from overture.actions.subscriptions import Premium, SubscriptionView
from overture.app import Installation
from overture.core.contact import Contact
from overture.core.conversations import Channel
from overture.core.ids import MemberId, TokenId
from overture.core.policy import PolicyBook
from overture.core.refusals import Refusal
from overture.demo.cast import CAST
from overture.store import inbox, metrics, operators, two_steps
from overture.store.accounts import of as account_of
from overture.store.db import Tx
from overture.store.inbox import Box
from overture.store.members import Profile
from overture.store.metrics import Counts
from overture.store.tokens import TokenRow

ACTOR = "overture demo"
# Of everyone in a demo: whoever can reach it may be any of them.
PASSWORD = "unfinished symphony"  # noqa: S105
# Who runs the demo's network, and what an app makes their codes of, so that the console can be tried.
OPERATOR = "otello-ostinato"
OPERATOR_SECRET = "OVERTUREDEMOOVERTUREDEMOOVERTURE"  # noqa: S105  # not-a-secret
# The handle of whose archive was imported.
YOU = "you"
# Of a statement or a box, as much as one answer can show.
_ONE_PAGE = 100
_DOMAIN = "overture.example"
_COLUMNS = 80


@dataclass(frozen=True, slots=True)
class Person:
    """One of the cast as they are now; `requests` of strangers wait for their answer."""

    profile: Profile
    premium: Premium
    requests: int

    @property
    def id(self) -> MemberId:
        return self.profile.id

    @property
    def first_name(self) -> str:
        return self.profile.name.split()[0]

    @property
    def variable(self) -> str:
        """What a shell calls their token."""
        return self.profile.handle.split("-")[0].upper()

    @property
    def id_variable(self) -> str:
        return f"{self.variable}_ID"

    @property
    def purse(self) -> SubscriptionView | None:
        """The subscription that pays where they name none."""
        return self.premium.pools[0] if self.premium.pools else None


@dataclass(slots=True)
class Page:
    """Whom to be, why, and with which token; `steps` are a comment and its lines each."""

    counts: Counts
    now: datetime
    book: PolicyBook
    people: dict[MemberId, tuple[Person, str]] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    # Who signs in otherwise by now: by their own address, or with a password that they have set.
    otherwise: list[str] = field(default_factory=list)
    steps: list[tuple[str, Sequence[str]]] = field(default_factory=list)

    def add(self, person: Person | None, why: str) -> None:
        if person is not None:
            self.people.setdefault(person.id, (person, why))


async def cast_is_there(installation: Installation) -> bool:
    """Whether the year was played: any of the cast is there, then all of them are, or were."""

    async def look(tx: Tx) -> bool:
        now = await installation.clock.now(tx)
        for part in CAST:
            if await members.profile(tx, None, part.handle, now) is not None:
                return True
        return False

    return await installation.db.reading(look)


async def make(installation: Installation) -> Page:
    """Chooses whom to show, and issues their tokens and an operator's.

    Everyone of the cast who has no password yet gets the demo's.
    """
    stored = await passwords.hashed(PASSWORD)

    async def work(tx: Tx) -> Page:
        now = await installation.clock.now(tx)
        page = Page(await metrics.counts(tx, now), now, installation.book)
        await _open_accounts(tx, stored, now)
        await _open_console(tx, stored, now)
        await _choose(tx, page)
        for person, _ in page.people.values():
            page.secrets[person.variable] = await _issue(tx, person.id, now)
        page.secrets["OPERATOR"] = await _issue(tx, None, now)
        return page

    page = await installation.db.writing(work)
    for person, _ in page.people.values():
        if (said := await _sign_in(installation, person)) is not None:
            page.otherwise.append(said)
    return page


def show(page: Page, address: str, place: str) -> None:
    """Prints the page, 80 columns wide; in colour on a terminal. `place` is where the demo lives."""
    plain = "NO_COLOR" in os.environ or not sys.stdout.isatty()
    dim: Callable[[str], str] = str if plain else lambda text: click.style(text, dim=True)
    bold: Callable[[str], str] = str if plain else lambda text: click.style(text, bold=True)
    opened, _, _, premium = page.counts.members
    inmails = [each for each in page.counts.conversations if each[0] == "inmail"]
    waiting = sum(number for _, state, number in inmails if state == "pending")
    archived = any(person.profile.handle == YOU for person, _ in page.people.values())
    network = "An invented network and your archive" if archived else "An invented network"
    lines = [
        "",
        f"{network}: {opened:,} members, {premium:,} of them with a plan, and",
        (
            f"{sum(number for _, _, number in inmails):,} InMails, "
            f"of which {waiting:,} wait for an answer. Be one of them:"
        ),
        "",
    ]
    for person, why in page.people.values():
        plan, balance = "Basic", ""
        if purse := person.purse:
            plan, balance = (
                page.book.at(page.now).plans[purse.plan].title,
                f"{purse.balance}/{purse.cap}",
            )
        lines.append(f"  {bold(f'{person.profile.handle:19}')}{plan:21}{balance:>7}  {why}")
    lines += [
        "",
        f"Sign in at {bold(f'{address}/login')} as HANDLE@{_DOMAIN};",
        f"everyone here has the same password: {bold(PASSWORD)}",
        *page.otherwise,
        "",
        f"The operator, {OPERATOR}, is then asked for a code. It is printed by",
        f"  {bold(f'{_command()} demo --code')}",
        f"and opens the console too: {bold(f'{address}/ops')}",
        "",
        f"Every call is explained at {bold(f'{address}/api/v1/reference')}",
        "Paste into another terminal; these tokens are made anew at every start:",
        "",
        f"  API={address}/api/v1",
        *(f"  {name}={secret}" for name, secret in page.secrets.items()),
        "  JSON='Content-Type: application/json'",
    ]
    for number, (comment, commands) in enumerate(page.steps, 1):
        lines += ["", dim(f"  # {number}. {comment}"), *(f"  {line}" for line in commands)]
    lines += [
        "",
        "Ctrl+C ends the demo; the next one goes on from here. It lives in",
        place,
        "",
    ]
    click.echo("\n".join(lines))


# How they sign in -------------------------------------------------------------------------------


def _address(handle: str) -> str:
    return f"{handle}@{_DOMAIN}"


async def _open_accounts(tx: Tx, stored: str, now: datetime) -> None:
    for handle in (*(part.handle for part in CAST), YOU):
        if found := await members.profile(tx, None, handle, now):
            await accounts.open_for(
                tx, found.id, otherwise=_address(handle), password=stored, now=now
            )


async def _open_console(tx: Tx, stored: str, now: datetime) -> None:
    """Makes an operator, where there was none: with an app, so that there is a second factor."""
    if await operators.listed(tx) or await members.profile(tx, None, OPERATOR, now):
        return
    new = NewMember(
        MemberId(ids.new()),
        OPERATOR,
        "Otello Ostinato",
        headline="Runs this network, and sees that all is well",
    )
    made = await members.create(tx, new, now)
    assert not isinstance(made, (Refusal, Invalid)), made
    await accounts.open_for(tx, made.id, otherwise=_address(made.handle), password=stored, now=now)
    await two_steps.turn_on(tx, made.id)
    await two_steps.set_code_app(tx, made.id, OPERATOR_SECRET, used=0)
    await console.add(tx, made.id, by=ACTOR, audit_id=ids.new(), now=now)


def code_now(at: datetime) -> str:
    """The code that the operator's app would show at this instant."""
    return TOTP(OPERATOR_SECRET).at(at)


def _command() -> str:
    """How this very program is called from here."""
    called = sys.argv[0]
    return min(called, os.path.relpath(called), key=len)


async def _sign_in(installation: Installation, person: Person) -> str | None:
    """How they sign in, where it is not as the page says for all."""
    account = await installation.db.reading(lambda tx: account_of(tx, person.id))
    handle = person.profile.handle
    if account is None or not await passwords.fits(PASSWORD, account.password):
        return f"({handle}: with a password that was set since.)"
    if account.email != _address(handle):
        return f"({handle}: as {account.email}.)"
    return None


# Whom to show -----------------------------------------------------------------------------------


async def _choose(tx: Tx, page: Page) -> None:
    people = await _people(tx, page)
    you = _first(people, lambda p: p.profile.handle == YOU)
    if you:
        people.remove(you)
        page.add(you, "you, as in your archive")
    saver = await _saver(tx, page, people)
    asked = await _asked(tx, page, saver, people)
    spent = _first(people, lambda p: p not in (saver, asked) and _spent(p))
    basic, opened = await _free(tx, page, [p for p in people if p not in (saver, asked)])
    if saver and saver.purse:
        page.add(saver, "a full purse" if _is_full(saver.purse) else "credits to spend")
    if spent and spent.purse and (grant := spent.purse.next_grant):
        page.add(spent, f"{grant.credits} more on {grant.at.day} {grant.at:%B}")
    if asked:
        waiting = f"{asked.requests} InMail{'' if asked.requests == 1 else 's'} to answer"
        page.add(asked, waiting if asked.requests else "open to strangers")
    page.add(opened, "Open Profile: free to reach")
    page.add(basic, "may write to Open Profiles")
    if saver and asked:
        page.steps += _story(saver, asked)
    for writer in (spent, basic):
        if writer and (refused := await _refused(tx, page, writer, people)):
            page.steps.append(refused)
            break
    if basic and opened:
        said = (
            f"{basic.first_name} has no plan, but {opened.first_name} an Open Profile: it is free"
        )
        page.steps.append((said, _writes(basic, opened, "Hello", "How did you begin?")))
    operator = _get("/operator/metrics", "OPERATOR")
    page.steps.append(("The operator sees everything in numbers", operator))


async def _people(tx: Tx, page: Page) -> list[Person]:
    found: list[Person] = []
    for handle in (YOU, *(part.handle for part in CAST)):
        profile = await members.profile(tx, None, handle, page.now)
        if profile is not None:
            held = await subscriptions.premium(tx, profile.id, page.now, page.book)
            asked = await inbox.page(tx, profile.id, Box.REQUESTS, None, _ONE_PAGE)
            found.append(Person(profile, held, len(asked.items)))
    return found


async def _saver(tx: Tx, page: Page, people: Sequence[Person]) -> Person | None:
    """Who can spend a credit and see it come back, best a full purse and a short statement."""
    entries: dict[MemberId, int] = {}
    able = [p for p in people if len(p.premium.pools) == 1 and p.purse and p.purse.balance]
    able = [p for p in able if p.purse and not p.purse.deferred] or able
    able = [p for p in able if p.purse and _is_full(p.purse)] or able
    for person in able:
        statement = await credits.ledger(
            tx, person.id, None, cursor=None, limit=_ONE_PAGE, now=page.now, book=page.book
        )
        assert not isinstance(statement, Refusal), "all pools are known ones"
        entries[person.id] = len(statement.items)
    return min(able, key=lambda p: entries[p.id], default=None)


async def _asked(
    tx: Tx, page: Page, saver: Person | None, people: Sequence[Person]
) -> Person | None:
    """Whom the saver can write to for a credit: best somebody whom others wait for as well."""
    if saver is None:
        return None
    for person in sorted(people, key=lambda p: (_spent(p), not p.requests)):
        found = await _contact(tx, page, saver, person)
        if found.allowed and found.channel is Channel.INMAIL:
            return person
    return None


async def _free(
    tx: Tx, page: Page, people: Sequence[Person]
) -> tuple[Person | None, Person | None]:
    """Somebody without a plan, and an Open Profile that they can write to: best such a pair."""
    basic = [p for p in people if p.purse is None]
    opened = [p for p in people if p.profile.open_profile]
    for to in opened:
        for writer in basic:
            found = await _contact(tx, page, writer, to)
            if found.allowed and found.channel is Channel.OPEN_PROFILE:
                return writer, to
    return next(iter(basic), None), None


async def _refused(
    tx: Tx, page: Page, writer: Person, people: Sequence[Person]
) -> tuple[str, Sequence[str]] | None:
    """A letter that needs a credit which the writer has not."""
    for person in people:
        found = await _contact(tx, page, writer, person)
        if found.code is Refusal.NO_CREDITS:
            said = f"{writer.first_name} has no credit left: refused, with the day of the next ones"
        elif found.code is Refusal.NOT_PREMIUM:
            said = f"{writer.first_name} has no plan: refused, with the plans that would help"
        else:
            continue
        return said, _writes(writer, person, "Hello", "May I ask you something?")
    return None


async def _contact(tx: Tx, page: Page, viewer: Person, to: Person) -> Contact:
    return await preview(tx, viewer.id, to.id, pool=None, now=page.now, book=page.book)


async def _issue(tx: Tx, member: MemberId | None, now: datetime) -> str:
    secret = ids.new_token(operator=member is None)
    issued = await tokens.issue(
        tx,
        secret,
        TokenId(ids.new()),
        member=member,
        label="the demo's page",
        actor=ACTOR,
        audit_id=ids.new(),
        now=now,
    )
    assert isinstance(issued, TokenRow), issued
    return secret


def _first(people: Iterable[Person], fits: Callable[[Person], bool]) -> Person | None:
    return next((person for person in people if fits(person)), None)


def _is_full(purse: SubscriptionView) -> bool:
    return purse.balance == purse.cap


def _spent(person: Person) -> bool:
    """Whether they have a plan and no credit, and more will come."""
    pools = person.premium.pools
    return bool(pools) and not any(p.balance for p in pools) and pools[0].next_grant is not None


# What to try ------------------------------------------------------------------------------------

# No apostrophes, brackets or question marks: some shells read comments that are pasted as commands.


def _story(sender: Person, to: Person) -> list[tuple[str, Sequence[str]]]:
    """One InMail from the first look to the credit that comes back."""
    assert sender.purse is not None, "who writes an InMail has a plan"
    key = f"demo-{secrets.token_hex(4)}"
    id_of_newest = [
        'ID=$(curl -s "$API/conversations?box=requests" \\',
        f"  {_as(to.variable)} | cut -d'\"' -f6)",
    ]
    return [
        ("Who am I", _get("/me", sender.variable)),
        (
            "Find somebody: the beginning of a name will do",
            _get(f"/members?q={to.profile.handle[:4]}&limit=2", sender.variable),
        ),
        (
            f"May I write to {to.first_name}, and at what price",
            [
                f"{to.id_variable}={to.id}",
                *_get(f"/members/${to.id_variable}/contact", sender.variable),
            ],
        ),
        (
            "Write, for one credit; once more with this key changes nothing",
            [
                "curl -sw '\\n%{http_code}\\n' $API/conversations \\",
                f'  {_as(sender.variable)} -H "$JSON" \\',
                f'  -H "Idempotency-Key: {key}" \\',
                *_letter(to, "A question", "May I ask for advice?"),
            ],
        ),
        (
            f"{to.first_name} reads the request",
            [*id_of_newest, *_get("/conversations/$ID/messages", to.variable)],
        ),
        (
            "and answers with one of GET /quick-replies",
            [
                "curl -sw '\\n%{http_code}\\n' $API/conversations/$ID/messages \\",
                f'  {_as(to.variable)} -H "$JSON" \\',
                """  -d '{"quick_reply": "interested"}'""",
            ],
        ),
        (
            "An answer in time returns the credit: it ends the statement",
            _get(f"/me/ledger?pool={sender.purse.pool}&limit=100", sender.variable),
        ),
    ]


def _get(path: str, name: str) -> list[str]:
    url = f'"$API{path}"' if "?" in path else f"$API{path}"
    line = f"curl -sw '\\n' {url} {_as(name)}"
    if len(line) <= _COLUMNS - 2:
        return [line]
    return [f"curl -sw '\\n' {url} \\", f"  {_as(name)}"]


def _writes(writer: Person, to: Person, subject: str, body: str) -> list[str]:
    return [
        f"{to.id_variable}={to.id}",
        "curl -sw '\\n%{http_code}\\n' $API/conversations \\",
        f'  {_as(writer.variable)} -H "$JSON" \\',
        *_letter(to, subject, body),
    ]


def _letter(to: Person, subject: str, body: str) -> list[str]:
    return [
        f"""  -d '{{"to": "'${to.id_variable}'", "subject": "{subject}",""",
        f"""       "body": "{body}"}}'""",
    ]


def _as(name: str) -> str:
    return f'-H "Authorization: Bearer ${name}"'
