"""Members, their credits, the ledger and conversations, as operators see them and act."""

from __future__ import annotations

import re
from io import BytesIO
from typing import Any
from zipfile import ZipFile

import pytest

from overture import ids
from overture.actions import members, reports
from overture.actions.reports import Reason
from overture.core.ids import ConversationId, MemberId, MessageId, ReportId
from overture.core.policy import Outcome
from overture.core.sending import Done, Respond, Start
from overture.store.db import Tx, all_rows
from tests.web.conftest import Browser, Place, text_of

CAREER = {"premium": "premium_career"}
WHY = "You sent one advertisement to forty strangers.\n\nOur terms, 4: no advertising."
DECIDE = {"measure": "suspension", "ground": "terms", "statement": WHY}


@pytest.fixture
async def otto(place: Place) -> Browser:
    return await place.operator("otto")


@pytest.fixture
async def ada(place: Place) -> Browser:
    return await place.member("ada", **CAREER)


def known(browser: Browser) -> MemberId:
    assert browser.id is not None
    return browser.id


async def letter(place: Place, sender: Browser, to: Browser) -> ConversationId:
    start = Start(
        known(sender),
        known(to),
        ConversationId(ids.new()),
        MessageId(ids.new()),
        "A secret",
        "Hush",
    )
    done = await place.town.acts(start)
    assert isinstance(done, Done), done
    return start.conversation_id


async def audited(place: Place, action: str) -> list[dict[str, Any]]:
    rows = await place.town.look(
        lambda tx: all_rows(
            tx, "select actor, member_id, detail::jsonb from audit where action = %s", (action,)
        )
    )
    return [{"actor": row[0], "member": row[1], "detail": row[2].decode()} for row in rows]


# Finding ------------------------------------------------------------------------------------------


async def test_members_are_found_by_name_handle_address_and_id(place: Place, otto: Browser):
    ada = await place.member("ada")
    bert = await place.member("bert")
    changes = members.ProfileChanges(name="Ada Lovelace")
    await place.town.do(lambda tx: members.update(tx, known(ada), changes, place.town.now))

    address = f"{ada.id}@overture.example"
    for q in ("lovel", "Ada Lovelace", "LOVELACE ada", "ada", address, ada.id, "@ada", "ad"):
        page = (await otto.get("/ops/members", params={"q": q})).text
        assert f"/ops/members/{ada.id}" in page, q
        assert f"/ops/members/{bert.id}" not in page, q
    assert "Nobody found" in text_of(await otto.get("/ops/members?q=charles"))
    newest = (await otto.get("/ops/members")).text
    places = [newest.index(f"/ops/members/{each.id}") for each in (bert, ada, otto)]
    assert places == sorted(places)


async def test_who_is_suspended_or_has_left_is_found_as_well(otto: Browser, ada: Browser):
    assert (await otto.post(f"/ops/members/{ada.id}/decide", DECIDE)).status_code == 303
    for path in ("/ops/members?q=ada", "/ops/members?show=suspended"):
        page = await otto.get(path)
        assert f"/ops/members/{ada.id}" in page.text
        assert "suspended" in text_of(page)

    await ada.post("/settings/account/close", {"confirm": "yes"})
    assert (await otto.get(f"/ops/members/{ada.id}")).status_code == 200


async def test_as_one_types_only_the_list_comes(otto: Browser, ada: Browser):
    patches = (await otto.get("/ops/members?q=ada", live="suggest")).text

    assert patches.startswith('<template data-at="#found">')
    assert known(ada) in patches


