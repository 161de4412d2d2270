"""What looks like abuse is found after it happened, shown with its evidence, and decides nothing."""

from __future__ import annotations

from typing import Any

import pytest

from overture import ids
from overture.actions import closing, suspicions
from overture.actions.suspicions import watch
from overture.core.ids import ConversationId, MemberId, MessageId
from overture.core.policy import Outcome
from overture.core.refusals import Refusal
from overture.core.sending import Done, Respond, Start
from overture.core.suspicions import Kind
from overture.housekeeping import LETTERS_WINDOW
from overture.store import outbox, sessions
from overture.store import suspicions as store
from overture.store.db import all_rows
from overture.store.suspicions import Suspicion
from tests.jobs.conftest import Worked

LITE = {"recruiter": "recruiter_lite"}
CAREER = {"premium": "premium_career"}
SAME = (
    "Dear {name}, we sell the best tool there is for teams like yours, and would love to show it to "
    "you this week. It takes 20 minutes and you will not regret it."
)
OWN = [
    "Dear {name}, your talk on compilers has changed how we test ours, and I have a question on it.",
    "Dear {name}, the museum that you built with friends is the reason why my son codes today.",
    "Dear {name}, I read about the lighthouse project and wonder who looks after the lenses now.",
    "Dear {name}, four of us plan a conference on old radios next spring in a barn by the sea.",
    "Dear {name}, could you tell me which bookbinder made the red edition of your field notes?",
    "Dear {name}, our choir has lost its tenor, and a neighbour of yours says that you can sing.",
    "Dear {name}, the town archive asks for whoever can read shorthand of the nineteenth century.",
    "Dear {name}, may I quote your letter on beavers in a book for children of about nine years?",
    "Dear {name}, a student of mine measured your bridge again and came to another number there.",
    "Dear {name}, is the position for a glacier guide that you spoke of on Tuesday still open?",
    "Dear {name}, thank you for the apples; the recipe that you asked for has eleven steps.",
]


async def sends(worked: Worked, sender: MemberId, to: MemberId, body: str) -> ConversationId:
    start = Start(sender, to, ConversationId(ids.new()), MessageId(ids.new()), body)
    answer = await worked.town.acts(start)
    assert isinstance(answer, Done), answer
    return answer.conversation.id


async def strangers(worked: Worked, count: int) -> list[tuple[str, MemberId]]:
    names = [f"stranger{chr(97 + number)}" for number in range(count)]
    return [(name.title(), await worked.town.member(name, **CAREER)) for name in names]


async def found(worked: Worked, kind: Kind | None = None) -> list[Suspicion]:
    await worked.passes(seconds=1)
    page = await worked.town.look(lambda tx: store.newest(tx, kind=kind, cursor=None, limit=10))
    return page.items


async def slowed(worked: Worked, member: MemberId) -> bool:
    rows = await worked.town.look(
        lambda tx: all_rows(
            tx, "select slowed_until > %s from members where id = %s", (worked.town.now, member)
        )
    )
    return rows[0][0] is True


async def test_one_letter_to_many_is_shown_and_slowed_for_a_week(worked: Worked):
    ada = await worked.town.member("ada", **LITE)
    them = await strangers(worked, 10)

    sent = [await sends(worked, ada, to, SAME.format(name=name)) for name, to in them[:9]]
    assert await found(worked) == []
    name, to = them[9]
    sent.append(await sends(worked, ada, to, SAME.format(name=name)))

    (suspicion,) = await found(worked)
    assert (suspicion.member, suspicion.evidence.kind) == (ada, Kind.SAME_LETTER)
    assert suspicion.evidence.weight == 10
    assert list(suspicion.evidence.conversations) == sent[-5:]
    assert await slowed(worked, ada)
    await worked.passes(days=7)
    assert not await slowed(worked, ada)


async def test_letters_of_ones_own_to_as_many_are_none(worked: Worked):
    ada = await worked.town.member("ada", **LITE)

    for body, (name, to) in zip(OWN, await strangers(worked, 11), strict=True):
        await sends(worked, ada, to, body.format(name=name))

    assert await found(worked) == []
    assert not await slowed(worked, ada)


async def test_what_is_older_than_two_weeks_does_not_count_and_is_dropped(worked: Worked):
    ada = await worked.town.member("ada", **LITE)
    them = await strangers(worked, 10)
    for name, to in them[:9]:
        await sends(worked, ada, to, SAME.format(name=name))
    await worked.passes(days=15)
    await sends(worked, ada, them[9][1], SAME.format(name=them[9][0]))

    assert await found(worked) == []
    before = worked.town.now - LETTERS_WINDOW
    assert await worked.town.do(lambda tx: store.forget_before(tx, before)) == 9


