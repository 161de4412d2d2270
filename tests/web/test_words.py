"""What pages say: every sentence of them is translated, and the catalogues are whole."""

from __future__ import annotations

import ast
import gettext
import re
import tomllib
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, cast

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from pyotp.totp import TOTP
from typing_extensions import override

from overture import ids, policies, words
from overture.actions import decisions, inbox, mailings, network, reports
from overture.actions.accounts import Letter, Mail
from overture.core import seals
from overture.core.accounts import Denied, Purpose
from overture.core.decisions import About, Ground, Measure, Verdict
from overture.core.ids import (
    ComplaintId,
    ConversationId,
    DecisionId,
    EndpointId,
    InvitationId,
    MemberId,
    MessageId,
    ReportId,
)
from overture.core.jobs import NewJob
from overture.core.notifying import Kind
from overture.core.policy import Outcome
from overture.core.refusals import Refusal
from overture.core.sending import Done, Respond, Start, Withdraw, Write
from overture.core.suspicions import Evidence, Partner
from overture.core.suspicions import Kind as Suspected
from overture.mail import letters, notices
from overture.mail.notices import Desk, Notice
from overture.mail.page import page
from overture.mail.plain import plain
from overture.mail.said import Said
from overture.store import jobs, links, mailboxes, suspicions, two_steps, webhooks
from overture.store.boxes import Folder
from overture.store.db import Tx
from overture.store.decisions import Decision
from overture.store.mail_counts import Came
from overture.store.mailboxes import Mailbox
from overture.store.webhooks import Endpoint, Try
from overture.web import render
from overture.web.app import handlers
from overture.web.ops.policy import packed
from tests.cast import POLICIES, SIGN_UP, policy
from tests.mail.samples import NOW, TELLINGS
from tests.web.conftest import PASSWORD, Browser, Place
from tests.work import SECRET

SOURCE = Path(__file__).parents[2] / "src" / "overture"
TEMPLATES = sorted((SOURCE / "web" / "templates").rglob("*.html"))
OTHERS = [language for language in words.LANGUAGES if language != words.DEFAULT]
# What `make words` takes for a call that holds a sentence.
KEYWORDS: dict[str, Any] = {
    "_": None,
    "gettext": None,
    "ngettext": (1, 2),
    "pgettext": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
    "Sentence": None,
    "BadText": None,
    "refuse": (2,),
}
METHODS = [("**.py", "python"), ("**/templates/**.html", "jinja2")]
OPTIONS = {"**/templates/**.html": {"trimmed": "true"}}


# Instants and numbers -----------------------------------------------------------------------------


def test_an_instant_is_shown_where_the_reader_is():
    at = datetime(2026, 11, 25, 23, 30, tzinfo=UTC)

    assert words.words_of("en", "Asia/Tokyo").time(at) == "08:30"
    assert words.words_of("en", "Asia/Tokyo").long_date(at) == "26 November 2026"
    assert words.words_of("en", "Europe/Lisbon").long_date(at) == "25 November 2026"


def test_an_instant_is_as_short_as_it_can_be():
    here, now = words.words_of("en", "UTC"), datetime(2026, 11, 25, 12, tzinfo=UTC)

    assert here.when(now - timedelta(hours=1), now) == "11:00"
    assert here.when(now - timedelta(days=3), now) == "Sun"
    assert here.when(now - timedelta(days=30), now) == "26 Oct"
    assert here.when(now - timedelta(days=400), now) == "21 Oct 2025"


def test_a_day_begun_counts_as_a_day():
    here = words.words_of("en", "UTC")

    assert here.days(timedelta(hours=1)) == "1 day"
    assert here.days(timedelta(days=86)) == "86 days"


@pytest.mark.parametrize(
    ("asked", "language"),
    [("ar-EG,en;q=0.8", "ar"), ("de", "en"), ("", "en"), ("en-GB", "en"), (";;,,=", "en")],
)
def test_the_language_is_the_first_that_a_browser_asks_for_and_we_have(asked: str, language: str):
    assert words.wanted_language(asked) == language


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_the_digits_of_every_language_are_those_that_a_script_writes(language: str):
    here, at = words.words_of(language, "UTC"), datetime(2026, 11, 25, 12, 30, tzinfo=UTC)
    shown = [here.number(1234567), here.percent(0.5), here.moment(at), here.size(2_400_000)]

    assert [each for each in "".join(shown) if each.isdigit() and not each.isascii()] == []


