"""Answering a letter by a link in its mail: one act, after one press, without signing in."""

from __future__ import annotations

import logging
import re
from datetime import timedelta

import httpx
import pytest

from overture.core import seals
from overture.core.conversations import State
from overture.core.policy import Outcome
from overture.core.refusals import Refusal
from overture.core.sending import Respond, Withdraw
from overture.store import accounts, inbox
from overture.store.db import all_rows, one_row
from tests.web.conftest import Browser, Place, text_of
from tests.work import SECRET


class Letter:
    """Ada's letter to Grace, and the links in the mail that told Grace of it."""

    def __init__(self, place: Place, ada: Browser, grace: Browser, letter) -> None:
        self.place, self.ada, self.grace, self.id = place, ada, grace, letter
        self.anyone = place.browser()

    def link(self, answer: str = "", **other: object) -> str:
        made = {
            "member": self.grace.id,
            "conversation": self.id,
            "address": f"{self.grace.id}@overture.example",
            "until": self.place.town.now + seals.ANSWER_LINKS_HOLD,
        } | other
        seal = seals.for_answer(SECRET, **made)
        return f"/answer/{seal}?with={answer}" if answer else f"/answer/{seal}"

    async def presses(self, link: str, **form: str) -> httpx.Response:
        """What the page's own form does, in a browser where nobody is signed in."""
        path, _, answer = link.partition("?with=")
        return await self.anyone.post(path, {"with": answer} | form)

    async def state(self) -> State:
        thread = await self.place.town.look(lambda tx: inbox.one(tx, self.grace.id, self.id))
        return thread.row.state

    async def messages(self) -> list[str]:
        rows = await self.place.town.look(
            lambda tx: all_rows(tx, "select body from messages order by number")
        )
        return [row[0] for row in rows]

    async def refunds(self) -> int:
        statement = "select count(*) from ledger_entries where kind = 'refund'"
        return (await self.place.town.look(lambda tx: one_row(tx, statement)))[0]


@pytest.fixture
async def letter(place: Place) -> Letter:
    ada = await place.member("ada", premium="premium_career")
    grace = await place.member("grace", premium="premium_career")
    sent = await place.town.sends(ada.id, grace.id)
    assert not isinstance(sent, Refusal)
    await place.town.do(lambda tx: tx.execute("update inbox set subject = 'A press shop'"))
    return Letter(place, ada, grace, sent)


async def test_a_link_asks_before_it_answers(letter: Letter) -> None:
    """Scanners and mail programs follow links: looking changes nothing."""
    for _ in range(2):
        answer = await letter.anyone.get(letter.link("accept"))
        assert answer.status_code == 200
        assert "A press shop" in text_of(answer)
        assert "Ada to you" in text_of(answer)
        await letter.anyone.http.head(letter.link("accept"))
    assert await letter.state() is State.PENDING

    await letter.presses(letter.link("accept"))
    assert await letter.state() is State.ACCEPTED


@pytest.mark.parametrize(
    ("answer", "state", "said"),
    [("accept", State.ACCEPTED, "You accepted."), ("decline", State.DECLINED, "You declined.")],
)
async def test_one_press_answers_and_returns_the_credit(
    letter: Letter, answer: str, state: State, said: str
) -> None:
    pressed = await letter.presses(letter.link(answer))
    assert said in text_of(await letter.anyone.follow(pressed))
    assert (await letter.state(), await letter.refunds()) == (state, 1)


async def test_a_quick_reply_can_be_edited_first(letter: Letter) -> None:
    shown = await letter.anyone.get(letter.link("no_thanks"))
    assert "No thanks</textarea>" in shown.text
    assert "Decline and send" in text_of(shown)

    await letter.presses(letter.link("no_thanks"), body="No thanks, I am happy here.")
    assert await letter.state() is State.DECLINED
    assert await letter.messages() == ["Hello", "No thanks, I am happy here."]


async def test_an_empty_quick_reply_is_told_and_kept(letter: Letter) -> None:
    pressed = await letter.presses(letter.link("interested"), body=" \n")
    assert pressed.status_code == 422
    assert "the text is empty" in text_of(pressed)
    assert await letter.state() is State.PENDING


async def test_it_answers_once(letter: Letter) -> None:
    """The same again changes nothing; another answer is refused; nothing more can be written."""
    await letter.presses(letter.link("maybe_later"), body="In autumn.")
    await letter.presses(letter.link("maybe_later"), body="In autumn.")
    await letter.presses(letter.link("accept"))
    assert await letter.messages() == ["Hello", "In autumn."]

    other = await letter.presses(letter.link("decline"))
    assert (other.status_code, "answered already" in text_of(other)) == (409, True)
    more = await letter.presses(letter.link("interested"), body="And another thing.")
    assert more.status_code == 303
    assert await letter.messages() == ["Hello", "In autumn."]
    assert (await letter.state(), await letter.refunds()) == (State.ACCEPTED, 1)


async def test_a_link_without_an_answer_offers_them_all(letter: Letter) -> None:
    for link in (letter.link(), letter.link("something")):
        shown = await letter.anyone.get(link)
        assert "<form" not in shown.text.partition("<main")[2].partition("</main>")[0]
        for each in ("Interested, tell me more", "Maybe later", "No thanks", "Accept", "Decline"):
            assert f">{each}</a>" in shown.text
    assert (await letter.presses(letter.link("something"))).status_code == 422
    assert await letter.state() is State.PENDING


