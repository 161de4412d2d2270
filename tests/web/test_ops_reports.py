"""Reports, complaints and suspicions in the console: seen, decided, and put into the audit log."""

from __future__ import annotations

import re

from overture import ids
from overture.actions import closing, decisions, inbox, reports
from overture.core.decisions import About
from overture.core.ids import ComplaintId, ConversationId, MemberId, MessageId, ReportId
from overture.core.sending import Done, Start
from overture.core.suspicions import Evidence, Kind, Partner
from overture.store import decisions as decisions_store
from overture.store import suspicions
from overture.store.db import Tx, all_rows
from overture.store.decisions import Complaint
from overture.store.reports import Report
from tests.web.conftest import Browser, Place, text_of

LETTER = "Buy my pills, they are the best."


async def people(place: Place) -> tuple[Browser, Browser, Browser]:
    """An operator, and two members who can write to each other."""
    return (
        await place.operator("otto"),
        await place.member("ada", premium="premium_career"),
        await place.member("mallory", premium="premium_career"),
    )


def id_of(browser: Browser) -> MemberId:
    assert browser.id
    return browser.id


async def reported(place: Place, reporter: Browser, member: Browser) -> str:
    """The id of a report of a letter, which its sender changed since."""
    start = Start(
        id_of(member),
        id_of(reporter),
        ConversationId(ids.new()),
        MessageId(ids.new()),
        LETTER,
        "Pills",
    )
    assert isinstance(await place.town.acts(start), Done)
    made = ReportId(ids.new())

    async def report(tx: Tx) -> None:
        done = await reports.report(
            tx,
            id_of(reporter),
            made,
            member=id_of(member),
            conversation=start.conversation_id,
            reason=reports.Reason.SPAM,
            note="The third one this week.",
            now=place.town.now,
        )
        assert isinstance(done, Report)
        edited = await inbox.edit(
            tx,
            id_of(member),
            start.conversation_id,
            start.message_id,
            body="Hello, how are you?",
            now=place.town.now,
        )
        assert edited

    await place.town.do(report)
    return made


async def audited(place: Place) -> list[tuple[str, str]]:
    return await place.town.look(
        lambda tx: all_rows(tx, "select actor, action from audit order by number")
    )


async def is_suspended(place: Place, member: MemberId | None) -> bool:
    found = await place.town.look(
        lambda tx: all_rows(tx, "select suspended_at from members where id = %s", (member,))
    )
    return found[0][0] is not None


async def test_a_report_is_seen_as_it_looked_and_both_sides_are_told_their_part(place: Place):
    otto, ada, mallory = await people(place)
    report = await reported(place, ada, mallory)

    listed = await otto.get("/ops/reports")
    assert "Spam or advertising" in text_of(listed)
    assert f'href="/ops/reports/{report}"' in listed.text
    answer = await otto.get(f"/ops/reports/{report}")
    page = text_of(answer)
    assert LETTER in page
    assert "Hello, how are you?" not in page
    assert "The third one this week." in page
    conversation = re.search(rf'href="(/ops/conversations/{mallory.id}/[^"]+)"', answer.text)
    assert conversation
    assert f'href="/ops/reports/{report}"' in (await otto.get(conversation[1])).text

    form = {"measure": "warning", "answer": "Thank you, it was.", "statement": "No advertising."}
    done = await otto.post(f"/ops/reports/{report}/decide", form)

    assert "Decided." in text_of(await otto.follow(done))
    assert "No report waits." in text_of(await otto.get("/ops/reports"))
    assert "Warned" in text_of(await otto.get("/ops/reports?state=decided"))
    hers = text_of(await ada.get("/settings/decisions"))
    theirs = text_of(await mallory.get("/settings/decisions"))
    assert "Thank you, it was." in hers
    assert "No advertising." not in hers
    assert "No advertising." in theirs
    assert "Thank you, it was." not in theirs
    assert (f"operator:{otto.id}", "report.decided") in await audited(place)


async def test_the_reports_of_one_member_are_found_from_their_page(place: Place):
    otto, ada, mallory = await people(place)
    report = await reported(place, ada, mallory)

    theirs = f"/ops/reports?member={mallory.id}"
    assert f'href="{theirs}"' in (await otto.get(f"/ops/members/{mallory.id}")).text
    page = await otto.get(theirs)
    assert f'href="/ops/reports/{report}"' in page.text
    assert f'href="/ops/reports?state=decided&amp;member={mallory.id}"' in page.text
    assert "No report waits." in text_of(await otto.get(f"/ops/reports?member={ada.id}"))
    assert "Nothing was decided yet." in text_of(await otto.get(f"{theirs}&state=decided"))
    assert (await otto.get("/ops/reports?member=nobody")).status_code == 404


