"""What a member reads of decisions, and what is left to one who is suspended."""

from __future__ import annotations

from typing import Any

import pytest

from overture import ids
from overture.actions import decisions, reports
from overture.actions.decisions import Act
from overture.actions.reports import Reason
from overture.core.decisions import Ground, Measure, Verdict
from overture.core.ids import ComplaintId, DecisionId, ReportId
from overture.live.told import DecisionTold
from overture.store import decisions as store
from overture.store.decisions import Complaint
from overture.web.decisions import patches_for
from overture.words import words_of
from tests.web.conftest import Browser, Place, text_of

CAREER = {"premium": "premium_career"}
WHY = "You sent one advertisement to forty strangers.\n\nOur terms, 4: no advertising."


@pytest.fixture
async def ada(place: Place) -> Browser:
    return await place.member("ada", **CAREER)


def act(place: Place) -> Act:
    return Act("token:test", ids.new(), DecisionId(ids.new()), place.town.now)


async def takes(place: Place, who: Browser, measure: Measure) -> Any:
    made = await place.town.do(
        lambda tx: decisions.decide(
            tx,
            act(place),
            who.id,
            measure,
            ground=Ground.TERMS,
            statement=WHY,
        )
    )
    assert isinstance(made, store.Decision), made
    return made


async def answers(place: Place, verdict: Verdict, answer: str) -> None:
    found = await place.town.look(
        lambda tx: store.complaints(tx, answered=False, cursor=None, limit=1)
    )
    made = await place.town.do(
        lambda tx: decisions.answer_complaint(
            tx, act(place), ComplaintId(found.items[0].id), verdict, answer=answer
        )
    )
    assert isinstance(made, Complaint), made


async def test_whoever_is_suspended_reads_why_and_nothing_else(place: Place, ada: Browser):
    await takes(place, ada, Measure.SUSPENSION)

    for path in ("/inbox", "/compose", "/premium", "/settings/account", "/me/photo"):
        answer = await ada.get(path)
        if answer.status_code != 404:
            assert answer.headers["location"] == "/suspended", path
    sent = await ada.post("/compose", {"to": "grace", "body": "Hello"})
    assert (sent.status_code, sent.headers["location"]) == (303, "/suspended")
    shown = text_of(await ada.get("/suspended"))
    assert "Your account is suspended" in shown
    assert "You sent one advertisement to forty strangers. Our terms, 4" in shown
    assert "It rests on the terms of use. No report led to it. People decided it" in shown
    assert "Nothing is lost: your letters, credits and plans stay as they are." in shown
    stream = await ada.get("/events")
    assert stream.text.startswith("event: bye")
    assert (await ada.get("/settings/data/close")).status_code == 200
    assert (await ada.get("/me/export")).headers["content-type"] == "application/zip"
    out = await ada.post("/logout")
    assert out.headers["location"].startswith("/login")


async def test_a_complaint_is_sent_and_its_answer_read(place: Place, ada: Browser):
    made = await takes(place, ada, Measure.SUSPENSION)
    form = {"about": "decision", "id": made.id, "text": "  "}

    blank = await ada.post("/settings/decisions/complain", form)
    assert (blank.status_code, "Write something" in text_of(blank)) == (422, True)
    sent = await ada.post("/settings/decisions/complain", form | {"text": "It was not me."})
    page = text_of(await ada.follow(sent))
    assert "Your complaint of 31 January 2025 It was not me. It is not answered yet." in page
    again = await ada.post("/settings/decisions/complain", form | {"text": "Really."})
    assert again.status_code == 409

    await answers(place, Verdict.REVERSED, "We are sorry.")
    assert (await ada.get("/suspended")).headers["location"] == "/inbox"
    page = text_of(await ada.get("/settings/decisions"))
    assert "Your account is open again 31 January 2025 We are sorry." in page
    assert "You were right; it is taken back. We are sorry." in page


async def test_a_warning_is_read_in_the_settings_and_hinders_nothing(place: Place, ada: Browser):
    assert "Nothing. Whatever those who run this site" in text_of(
        await ada.get("/settings/decisions")
    )
    await takes(place, ada, Measure.WARNING)

    page = text_of(await ada.get("/settings/decisions"))
    assert "A warning 31 January 2025" in page
    assert "Complain, until 31 July 2025" in page
    assert (await ada.get("/inbox")).status_code == 200
    await place.days_pass(182)
    assert "Complain" not in text_of(await ada.get("/settings/decisions"))


async def test_a_reporter_reads_what_became_of_it(place: Place, ada: Browser):
    grace = await place.member("grace", **CAREER)
    form = {"reason": "spam", "note": "An advertisement."}
    done = await grace.post(f"/in/{ada.id}/report", form)
    assert "What becomes of your report stands under Settings" in text_of(await grace.follow(done))
    page = text_of(await grace.get("/settings/decisions"))
    assert "Not decided yet Reported on 31 January 2025 Spam or advertising" in page

    found = await place.town.look(
        lambda tx: reports.store.made_by(tx, grace.id, cursor=None, limit=1)
    )
    report = ReportId(found.items[0].id)
    assert found.items[0].reason == Reason.SPAM
    await place.town.do(
        lambda tx: decisions.decide_report(
            tx,
            act(place),
            report,
            Measure.WARNING,
            ground=Ground.TERMS,
            statement=WHY,
            answer="Thank you: it was.",
        )
    )

    page = text_of(await grace.get("/settings/decisions"))
    assert "Something was done" in page
    assert "Thank you: it was." in page
    assert "forty strangers" not in page
    hers = text_of(await ada.get("/settings/decisions"))
    assert "A report led to it." in hers
    assert "Grace" not in hers


async def test_a_complaint_of_what_is_not_ones_own_is_none(place: Place, ada: Browser):
    made = await takes(place, ada, Measure.WARNING)
    grace = await place.member("grace")
    form = {"about": "decision", "id": made.id, "text": "It was not her."}

    assert (await grace.post("/settings/decisions/complain", form)).status_code == 404
    for wrong in ({"about": "weather"}, {"id": "x"}):
        answer = await ada.post("/settings/decisions/complain", form | wrong)
        assert answer.status_code == 404


@pytest.mark.parametrize("language", ["en", "ar"])
@pytest.mark.parametrize("about", ["decision", "report", "complaint"])
async def test_open_pages_are_told(about: str, language: str):
    words = words_of(language, "UTC")

    patch = await patches_for(None, None, words, DecisionTold(about, "x"))  # pyright: ignore[reportArgumentType]

    assert 'data-at="#notices"' in patch
    assert ("Settings" in patch) == (language == "en")