async def test_lists_come_anew_by_themselves_where_they_begin(
    place: Place, otto: Browser, ada: Browser
):
    bert = await place.member("bert", **CAREER)
    await letter(place, ada, bert)
    for path, piece in (
        ("/ops/overview", "#overview"),
        ("/ops/members", "#found"),
        ("/ops/members?show=suspended", "#found"),
        (f"/ops/members/{ada.id}", "#member"),
        (f"/ops/ledger/{ada.id}", "#held"),
        ("/ops/conversations?member=ada", "#rows"),
        ("/ops/audit?of=all", "#rows"),
        ("/ops/reports/complaints", "#queue"),
        ("/ops/reports/suspicions", "#rows"),
        ("/ops/webhooks", "#rows"),
    ):
        anew = await otto.get(path, live="anew")
        assert anew.text.startswith(f'<template data-at="{piece}"'), path

    again = 'data-again="10"'
    for path in (
        "/ops/members",
        f"/ops/members/{ada.id}",
        f"/ops/ledger/{ada.id}",
        "/ops/conversations?member=ada",
        # Also where there is nothing yet.
        "/ops/conversations?member=otto",
        "/ops/reports/suspicions",
        "/ops/webhooks",
    ):
        assert again in (await otto.get(path)).text, path
    # What was sought stays as it was found.
    assert again not in (await otto.get("/ops/members?q=ada")).text
    assert again not in (await otto.get("/ops/members?q=", live="suggest")).text


async def test_addresses_are_masked_and_shown_in_whole_for_a_reason(
    place: Place, otto: Browser, ada: Browser
):
    address = f"{ada.id}@overture.example"
    page, url = f"/ops/members/{ada.id}", f"/ops/members/{ada.id}/address"
    # As the host tells of them.
    elsewhere = "update members set email = 'elsewhere@overture.example' where id = %s"
    await place.town.do(lambda tx: tx.execute(elsewhere, (ada.id,)))

    for path in (page, "/ops/members", "/ops/members?q=ada"):
        shown = await otto.get(path)
        assert "…@overture.example" in text_of(shown), path
        assert address not in shown.text
        assert "elsewhere@" not in shown.text
    refused = await otto.post(url, {"reason": " "})
    assert refused.status_code == 422
    assert 'role="alert"' in refused.text
    assert address not in refused.text
    assert await audited(place, "address.shown") == []

    shown = text_of(await otto.post(url, {"reason": "They ask by telephone."}))
    assert address in shown
    assert "elsewhere@overture.example" in shown
    (noted,) = await audited(place, "address.shown")
    assert (noted["actor"], noted["member"]) == (f"operator:{otto.id}", ada.id)
    assert "They ask by telephone." in noted["detail"]
    assert address not in noted["detail"]
    assert address not in (await otto.get(page)).text
    assert (
        await otto.post(f"/ops/members/{ids.new()}/address", {"reason": "Why"})
    ).status_code == 404


async def test_members_learn_that_their_address_was_looked_at_and_not_what_for(
    place: Place, otto: Browser, ada: Browser
):
    await otto.post(f"/ops/members/{ada.id}/address", {"reason": "Eve says that she knows her."})

    taken = ZipFile(BytesIO((await ada.get("/me/export")).content))

    security = taken.read("security.json").decode()
    assert "address.shown" in security
    assert "Eve" not in security


# As the rules see them ----------------------------------------------------------------------------


async def test_a_member_is_seen_as_the_rules_see_them(place: Place, otto: Browser, ada: Browser):
    bert = await place.member("bert", **CAREER)
    await letter(place, ada, bert)

    page = text_of(await otto.get(f"/ops/members/{ada.id}"))
    assert "Premium Career premium" in page
    assert "4 of at most" in page
    assert "1 of 30 letters to strangers within 24 hours" in page
    assert "Takes InMail yes" in page


@pytest.mark.usefixtures("ada")
async def test_the_rules_are_asked_what_may_be_written(place: Place, otto: Browser):
    bert = await place.member("bert")
    asked = f"/ops/members/{bert.id}?other=ada"

    assert "recipient_not_premium" in text_of(await otto.get(asked))
    carl = await place.member("carl", **CAREER)
    page = text_of(await otto.get(f"/ops/members/{carl.id}?other=ada"))
    assert "They may write, for 1 credit." in page
    page = text_of(await otto.get(f"/ops/members/{carl.id}?other={bert.id}&way=from"))
    assert "They may write" not in page
    assert "There is no such other member" in text_of(
        await otto.get(f"/ops/members/{carl.id}?other=nobody")
    )


