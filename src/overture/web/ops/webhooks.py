"""Endpoints of webhooks: added, changed and removed; how telling them went, and telling them again."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from overture import ids
from overture.actions import webhooks as actions
from overture.actions.fields import Invalid
from overture.actions.webhooks import By, Changes
from overture.clock import real_now
from overture.core import webhooks as rules
from overture.core.ids import EndpointId
from overture.core.refusals import Refusal
from overture.core.text import Sentence
from overture.store import webhooks as store
from overture.store.webhooks import Endpoint, Outcome
from overture.web.ops.people import UUID, named
from overture.web.ops.sections import Section, actor
from overture.web.visit import ANEW, Absent, Answer, Done, No, Page, Visit, Who, act, page

SECTION = Section("webhooks", icon="webhook", label=Sentence("Webhooks"))

ONE = "/ops/webhooks/{endpoint:uuid}"
ENDPOINTS = 50
DELIVERIES = 50
# For so long a receiver may go on with the secret that it has.
OVERLAP = timedelta(days=1)
# Before there was anything to tell.
EARLIEST_YEAR = 2000
_BIGINT = 2**63


@page("/ops/webhooks", who=Who.OPERATOR)
async def webhooks(visit: Visit) -> Answer:
    found = await store.newest(visit.tx, cursor=visit.query.get("cursor") or None, limit=ENDPOINTS)
    values = {
        "rows": found.items,
        "next": found.next and f"/ops/webhooks?{urlencode({'cursor': found.next})}",
        "again": "cursor" not in visit.query,
    }
    return Page("ops/webhooks.html", values, parts={ANEW: "ops/patches/webhooks.html"})


@page("/ops/webhooks/add", who=Who.OPERATOR_PROVEN)
async def ask_new(visit: Visit) -> Answer:
    _ = visit
    return _form(None, {}, [rules.ALL], once=ids.new())


@act("/ops/webhooks/add", who=Who.OPERATOR_PROVEN)
async def add(visit: Visit) -> Answer:
    """Its secret stands in the answer, and nowhere again; sent twice, the form adds one."""
    _ = visit.words.gettext
    form, once, secret = visit.form, visit.form.get("once", ""), rules.secret_text(ids.new_key())
    new = EndpointId(once if UUID.fullmatch(once) else ids.new())
    if await store.one(visit.tx, new) is not None:
        notice = _("It was added before. Who did not see its secret gives it a new one.")
        return Done(_url(new), notice=notice)
    made = await actions.create(
        visit.tx,
        new,
        secret,
        url=form.get("url", "").strip(),
        events=_wanted(visit),
        description=form.get("description", ""),
        allowed_hosts=visit.site.webhook_allow_hosts,
        by=_by(visit),
    )
    if isinstance(made, Invalid):
        return _form(None, form, _wanted(visit), visit.errors(made), once=new)
    return Page("ops/webhook_secret.html", {"e": made, "secret": secret, "first": True})


@page(ONE, who=Who.OPERATOR)
async def endpoint(visit: Visit) -> Answer:
    return await _endpoint(visit)


@page(ONE + "/edit", who=Who.OPERATOR_PROVEN)
async def ask_changes(visit: Visit) -> Answer:
    known = await _known(visit)
    return _form(known, {"url": known.url, "description": known.description}, known.events)


@act(ONE + "/edit", who=Who.OPERATOR_PROVEN)
async def change(visit: Visit) -> Answer:
    """Whom it tells, and of what; what waits goes to where it is then."""
    known, form = await _known(visit), visit.form
    url = form.get("url", "").strip()
    changes = Changes(
        # One that stays is not asked again whether it may be told.
        url=None if url == known.url else url,
        events=_wanted(visit),
        description=form.get("description", ""),
    )
    made = await actions.change(
        visit.tx,
        known.id,
        changes,
        allowed_hosts=visit.site.webhook_allow_hosts,
        real_now=real_now(),
        by=_by(visit),
    )
    match made:
        case Endpoint():
            return Done(_url(known.id), notice=visit.words.gettext("Changed."))
        case Refusal():
            raise Absent
        case _:
            return _form(known, form, _wanted(visit), visit.errors(made))


@page(ONE + "/remove", who=Who.OPERATOR_PROVEN)
async def ask_removal(visit: Visit) -> Answer:
    return Page("ops/webhook_remove.html", {"e": await _known(visit)})


@act(ONE + "/remove", who=Who.OPERATOR_PROVEN)
async def remove(visit: Visit) -> Answer:
    if await actions.delete(visit.tx, _id(visit), by=_by(visit)) is not None:
        raise Absent
    return Done(SECTION.url, notice=visit.words.gettext("The endpoint is removed."))


@act(ONE + "/switch", who=Who.OPERATOR)
async def switch(visit: Visit) -> Answer:
    """On or off; what waited while it was off is taken up."""
    on = visit.form.get("on") == "1"
    made = await actions.change(
        visit.tx,
        _id(visit),
        Changes(enabled=on),
        allowed_hosts=(),
        real_now=real_now(),
        by=_by(visit),
    )
    if not isinstance(made, Endpoint):
        raise Absent
    _ = visit.words.gettext
    notice = _("It is told again, also of what waited.") if on else _("It is told of nothing now.")
    return Done(_url(_id(visit)), notice=notice)


@act(ONE + "/test", who=Who.OPERATOR)
async def test(visit: Visit) -> Answer:
    refused = await actions.test(visit.tx, _id(visit), ids.new(), by=_by(visit))
    if refused is not None:
        return _no(visit, refused)
    notice = visit.words.gettext("A test is on its way. The log shows how it went.")
    return Done(_url(_id(visit)), notice=notice)


@act(ONE + "/deliveries/{number:int}/replay", who=Who.OPERATOR)
async def replay_one(visit: Visit) -> Answer:
    number = int(visit.path["number"])
    if number >= _BIGINT:
        raise Absent
    queued = await actions.replay_one(visit.tx, _id(visit), number, by=_by(visit))
    if isinstance(queued, Refusal):
        return _no(visit, queued)
    return Done(_url(_id(visit)), notice=visit.words.gettext("It is delivered again."))


@act(ONE + "/replay", who=Who.OPERATOR)
async def replay_span(visit: Visit) -> Answer:
    """All since an instant, as the reader's clock has it."""
    since = _instant(visit, visit.form.get("since", ""))
    if since is None or since.year < EARLIEST_YEAR or since > visit.now:
        error = visit.words.gettext("Say since when, in the past.")
        return await _endpoint(visit, {"since": error}, 422)
    refused = await actions.replay_span(
        visit.tx, _id(visit), ids.new(), since=since, until=visit.now, by=_by(visit)
    )
    if refused is not None:
        return _no(visit, refused)
    notice = visit.words.gettext("All since then is delivered again.")
    return Done(_url(_id(visit)), notice=notice)