# The catalogues -----------------------------------------------------------------------------------


@pytest.mark.parametrize("language", OTHERS)
def test_a_catalogue_has_every_sentence_and_no_other(language: str):
    """`make words` gathers them; what is still to be said stands there with an empty msgstr."""
    has = {_key(each.id, each.context): each for each in catalogue(language) if each.id}

    assert said() - has.keys() == set()
    assert has.keys() - said() == set()
    assert {key for key, each in has.items() if each.fuzzy or not all(_texts(each.string))} == set()
    assert not catalogue(language).obsolete


@pytest.mark.parametrize("language", OTHERS)
def test_a_translation_has_every_form_that_a_number_takes(language: str):
    found = catalogue(language)
    counted = [each for each in found if isinstance(each.id, tuple)]

    assert counted
    assert [each.id for each in counted if len(_texts(each.string)) != found.num_plurals] == []


@pytest.mark.parametrize("language", OTHERS)
def test_a_translation_has_the_placeholders_and_the_markup_of_its_sentence(language: str):
    wrong: list[tuple[object, str]] = []
    for each in catalogue(language):
        known = {name for text in _texts(each.id) for name in _placeholders(text)}
        marked = _markup(_texts(each.id)[-1])
        for text in _texts(each.string) if each.id else ():
            used = _placeholders(text)
            # A form for none, one or two may leave the number out, and what is said of it.
            whole = isinstance(each.id, tuple) or (used == known and _markup(text) == marked)
            if used - known or not whole:
                wrong.append((each.id, text))
    assert wrong == []


def test_no_sentence_stands_within_another_string_where_none_is_gathered():
    """Babel does not look into f-strings."""
    found: list[tuple[str, int]] = []
    for path in SOURCE.rglob("*.py"):
        for outer in ast.walk(ast.parse(path.read_text())):
            if isinstance(outer, ast.JoinedStr):
                calls = [each for each in ast.walk(outer) if isinstance(each, ast.Call)]
                names = {each.func.id for each in calls if isinstance(each.func, ast.Name)}
                names |= {each.func.attr for each in calls if isinstance(each.func, ast.Attribute)}
                if names & KEYWORDS.keys():
                    found.append((path.name, outer.lineno))

    assert found == []


def test_a_refusal_is_a_sentence_that_catalogues_have():
    sentences = [each.sentence for each in (*Refusal, *Denied)]

    assert {(None, each) for each in sentences} - said() == set()


def test_what_the_policies_that_ship_say_is_in_the_catalogues():
    told: set[str] = set()
    for path in POLICIES.glob("*.toml"):
        document = tomllib.loads(path.read_text())
        told.add(document["about"])
        for version in document["versions"]:
            told |= {each["title"] for each in version.get("plans", ())}
            told |= {each["text"] for each in version.get("quick_replies", ())}

    assert told
    assert {(None, each) for each in told} - said() == set()


@cache
def catalogue(language: str) -> Catalog:
    with (SOURCE / "locale" / language / "LC_MESSAGES" / "overture.po").open("rb") as file:
        return read_po(file, locale=language)


@cache
def said() -> set[tuple[object, ...]]:
    """Every sentence in the code and the templates, with its context."""
    found = extract_from_dir(
        str(SOURCE), method_map=METHODS, options_map=OPTIONS, keywords=KEYWORDS
    )
    return {_key(message, context) for _, _, message, _, context in found}


def _key(message: object, context: str | None) -> tuple[object, ...]:
    return (context, _texts(message)[0])


def _texts(message: object) -> tuple[str, ...]:
    if isinstance(message, tuple | list):
        return tuple(cast("Sequence[str]", message))
    return (str(message),)


def _placeholders(text: str) -> set[str]:
    return set(re.findall(r"%\((\w+)\)s", text))


def _markup(text: str) -> list[str]:
    return sorted(re.findall(r"<[^>]+>", text))


