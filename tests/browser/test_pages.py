"""Every page: accessible in both themes and widths, without overflow, within its budgets."""

from __future__ import annotations


def test_first(network, visit):
    ada = network.member("Ada", premium="premium_career")
    person = visit(ada)
    person.opens("/premium")
    person.opens("/compose")