async def test_a_measure_has_its_reasons_and_a_report_is_decided_once(place: Place):
    otto, ada, mallory = await people(place)
    url = f"/ops/reports/{await reported(place, ada, mallory)}"

    wordless = await otto.post(f"{url}/decide", {"measure": "warning", "answer": "It was."})
    assert wordless.status_code == 422
    assert 'id="statement-error"' in wordless.text
    assert "It was." in wordless.text
    assert (await otto.post(f"{url}/decide", {"measure": "lifted"})).status_code == 422
    assert await audited(place) == []

    nothing = {"measure": "none", "answer": "It breaks no rule."}
    assert (await otto.post(f"{url}/decide", nothing)).status_code == 303
    again = await otto.post(f"{url}/decide", nothing)
    assert again.status_code == 409
    assert "It breaks no rule." in text_of(await otto.get(url))
    assert (await otto.get(f"/ops/reports/{ids.new()}")).status_code == 404
    unknown = await otto.post(f"/ops/reports/{ids.new()}/decide", nothing)
    assert unknown.status_code == 404


async def test_a_suspension_asks_for_the_second_factor_and_keeps_what_was_written(place: Place):
    otto, ada, mallory = await people(place)
    url = f"/ops/reports/{await reported(place, ada, mallory)}"
    form = {"measure": "suspension", "answer": "It was.", "statement": "No advertising."}
    assert "asks for your second factor" not in text_of(await otto.get(url))
    await place.factor_grows_stale(id_of(otto))

    refused = await otto.post(f"{url}/decide", form)
    assert refused.status_code == 403
    assert "asks for your second factor again" in text_of(refused)
    assert "No advertising." in refused.text
    assert f'href="/ops/enter?next={url}"' in refused.text
    assert not await is_suspended(place, id_of(mallory))

    await place.town.do(lambda tx: tx.execute("update sessions set factor_at = now()"))
    assert (await otto.post(f"{url}/decide", form)).status_code == 303
    assert await is_suspended(place, id_of(mallory))


async def test_a_complaint_that_is_right_lifts_the_suspension(place: Place):
    otto, ada, mallory = await people(place)
    report = await reported(place, ada, mallory)
    form = {"measure": "suspension", "answer": "It was.", "statement": "No advertising."}
    assert (await otto.post(f"/ops/reports/{report}/decide", form)).status_code == 303
    complaint = ComplaintId(ids.new())

    async def complain(tx: Tx) -> None:
        made = await decisions_store.last_suspension(tx, id_of(mallory))
        assert made
        done = await decisions.complain(
            tx,
            id_of(mallory),
            complaint,
            about=About.DECISION,
            about_id=made,
            words="These are sweets.",
            now=place.town.now,
        )
        assert isinstance(done, Complaint)

    await place.town.do(complain)
    page = text_of(await otto.get("/ops/reports/complaints"))
    assert "These are sweets." in page
    assert "No advertising." in page
    url = f"/ops/reports/complaints/{complaint}/answer"

    wordless = await otto.post(url, {"verdict": "reversed", "answer": ""})
    assert wordless.status_code == 422
    assert "<details" in wordless.text
    assert re.search(r"<details[^>]* open>", wordless.text)
    assert (await otto.post(url, {"verdict": "perhaps", "answer": "Yes."})).status_code == 422
    assert await is_suspended(place, id_of(mallory))

    done = await otto.post(url, {"verdict": "reversed", "answer": "You are right."})
    assert "Answered." in text_of(await otto.follow(done))
    assert not await is_suspended(place, id_of(mallory))
    assert (await otto.post(url, {"verdict": "stands", "answer": "No."})).status_code == 409
    assert "You are right." in text_of(await otto.get("/ops/reports/complaints?state=answered"))
    assert (f"operator:{otto.id}", "complaint.answered") in await audited(place)


async def test_a_complaint_of_what_became_of_a_report_opens_it_again(place: Place):
    otto, ada, mallory = await people(place)
    report = await reported(place, ada, mallory)
    nothing = {"measure": "none", "answer": "It breaks no rule."}
    assert (await otto.post(f"/ops/reports/{report}/decide", nothing)).status_code == 303
    words = {"about": "report", "id": report, "text": "It does."}
    assert (await ada.post("/settings/decisions/complain", words)).status_code == 303

    page = await otto.get("/ops/reports/complaints")
    assert f'href="/ops/reports/{report}"' in page.text
    complaint = re.search(r"complaints/([0-9a-f-]+)/answer", page.text)
    assert complaint
    answer = {"verdict": "reversed", "answer": "So it does."}
    await otto.post(f"/ops/reports/complaints/{complaint[1]}/answer", answer)

    assert report in (await otto.get("/ops/reports")).text


