"""Passkeys and codes in a real browser, with a device that Chromium plays."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyotp
import pytest
from playwright.sync_api import CDPSession, expect

from overture.store import two_steps
from tests.browser.network import PASSWORD, Member, Network, served
from tests.browser.people import NARROW, Person
from tests.browser.test_pages import _TOO_WIDE, ALL_RULES, AXE_SCRIPT, COLOURS, violations
from tests.databases import Databases
from tests.ports import free_port
from tests.provider import CLIENT, Provider, Someone, provider

Visit = Callable[..., Person]


@pytest.fixture(scope="module")
def work() -> Iterator[Provider]:
    """The host's identity provider: another site, as browsers see it."""
    with provider() as made:
        made.secret = None
        yield made


@pytest.fixture(scope="module")
def network(databases: Databases, work: Provider) -> Iterator[Network]:
    """Reached by a name: browsers make no passkeys for numbers."""
    port = free_port()
    address = f"http://localhost:{port}"
    options = ("--oidc-issuer", work.issuer, "--oidc-client-id", CLIENT, "--oidc-name", "Work")
    with served(databases.fresh(), "--port", port, "--public-url", address, *options) as made:
        made.address = address
        yield made


@pytest.fixture
def ada(network: Network) -> Member:
    return network.member("Ada")


@dataclass
class Device:
    """What Chromium plays: a device with which it makes passkeys, whose owner is always there."""

    cdp: CDPSession
    id: str

    def owner_is(self, *, sure: bool) -> None:
        """Whether the owner shows it who they are."""
        options = {"authenticatorId": self.id, "isUserVerified": sure}
        self.cdp.send("WebAuthn.setUserVerified", options)


def device(someone: Person) -> Device:
    cdp = someone.context.new_cdp_session(someone.page)
    cdp.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    made = cdp.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return Device(cdp, made["authenticatorId"])


def adds_a_passkey(someone: Person, name: str) -> None:
    someone.opens("/settings/security")
    # What it is called unless its owner says otherwise.
    expect(someone.page.get_by_label("Name of a new passkey")).to_have_value("Linux")
    someone.page.get_by_label("Name of a new passkey").fill(name)
    someone.button("Add a passkey").click()
    someone.sees("The passkey is added.")
    someone.sees(name)


def first_step(someone: Person, member: Member) -> None:
    someone.opens("/login")
    someone.page.get_by_label("E-mail").fill(f"{member.handle}@overture.example")
    someone.page.get_by_label("Password", exact=True).fill(PASSWORD)
    someone.button(re.compile("^Sign in$")).click()


def recovery_codes(someone: Person) -> list[str]:
    """Those that are shown, once they are there."""
    codes = someone.page.locator(".codes code")
    expect(codes).to_have_count(10)
    return codes.all_inner_texts()


def test_a_passkey_is_added_signs_in_and_is_removed(network: Network, visit: Visit, ada: Member):
    me = visit(ada)
    device(me)
    adds_a_passkey(me, "My phone")
    me.opens("/settings/account")
    me.button("Sign out").click()
    me.is_at("/login")

    me.opens("/login?next=/settings/security")
    me.button("Sign in with a passkey").click()
    me.is_at("/settings/security")
    me.sees("My phone")

    me.page.get_by_text("Rename or remove").click()
    me.page.get_by_label("Name", exact=True).fill("Old phone")
    me.button("Save").click()
    me.sees("Old phone")
    me.page.get_by_text("Rename or remove").click()
    me.button("Remove").click()
    me.sees("The passkey opens nothing here any more.")
    expect(me.page.get_by_text("Old phone")).to_have_count(0)

    # The device has it still; here it opens nothing.
    me.opens("/settings/account")
    me.button("Sign out").click()
    me.is_at("/login")
    me.button("Sign in with a passkey").click()
    me.sees("This passkey opens nothing here.")


def test_who_does_not_show_the_device_who_they_are_stays_out(
    network: Network, visit: Visit, ada: Member
):
    me = visit(ada)
    phone = device(me)
    adds_a_passkey(me, "My phone")
    me.opens("/settings/account")
    me.button("Sign out").click()
    me.is_at("/login")
    phone.owner_is(sure=False)

    me.button("Sign in with a passkey").click()

    me.sees("No passkey was used.")
    me.is_at("/login")
    phone.owner_is(sure=True)
    me.button("Sign in with a passkey").click()
    me.is_at("/inbox")


