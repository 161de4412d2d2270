"""Every page and every state of it, in the demo's network: what is tested for access, and pictured."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from playwright.sync_api import expect

from overture.actions import passwords
from overture.core.ids import ConversationId
from overture.demo.year import play
from overture.store import two_steps
from overture.store.db import Tx
from tests.browser.network import PASSWORD, Network, served
from tests.browser.people import Person

FIGARO, ROSINA, NEMORINO = "figaro-fermata", "rosina-rondo", "nemorino-nonet"
ISOLDE, MADDALENA = "isolde-interlude", "maddalena-mandolin"
LOHENGRIN, GRETEL, TATYANA = "lohengrin-legato", "gretel-guitar", "tatyana-tarantella"
HANSEL = "hansel-harmonica"

LETTER = "I am Rosina and I draw letters. Your library opens at night. May I see it on Friday?"


@dataclass(frozen=True)
class Scene:
    """A page as a member sees it, or as nobody does; `do` brings it to its state."""

    name: str
    path: str | Callable[[Network], str]
    who: str | None = ROSINA
    do: Callable[[Person], None] | None = None
    locale: str = "en-GB"

    @property
    def seat(self) -> tuple[str | None, str]:
        """Scenes with the same one share a browser."""
        return self.who, self.locale

    def address(self, network: Network) -> str:
        return self.path if isinstance(self.path, str) else self.path(network)

    def play(self, network: Network, person: Person) -> None:
        person.opens(self.address(network))
        if self.do:
            self.do(person)


@contextmanager
def demo(database_url: str) -> Iterator[Network]:
    """The demo's year, as it is at the test clock's start."""
    with served(database_url) as network:
        network.do(lambda tx: play(tx, network.now, network.book, lambda _done, _all: None))
        yield network


# Which conversation -----------------------------------------------------------------------------


def thread(who: str, where: str, more: str = "") -> Callable[[Network], str]:
    """The newest conversation of a member's of which this holds."""

    def path(network: Network) -> str:
        found = network.text(
            "select i.conversation_id from inbox i join members m on m.id = i.owner_id"
            f" where m.handle = %s and {where} order by i.last_activity_at desc limit 1",
            who,
        )
        return f"/inbox/{found}{more}"

    return path


def answer_link(who: str, where: str, answer: str = "") -> Callable[[Network], str]:
    """What a link leads to in the mail about the newest such letter."""

    def path(network: Network) -> str:
        here = thread(who, where)(network).rpartition("/")[2]
        return network.answer_link(network.known(who), ConversationId(here), answer)

    return path


def unsubscribe_link(who: str, kind: str) -> Callable[[Network], str]:
    return lambda network: network.unsubscribe_link(network.known(who), kind)


CHAT = thread(
    FIGARO, "i.state = 'accepted' and i.begun and i.kind = 'inmail' and i.read_number > 3"
)
REQUEST = "i.state = 'pending' and not i.begun and i.box = 'requests' and i.kind = 'inmail'"
WAITING = "i.state = 'pending' and i.begun"
ANSWERED = "i.state = 'accepted' and not i.begun and i.kind = 'inmail'"


def other(who: str, where: str) -> Callable[[Network], str]:
    """Compose to the other side of a conversation of which this holds."""

    def path(network: Network) -> str:
        handle = network.text(
            "select i.counterpart_handle from inbox i join members m on m.id = i.owner_id"
            f" where m.handle = %s and {where} order by i.last_activity_at desc limit 1",
            who,
        )
        return f"/compose?to={handle}"

    return path


def stranger(network: Network) -> str:
    """Compose to someone whom Rosina has never written with, and who takes InMail."""
    handle = network.text(
        "select m.handle from members m, members r"
        " where r.handle = %s and m.id <> r.id and m.premium_until is not null and m.accept_inmail"
        " and not m.open_profile and not exists (select from inbox i where i.owner_id = r.id"
        " and i.counterpart_id = m.id) and not exists (select from connections c"
        " where c.owner_id = r.id and c.member_id = m.id) order by m.handle limit 1",
        ROSINA,
    )
    return f"/compose?to={handle}"


def in_two_steps(path: str) -> Callable[[Network], str]:
    """Tatyana signs in in two steps, with an app and two recovery codes."""

    def turned_on(network: Network) -> str:
        member = network.known(TATYANA).id

        async def turn_on(tx: Tx) -> None:
            await two_steps.turn_on(tx, member)
            await two_steps.set_code_app(tx, member, "OVERTURE" * 4, used=0)
            codes = await passwords.hashed_together(["abcde", "fghjk"], bytes(16))
            await two_steps.set_recovery_codes(tx, member, codes)

        network.do(turn_on)
        return path

    return turned_on