# Nothing is said in English alone -----------------------------------------------------------------

# What the walk below need not look at, and why.
NOT_PAGES = {
    "/": "redirects",
    "/ops": "redirects",
    "/settings": "redirects",
    "/profile/photo": "redirects",
    "/events": "a stream of patches, each of a template that is looked at",
    "/here": "patches without a word",
    "/files/{conversation:uuid}/{file:uuid}/{name}": "a member's file",
    "/icons/{name}": "pictures",
    "/inbox/{id:uuid}/seen": "a picture",
    "/confirm/identity": "redirects to the identity provider",
    "/embed/button": "what a button says, in JSON",
    "/embed/overture.js": "no page, but a script",
    "/handover": "redirects, whatever comes of it",
    "/login/identity": "redirects to the identity provider",
    "/login/identity/back": "redirects",
    "/logout/identity": "redirects to the identity provider",
    "/settings/security/identity": "redirects to the identity provider",
    "/manifest.webmanifest": "JSON, looked at on its own",
    "/me/export": "a zip of data",
    "/photos/{member:uuid}/{version}": "pictures",
    "/ops/policy/document": "a document for programs",
    "/premium/statement.csv": "data, whose columns are for programs",
    "/sw.js": "a script",
}


class Marked(gettext.NullTranslations):
    """A language whose sentences stand in brackets, without a Latin letter."""

    @override
    def gettext(self, message: str) -> str:
        return _bracketed(message)

    @override
    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return _bracketed(msgid1 if n == 1 else msgid2)

    @override
    def pgettext(self, context: str, message: str) -> str:
        return _bracketed(message)

    @override
    def npgettext(self, context: str, msgid1: str, msgid2: str, n: int) -> str:
        return self.ngettext(msgid1, msgid2, n)


@pytest.fixture
def marked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    caches = (words._words, render.environment)  # pyright: ignore[reportPrivateUsage]

    def translations(language: str) -> Marked:
        _ = language
        return Marked()

    for module in (words, render):
        monkeypatch.setattr(module, "translations", translations)
    for each in caches:
        each.cache_clear()
    yield
    for each in caches:
        each.cache_clear()


@pytest.mark.usefixtures("marked")
async def test_no_page_says_anything_in_english_alone(place: Place):
    life = await _life(place)
    wanted = {each.path for each in handlers() if each.method == "GET"} - NOT_PAGES.keys()
    looked = {path: _addresses(path, life) for path in wanted}
    looked["no such page"] = [(life.me, "/nowhere"), (life.nobody, "/nowhere")]
    found: dict[str, list[str]] = {}
    statuses: dict[str, list[int]] = {}

    for path, addresses in looked.items():
        for browser, address in addresses:
            answer = await browser.get(address)
            statuses.setdefault(path, []).append(answer.status_code)
            if english := _english(answer.text):
                found[address] = english
    for address in _unsubscribe_links(life):
        answer = await life.nobody.post(address)
        assert answer.status_code == 200
        if english := _english(answer.text):
            found["POST " + address] = english
    for address, form, expected in REFUSED:
        browser = life.me if address.startswith(OF_A_MEMBER) else life.nobody
        browser = {"/login/code": life.halfway, "/login/recovery": life.halfway}.get(
            address, browser
        )
        answer = await browser.post(address, form)
        assert answer.status_code == expected, (address, answer.status_code)
        if english := _english(answer.text):
            found["POST " + address] = english

    assert found == {}
    # Every page was seen as it is when all goes well.
    assert {path for path, seen in statuses.items() if 200 not in seen} == {"no such page"}


@pytest.mark.usefixtures("marked")
async def test_the_manifest_speaks_the_language_of_the_browser(place: Place):
    told = (await _speaking(place.browser()).get("/manifest.webmanifest")).json()
    shown = [told["description"], *(each["name"] for each in told["shortcuts"])]

    assert (told["lang"], told["dir"]) == ("ar", "rtl")
    assert [each for each in shown if not each.startswith("⟦")] == []


