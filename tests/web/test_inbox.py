"""The inbox as pages: what a member reads of it, and what works without a script."""

from __future__ import annotations

import re
from html import unescape

from overture import ids
from overture.actions import closing, network
from overture.core.ids import ConversationId, MessageId
from overture.core.sending import Done, Start, Write
from overture.live.told import ConversationTold, MessageTold, ReceiptTold, ReminderTold, TypingTold
from overture.store import accounts
from overture.web.inbox import patches_for
from overture.words import words_of
from tests.web.conftest import Browser, Place, text_of

CAREER = {"premium": "premium_career"}


async def letter(
    place: Place, sender: Browser, to: Browser, body: str = "Shall we talk?", subject: str = ""
) -> ConversationId:
    assert sender.id
    assert to.id
    command = Start(
        sender.id, to.id, ConversationId(ids.new()), MessageId(ids.new()), body, subject
    )
    answer = await place.town.acts(command)
    assert isinstance(answer, Done), answer
    return answer.conversation.id


async def two(place: Place) -> tuple[Browser, Browser, ConversationId]:
    """Ada has written a letter to Grace."""
    ada, grace = await place.member("ada", **CAREER), await place.member("grace", **CAREER)
    return ada, grace, await letter(place, ada, grace, subject="Compilers")


async def friends(place: Place) -> tuple[Browser, Browser, ConversationId]:
    """Ada has written to Grace, whom she is connected with."""
    ada, grace = await place.member("ada"), await place.member("grace")
    assert ada.id
    assert grace.id
    pair = (ada.id, grace.id)
    await place.town.do(lambda tx: network.upsert_pairs(tx, [pair], place.town.now))
    return ada, grace, await letter(place, ada, grace, "Hello")


def key_in(page: str) -> str:
    found = re.search(r'name="key" id="key-[^"]*" value="([^"]*)"', page)
    assert found, "the form has a key"
    return found[1]


async def test_the_list_shows_whom_what_and_where_it_stands(place: Place):
    ada, grace, _ = await two(place)

    assert "Grace" in (own := text_of(await ada.get("/inbox")))
    assert "You: Shall we talk?" in own
    assert "Pending, 90 days left" in own
    received = text_of(await grace.get("/inbox"))
    assert "Ada Unread" in received.replace(" 1 unread", "")
    assert "Compilers" in received


async def test_the_recipient_is_told_that_any_answer_returns_the_credit(place: Place):
    _, grace, here = await two(place)

    shown = text_of(await grace.get(f"/inbox/{here}"))

    assert "Ada can’t see whether you read this until you answer." in shown
    assert "Any answer gives Ada the credit back, a no as much as a yes ." in shown
    for choice in ("Accept and reply", "Decline", "Remind me later", "No thanks"):
        assert choice in shown


async def test_a_reminder_brings_the_letter_to_the_top_until_it_is_opened(place: Place):
    ada, grace, here = await two(place)
    read = re.search(r'name="up_to" value="([^"]*)"', (await grace.get(f"/inbox/{here}")).text)
    assert read
    await grace.post(f"/inbox/{here}/read", {"up_to": read[1]})
    assert "Inbox 1" not in text_of(await grace.get("/inbox"))

    await place.days_pass(2)

    listed = text_of(await grace.get("/inbox"))
    assert "Reminder" in listed
    assert "Inbox 1" in listed
    shown = text_of(await grace.get(f"/inbox/{here}"))
    assert "It still waits for your answer." in shown
    assert "Reminder" not in text_of(await ada.get("/inbox"))
    await grace.post(f"/inbox/{here}/read", {"up_to": read[1]})
    assert "Reminder" not in text_of(await grace.get("/inbox"))


async def test_open_pages_follow_a_reminder(place: Place):
    _, grace, here = await two(place)
    assert grace.id
    await place.days_pass(2)
    viewer = accounts.Viewer(grace.id, "grace", "Grace", "", None, True, None, "UTC", "s")

    patches = await patches_for(place.site, viewer, words_of("en", "UTC"), ReminderTold(here))

    assert "It still waits for your answer." in patches
    assert "Reminder" in patches


async def test_a_quick_reply_can_be_edited_before_it_is_sent(place: Place):
    ada, grace, here = await two(place)

    page = await grace.get(f"/inbox/{here}?answer=no_thanks")
    assert ">No thanks</textarea>" in page.text
    form = {"body": "No thanks, not this year", "quick_reply": "no_thanks"}
    answer = await grace.post(f"/inbox/{here}/messages", form | {"key": key_in(page.text)})

    after = text_of(await grace.follow(answer))
    assert "No thanks, not this year" in after
    assert "You declined." in after
    told = text_of(await ada.get(f"/inbox/{here}"))
    assert "Grace declined. Your credit is back." in told
    assert "Credit back" in told


