"""A stranger's letter that leads elsewhere says so, and a friend's does not."""

from __future__ import annotations

import pytest

from overture import ids
from overture.actions import network
from overture.actions.links import places
from overture.core.ids import ConversationId, MemberId, MessageId
from overture.core.sending import Done, Start
from tests.web.conftest import Browser, Place, text_of

CAREER = {"premium": "premium_career"}
CAUTION = "and its writer is not among your connections. Look twice before you follow it."


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Nothing leads anywhere. Version 1.2 does not, nor e.g. this.", []),
        ("See https://Shop.Example/a?b=c and http://shop.example/d", ["shop.example"]),
        ("www.example.org, or write to me@example.com", ["example.org", "me@example.com"]),
        ("http://203.0.113.9:8080/x", ["203.0.113.9"]),
        ("http://[not-an-address/x", []),
        (" ".join(f"https://a{n}.example" for n in range(9)), [f"a{n}.example" for n in range(5)]),
    ],
)
def test_where_a_text_leads(text: str, found: list[str]):
    assert places(text) == found


async def sends(place: Place, sender: MemberId, to: Browser, body: str) -> str:
    start = Start(
        sender, MemberId(str(to.id)), ConversationId(ids.new()), MessageId(ids.new()), body
    )
    answer = await place.town.acts(start)
    assert isinstance(answer, Done)
    return f"/inbox/{start.conversation_id}"


async def test_a_strangers_letter_says_where_it_leads_until_it_is_answered(place: Place):
    grace, ada = await place.member("grace", **CAREER), await place.member("ada", **CAREER)
    thread = await sends(place, MemberId(str(ada.id)), grace, "Look at https://shop.example/x.")

    assert f"This letter leads to shop.example, {CAUTION}" in text_of(await grace.get(thread))
    assert CAUTION not in text_of(await ada.get(thread))
    await grace.post(f"{thread}/accept")
    assert CAUTION not in text_of(await grace.get(thread))


async def test_one_that_leads_nowhere_and_a_connections_say_nothing(place: Place):
    grace = await place.member("grace", **CAREER)
    ada, alan = [await place.town.member(name, **CAREER) for name in ("ada", "alan")]
    plain = await sends(place, ada, grace, "Shall we meet?")
    linked = await sends(place, alan, grace, "Look at https://shop.example/x.")
    await place.town.do(
        lambda tx: network.upsert_pairs(tx, [(alan, MemberId(str(grace.id)))], place.town.now)
    )

    assert CAUTION not in text_of(await grace.get(plain))
    assert CAUTION not in text_of(await grace.get(linked))