# Deciding -----------------------------------------------------------------------------------------


async def test_a_member_is_suspended_and_reinstated_with_the_reasons(
    place: Place, otto: Browser, ada: Browser
):
    done = await otto.post(f"/ops/members/{ada.id}/decide", DECIDE)
    assert "Suspended since" in text_of(await otto.follow(done))
    assert (await ada.get("/inbox")).headers["location"] == "/suspended"
    assert "no advertising" in text_of(await ada.get("/suspended"))
    (noted,) = await audited(place, "member.suspended")
    assert (noted["actor"], noted["member"]) == (f"operator:{otto.id}", ada.id)

    twice = await otto.post(f"/ops/members/{ada.id}/decide", DECIDE)
    assert twice.status_code == 422

    lift = {"measure": "lifted", "ground": "terms", "statement": "We were wrong."}
    assert (await otto.post(f"/ops/members/{ada.id}/decide", lift)).status_code == 303
    assert (await ada.get("/inbox")).status_code == 200


async def test_nothing_is_decided_without_reasons(place: Place, otto: Browser, ada: Browser):
    refused = await otto.post(f"/ops/members/{ada.id}/decide", DECIDE | {"statement": " "})

    assert refused.status_code == 422
    assert 'id="statement-error"' in refused.text
    assert (await ada.get("/inbox")).status_code == 200
    assert await audited(place, "member.suspended") == []


@pytest.mark.parametrize("what", ["decide", "credits"])
async def test_what_weighs_asks_the_second_factor_again(
    place: Place, otto: Browser, ada: Browser, what: str
):
    url = f"/ops/members/{ada.id}/{what}"
    assert (await otto.get(url)).status_code == 200
    await place.factor_grows_stale(known(otto))

    assert (await otto.get(f"/ops/members/{ada.id}")).status_code == 200
    assert (await otto.get(url)).headers["location"] == f"/ops/enter?next={url}"
    form = DECIDE | {"pool": "premium", "credits": "3", "reason": "Sorry"}
    asked = await otto.post(url, form)
    assert asked.headers["location"].startswith("/ops/enter?")
    assert (await ada.get("/inbox")).status_code == 200
    assert await audited(place, "credits.adjusted") == []


# Credits and the ledger ---------------------------------------------------------------------------


async def test_credits_are_adjusted_with_a_reason_that_the_member_reads(
    place: Place, otto: Browser, ada: Browser
):
    url = f"/ops/members/{ada.id}/credits"
    form = {"pool": "premium", "credits": "+2", "reason": "A letter was lost"}

    done = await otto.post(url, form)
    assert "Adjusted: the balance is 7 now." in text_of(await otto.follow(done))
    assert "A letter was lost" in text_of(await ada.get("/premium"))
    (noted,) = await audited(place, "credits.adjusted")
    assert (noted["actor"], noted["member"]) == (f"operator:{otto.id}", ada.id)
    assert '"credits": 2' in noted["detail"]

    for change, told in (
        ({"credits": "0"}, "at least one credit"),
        ({"credits": "many"}, "A whole number"),
        ({"credits": "-100"}, ""),
        ({"reason": " "}, ""),
    ):
        refused = await otto.post(url, form | change)
        assert refused.status_code in (409, 422), change
        assert 'role="alert"' in refused.text
        assert told in text_of(refused)
    assert len(await audited(place, "credits.adjusted")) == 1


async def test_the_ledger_shows_each_entry_and_where_it_came_from(
    place: Place, otto: Browser, ada: Browser
):
    bert = await place.member("bert", **CAREER)
    conversation = await letter(place, ada, bert)

    assert (await otto.get("/ops/ledger?member=ada")).headers["location"] == f"/ops/ledger/{ada.id}"
    page = await otto.get(f"/ops/ledger/{ada.id}")
    assert "InMail to Bert" in text_of(page)
    assert "First grant" in text_of(page)
    assert f"/ops/conversations/{ada.id}/{conversation}" in page.text
    spent = text_of(await otto.get(f"/ops/ledger/{ada.id}?show=spent"))
    assert "InMail to Bert" in spent
    assert "First grant" not in spent
    # Who has no plan has no entries.
    assert "There is no entry yet" in text_of(await otto.get(f"/ops/ledger/{otto.id}"))