async def test_a_form_that_is_sent_twice_is_one_message(place: Place):
    ada, _, here = await friends(place)
    key = key_in((await ada.get(f"/inbox/{here}")).text)

    for _time in range(2):
        answer = await ada.post(f"/inbox/{here}/messages", {"body": "Once", "key": key})
        assert answer.status_code == 303

    assert (await ada.get(f"/inbox/{here}")).text.count('<p dir="auto">Once</p>') == 1


async def test_what_cannot_be_sent_stays_in_the_form(place: Place):
    ada, _, here = await friends(place)
    long = "x" * 2001

    answer = await ada.post(f"/inbox/{here}/messages", {"body": long, "key": "k"})

    assert answer.status_code == 422
    assert "The text has 2001 characters; at most 2000 can be sent." in text_of(answer)
    assert long in (await ada.get(f"/inbox/{here}")).text


async def test_a_sent_reply_leaves_no_draft_behind(place: Place):
    ada, _, here = await friends(place)
    await ada.post(f"/inbox/{here}/draft", {"body": "Half a thou"})
    page = await ada.get(f"/inbox/{here}")
    assert ">Half a thou</textarea>" in page.text

    await ada.post(f"/inbox/{here}/messages", {"body": "Half a thought", "key": "k"})

    assert "Half a thou<" not in (await ada.get(f"/inbox/{here}")).text


async def test_looking_at_a_page_reads_nothing_and_its_picture_does(place: Place):
    _, grace, here = await two(place)
    page = await grace.get(f"/inbox/{here}")
    assert "1 unread" in (await grace.get("/inbox")).text

    picture = re.search(r'<noscript><img class="vh" src="([^"]*)"', page.text)
    assert picture
    url = unescape(picture[1])
    assert (await grace.http.get(url)).status_code == 403
    fetched = await grace.http.get(url, headers={"Sec-Fetch-Site": "same-origin"})

    assert fetched.status_code == 204
    assert "1 unread" not in (await grace.get("/inbox")).text


async def test_a_link_to_the_picture_reads_nothing(place: Place):
    _, grace, here = await two(place)
    followed = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "document"}

    answer = await grace.http.get(f"/inbox/{here}/seen", headers=followed)

    assert answer.status_code == 403


async def test_links_are_links_and_nothing_else_is_html(place: Place):
    ada, grace, _ = await friends(place)
    here = await letter(place, ada, grace, "See https://example.org/?a=1&b=2 <b>now</b>\u202e!")

    page = (await grace.get(f"/inbox/{here}")).text

    assert 'href="https://example.org/?a=1&amp;b=2"' in page
    assert 'rel="nofollow ugc noopener noreferrer"' in page
    assert "&lt;b&gt;now&lt;/b&gt;" in page
    assert '<p dir="auto">See' in page


async def test_the_sender_is_warned_before_withdrawing(place: Place):
    ada, grace, here = await two(place)
    page = await ada.get(f"/inbox/{here}")
    assert "A withdrawn InMail returns no credit." in page.text

    await ada.post(f"/inbox/{here}/withdraw", {"key": "w"})

    assert "You withdrew this InMail." in text_of(await ada.get(f"/inbox/{here}"))
    hidden = text_of(await grace.get(f"/inbox/{here}"))
    assert "Ada withdrew this InMail." in hidden
    assert "Shall we talk?" not in hidden
    assert "Compilers" not in hidden


async def test_a_no_says_what_is_possible(place: Place):
    ada, grace, here = await two(place)

    assert "You can write again once Grace answers." in text_of(await ada.get(f"/inbox/{here}"))
    await grace.post(f"/inbox/{here}/decline", {"key": "d", "block": "1"})
    after = text_of(await grace.get(f"/inbox/{here}"))
    assert "You have blocked Ada. Unblock them to write." in after
    await grace.post(f"/inbox/{here}/unblock", {})
    assert "What you write here opens the conversation again." in text_of(
        await grace.get(f"/inbox/{here}")
    )


async def test_remind_me_later_names_the_hour(place: Place):
    _, grace, here = await two(place)

    answer = await grace.post(f"/inbox/{here}/snooze", {"until": "tomorrow"})

    assert "You will be reminded on Sat, 1 Feb 2025, 08:00." in text_of(await grace.follow(answer))
    assert "Back tomorrow" in text_of(await grace.get("/inbox?box=later"))
    assert (
        await grace.post(f"/inbox/{here}/snooze", {"at": "2025-01-01T10:00"})
    ).status_code == 422


async def test_a_search_finds_messages_and_people(place: Place):
    ada, grace, here = await friends(place)

    found = (await ada.get("/inbox?q=hel")).text
    assert f"/inbox/{here}?at=1#m-" in found
    assert "People" in text_of(await ada.get("/inbox?q=grace"))
    assert "Nothing found" in text_of(await ada.get("/inbox?q=zebra"))

    await place.town.do(lambda tx: closing.close(tx, grace.id, place.town.now, place.town.book))
    for path in ("/inbox", "/inbox?q=hel"):
        assert "Member who left" in text_of(await ada.get(path))