def test_a_passkey_is_the_second_step_and_shows_who_one_is(
    network: Network, visit: Visit, ada: Member
):
    me = visit(ada, viewport=NARROW)
    device(me)
    adds_a_passkey(me, "My phone")
    me.button("Use my passkeys").click()
    me.sees("From now on signing in takes two steps.")
    recovery_codes(me)
    me.link("I have them").click()
    me.is_at("/settings/security")
    me.opens("/settings/account")
    me.button("Sign out").click()
    me.is_at("/login")

    first_step(me, ada)
    me.is_at("/login/code")
    me.button("Use a passkey").click()
    me.is_at("/inbox")

    # A while later.
    network.do(lambda tx: tx.execute("update sessions set proved_at = '-infinity'"))
    me.opens("/settings/account/email")
    me.sees("Is it still you?")
    me.button("Use a passkey").click()
    me.is_at("/settings/account/email")
    me.sees("You sign in with")


def test_what_is_shown_of_passkeys_is_accessible(network: Network, visit: Visit, ada: Member):
    me = visit(ada, viewport=NARROW, locale="ar")
    device(me)
    me.opens("/settings/security")
    me.page.get_by_label("اسم مفتاح المرور الجديد").fill("هاتف")
    me.button("إضافة مفتاح مرور").click()
    me.sees("أُضيف مفتاح المرور.")
    me.page.locator(".ways summary").click()
    network.do(lambda tx: two_steps.turn_on(tx, ada.id))
    halfway = visit(viewport=NARROW)
    first_step(halfway, ada)
    halfway.is_at("/login/code")
    nobody = visit(viewport=NARROW)
    nobody.opens("/login")
    expect(nobody.button("Sign in with a passkey")).to_be_visible()

    for someone in (me, halfway, nobody):
        assert not someone.faults
        someone.page.evaluate(AXE_SCRIPT)
        found = violations(someone.page, ALL_RULES)
        someone.page.emulate_media(color_scheme="dark")
        found += violations(someone.page, COLOURS)
        assert not found, "\n".join(found)
        assert not someone.page.evaluate(_TOO_WIDE)


@pytest.mark.parametrize("scripted", [True, False])
def test_one_signs_in_through_the_provider_and_out_of_both(
    network: Network, visit: Visit, work: Provider, scripted: bool
):
    work.someone = Someone(
        f"grace-{scripted}", f"grace-{scripted}@example.org", True, "Grace Hopper"
    )
    me = visit(java_script_enabled=scripted)
    me.elsewhere = work.issuer
    me.opens("/login?next=/settings/account")
    me.link("Sign in through Work").click()
    expect(me.page.get_by_role("heading", name="Grace Hopper")).to_be_visible()
    me.button("Yes, go on").click()
    me.is_at("/settings/account")
    me.sees("You have none: you sign in another way.")

    # Asked again, there too.
    network.do(lambda tx: tx.execute("update sessions set proved_at = '-infinity'"))
    me.opens("/settings/data/close")
    me.link("Sign in again through Work").click()
    me.button("Yes, go on").click()
    me.is_at("/settings/data/close")

    me.opens("/settings/account")
    me.button("Sign out").click()
    me.sees("perhaps not yet at Work")
    before = work.signed_out
    me.link("Sign out there too").click()
    me.is_at("/login")
    assert work.signed_out == before + 1


def test_a_member_links_the_two(network: Network, visit: Visit, work: Provider, ada: Member):
    work.someone = Someone(ada.handle, None, name="Ada")
    me = visit(ada, viewport=NARROW)
    me.elsewhere = work.issuer
    me.opens("/settings/security")
    me.link("Link the two").click()
    me.button("Yes, go on").click()
    me.is_at("/settings/security")
    me.sees("You can sign in through Work from now on.")
    me.sees("Linked")
    me.page.emulate_media(color_scheme="dark")
    me.page.evaluate(AXE_SCRIPT)
    assert not violations(me.page, ALL_RULES)


def test_codes_of_an_app_work_without_a_script(network: Network, visit: Visit, ada: Member):
    me = visit(ada, java_script_enabled=False)
    me.opens("/settings/security")
    # What needs a script is not shown without it.
    expect(me.button("Add a passkey")).to_have_count(0)
    me.button("Set up an app").click()
    secret = re.sub(r"\s", "", me.page.locator("code.code").inner_text())
    app = pyotp.TOTP(secret)
    me.page.get_by_label("Code", exact=True).fill(app.now())
    me.button("Use this app").click()
    codes = recovery_codes(me)

    stranger = visit(java_script_enabled=False)
    first_step(stranger, ada)
    stranger.page.get_by_label("Code", exact=True).fill("000000")
    stranger.button(re.compile("^Sign in$")).click()
    stranger.sees("This code does not fit")
    # That of now has been used; clocks may differ by one.
    stranger.page.get_by_label("Code", exact=True).fill(app.at(time.time() + 30))
    stranger.button(re.compile("^Sign in$")).click()
    stranger.is_at("/inbox")

    another = visit(java_script_enabled=False)
    first_step(another, ada)
    another.page.get_by_text("The app is not at hand?").click()
    another.page.get_by_label("Recovery code").fill(codes[0])
    another.button("Sign in with it").click()
    another.is_at("/inbox")