def long_ago(network: Network) -> str:
    """Hansel, who has an app, signed in long ago, and wants to change the address."""
    member = network.known(HANSEL).id

    async def age(tx: Tx) -> None:
        await two_steps.set_code_app(tx, member, "OVERTURE" * 4, used=0)
        query = "update sessions set proved_at = now() - interval '1 day' where member_id = %s"
        await tx.execute(query, (member,))

    network.do(age)
    return "/settings/account/email"


# What is done there -----------------------------------------------------------------------------


def presses(name: str | re.Pattern[str]) -> Callable[[Person], None]:
    def press(person: Person) -> None:
        person.button(name).filter(visible=True).first.click()

    return press


def opens_compose(person: Person) -> None:
    person.page.get_by_role("link", name="Compose").filter(visible=True).first.click()
    expect(person.page.locator("#over form")).to_be_visible()


def picks(person: Person) -> None:
    person.page.get_by_role("combobox").press_sequentially("pap")
    expect(person.page.get_by_role("option").first).to_be_visible()


def takes_advice(person: Person) -> None:
    person.page.get_by_role("textbox", name="Message").fill(
        "Dear Tatyana, " + "we sell the best of castanets! " * 20
    )
    expect(person.page.get_by_role("list", name="Advice")).to_be_visible()


def is_refused(person: Person) -> None:
    person.page.get_by_role("textbox", name="Message").fill("long " * 500)
    person.button("Send").click()
    expect(person.page.get_by_role("alert").filter(visible=True).first).to_be_visible()


def signs_in_wrongly(person: Person) -> None:
    person.page.get_by_label("E-mail").fill("nobody@overture.example")
    person.page.get_by_label("Password").fill("not the password")
    person.button("Sign in").click()
    expect(person.page.get_by_role("alert")).to_be_visible()


def takes_the_first_step(person: Person) -> None:
    person.page.get_by_label("E-mail").fill(f"{TATYANA}@overture.example")
    person.page.get_by_label("Password").fill(PASSWORD)
    person.button("Sign in").click()
    expect(person.page.get_by_label("Code", exact=True)).to_be_visible()


def takes_the_second_step_wrongly(person: Person) -> None:
    takes_the_first_step(person)
    person.page.get_by_text("The app is not at hand?").click()
    person.page.get_by_label("Recovery code").fill("aaaaa-aaaaa")
    person.button("Sign in with it").click()
    expect(person.page.get_by_role("alert")).to_be_visible()


def signs_up_badly(person: Person) -> None:
    person.page.get_by_label("Your name").fill("Ada")
    person.page.get_by_label("E-mail").fill("ada@overture.example")
    person.page.get_by_label("Password").fill("short")
    person.button("Make my account").click()
    expect(person.page.locator("[aria-invalid=true]").first).to_be_visible()


def shows_keys(person: Person) -> None:
    person.page.keyboard.press("?")
    expect(person.page.locator("#keys")).to_be_visible()