async def test_ones_own_message_can_be_changed_and_deleted(place: Place):
    ada, grace, here = await friends(place)
    message = re.search(r"edit=([0-9a-f-]{36})", (await ada.get(f"/inbox/{here}")).text)
    assert message
    path = f"/inbox/{here}/messages/{message[1]}"

    assert ">Hello</textarea>" in (await ada.get(f"/inbox/{here}?edit={message[1]}")).text
    await ada.post(f"{path}/edit", {"body": "Good morning"})
    assert "Good morning" in (seen := text_of(await grace.get(f"/inbox/{here}")))
    assert "edited" in seen
    await ada.post(f"{path}/delete", {})

    assert "This message was deleted." in text_of(await grace.get(f"/inbox/{here}"))
    assert (await grace.post(f"{path}/edit", {"body": "x"})).status_code == 409


async def test_a_strangers_conversation_is_no_page(place: Place):
    _, _, here = await two(place)
    eve = await place.member("eve")

    for path in (f"/inbox/{here}", f"/inbox/{ids.new()}"):
        assert (await eve.get(path)).status_code == 404
    for what in ("star", "archive", "messages", "accept", "read", "snooze", "draft"):
        form = {"body": "x", "on": "1", "until": "tomorrow", "up_to": ids.new(), "key": "k"}
        assert (await eve.post(f"/inbox/{here}/{what}", form)).status_code == 404, what


async def test_what_happens_is_shown_on_open_pages(place: Place):
    ada, grace, here = await friends(place)
    assert ada.id
    assert grace.id
    message = MessageId(ids.new())
    await place.town.acts(Write(grace.id, here, message, "Good morning"))
    viewer = accounts.Viewer(ada.id, "ada", "Ada", "", None, False, None, "UTC", "s")
    words = words_of("en", "UTC")

    new = await patches_for(place.site, viewer, words, MessageTold(here, message))
    assert f'data-at="#thread:not(:has(#m-{message})) #tail-{here}" data-how="order"' in new
    assert "Good morning" in new
    assert f'data-at="#rows-focused:not(:has(> #c-{here}))" data-how="order"' in new
    assert f'action="/inbox/{here}/read"' in new
    typing = await patches_for(place.site, viewer, words, TypingTold(here, grace.id))
    assert "is typing" in typing
    moved = await patches_for(place.site, viewer, words, ConversationTold(here))
    assert "#badge-inbox" in moved
    read = await patches_for(place.site, viewer, words, ReceiptTold(here))
    assert re.search(r'data-at="#m-[^"]* .at" data-how="append"><span class="seen"', read)


async def test_of_a_strangers_conversation_nothing_is_shown(place: Place):
    _, _, here = await two(place)
    eve = await place.member("eve")
    assert eve.id
    viewer = accounts.Viewer(eve.id, "eve", "Eve", "", None, False, None, "UTC", "s")

    for told in (ConversationTold(here), MessageTold(here, MessageId(ids.new()))):
        assert await patches_for(place.site, viewer, words_of("en", "UTC"), told) == ""


async def test_the_list_goes_on_both_ways(place: Place):
    grace = await place.member("grace", **CAREER)
    for number in range(23):
        other = await place.member(f"other-{number}", **CAREER)
        place.town.pass_by(seconds=1)
        await letter(place, other, grace)
    page = (await grace.get("/inbox")).text
    assert page.count('class="conv') - page.count('class="convs"') == 20

    older = re.search(r'data-more="([^"]*)"', page)
    assert older
    rest = await grace.get(unescape(older[1]), live="more")
    assert rest.text.count('<li id="c-') == 3
    assert "data-more" not in rest.text
    newer = re.search(r'href="(/inbox\?before=[^"]*)"', (await grace.get(unescape(older[1]))).text)
    assert newer
    back = await grace.get(unescape(newer[1]))
    assert back.text.count('<li id="c-') == 20


async def test_a_long_thread_goes_back_and_on_without_a_script(place: Place):
    ada, grace, here = await friends(place)
    assert ada.id
    for number in range(2, 46):
        command = Write(ada.id, here, MessageId(ids.new()), f"Message number {number}")
        await place.town.acts(command)
    page = (await grace.get(f"/inbox/{here}")).text
    assert "Message number 45<" in page

    earlier = re.search(rf'href="(/inbox/{here}\?before=\d+)"', page)
    assert earlier
    before = await grace.get(earlier[1])
    assert before.status_code == 200
    assert "Message number 25<" in before.text
    assert "Message number 26<" not in before.text
    later = re.search(rf'href="(/inbox/{here}\?after=\d+)"', before.text)
    assert later
    assert "Message number 26<" in (await grace.get(later[1])).text