async def test_a_dismissed_one_slows_nobody_and_comes_back_with_twice_as_much(worked: Worked):
    ada = await worked.town.member("ada", **LITE)
    them = await strangers(worked, 20)
    for name, to in them[:10]:
        await sends(worked, ada, to, SAME.format(name=name))
    assert len(await found(worked)) == 1

    async def dismisses(kind: Kind) -> Any:
        return await worked.town.do(
            lambda tx: suspicions.dismiss(
                tx, ada, kind, actor="token:test", audit_id=ids.new(), now=worked.town.now
            )
        )

    assert isinstance(await dismisses(Kind.SAME_LETTER), Suspicion)
    assert await dismisses(Kind.SAME_LETTER) is Refusal.NO_SUCH_SUSPICION
    assert await dismisses(Kind.LINKS) is Refusal.NO_SUCH_SUSPICION
    assert not await slowed(worked, ada)
    for name, to in them[10:19]:
        await sends(worked, ada, to, SAME.format(name=name))
    assert await found(worked) == []
    assert not await slowed(worked, ada)
    await sends(worked, ada, them[19][1], SAME.format(name=them[19][0]))

    (again,) = await found(worked)
    assert again.evidence.weight == 20
    assert await slowed(worked, ada)


async def test_links_to_one_place_in_many_letters_are_shown(worked: Worked):
    ada = await worked.town.member("ada", **LITE)
    for body, (name, to) in zip(OWN[:10], await strangers(worked, 10), strict=True):
        text = body.format(name=name) + " https://www.shop.example/offer?for=" + name
        await sends(worked, ada, to, text)

    (suspicion,) = await found(worked, Kind.LINKS)
    assert (suspicion.evidence.place, suspicion.evidence.weight) == ("shop.example", 10)
    assert await found(worked, Kind.SAME_LETTER) == []
    assert not await slowed(worked, ada)


async def _plays(worked: Worked, one: MemberId, other: MemberId, *, hours: float) -> None:
    """One writes, the other declines, and the credit is back."""
    sent = await sends(worked, one, other, OWN[0])
    worked.town.pass_by(hours=hours)
    assert isinstance(await worked.town.acts(Respond(other, sent, Outcome.DECLINED)), Done)


@pytest.mark.parametrize(("hours", "both_ways", "suspicious"), [
    (0.01, False, True),
    (5, True, True),
    (5, False, False),
])  # fmt: skip
async def test_refunds_that_go_round_among_few_are_shown(
    worked: Worked, hours: float, both_ways: bool, suspicious: bool
):
    ada, bob = await worked.town.member("ada", **CAREER), await worked.town.member("bob", **CAREER)
    for member in (ada, bob):
        session = {"session": str(ids.new()), "sha256": ids.new().replace("-", "") * 2}
        await worked.town.do(
            lambda tx, m=member, s=session: sessions.add(
                tx, m, client="203.0.113.7", agent="a test", **s
            )
        )
    balance = await _balance(worked, ada)
    for turn in range(7):
        await _plays(worked, ada, bob, hours=hours)
        if both_ways and turn < 3:
            await _plays(worked, bob, ada, hours=hours)

    shown = [each for each in await found(worked, Kind.REFUNDS) if each.member == ada]
    assert bool(shown) is suspicious
    if suspicious:
        (partner,) = shown[0].evidence.partners
        assert (partner.member_id, partner.refunds) == (bob, 7)
        assert (partner.returned, partner.joined_together) == (3 if both_ways else 0, True)
        assert partner.same_network
        assert abs(partner.median_seconds - hours * 3600) <= 1
    # Nothing was taken, and nothing was won.
    assert await _balance(worked, ada) == balance


async def _balance(worked: Worked, member: MemberId) -> int:
    rows = await worked.town.look(
        lambda tx: all_rows(
            tx, "select balance from credit_accounts where owner_id = %s", (member,)
        )
    )
    return rows[0][0]


async def test_the_same_events_again_add_nothing(worked: Worked):
    ada = await worked.town.member("ada", **LITE)
    for name, to in await strangers(worked, 9):
        await sends(worked, ada, to, SAME.format(name=name))
    events = await worked.town.look(lambda tx: outbox.within(tx, [(1, 10**6)], 1000))

    for _ in range(3):
        await worked.town.do(lambda tx: watch(tx, events))

    assert await found(worked) == []


async def test_of_whoever_has_left_nothing_is_found_afterwards(worked: Worked):
    ada = await worked.town.member("ada", **LITE)
    for name, to in await strangers(worked, 10):
        await sends(worked, ada, to, SAME.format(name=name))
    town = worked.town
    await town.do(lambda tx: closing.close(tx, ada, town.now, town.book))

    assert await found(worked) == []
    rows = await town.look(lambda tx: all_rows(tx, "select owner_id from letter_sketches"))
    assert rows == []