async def test_a_ledger_that_was_tampered_with_is_told(place: Place, otto: Browser, ada: Browser):
    for url in (f"/ops/ledger/{ada.id}/verify", "/ops/ledger/verify"):
        page = text_of(await otto.get(url))
        assert "Sound: every entry" in page
        assert "Accounts 1 Entries 1" in page

    async def tampers(tx: Tx) -> None:
        await tx.execute(
            "update credit_accounts set balance = balance + 1 where owner_id = %s", (ada.id,)
        )

    await place.town.do(tampers)

    for url in (f"/ops/ledger/{ada.id}/verify", "/ops/ledger/verify"):
        page = text_of(await otto.get(url))
        assert "1 thing is not as it must be" in page
        assert "Balance and next due instant" in page


# Conversations ------------------------------------------------------------------------------------


async def test_a_conversation_is_opened_for_a_reason_alone(
    place: Place, otto: Browser, ada: Browser
):
    bert = await place.member("bert", **CAREER)
    conversation = await letter(place, ada, bert)
    url = f"/ops/conversations/{bert.id}/{conversation}"

    for path in (f"/ops/conversations?member={bert.id}", url):
        shown = (await otto.get(path)).text
        assert "Ada" in shown
        assert "A secret" not in shown
        assert "Hush" not in shown
    refused = await otto.post(url, {"reason": "  "})
    assert refused.status_code == 422
    assert "A secret" not in refused.text
    assert await audited(place, "conversation.opened") == []

    opened = await otto.post(url, {"reason": "Order 12/34 of a court"})
    assert opened.status_code == 200
    assert "A secret" in opened.text
    assert "Hush" in opened.text
    (noted,) = await audited(place, "conversation.opened")
    assert noted["actor"] == f"operator:{otto.id}"
    assert conversation in noted["detail"]
    assert "Order 12/34" in noted["detail"]
    assert "Order 12/34" in text_of(await otto.get("/ops/audit"))

    await place.factor_grows_stale(known(otto))
    again = await otto.post(url, {"reason": "Order 12/34 of a court"})
    assert again.headers["location"].startswith("/ops/enter")


async def test_what_was_reported_is_shown_and_no_more(place: Place, otto: Browser, ada: Browser):
    bert = await place.member("bert", **CAREER)
    conversation = await letter(place, ada, bert)
    await place.town.acts(Respond(known(bert), conversation, Outcome.ACCEPTED))
    await place.town.do(
        lambda tx: reports.report(
            tx,
            known(bert),
            ReportId(ids.new()),
            member=known(ada),
            conversation=conversation,
            reason=Reason.SPAM,
            note="A note",
            now=place.town.now,
        )
    )
    sent = await bert.post(
        f"/inbox/{conversation}/messages", {"body": "My own words", "key": ids.new()}
    )
    assert sent.status_code == 303

    page = (await otto.get(f"/ops/conversations/{ada.id}/{conversation}")).text
    assert "A secret" in page
    assert "A note" in page
    assert "Spam or advertising" in page
    assert "My own words" not in page
    assert "reported" in text_of(await otto.get("/ops/conversations?member=ada"))


async def test_a_conversation_is_found_through_its_members_alone(
    place: Place, otto: Browser, ada: Browser
):
    bert, carl = await place.member("bert", **CAREER), await place.member("carl")
    conversation = await letter(place, ada, bert)

    url = f"/ops/conversations/{carl.id}/{conversation}"
    assert (await otto.get(url)).status_code == 404
    assert (await otto.post(url, {"reason": "Why not"})).status_code == 404
    assert await audited(place, "conversation.opened") == []
    assert re.search(r"They have none", text_of(await otto.get("/ops/conversations?member=carl")))