def test_no_template_has_words_of_its_own():
    """For what no walk comes across: patches that only an event brings, and rare states."""
    found: dict[str, list[str]] = {}
    for path in TEMPLATES:
        # A block named `stamp` is a class, and what `trans` holds is a sentence.
        within = r"{%-?\s*(trans|block stamp)\b.*?end(trans|block)\s*-?%}"
        bare = re.sub(within, "", path.read_text(), flags=re.DOTALL)
        bare = re.sub(r"{#.*?#}|{%.*?%}|{{.*?}}", "", bare, flags=re.DOTALL)
        if english := _english(bare):
            found[path.name] = english

    assert found == {}


@pytest.mark.usefixtures("marked")
@pytest.mark.parametrize("kind", Mail)
def test_no_mail_about_an_account_says_anything_in_english_alone(kind: Mail):
    letter = Letter(kind, "11@overture.example", "11", "22")

    assert english_in(letters.said(letter, words.words_of("ar", "UTC"))) == []


def notices_in(language: str) -> list[Notice]:
    """One of every kind, and a digest of those that can be in one."""
    here = words.words_of(language, "UTC")
    desk = Desk(here, policy("seed").at(NOW), SECRET, NOW, answerable=True)
    daily = [each for each in TELLINGS if each.kind not in (Kind.PLANS, Kind.SECURITY)]
    return [
        *(notices.notice(each, "1", desk) for each in TELLINGS),
        notices.digest(daily, "2025-02-03", desk),
    ]


@pytest.mark.usefixtures("marked")
def test_no_notice_says_anything_in_english_alone():
    found = {each.said.heading: english_in(each.said) for each in notices_in("ar")}

    assert {heading: english for heading, english in found.items() if english} == {}


def test_every_notice_is_translated():
    for language in OTHERS:
        for here, english in zip(notices_in(language), notices_in("en"), strict=True):
            assert here.said.heading != english.said.heading
            assert here.said.why != english.said.why
            assert "%(" not in plain(here.said, "") + plain(english.said, "")


def english_in(said: Said) -> list[str]:
    """What a mail says in English alone, in either of its forms."""
    url = "https://11.example"
    here = words.words_of("ar", "UTC")
    plainly = re.sub(rf"{url}\S+", "", f"{said.subject.removeprefix('Re: ')}\n{plain(said, url)}")
    return _english(plainly) + _english(page(said, here, url))


@pytest.mark.parametrize("language", words.LANGUAGES)
async def test_every_page_says_which_language_it_is_in_and_where_lines_begin(
    place: Place, language: str
):
    start = f'<html lang="{language}" dir="{"rtl" if language == "ar" else "ltr"}"'
    browser = await place.member("11")
    for each in (browser, place.browser()):
        each.http.headers["accept-language"] = language
        for path in ("/login", "/offline", "/nowhere", "/settings/display"):
            answer = await each.get(path)
            page = await each.follow(answer) if answer.status_code == 303 else answer
            assert start in page.text, path


async def test_a_language_that_is_chosen_shows_at_once(place: Place):
    browser = await place.member("11")
    form = {"language": "ar", "time_zone": "UTC"}

    page = await browser.follow(await browser.post("/settings/display", form))

    assert '<html lang="ar" dir="rtl"' in page.text
    assert words.translations("ar").gettext("Language and display") in page.text


# The walk -----------------------------------------------------------------------------------------


@dataclass
class Life:
    """A member to whom everything has happened, and where it can be seen."""

    me: Browser
    nobody: Browser
    # One who has to take the second step, and one who signed in long ago.
    halfway: Browser
    stale: Browser
    # One who is suspended.
    shut: Browser
    # An operator in the console, and one before it.
    operator: Browser
    outside: Browser
    conversations: list[ConversationId] = field(default_factory=list[ConversationId])
    mine: list[MessageId] = field(default_factory=list[MessageId])
    reports: list[ReportId] = field(default_factory=list[ReportId])
    endpoint: str = ""


