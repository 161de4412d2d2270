"""Every module of the console's pages, in the order of its navigation; a new one is added here."""

from types import ModuleType

from overture.web.ops import (
    audit,
    complaints,
    conversations,
    entry,
    health,
    jobs,
    lab,
    ledger,
    mail,
    members,
    overview,
    policy,
    reports,
    suspicions,
    webhooks,
)
from overture.web.ops.sections import Section
from overture.web.visit import Answer, Go, Visit, Who, page

MODULES: tuple[ModuleType, ...] = (
    entry,
    overview,
    members,
    ledger,
    conversations,
    reports,
    complaints,
    suspicions,
    jobs,
    webhooks,
    mail,
    policy,
    lab,
    audit,
    health,
)

# What the navigation shows: the sections that are there.
SECTIONS: tuple[Section, ...] = tuple(
    found for each in MODULES if isinstance(found := getattr(each, "SECTION", None), Section)
)


@page("/ops", who=Who.OPERATOR, transaction=False)
async def console(visit: Visit) -> Answer:
    _ = visit
    return Go(SECTIONS[0].url)
