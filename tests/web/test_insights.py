"""Insights over HTTP: the page counts letters as they were, and names nobody."""

from __future__ import annotations

import re

from overture import ids
from overture.core.conversations import Outcome
from overture.core.ids import ConversationId, MemberId, MessageId
from overture.core.sending import Done, Respond, Start
from overture.store import installation
from tests.web.conftest import Browser, Place, text_of

TEXT = """Hello {name},

I read what you wrote about compilers, {name}, and would like to know whether you would speak to
our group of twelve people in spring, on whatever part of it you like best."""


async def writes(place: Place, sender: Browser, to: MemberId, body: str) -> ConversationId:
    assert sender.id is not None
    conversation, message = ConversationId(ids.new()), MessageId(ids.new())
    done = await place.town.acts(Start(sender.id, to, conversation, message, body))
    assert isinstance(done, Done), done
    return done.conversation.id


async def hours_pass(place: Place, hours: int) -> None:
    instant = place.town.pass_by(hours=hours)
    await place.town.do(lambda tx: installation.set_test_clock(tx, instant))


def kpis(page: str) -> dict[str, str]:
    found = re.findall(r"<dt>([^<]*)</dt><dd class=\"num\">(.*?)</dd>", page, re.DOTALL)
    return {name: " ".join(re.sub(r"<[^>]+>", " ", value).split()) for name, value in found}


def rows(page: str, heading: str) -> list[list[str]]:
    """The rows of the table with that caption, as they are read; without the empty ones."""
    table = page.partition(f'<caption class="vh">{heading}</caption>')[2].partition("</table>")[0]
    body = table.partition("<tbody>")[2]
    cells = [
        re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in body.split("</tr>")
    ]
    read = [[" ".join(re.sub(r"<[^>]+>", "", each).split()) for each in row] for row in cells]
    return [row[:3] for row in read if len(row) > 1 and row[1] != "0"]


async def test_letters_are_counted_with_their_answers_and_nobody_is_named(place: Place):
    ada = await place.member("ada", premium="premium_career")
    names = ("grace", "alan", "edsger", "barbara")
    to = [await place.town.member(name, premium="premium_career") for name in names]
    sent = [
        await writes(place, ada, each, TEXT.format(name=name))
        for each, name in zip(to, names, strict=True)
    ]
    await hours_pass(place, 5)
    await place.town.accepts(to[0], sent[0])
    done = await place.town.acts(Respond(to[1], sent[1], Outcome.DECLINED))
    assert isinstance(done, Done)

    page = (await ada.get("/insights")).text

    told = kpis(page)
    assert told["Sent"] == "4"
    assert told["Answer rate"].startswith("50%")
    assert told["Median time to answer"] == "5 h 0 min"
    assert told["Credits per answer"].startswith("2 4 credits for 2 answers")
    assert rows(page, "By length") == [["up to 200", "4", "50% (15% to 85%)"]]
    assert [row[1:] for row in rows(page, "By template")] == [["4", "50% (15% to 85%)"]]
    assert rows(page, "By template")[0][0].startswith("I read what you wrote about compilers")
    assert sum(int(row[1]) for row in rows(page, "By hour")) == 4
    assert [row[1:] for row in rows(page, "By month")] == [["4", "2"]]
    assert not any(name in page.casefold() for name in names)


async def test_the_other_side_sees_its_own_load(place: Place):
    ada = await place.member("ada", premium="premium_career")
    grace = await place.member("grace", premium="premium_career")
    bo = await place.member("bo", premium="premium_career")
    assert grace.id is not None
    first = await writes(place, ada, grace.id, "Would you tell me more?")
    await writes(place, bo, grace.id, "Would you tell me more?")
    await hours_pass(place, 30)
    await place.town.accepts(grace.id, first)

    answer = await grace.get("/insights")

    told = kpis(answer.text)
    assert told["Letters from strangers"] == "2"
    assert told["You answered"] == "50% 1 of 2"
    assert told["Your median time to answer"] == "1 d 6 h"
    assert "Insights begin with your first letter" in text_of(answer)
    assert "ada" not in answer.text.casefold().replace("data", "")


async def test_who_has_neither_written_nor_got_any_reads_so(place: Place):
    answer = await (await place.member("carl")).get("/insights")

    assert "Insights begin with your first letter" in text_of(answer)
    assert "No stranger has written to you" in text_of(answer)


async def test_what_could_not_be_delivered_and_what_is_older_than_a_year_do_not_count(place: Place):
    ada = await place.member("ada", premium="premium_career")
    old = await place.town.member("old", premium="premium_career")
    await writes(place, ada, old, "Would you tell me more?")
    await place.days_pass(400)
    leaves = await place.member("leaves", premium="premium_career")
    assert leaves.id is not None
    await writes(place, ada, leaves.id, "Would you tell me more?")
    stays = await place.town.member("stays", premium="premium_career")
    await writes(place, ada, stays, "Would you tell me more?")
    assert kpis((await ada.get("/insights")).text)["Sent"] == "2"

    closed = await leaves.post(
        "/settings/data/close", {"password": "correct horse battery", "sure": "on"}
    )

    assert closed.status_code in (200, 303), text_of(closed)
    assert kpis((await ada.get("/insights")).text)["Sent"] == "1"