async def _life(place: Place) -> Life:
    """Members are called by numbers, so that every Latin letter on a page is the page's own."""
    town, now = place.town, place.town.now
    life = Life(
        _speaking(await place.member("11", premium="premium_business", recruiter="recruiter_lite")),
        _speaking(place.browser()),
        _speaking(place.browser()),
        _speaking(await place.member("10")),
        _speaking(await place.member("12")),
        _speaking(await place.operator("13")),
        _speaking(await place.operator("14")),
    )
    me = life.me.id
    assert me
    assert life.stale.id
    await place.grows_stale(life.stale.id)
    await _two_steps(life)
    await _steps_out(place, life.outside)
    await _policy_to_come(place)
    with_plan = {name: await town.member(name, premium="premium_career") for name in WITH_PLAN}
    basic = {name: await town.member(name) for name in BASIC}
    them = with_plan | basic

    async def letter(sender: MemberId, to: MemberId) -> ConversationId:
        start = Start(sender, to, ConversationId(ids.new()), MessageId(ids.new()), "Ωδε?", "Ψφχ")
        assert isinstance(await town.acts(start), Done)
        life.conversations.append(start.conversation_id)
        return start.conversation_id

    async def writes(member: MemberId, conversation: ConversationId) -> MessageId:
        message = MessageId(ids.new())
        assert isinstance(await town.acts(Write(member, conversation, message, "Ευχ")), Done)
        return message

    await letter(them["22"], me)
    await letter(me, them["33"])
    opened = await letter(me, them["44"])
    await writes(them["44"], opened)
    life.mine = [await writes(me, opened) for _ in range(3)]
    declined = await letter(me, them["55"])
    await town.acts(Respond(them["55"], declined, Outcome.DECLINED))
    withdrawn = await letter(me, them["66"])
    await town.acts(Withdraw(me, withdrawn))

    async def arranged(tx: Tx) -> None:
        await inbox.star(tx, me, opened, now, on=True)
        await inbox.delete(tx, me, opened, MessageId(life.mine[0]), now)
        await inbox.edit(tx, me, opened, MessageId(life.mine[1]), body="Ωχι", now=now)
        await inbox.mute(tx, me, declined, now, on=True)
        await inbox.snooze(tx, me, withdrawn, now, until=now + timedelta(days=2))
        await network.upsert_pairs(tx, [(me, them["77"])], now)
        await network.block(tx, me, them["99"], now)
        for sender, to in ((me, them["88"]), (them["22"], me)):
            invitation = InvitationId(ids.new())
            await network.invite(tx, sender, to, note="Ωδε", invitation_id=invitation, now=now)
        for secret, purpose in (("11", Purpose.PASSWORD), ("22", Purpose.EMAIL)):
            link = links.Link(me, purpose, "11@overture.example")
            await links.add(tx, link, sha256(secret.encode()).hexdigest())

    await town.do(arranged)
    await _decided(place, life, them["88"])
    await _failed(place, them["88"])
    life.endpoint = await _mailed(place, them["88"])
    draft = {"to": them["77"], "subject": "Ψφχ", "body": "Ωδε", "key": ids.new()}
    assert (await life.me.post("/compose/draft", draft)).status_code == 303
    return life


async def _decided(place: Place, life: Life, other: MemberId) -> None:
    """Everything was decided of the member and their reports, and complained of; one is suspended."""
    me, shut, now = life.me.id, life.shut.id, place.town.now
    assert me
    assert shut

    def by() -> decisions.Act:
        return decisions.Act("token:1", ids.new(), DecisionId(ids.new()), now)

    async def decide(tx: Tx) -> None:
        for who, measure in (
            (shut, Measure.SUSPENSION),
            (me, Measure.WARNING),
            (me, Measure.SUSPENSION),
            (me, Measure.LIFTED),
        ):
            act = by()
            made = await decisions.decide(tx, act, who, measure, ground=Ground.LAW, statement="Ψφχ")
            assert isinstance(made, Decision)
            if measure is not Measure.LIFTED and who == me:
                complaint = ComplaintId(ids.new())
                _ = await decisions.complain(
                    tx,
                    me,
                    complaint,
                    about=About.DECISION,
                    about_id=act.decision_id,
                    words="Ωδε",
                    now=now,
                )
                if measure is Measure.WARNING:
                    _ = await decisions.answer_complaint(
                        tx, by(), complaint, Verdict.STANDS, answer="Ευχ"
                    )
        for measure in (None, Measure.NONE, Measure.WARNING):
            made = ReportId(ids.new())
            life.reports.append(made)
            _ = await reports.report(
                tx,
                me,
                made,
                member=other,
                conversation=None,
                reason=reports.Reason.SPAM,
                note="Ωδε",
                now=now,
            )
            if measure is not None:
                _ = await decisions.decide_report(
                    tx, by(), made, measure, ground=Ground.TERMS, statement="Ψ", answer="Ψφχ"
                )
        for evidence in (
            Evidence(Suspected.SAME_LETTER, 11, (ConversationId(life.conversations[0]),)),
            Evidence(Suspected.LINKS, 12, place="11"),
            Evidence(Suspected.REFUNDS, 7, partners=(Partner(other, 6, 1, 60, True, True),)),
        ):
            await suspicions.put(tx, me, evidence, now, again=True)

    await place.town.do(decide)