async def test_a_suspicion_is_seen_with_its_evidence_and_dismissed(place: Place):
    otto, mallory = await place.operator("otto"), await place.member("mallory")
    ada = await place.member("ada")
    letters, place_led_to = (ConversationId(ids.new()),), "pills.example"
    refunds = Evidence(Kind.REFUNDS, 7, partners=(Partner(id_of(ada), 7, 3, 40, True, False),))

    async def suspect(tx: Tx) -> None:
        links = Evidence(Kind.LINKS, 12, letters, place_led_to)
        for evidence in (links, refunds, Evidence(Kind.SAME_LETTER, 14, letters)):
            await suspicions.put(tx, id_of(mallory), evidence, place.town.now, again=True)
        await suspicions.slow(tx, id_of(mallory), place.town.now)

    await place.town.do(suspect)
    listed = text_of(await otto.get("/ops/reports/suspicions"))
    assert "12 letters to strangers within 14 days lead there." in listed
    assert "pills.example" in listed
    assert "14 letters to strangers" not in text_of(
        await otto.get("/ops/reports/suspicions?kind=refunds")
    )
    ring = text_of(await otto.get(f"/ops/reports/suspicions/{mallory.id}/refunds"))
    assert "Ada" in ring
    assert "40 seconds" in ring
    assert "joined within a day" in ring
    assert "one address" not in ring

    url = f"/ops/reports/suspicions/{mallory.id}/same_letter"
    assert f'href="{url}"' in (await otto.get(f"/ops/members/{mallory.id}")).text
    done = await otto.post(f"{url}/dismiss")

    assert "Dismissed." in text_of(await otto.follow(done))
    assert "say the same" not in text_of(await otto.get("/ops/reports/suspicions"))
    assert "Dismissed on" in text_of(await otto.get(url))
    assert f'href="{url}"' not in (await otto.get(f"/ops/members/{mallory.id}")).text
    assert (f"operator:{otto.id}", "suspicion.dismissed") in await audited(place)
    slowed = "select slowed_until from members where id = %s"
    found = await place.town.look(lambda tx: all_rows(tx, slowed, (id_of(mallory),)))
    assert found == [(None,)]
    assert (await otto.post(f"{url}/dismiss")).status_code == 404
    assert (await otto.get(f"/ops/reports/suspicions/{mallory.id}/envy")).status_code == 404


async def test_who_is_suspected_is_warned_or_suspended_with_reasons(place: Place):
    otto, mallory = await place.operator("otto"), await place.member("mallory")
    evidence = Evidence(Kind.LINKS, 12, (), "pills.example")
    await place.town.do(
        lambda tx: suspicions.put(tx, id_of(mallory), evidence, place.town.now, again=True)
    )
    url = f"/ops/reports/suspicions/{mallory.id}/links"
    suspend = {"measure": "suspension", "statement": "No advertising.", "ground": "terms"}

    assert (await otto.post(f"{url}/decide", suspend | {"statement": ""})).status_code == 422
    assert (await otto.post(f"{url}/decide", suspend | {"measure": "none"})).status_code == 422
    await place.factor_grows_stale(id_of(otto))
    assert (await otto.post(f"{url}/decide", suspend)).status_code == 403
    assert not await is_suspended(place, id_of(mallory))
    warned = await otto.post(f"{url}/decide", suspend | {"measure": "warning"})
    assert "Warned" in text_of(await otto.follow(warned))

    await place.town.do(lambda tx: tx.execute("update sessions set factor_at = now()"))
    assert (await otto.post(f"{url}/decide", suspend)).status_code == 303
    assert await is_suspended(place, id_of(mallory))
    assert (await otto.post(f"{url}/decide", suspend)).status_code == 409
    done = [action for _, action in await audited(place)]
    assert done[-2:] == ["member.warned", "member.suspended"]


async def test_a_report_of_one_who_left_can_only_be_answered(place: Place):
    otto, ada, mallory = await people(place)
    url = f"/ops/reports/{await reported(place, ada, mallory)}"
    await place.town.do(
        lambda tx: closing.close(tx, id_of(mallory), place.town.now, book=place.town.book)
    )

    page = await otto.get(url)
    assert "has closed the account" in text_of(page)
    assert LETTER not in page.text
    assert 'value="suspension"' not in page.text
    answered = await otto.post(f"{url}/decide", {"measure": "none", "answer": "They have left."})
    assert answered.status_code == 303
