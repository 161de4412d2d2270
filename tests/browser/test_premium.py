"""My Premium in a real browser: a plan begun and ended, the statement, and what comes by itself."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.people import NARROW, WIDE


@pytest.mark.parametrize("script", [True, False], ids=["live", "without JavaScript"])
def test_a_plan_is_begun_and_ended_and_the_balance_falls_to_zero(network, visit, script):
    ada = visit(network.member("Ada"), java_script_enabled=script)

    ada.opens("/premium")
    ada.link("Choose Premium Business").click()
    ada.sees("Start Premium Business?")
    ada.button("Start Premium Business").click()
    ada.sees("You now have Premium Business.")
    balance = ada.page.locator(".big[data-balance=premium]")
    expect(balance).to_have_text("15")

    ada.page.get_by_role("main").get_by_role("link", name="Cancel").click()
    ada.sees("Cancel your plan")
    ada.button("End Premium Business now").click()
    ada.sees("Premium Business has ended.")
    expect(balance).to_have_text("0")
    ada.sees("Plan ended: its credits are gone")


def test_a_change_that_does_something_else_by_now_is_asked_anew(network, visit):
    member = network.member("Ada", premium="premium_career")
    ada = visit(member)
    ada.opens("/premium/change?pool=premium&plan=premium_business")
    network.letter(member, network.member("Grace", premium="premium_career"))

    ada.button("Change now").click()
    expect(ada.page.get_by_role("alert")).to_contain_text("Something changed since you looked")
    ada.sees("4 credits")
    ada.button("Change now").click()
    ada.sees("You now have Premium Business.")


def test_a_filter_changes_the_statement_alone_and_back_takes_it_back(network, visit):
    member = network.member("Ada", premium="premium_career")
    network.letter(member, network.member("Grace", premium="premium_career"))
    ada = visit(member)
    ada.opens("/premium")
    rows = ada.page.locator("#statement tbody tr")
    expect(rows).to_have_count(2)

    ada.page.locator("#statement").get_by_role("link", name="Granted").click()
    expect(rows).to_have_count(1)
    ada.page.go_back()
    expect(rows).to_have_count(2)


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_what_the_stream_brings_makes_the_page_fetch_the_rest(network, visit, viewport):
    member = network.member("Ada", premium="premium_career")
    grace = network.member("Grace", premium="premium_career")
    ada = visit(member, viewport=viewport)
    ada.opens("/premium")
    # Wherever on the page one reads.
    ada.page.locator("#plans").scroll_into_view_if_needed()

    network.letter(member, grace)
    ada.page.evaluate("""async () => {
      const links = [...document.querySelectorAll("link[rel=modulepreload]")];
      const { patch } = await import(links.find((link) => link.href.includes("/live.js")).href);
      const more = '<span data-more="/premium?pool=premium"></span>';
      patch(`<template data-at="#fresh-premium">${more}</template>`);
    }""")

    expect(ada.page.locator(".big[data-balance=premium]")).to_have_text("4")
    ada.sees(grace.name)