async def _policy_to_come(place: Place) -> None:
    def apply(tx: Tx) -> Awaitable[object]:
        starts_at = datetime(2100, 1, 1, tzinfo=UTC)
        return policies.apply(
            tx,
            policy("linkedin-premium"),
            starts_at=starts_at,
            actor="11",
            audit_id=ids.new(),
            now=place.town.now,
        )

    await place.town.do(apply)


async def _failed(place: Place, other: MemberId) -> None:
    """One job was given up, and one is tried again."""
    now, lease = place.town.now, timedelta(minutes=1)

    async def fail(tx: Tx) -> None:
        await jobs.add(tx, [NewJob("11", other, key, now, {}) for key in ("1", "2")])
        given_up, failed = await jobs.claim(tx, "11", now, limit=2, lease=lease)
        await jobs.park(tx, given_up, "Ωδε")
        await jobs.again(tx, failed, lease, "Ψφχ")

    await place.town.do(fail)


async def _mailed(place: Place, other: MemberId) -> EndpointId:
    """Mail came back from one, and an endpoint was told in every way."""
    now, endpoint = place.town.now, EndpointId(ids.new())
    mailbox = Mailbox(other, "11@overture.example", account=True, verified=True, failing=False)
    for came in Came:
        await mailings.count(place.town.db, came, "" if came is Came.SENT else "5.7.1")

    async def mail(tx: Tx) -> None:
        await tx.execute("update members set email = %s where id = %s", (mailbox.address, other))
        await mailboxes.fail(tx, mailbox, "5.1.1", now)
        made = Endpoint(endpoint, "https://11.example", ["*"], "Ωδε", [], now)
        await webhooks.add(tx, made)
        tries = [
            Try(ids.new(), None, "webhook.test", other, 1, each, 200, "Ψφχ", 1)
            for each in webhooks.Outcome
        ]
        await webhooks.log(tx, endpoint, tries, now)

    await place.town.do(mail)
    return endpoint


async def _steps_out(place: Place, operator: Browser) -> None:
    """They have an app, and have left the console."""
    member = operator.id
    assert member
    await place.town.do(lambda tx: two_steps.set_code_app(tx, member, "OVERTURE" * 4, used=0))
    assert (await operator.post("/ops/leave")).status_code == 303


async def _two_steps(life: Life) -> None:
    """The member signs in in two steps; one browser lacks the second, one sets up another app."""
    page = await life.me.follow(await life.me.post("/settings/security/app"))
    secret = re.search(r"secret=([A-Z2-7]+)", page.text)
    assert secret
    app = TOTP(secret[1])
    assert (await life.me.post("/settings/security/app/code", {"code": app.now()})).is_success
    assert (await life.me.post("/settings/security/app")).status_code == 303
    form = {"email": f"{life.me.id}@overture.example", "password": PASSWORD}
    assert (await life.halfway.post("/login", form)).headers["location"] == "/login/code"


WITH_PLAN = ("22", "33", "44", "55", "66")
BASIC = ("77", "88", "99")


