"""A thousand plausible ways to more credits than one's due, each drawn from its number.

Every number is one attack, always the same. What is drawn are the plans, the edges at which it
strikes (a month's end, a second before a grant, the last instant of the time to answer), and how many
strike at once.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from overture.actions.imports import Archive, Connection, Invitation, Message, Owner, Person
from overture.core.ids import MemberId
from overture.core.sending import Done
from overture.store.inbox import Box
from tests.attacks.play import (
    DAY,
    INSTANT,
    SECOND,
    Act,
    Answer,
    Attack,
    Cancel,
    Choose,
    Ground,
    Letter,
    Send,
    TakeBack,
)
from tests.attacks.purse import EXPIRY, REFUND_WINDOW, Purse, Terms, anniversary_after, months_later

STARTS = [
    datetime(2025, 1, 31, 10, tzinfo=UTC),
    datetime(2024, 1, 30, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2024, 2, 29, 12, tzinfo=UTC),
    datetime(2025, 12, 31, 23, 30, tzinfo=UTC),
    datetime(2025, 3, 30, 0, 59, 59, tzinfo=UTC),
    datetime(2025, 5, 15, 8, 30, 0, 250_000, tzinfo=UTC),
]
BESIDE = [-SECOND, -INSTANT, timedelta(), timedelta(), INSTANT, SECOND]
ANSWERS = ["accept", "decline", "write", "yes", "no"]
# The first and the last places in which a day begins, and those that turn their clocks.
ZONES = ["Pacific/Kiritimati", "Pacific/Niue", "America/New_York", "Asia/Kathmandu", "UTC"]


async def attack(number: int, ground: Ground) -> Attack:
    """Carries out the attack of this number, and looks at what it came to. Raises Netted."""
    way = WAYS[number % len(WAYS)]
    rng = random.Random(number)
    made = Attack(number, way.__name__.strip("_"), ground, rng, rng.choice(STARTS))
    await way(made)
    if made.purses and rng.random() < 0.3:
        # What was got beyond the rules may show months later, and is to be sent.
        made.moves(made.now + rng.choice([timedelta(hours=1), 35 * DAY, EXPIRY, 400 * DAY]))
        member, pool = rng.choice(list(made.purses))
        await made.sends_all(member, pool, at_most=3)
    await made.done()
    return made


# Races --------------------------------------------------------------------------------------------


async def _many_sends_at_once(it: Attack) -> None:
    """More letters at one instant than there are credits."""
    plan = it.rng.choice([plan for plan in it.plans if plan.allotment <= 15])
    who = await it.joins(plan)
    await _spend_down(it, who, plan)
    sends = [Send(who, to, it.rng.choice([None, plan.pool])) for to in it.strangers(6)]
    await it.race(sends)
    await it.race([*sends[:3], *(Send(who, to) for to in it.strangers(2))])


async def _one_stranger_many_times(it: Attack) -> None:
    """Everybody asked at once may answer, and each letter that is doubled would be refunded twice."""
    who = await it.joins(_plan(it))
    to = it.stranger()
    await it.race([Send(who, to, body=f"Question {n}") for n in range(4)])
    await it.race([Answer(letter, how) for letter in it.letters.values() for how in _hows(it, 3)])


async def _answers_at_once(it: Attack) -> None:
    """Accept, decline, write and quick replies at once, and once more afterwards."""
    plan = _plan(it)
    who = await it.joins(plan)
    letters = await _letters(it, who, it.rng.randint(1, 3))
    _wait(it, it.rng.choice([0, 1, 40]))
    for _ in range(2):
        acts = [Answer(letter, how) for letter in letters for how in _hows(it, 3)]
        await it.race(acts)


async def _answer_against_withdrawal(it: Attack) -> None:
    """Taken back and answered at one instant, to have the letter read and the credit too."""
    who = await it.joins(_plan(it))
    for letter in await _letters(it, who, 2):
        acts: list[Act] = [
            TakeBack(letter),
            Answer(letter, it.rng.choice(ANSWERS)),
            TakeBack(letter),
        ]
        it.rng.shuffle(acts)
        await it.race(acts)


async def _plan_against_sends(it: Attack) -> None:
    """A plan is changed or left while its credits are spent and come back."""
    plan = _plan(it)
    who = await it.joins(plan)
    letters = await _letters(it, who, 2)
    _wait(it, it.rng.choice([0, 20, 31]))
    changes: list[Act] = [
        it.rng.choice([Choose(who, it.rng.choice(it.plans_of(plan.pool))), _cancel(it, who, plan)])
        for _ in range(it.rng.randint(1, 2))
    ]
    acts = [
        *changes,
        *(Send(who, to) for to in it.strangers(2)),
        *(Answer(letter, it.rng.choice(ANSWERS)) for letter in letters),
    ]
    it.rng.shuffle(acts)
    await it.race(acts)


async def _letters_that_cross(it: Attack) -> None:
    """Two write to each other at once: each pays, or one of them answers for nothing."""
    one, other = await it.joins(_plan(it)), await it.joins(_plan(it))
    for _ in range(2):
        await it.race([Send(one, other), Send(other, one)])
        await it.race([Answer(letter, "decline") for letter in it.letters.values() if letter.waits])


async def _two_pools_at_once(it: Attack) -> None:
    """Both pools pay at once, and what comes back goes home."""
    first, second = _plans_of_two_pools(it)
    who = await it.joins(first, second)
    acts: list[Act] = [
        Send(who, to, pool) for to in it.strangers(2) for pool in (first.pool, second.pool, None)
    ]
    await it.race(acts)
    leaving = it.rng.choice([first, second])
    await it.race([_cancel(it, who, leaving), *_any_answers(it)])
    await it.does(Choose(who, leaving))
    await it.race(_any_answers(it))


# Repeats ------------------------------------------------------------------------------------------


async def _one_key_many_times(it: Attack) -> None:
    who = await it.joins(_plan(it))
    send = Send(who, it.stranger(), key="key-1")
    await it.race([send] * it.rng.randint(2, 6))
    _wait(it, it.rng.choice([0, 1]))
    await it.race(_any_answers(it))
    await it.race([send, send])


async def _other_keys(it: Attack) -> None:
    """The same letter under another key, and another letter under the same key."""
    who = await it.joins(_plan(it))
    to, other = it.stranger(), it.stranger()
    acts: list[Act] = [Send(who, to, key=f"key-{n}") for n in range(3)]
    acts += [Send(who, other, key="key-1"), Send(who, to, key="key-2", body="Something else")]
    it.rng.shuffle(acts)
    await it.race(acts)
    await it.race([*_any_answers(it), *acts])
    await it.race(acts)


# Plans --------------------------------------------------------------------------------------------


async def _up_and_down(it: Attack) -> None:
    """From plan to plan within a period; what each brings is sent at once."""
    plans = it.plans_of(it.rng.choice(it.plans).pool)
    who = await it.joins(it.rng.choice(plans))
    for _ in range(it.rng.randint(3, 5)):
        if it.rng.random() < 0.5:
            await it.sends_all(who, at_most=it.rng.randint(1, 2))
        _wait(it, it.rng.choice([0, 0, 1, 15]))
        await it.does(Choose(who, it.rng.choice(plans)))


async def _cancel_and_come_back(it: Attack) -> None:
    """The same plan again, at once, or about a month after its last grant."""
    plan = _plan(it)
    who = await it.joins(plan)
    for _ in range(it.rng.randint(1, 3)):
        await it.sends_all(who, at_most=it.rng.randint(0, 3))
        await it.does(_cancel(it, who, plan))
        last = max(
            (at for purse in it.purses[who, plan.pool] for _, at in purse.granted), default=it.now
        )
        if it.rng.random() < 0.7:
            it.moves(months_later(last, 1) + it.rng.choice(BESIDE))
        await it.does(Choose(who, plan))


async def _between_boundary_and_renewal(it: Attack) -> None:
    """The period is over and nobody has looked: the plan is changed before what fell due is played."""
    plan = _plan(it)
    who = await it.joins(plan)
    if it.rng.random() < 0.5:
        await it.sends_all(who, at_most=2)
    if it.rng.random() < 0.4:
        await it.does(
            it.rng.choice([Cancel(who, plan.pool, "later"), Choose(who, _other(it, plan))])
        )
    for _ in range(it.rng.randint(1, 2)):
        edge = anniversary_after(_purse(it, who, plan).since or it.now, it.now)
        it.moves(months_later(edge, it.rng.choice([0, 0, 1, 6])) + it.rng.choice(BESIDE))
        acts: list[Act] = [Choose(who, it.rng.choice([plan, _other(it, plan)]))]
        acts.append(it.rng.choice([Cancel(who, plan.pool, "later"), *acts]))
        for act in acts:
            await it.does(act)
        await it.sends_all(who, at_most=3)


async def _hoarding(it: Attack) -> None:
    """Nothing is sent for a year, and all answers come when the cap is reached."""
    plan = _plan(it)
    who = await it.joins(plan)
    letters = await _letters(it, who, it.rng.randint(1, 4))
    it.moves(it.now + it.rng.choice([70 * DAY, 89 * DAY, REFUND_WINDOW]))
    await it.race([Answer(letter, it.rng.choice(ANSWERS)) for letter in letters])
    it.moves(it.now + it.rng.choice([timedelta(), 60 * DAY, 119 * DAY, EXPIRY, 300 * DAY]))
    await it.sends_all(who, at_most=6)
    await it.does(Choose(who, it.rng.choice(it.plans_of(plan.pool))))


async def _credits_at_their_expiry(it: Attack) -> None:
    """The last instant of a lot, its first instant beyond, and a refund that makes it young again."""
    plan = _plan(it)
    who = await it.joins(plan)
    began = it.now
    it.moves(began + EXPIRY + it.rng.choice(BESIDE))
    sends = [Send(who, to) for to in it.strangers(3)]
    await it.race(sends)
    await it.race(_any_answers(it))
    it.moves(it.now + EXPIRY + it.rng.choice(BESIDE))
    await it.sends_all(who, at_most=4)


# Time ---------------------------------------------------------------------------------------------


async def _travelling(it: Attack) -> None:
    """A month begins earlier at one end of the world, and ends later at the other."""
    plan = _plan(it)
    who = await it.joins(plan, time_zone=it.rng.choice(ZONES))
    for _ in range(it.rng.randint(1, 3)):
        edge = anniversary_after(_purse(it, who, plan).since or it.now, it.now)
        hours = it.rng.choice([-14, -11, -1, 0, 1, 11, 14])
        it.moves(edge + timedelta(hours=hours) + it.rng.choice(BESIDE))
        await it.prefers(who, time_zone=it.rng.choice(ZONES))
        await it.sends_all(who, at_most=it.rng.randint(1, 4))


async def _answers_at_the_last_instant(it: Attack) -> None:
    """Friends answer on day 90, an instant before and an instant after."""
    plan = _plan(it)
    who = await it.joins(plan)
    letters = await _letters(it, who, it.rng.randint(1, 3))
    sent_at = it.now
    if it.rng.random() < 0.4:
        await it.prefers(who, time_zone=it.rng.choice(ZONES))
    for letter in letters:
        it.moves(sent_at + REFUND_WINDOW + it.rng.choice(BESIDE))
        await it.race([Answer(letter, how) for how in _hows(it, 2)])


async def _answers_long_after(it: Attack) -> None:
    """The plan was left, and taken again or not, before anybody answers."""
    plan = _plan(it)
    who = await it.joins(plan)
    letters = await _letters(it, who, 3)
    for letter in letters:
        drawn = it.rng.random()
        if drawn < 0.4:
            await it.does(_cancel(it, who, plan))
        elif drawn < 0.8:
            await it.does(Choose(who, it.rng.choice(it.plans_of(plan.pool))))
        _wait(it, it.rng.choice([0, 5, 29, 31, 45]))
        await it.does(Answer(letter, it.rng.choice(ANSWERS)))


# Letters ------------------------------------------------------------------------------------------


async def _withdraw_and_resend(it: Attack) -> None:
    """To the same one over and over, for the price of one; and the withdrawn ones answered."""
    who = await it.joins(_plan(it))
    to = it.stranger()
    for _ in range(it.rng.randint(1, 3)):
        await it.does(Send(who, to))
        if it.rng.random() < 0.3:
            await it.race(_any_answers(it))
        letters = list(it.letters.values())
        await it.race([TakeBack(letter) for letter in letters[-2:]])
        await it.race([Answer(letter, "write") for letter in letters if letter.taken_back])
        _wait(it, it.rng.choice([0, 1, 10]))


async def _declined_and_reopened(it: Attack) -> None:
    """The decliner writes after all, accepts after all, and says it once more."""
    who = await it.joins(_plan(it))
    (letter,) = await _letters(it, who, 1)
    await it.does(Answer(letter, it.rng.choice(["decline", "no"])))
    for how in _hows(it, 4):
        await it.does(Answer(letter, how))
    await it.does(Send(who, letter.to))
    await it.race(_any_answers(it))


async def _blocks_and_lifted_blocks(it: Attack) -> None:
    """A block is no answer; neither is lifting it, and what was refused is not paid."""
    who, friend = await it.joins(_plan(it)), await it.joins(_plan(it))
    await it.does(Send(who, friend))
    await it.blocks(*it.rng.choice([(who, friend), (friend, who)]))
    await it.race([Send(who, friend), Send(friend, who)])
    await it.race(_any_answers(it))
    await it.blocks(who, friend, lifted=True)
    await it.blocks(friend, who, lifted=True)
    await it.race([Send(who, friend), *_any_answers(it)])


async def _connected_meanwhile(it: Attack) -> None:
    """Connecting makes writing free; it is no answer, and parting brings the price back."""
    who, friend = await it.joins(_plan(it)), await it.joins(_plan(it))
    if it.rng.random() < 0.7:
        await it.does(Send(who, friend))
    await it.connects(who, friend)
    await it.race([Send(who, friend), Send(friend, who)], batch=True)
    await it.disconnects(who, friend)
    await it.race(_any_answers(it))
    await it.race([Send(who, friend), Send(friend, who)])


async def _open_profiles(it: Attack) -> None:
    """Free as long as the profile is open and its member Premium; not a letter more."""
    host = await it.joins(_plan(it))
    await it.prefers(host, open_profile=True)
    guests = [await it.joins(*it.rng.choice([(), (_plan(it),)])) for _ in range(2)]
    await it.race([Send(guest, host) for guest in guests])
    plan = next(plan for plan in it.plans if (host, plan.pool) in it.purses)
    await it.race(_any_answers(it) if it.rng.random() < 0.5 else [TakeBack(_last(it))])
    await it.does(it.rng.choice([Cancel(host, plan.pool), Cancel(host, plan.pool, "later")]))
    it.moves(it.now + it.rng.choice([timedelta(), 10 * DAY, 32 * DAY]))
    await it.race([Send(guest, host) for guest in guests])
    await it.prefers(host, open_profile=it.rng.random() < 0.5)
    await it.race([*(Send(guest, host) for guest in guests), *_any_answers(it)])


# Accounts -----------------------------------------------------------------------------------------


async def _delete_and_recreate(it: Attack) -> None:
    """The account is closed and made again under the same names: nothing of the old one comes over."""
    plan = _plan(it)
    names = {"handle": f"phoenix-{it.number}", "external_id": f"phoenix-{it.number}"}
    who = await it.joins(plan, email=f"phoenix-{it.number}@example.org", **names)
    letters = await _letters(it, who, 2)
    await it.does(Answer(letters[0], it.rng.choice(ANSWERS)))
    await it.closes(who)
    again = await it.joins(email=f"phoenix-{it.number}@example.org", **names)
    await it.race([Answer(letter, it.rng.choice(ANSWERS)) for letter in letters])
    await it.race([Send(again, it.stranger()), Send(who, it.stranger())])
    await it.does(Choose(again, plan))
    await it.race([Answer(letter, "write") for letter in letters])


async def _friends_who_leave(it: Attack) -> None:
    """A friend closes the account, which gives the credit back, and comes again for the next one."""
    plan = _plan(it)
    who = await it.joins(plan)
    for turn in range(it.rng.randint(1, 3)):
        friend = await it.joins(_plan(it), handle=f"friend-{it.number}")
        await it.race([Send(who, friend), Send(who, friend)])
        if it.rng.random() < 0.3:
            await it.does(TakeBack(_last(it)))
        if it.rng.random() < 0.3:
            await it.race(_any_answers(it))
        it.moves(it.now + it.rng.choice([timedelta(), 30 * DAY, REFUND_WINDOW]) + (turn * SECOND))
        await it.closes(friend)
        await it.race([Answer(letter, "accept") for letter in it.letters.values()])


async def _archives(it: Attack) -> None:
    """An archive says that one is connected, has talked, has been answered. It may be made up."""
    rng = it.rng
    victim, person = it.ground.victim, it.ground.victim_person
    cheat = Person(f"Cheat {it.number}", f"cheat-{it.number}")
    plans = [_plan(it)] if rng.random() < 0.8 else []
    who = await it.joins(*plans, handle=f"cheat-{it.number}")
    if rng.random() < 0.5:
        await it.does(Send(who, victim))
    at = it.now - rng.choice([DAY, timedelta(), -DAY])
    parts = {
        "connections": [Connection(person, "", "", "", at)],
        "invitations": [Invitation(person, rng.random() < 0.5, at, "")],
        "messages": [
            Message(
                f"thread-{it.number}",
                "",
                person,
                (cheat,),
                at + n * SECOND,
                "",
                f"Gladly {n}",
                Box.INBOX,
            )
            for n in range(2)
        ],
    }
    for _ in range(rng.randint(1, 2)):
        chosen = {name: part for name, part in parts.items() if rng.random() < 0.7}
        await it.imports(Archive(Owner(f"cheat-{it.number}", cheat), **chosen))
    await it.race([Send(who, victim), Send(who, it.stranger())])
    await it.race(_any_answers(it))
    await it.does(Send(who, victim))


# Friends ------------------------------------------------------------------------------------------


async def _a_ring(it: Attack) -> None:
    """Friends who write to each other and always answer: as many credits as before, and no more."""
    ring = [await it.joins(_plan(it)) for _ in range(3)]
    for _ in range(2):
        await it.race([Send(one, to) for one in ring for to in ring if one != to])
        _wait(it, it.rng.choice([0, 1, 29]))
        await it.race(
            [
                Answer(each, it.rng.choice(["decline", "no"]))
                for each in it.letters.values()
                if each.waits
            ]
        )


async def _anything(it: Attack) -> None:
    """No plan behind it: whatever two members may do, some of it at once."""
    pair = [await it.joins(_plan(it)), await it.joins(_plan(it))]
    for _ in range(it.rng.randint(3, 5)):
        who, other = it.rng.sample(pair, 2)
        acts: list[Act] = []
        for _ in range(it.rng.choice([1, 1, 2, 3])):
            to = it.rng.choice([other, it.stranger()])
            plan = it.rng.choice(it.plans)
            acts.append(
                it.rng.choice(
                    [
                        Send(who, to, it.rng.choice([None, None, plan.pool])),
                        Send(who, to),
                        Choose(who, plan),
                        Cancel(who, plan.pool, it.rng.choice(["now", "later"])),
                        *_any_answers(it),
                        *(TakeBack(letter) for letter in it.letters.values() if letter.waits),
                    ]
                )
            )
        await it.race(acts)
        edges = [
            due
            for purses in it.purses.values()
            for purse in purses
            if (due := purse._due()) is not None
        ]
        drawn = it.rng.random()
        if drawn < 0.5 and edges:
            it.moves(it.rng.choice(edges) + it.rng.choice(BESIDE))
        elif drawn < 0.8:
            _wait(it, it.rng.choice([1, 20, 45]))


Way = Callable[[Attack], Awaitable[None]]
WAYS: list[Way] = [
    _many_sends_at_once,
    _one_stranger_many_times,
    _answers_at_once,
    _answer_against_withdrawal,
    _plan_against_sends,
    _letters_that_cross,
    _two_pools_at_once,
    _one_key_many_times,
    _other_keys,
    _up_and_down,
    _cancel_and_come_back,
    _between_boundary_and_renewal,
    _hoarding,
    _credits_at_their_expiry,
    _travelling,
    _answers_at_the_last_instant,
    _answers_long_after,
    _withdraw_and_resend,
    _declined_and_reopened,
    _blocks_and_lifted_blocks,
    _connected_meanwhile,
    _open_profiles,
    _delete_and_recreate,
    _friends_who_leave,
    _archives,
    _a_ring,
    _anything,
]


# Helpers ------------------------------------------------------------------------------------------


def _plan(it: Attack) -> Terms:
    return it.rng.choice(it.plans)


def _other(it: Attack, plan: Terms) -> Terms:
    """Another plan of the pool, where there is one."""
    return it.rng.choice([each for each in it.plans_of(plan.pool) if each != plan] or [plan])


def _plans_of_two_pools(it: Attack) -> tuple[Terms, Terms]:
    first = _plan(it)
    return first, it.rng.choice([plan for plan in it.plans if plan.pool != first.pool])


def _purse(it: Attack, who: MemberId, plan: Terms) -> Purse:
    return next(iter(it.purses[who, plan.pool])).until(it.now)


def _cancel(it: Attack, who: MemberId, plan: Terms) -> Cancel:
    return Cancel(who, plan.pool, it.rng.choice(["now", "now", "later"]))


def _wait(it: Attack, days: int) -> None:
    if days:
        it.moves(it.now + days * DAY)


def _hows(it: Attack, count: int) -> list[str]:
    return [it.rng.choice(ANSWERS) for _ in range(count)]


def _any_answers(it: Attack) -> list[Act]:
    """To the latest letters, whatever became of them."""
    return [Answer(letter, it.rng.choice(ANSWERS)) for letter in list(it.letters.values())[-3:]]


def _last(it: Attack) -> Letter:
    return list(it.letters.values())[-1]


async def _letters(it: Attack, who: MemberId, count: int) -> list[Letter]:
    """As many letters to strangers as the credits allow."""
    for to in it.strangers(count):
        await it.does(Send(who, to))
    return [letter for letter in it.letters.values() if letter.sender == who]


async def _spend_down(it: Attack, who: MemberId, plan: Terms) -> None:
    """Until few credits are left, so that not all of what follows can be paid."""
    for _ in range(plan.allotment - it.rng.randint(1, 4)):
        answer = await it.does(Send(who, it.stranger()))
        assert isinstance(answer, Done)