# What does not hold -------------------------------------------------------------------------------


async def test_only_the_recipients_own_link_holds(letter: Letter) -> None:
    eve = await letter.place.member("eve", premium="premium_career")
    theirs = await letter.place.town.sends(eve.id, letter.ada.id)
    good = letter.link("accept")
    seal = good.partition("?")[0].rpartition("/")[2]
    for bad in (
        letter.link("accept", member=eve.id, address=f"{eve.id}@overture.example"),
        letter.link("accept", member=letter.ada.id, address="ada@example.org"),
        letter.link("accept", conversation=theirs),
        letter.link("accept", address="else@example.org"),
        good.replace(seal[:4], "aaaa", 1),
        good.replace(seal[-4:], "aaaa", 1),
        "/answer/x?with=accept",
        "/answer/%F0%9F%92%A9?with=accept",
    ):
        for answer in (await letter.anyone.get(bad), await letter.presses(bad)):
            assert answer.status_code == 410
            assert "press shop" not in answer.text
            assert "Ada" not in answer.text
    assert await letter.state() is State.PENDING


async def test_the_senders_own_link_answers_nothing(letter: Letter) -> None:
    link = letter.link("accept", member=letter.ada.id, address=f"{letter.ada.id}@overture.example")
    assert (await letter.presses(link)).status_code == 409
    assert await letter.state() is State.PENDING


async def test_a_link_ends_with_its_days(letter: Letter) -> None:
    last = letter.link("accept")
    letter.place.town.pass_by(days=90)
    await letter.place.site.play(letter.place.town.now)
    assert (await letter.anyone.get(last)).status_code == 200

    await letter.place.site.play(letter.place.town.pass_by(seconds=1))
    for answer in (await letter.anyone.get(last), await letter.presses(last)):
        assert answer.status_code == 410
        assert "for 90 days" in text_of(answer)
        assert "press shop" not in answer.text
    assert await letter.state() is State.PENDING


async def test_a_link_ends_with_the_address_it_went_to(letter: Letter) -> None:
    link = letter.link("accept")
    moved = "moved@example.org"
    await letter.place.town.do(lambda tx: accounts.change_email(tx, letter.grace.id, moved))
    assert (await letter.presses(link)).status_code == 410
    assert await letter.state() is State.PENDING
    assert (await letter.presses(letter.link("accept", address=moved))).status_code == 303


async def test_of_a_withdrawn_letter_only_that_is_told(letter: Letter) -> None:
    await letter.place.town.acts(Withdraw(letter.ada.id, letter.id))
    shown = await letter.anyone.get(letter.link("accept"))
    assert "took this InMail back" in text_of(shown)
    assert "press shop" not in shown.text
    pressed = await letter.presses(letter.link("accept"))
    assert (pressed.status_code, "no longer waiting" in text_of(pressed)) == (409, True)


async def test_what_was_answered_elsewhere_is_told(letter: Letter) -> None:
    await letter.place.town.acts(Respond(letter.grace.id, letter.id, Outcome.DECLINED))
    assert "You declined." in text_of(await letter.anyone.get(letter.link("accept")))


async def test_a_form_of_another_site_answers_nothing(letter: Letter) -> None:
    path = letter.link().partition("?")[0]
    forged = await letter.anyone.http.post(
        path, data={"with": "accept"}, headers={"Sec-Fetch-Site": "cross-site"}
    )
    assert forged.status_code == 403
    assert await letter.state() is State.PENDING


async def test_it_is_kept_nowhere_and_leaks_nowhere(letter: Letter) -> None:
    shown = await letter.anyone.get(letter.link("accept"))
    assert shown.headers["cache-control"] == "no-store"
    assert shown.headers["referrer-policy"] == "same-origin"
    assert "set-cookie" not in shown.headers
    # Nothing of other places is loaded, or linked to.
    assert not re.search(r'(?:href|src)="https?://', shown.text)
    # It signs nobody in.
    assert (await letter.anyone.get("/inbox")).headers["location"].startswith("/login")


async def test_a_fault_is_logged_without_the_link(letter: Letter, monkeypatch, caplog) -> None:
    from overture.actions import replies

    async def fails(*_: object) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr(replies, "answering", fails)
    link = letter.link("accept")
    with caplog.at_level(logging.ERROR):
        assert (await letter.anyone.get(link)).status_code == 500
    assert "GET /answer/… failed" in caplog.text
    assert link.partition("?")[0].rpartition("/")[2] not in caplog.text


async def test_it_speaks_the_members_language(letter: Letter) -> None:
    speaks = "update members set language = 'ar' where id = %s"
    await letter.place.town.do(lambda tx: tx.execute(speaks, (letter.grace.id,)))
    shown = await letter.anyone.get(letter.link("accept"))
    assert '<html lang="ar" dir="rtl"' in shown.text
    letter.anyone.http.headers["Accept-Language"] = "ar"
    gone = await letter.anyone.get("/answer/x")
    assert '<html lang="ar" dir="rtl"' in gone.text


async def test_whoever_else_is_signed_in_does_not_matter(letter: Letter) -> None:
    link = letter.link("accept").partition("?")[0]
    pressed = await letter.ada.post(link, {"with": "accept"})
    assert pressed.status_code == 303
    assert await letter.state() is State.ACCEPTED
    assert timedelta(days=90) == seals.ANSWER_LINKS_HOLD