@page(ONE + "/secret", who=Who.OPERATOR_PROVEN)
async def ask_rotation(visit: Visit) -> Answer:
    return Page(
        "ops/webhook_secret.html", {"e": await _known(visit), "secret": None, "first": False}
    )


@act(ONE + "/secret", who=Who.OPERATOR_PROVEN)
async def rotate(visit: Visit) -> Answer:
    """The new secret stands in the answer, and nowhere again."""
    secret = rules.secret_text(ids.new_key())
    made = await actions.rotate(
        visit.tx, _id(visit), secret, overlap=OVERLAP, real_now=real_now(), by=_by(visit)
    )
    if isinstance(made, Refusal):
        raise Absent
    return Page("ops/webhook_secret.html", {"e": made, "secret": secret, "first": False})


def _form(
    known: Endpoint | None,
    form: Mapping[str, str],
    wanted: Sequence[str],
    errors: Mapping[str, str] | None = None,
    *,
    once: str = "",
) -> Page:
    """Of one that is there, or of a new one: then with the id that it will have, `once`."""
    every, *filters = rules.filters()
    values = {
        "e": known,
        "form": {name: form.get(name, "") for name in ("url", "description")},
        "wanted": wanted,
        "every": every,
        "filters": filters,
        "once": once,
        "errors": errors or {},
    }
    return Page("ops/webhook_edit.html", values, 422 if errors else 200)


def _wanted(visit: Visit) -> list[str]:
    """What was ticked; with all of it nothing else needs to be said."""
    ticked = [each for each in rules.filters() if visit.form.get(f"event:{each}")]
    return [rules.ALL] if rules.ALL in ticked else ticked


async def _endpoint(
    visit: Visit, errors: Mapping[str, str] | None = None, status: int = 200
) -> Page:
    known = await _known(visit)
    asked = visit.query.get("outcome", "")
    outcome = Outcome(asked) if asked in set(Outcome) else None
    found = await store.deliveries(
        visit.tx, known.id, outcome, cursor=visit.query.get("cursor") or None, limit=DELIVERIES
    )
    members = [each.told.member for each in found.items]
    after = {"outcome": outcome or "", "cursor": found.next or ""}
    values: dict[str, Any] = {
        "e": known,
        "rows": found.items,
        "names": await named(visit.tx, [each for each in members if each is not None]),
        "outcome": outcome,
        "outcomes": _said(visit),
        "next": found.next
        and f"{_url(known.id)}?{urlencode({k: v for k, v in after.items() if v})}",
        "form": visit.form,
        "errors": errors or {},
    }
    return Page("ops/webhook.html", values, status, parts={ANEW: "ops/patches/webhook.html"})


async def _known(visit: Visit) -> Endpoint:
    known = await store.one(visit.tx, _id(visit))
    if known is None:
        raise Absent
    return known


def _no(visit: Visit, refusal: Refusal) -> No:
    if refusal is Refusal.NO_SUCH_ENDPOINT:
        raise Absent
    return visit.refused(
        refusal, 404 if refusal is Refusal.NO_SUCH_DELIVERY else 409, _url(_id(visit))
    )


def _said(visit: Visit) -> Mapping[Outcome, str]:
    _ = visit.words.gettext
    return {
        Outcome.DELIVERED: _("Delivered"),
        Outcome.FAILED: _("Failed, is tried again"),
        Outcome.GIVEN_UP: _("Given up"),
    }


def _instant(visit: Visit, text: str) -> datetime | None:
    """What a field for a day and a time holds, in the reader's zone."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at.replace(tzinfo=visit.words.local(visit.now).tzinfo) if at.tzinfo is None else at


def _id(visit: Visit) -> EndpointId:
    return visit.id("endpoint", EndpointId)


def _url(endpoint: EndpointId) -> str:
    return f"/ops/webhooks/{endpoint}"


def _by(visit: Visit) -> By:
    return By(actor(visit), ids.new(), visit.now)