def _addresses(path: str, life: Life) -> list[tuple[Browser, str]]:
    """Whose eyes see which addresses of a page. One with a placeholder has to stand here."""
    me, nobody = life.me, life.nobody
    handles = ("11", *WITH_PLAN, *BASIC)
    if "{handle}" in path:
        return [(me, path.replace("{handle}", handle)) for handle in handles]
    if path == "/inbox/{id:uuid}":
        opened = life.conversations[2]
        return [
            *((me, f"/inbox/{each}") for each in life.conversations),
            (me, f"/inbox/{life.conversations[0]}?answer=reply"),
            (me, f"/inbox/{life.conversations[0]}?answer=interested"),
            (me, f"/inbox/{opened}?edit={life.mine[2]}"),
            (me, f"/inbox/{ids.new()}"),
        ]
    if path == "/answer/{seal}":
        sealed = [f"/answer/{_answer_seal(life, each)}" for each in life.conversations]
        chosen = [f"{sealed[0]}?with={each}" for each in ("accept", "decline", "interested")]
        return [(nobody, each) for each in (*sealed, *chosen, "/answer/x")]
    if path == "/unsubscribe/{seal}":
        return [(nobody, each) for each in (*_unsubscribe_links(life), "/unsubscribe/x")]
    if path == "/ops/reports/{report:uuid}":
        return [(life.operator, f"/ops/reports/{each}") for each in life.reports]
    if path.startswith("/ops/webhooks/{endpoint"):
        return [(life.operator, path.replace("{endpoint:uuid}", life.endpoint))]
    if path == "/ops/reports/suspicions/{member:uuid}/{kind}":
        suspected = f"/ops/reports/suspicions/{me.id}"
        return [(life.operator, f"{suspected}/{kind}") for kind in Suspected]
    more = {
        "/compose": ["/compose?to=nobody-at-all", *(f"/compose?to={each}" for each in handles)],
        "/compose/people": ["/compose/people?q=2", "/compose/people?q=Ω"],
        "/inbox": [
            *(f"/inbox?box={folder}" for folder in Folder),
            *("/inbox?q=Ωδε", "/inbox?q=44", "/inbox?q=Ξ"),
        ],
        "/members": ["/members?q=2", "/members?q=Ξ"],
        "/network": ["/network?q=Ξ"],
        "/ops/members": [
            *(f"/ops/members?{query}" for query in ("q=2", "q=Ξ", "show=suspended")),
            *(
                f"/ops/members/{each}?other=22&way={way}"
                for each in (me.id, life.shut.id)
                for way in ("to", "from")
            ),
            f"/ops/members/{me.id}?other=Ξ",
            f"/ops/members/{life.shut.id}/decide",
            f"/ops/members/{life.shut.id}/credits",
            f"/ops/conversations/{me.id}/{life.conversations[0]}",
        ],
        "/ops/ledger": ["/ops/ledger?member=Ξ", "/ops/ledger/verify"],
        "/ops/conversations": ["/ops/conversations?member=11", "/ops/conversations?member=Ξ"],
        "/ops/audit": ["/ops/audit?of=all", "/ops/audit?member=Ω", "/ops/audit?action=Ω"],
        "/ops/policy/edit": ["/ops/policy/edit?preset=recruiter"],
        "/ops/policy/preview": [f"/ops/policy/preview?draft={_draft()}&day=2200-01-01"],
        "/ops/policy/withdraw": ["/ops/policy/withdraw?at=2100-01-01T00:00:00Z"],
        "/ops/reports": ["/ops/reports?state=decided"],
        "/ops/reports/complaints": ["/ops/reports/complaints?state=answered"],
        "/ops/reports/suspicions": ["/ops/reports/suspicions?kind=links"],
        "/premium": ["/premium?pool=recruiter"],
        "/premium/change": [
            f"/premium/change?pool=premium&plan={plan}"
            for plan in ("premium_business", "premium_career", "no_such_plan")
        ],
        "/premium/cancel": [f"/premium/cancel?pool={pool}" for pool in ("premium", "nowhere")],
        "/premium/statement": ["/premium/statement?show=expired"],
        "/reset/new": ["/reset/new?link=11"],
        "/verify": ["/verify?link=22"],
    }
    if path == "/ops/enter":
        return [(life.outside, path), (life.me, path)]
    if path.startswith("/ops/"):
        path = path.replace("{member:uuid}", me.id or "").replace(
            "{id:uuid}", life.conversations[2]
        )
        return [(life.operator, each) for each in (path, *more.get(path, []))]
    if path == "/suspended":
        return [(life.shut, path)]
    if path in ("/login/code", "/confirm"):
        return [(life.halfway if path == "/login/code" else life.stale, path)]
    assert "{" not in path, f"{path}: which address of it should be looked at?"
    return [(who, each) for each in (path, *more.get(path, [])) for who in (me, nobody)]