SCENES = (
    Scene("signup", "/signup", None),
    Scene("signup-refused", "/signup", None, signs_up_badly),
    Scene("login", "/login", None),
    Scene("login-refused", "/login", None, signs_in_wrongly),
    Scene("login-code", in_two_steps("/login"), None, takes_the_first_step),
    Scene("login-code-refused", in_two_steps("/login"), None, takes_the_second_step_wrongly),
    Scene("reset", "/reset", None),
    Scene("reset-sent", "/reset/sent", None),
    Scene("reset-link-gone", "/reset/new?secret=gone", None),
    Scene("verify-link-gone", "/verify?secret=gone", None),
    Scene("answer-link", answer_link(ROSINA, REQUEST, "accept"), None),
    Scene("answer-link-open", answer_link(ROSINA, REQUEST), None),
    Scene("answer-link-quick", answer_link(ROSINA, REQUEST, "no_thanks"), None),
    Scene("answer-link-answered", answer_link(ROSINA, ANSWERED), None),
    Scene("answer-link-gone", "/answer/gone", None),
    Scene("unsubscribe", unsubscribe_link(ROSINA, "inmail"), None),
    Scene("unsubscribe-all", unsubscribe_link(ROSINA, "everything"), None),
    Scene("offline", "/offline", None),
    Scene("no-such-page", "/no-such-page"),
    Scene("inbox", "/inbox", FIGARO),
    Scene("inbox-keys", "/inbox", FIGARO, shows_keys),
    Scene("inbox-other", "/inbox?box=other", FIGARO),
    Scene("inbox-pending", "/inbox?box=pending", FIGARO),
    Scene("inbox-starred", "/inbox?box=starred", FIGARO),
    Scene("inbox-found", "/inbox?q=letter", FIGARO),
    Scene("inbox-nothing-found", "/inbox?q=xylophonist", FIGARO),
    Scene("thread", CHAT, FIGARO),
    Scene("thread-menu", CHAT, FIGARO, presses("More")),
    Scene("thread-waiting", thread(FIGARO, WAITING), FIGARO),
    Scene("thread-declined", thread(TATYANA, "i.state = 'declined' and i.begun"), TATYANA),
    Scene("request", thread(ROSINA, REQUEST), ROSINA),
    Scene("request-answer", thread(ROSINA, REQUEST, "?answer=reply"), ROSINA),
    Scene("request-quick", thread(ROSINA, REQUEST, "?answer=interested"), ROSINA),
    Scene("request-later", thread(ROSINA, REQUEST), ROSINA, presses("Remind me later")),
    Scene("compose", "/compose"),
    Scene("compose-picking", "/compose", ROSINA, picks),
    Scene("compose-over", "/inbox", ROSINA, opens_compose),
    Scene("compose-ready", stranger),
    Scene("compose-advice", stranger, ROSINA, takes_advice),
    Scene("compose-too-long", stranger, ROSINA, is_refused),
    Scene("compose-on", other(ROSINA, "i.state = 'accepted'")),
    Scene("compose-free", f"/compose?to={ISOLDE}", MADDALENA),
    Scene("compose-no-credits", f"/compose?to={FIGARO}", NEMORINO),
    Scene("compose-basic", f"/compose?to={FIGARO}", MADDALENA),
    Scene("compose-unavailable", f"/compose?to={LOHENGRIN}"),
    Scene("compose-no-premium", f"/compose?to={GRETEL}"),
    Scene("compose-unanswered", other(FIGARO, WAITING), FIGARO),
    Scene("members", "/members"),
    Scene("members-found", "/members?q=letter"),
    Scene("members-nobody", "/members?q=xylophonist"),
    Scene("profile", f"/in/{TATYANA}"),
    Scene("profile-menu", f"/in/{TATYANA}", ROSINA, presses("More")),
    Scene("profile-connect", f"/in/{TATYANA}", MADDALENA, presses("Connect")),
    Scene("profile-open", f"/in/{ISOLDE}", MADDALENA),
    Scene("profile-own", f"/in/{ROSINA}"),
    Scene("profile-edit", "/profile"),
    Scene("network", "/network", FIGARO),
    Scene("network-received", "/network/received", FIGARO),
    Scene("network-sent", "/network/sent", FIGARO),
    Scene("network-blocked", "/network/blocked", FIGARO),
    Scene("premium", "/premium", FIGARO),
    Scene("premium-one-pool", "/premium"),
    Scene("premium-basic", "/premium", MADDALENA),
    Scene("premium-statement", "/premium/statement", FIGARO),
    Scene("premium-change", "/premium/change?pool=premium&plan=premium_business"),
    Scene("premium-cancel", "/premium/cancel?pool=premium"),
    Scene("insights", "/insights", FIGARO),
    Scene("insights-none", "/insights", MADDALENA),
    Scene("settings-account", "/settings/account"),
    Scene("settings-email", "/settings/account/email", GRETEL),
    Scene("settings-security", "/settings/security", GRETEL),
    Scene("settings-security-app", "/settings/security", GRETEL, presses("Set up an app")),
    Scene("settings-security-on", in_two_steps("/settings/security"), TATYANA),
    Scene(
        "settings-recovery-codes",
        in_two_steps("/settings/security"),
        TATYANA,
        presses("Make new ones"),
    ),
    Scene("settings-close", "/settings/data/close", GRETEL),
    Scene("confirm", long_ago, HANSEL),
    Scene("settings-sessions", "/settings/sessions"),
    Scene("settings-inmail", "/settings/inmail"),
    Scene("settings-privacy", "/settings/privacy"),
    Scene("settings-notifications", "/settings/notifications"),
    Scene("settings-display", "/settings/display"),
    Scene("settings-data", "/settings/data"),
    Scene("arabic-login", "/login", None, None, "ar"),
    Scene("arabic-answer-link", answer_link(ROSINA, REQUEST, "accept"), None, None, "ar"),
    Scene("arabic-security", in_two_steps("/settings/security"), TATYANA, None, "ar"),
    Scene("arabic-inbox", "/inbox", FIGARO, None, "ar"),
    Scene("arabic-request", thread(ROSINA, REQUEST), ROSINA, None, "ar"),
    Scene("arabic-compose", stranger, ROSINA, None, "ar"),
    Scene("arabic-profile", f"/in/{TATYANA}", ROSINA, None, "ar"),
    Scene("arabic-premium", "/premium", FIGARO, None, "ar"),
    Scene("arabic-insights", "/insights", FIGARO, None, "ar"),
)