def _draft() -> str:
    return packed(policy("recruiter"))


def _answer_seal(life: Life, conversation: ConversationId) -> str:
    me = life.me.id
    assert me
    return seals.for_answer(
        SECRET,
        member=me,
        conversation=conversation,
        address=f"{me}@overture.example",
        # Without microseconds: a seal has whole seconds.
        until=SIGN_UP + timedelta(days=3650),
    )


def _unsubscribe_links(life: Life) -> list[str]:
    me = life.me.id
    assert me
    found = [seals.for_unsubscribing(SECRET, member=me, kind=each) for each in ("inmail", "all")]
    return [f"/unsubscribe/{seal}" for seal in found]


OF_A_MEMBER = ("/settings", "/profile", "/comp", "/confirm")

# Forms that are sent back: where to, what with, and with which status.
REFUSED: tuple[tuple[str, dict[str, str], int], ...] = (
    ("/signup", {"name": "", "email": "11", "password": "11"}, 422),
    ("/login", {"email": "11@overture.example", "password": "wrong"}, 422),
    ("/reset", {"email": "11"}, 422),
    ("/reset/new", {"link": "11", "password": "11"}, 422),
    ("/compose", {"to": "", "body": "", "key": "1"}, 422),
    ("/profile", {"name": "", "handle": "?"}, 422),
    ("/profile/photo", {}, 422),
    ("/settings/account/handle", {"handle": "?"}, 422),
    ("/settings/account/email", {"email": "11"}, 422),
    ("/settings/account/password", {"old": "wrong", "new": "11"}, 422),
    ("/settings/display", {"time_zone": "Ω"}, 422),
    ("/settings/security/app/code", {"code": "1"}, 422),
    ("/confirm", {"password": "wrong"}, 422),
    ("/confirm/code", {"code": "1"}, 422),
    ("/login/code", {"code": "1"}, 422),
    ("/login/recovery", {"recovery_code": "1"}, 422),
)


def _speaking(browser: Browser) -> Browser:
    browser.http.headers["accept-language"] = "ar"
    return browser


class _Texts(HTMLParser):
    """What a person reads or hears of a page: its texts, and the attributes that are read out."""

    HEARD = frozenset({"alt", "aria-description", "aria-label", "placeholder", "title"})
    # Keys, what people themselves wrote, and what is no text.
    SILENT = frozenset({"bdi", "code", "kbd", "script", "style", "textarea"})

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._within: list[str] = []

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.texts += [text for name, text in attrs if name in self.HEARD and text]
        if tag in self.SILENT:
            self._within.append(tag)

    @override
    def handle_endtag(self, tag: str) -> None:
        if self._within and self._within[-1] == tag:
            self._within.pop()

    @override
    def handle_data(self, data: str) -> None:
        if not self._within:
            self.texts.append(data)


# Names, which are the same in every language, and addresses of this site.
_NAMES = re.compile(
    "|".join(("Overture", *words.LANGUAGES.values(), r"[\w.-]+@\S+", r"https?://\S+")), re.ASCII
)


def _english(page: str) -> list[str]:
    reader = _Texts()
    reader.feed(page)
    bare = (_NAMES.sub("", re.sub(r"⟦[^⟧]*⟧", "", text)) for text in reader.texts)
    return [text.strip() for text in bare if re.search(r"[A-Za-z]{2}", text)]


def _bracketed(text: str) -> str:
    """The sentence without its letters, its placeholders and markup left whole."""
    assert text, "an empty sentence is a catalogue's own header"
    parts = re.split(r"(%\(\w+\)s|<[^>]*>|&\w+;)", text)
    return "⟦" + "".join(p if p[:1] in "%<&" and p else re.sub(r"\w", "ж", p) for p in parts) + "⟧"
