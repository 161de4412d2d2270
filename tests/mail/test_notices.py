"""Mails about what happened: what a person reads, to whom they come, and to whom not."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from overture import ids
from overture.actions import accounts, closing, inbox, members, network
from overture.actions.members import MailChanges
from overture.core import seals
from overture.core.ids import ConversationId, MemberId
from overture.core.jobs import NewJob
from overture.core.notifying import Kind
from overture.core.policy import Outcome
from overture.core.replies import addresses
from overture.core.sending import Event, Respond, Withdraw
from overture.store import inbox as inbox_store
from overture.store import mailboxes, outbox, sessions
from overture.store import notifying as store
from tests.cast import SIGN_UP
from tests.mail.town import Mailtown, html_of, links_of, says, text_of
from tests.work import SECRET

CAREER = {"premium": "premium_career"}
REPLIES = addresses("r+*@inmail.example.org")
BODY = "Hello Grace,\n\nmay I ask you <something> & more?"


async def two(mailtown: Mailtown) -> tuple[MemberId, MemberId]:
    ada = await mailtown.member("ada", "Ada Byron", **CAREER)
    grace = await mailtown.member("grace", "Grace Hopper", **CAREER)
    return ada, grace


async def open_thread(mailtown: Mailtown) -> tuple[MemberId, MemberId, ConversationId]:
    """Ada wrote to Grace, who accepted; both have read their mail."""
    ada, grace = await two(mailtown)
    letter = await mailtown.sends(ada, grace, subject="Compilers")
    await mailtown.town.accepts(grace, letter)
    await mailtown.passes()
    mailtown.opened()
    return ada, grace, letter


# A letter -------------------------------------------------------------------------------------------


async def test_a_letter_comes_whole_with_its_answers_and_what_any_of_them_does(mailtown: Mailtown):
    ada, grace = await two(mailtown)
    letter = await mailtown.sends(ada, grace, BODY, "Compilers")

    mail = await mailtown.one(grace)

    assert says(mail, "Ada Byron wrote you an InMail")
    assert BODY in re.sub("^> ", "", text_of(mail), flags=re.MULTILINE)
    assert "may I ask you &lt;something&gt; &amp; more?" in html_of(mail)
    assert says(mail, "Any answer gives Ada Byron the credit back, a no as much as a yes.")
    until = SIGN_UP + seals.ANSWER_LINKS_HOLD
    seal = seals.for_answer(
        SECRET, member=grace, conversation=letter, address="grace@example.org", until=until
    )
    answers = [link for link in links_of(mail) if "/answer/" in link]
    assert answers == [
        f"https://overture.example/answer/{seal}?with={choice}"
        for choice in ("accept", "decline", "interested", "maybe_later", "no_thanks")
    ]
    assert all(link in text_of(mail) for link in links_of(mail) if "overture.example/" in link)
    assert str(mail["subject"]) == "Compilers"
    assert str(mail["from"]) == "Ada Byron via Overture <no-reply@overture.example>"
    assert str(mail["to"]) == "Grace Hopper <grace@example.org>"
    assert mail["date"].datetime == SIGN_UP


async def test_a_letter_can_be_answered_by_mail_where_mails_come_back(mailtown: Mailtown):
    ada, grace = await two(mailtown)
    letter = await mailtown.sends(ada, grace)

    mail = await mailtown.one(grace)

    seal = seals.for_reply(SECRET, member=grace, conversation=letter, address="grace@example.org")
    (reply_to,) = mail["reply-to"].addresses
    assert reply_to.addr_spec == REPLIES.of(seal)
    assert says(mail, "Or reply to this mail: what you write is your answer.")


async def test_a_free_letter_says_nothing_of_a_credit(mailtown: Mailtown):
    ada = await mailtown.member("ada")
    grace = await mailtown.member("grace", **CAREER)
    open_profile = members.PreferenceChanges(open_profile=True)
    await mailtown.town.do(
        lambda tx: members.change_preferences(tx, grace, open_profile, mailtown.town.now)
    )
    await mailtown.sends(ada, grace)

    mail = await mailtown.one(grace)

    assert says(mail, "Ada will be glad of any answer, a no as much as a yes.")
    assert str(mail["subject"]) == "InMail from Ada"


Gone = Callable[[Mailtown, MemberId, MemberId, ConversationId], Awaitable[object]]


async def _answers(t: Mailtown, ada: MemberId, grace: MemberId, letter: ConversationId) -> None:
    await t.town.acts(Respond(grace, letter, Outcome.DECLINED))


async def _reads(t: Mailtown, ada: MemberId, grace: MemberId, letter: ConversationId) -> None:
    thread = await t.town.look(lambda tx: inbox_store.one(tx, grace, letter))
    assert thread is not None
    assert thread.row.last_message_id is not None
    message = thread.row.last_message_id
    await t.town.do(lambda tx: inbox.read(tx, grace, letter, up_to=message, now=t.town.now))


async def _withdraws(t: Mailtown, ada: MemberId, grace: MemberId, letter: ConversationId) -> None:
    await t.town.acts(Withdraw(ada, letter))


async def _blocks(t: Mailtown, ada: MemberId, grace: MemberId, letter: ConversationId) -> None:
    await t.town.do(lambda tx: network.block(tx, grace, ada, now=t.town.now))


async def _is_blocked(t: Mailtown, ada: MemberId, grace: MemberId, letter: ConversationId) -> None:
    await t.town.do(lambda tx: network.block(tx, ada, grace, now=t.town.now))


async def _leaves(t: Mailtown, ada: MemberId, grace: MemberId, letter: ConversationId) -> None:
    await t.town.do(lambda tx: closing.close(tx, grace, t.town.now, t.town.book))


async def _is_suspended(
    t: Mailtown, ada: MemberId, grace: MemberId, letter: ConversationId
) -> None:
    suspend = "update members set suspended_at = %s where id = %s"
    await t.town.do(lambda tx: tx.execute(suspend, (t.town.now, grace)))


async def _marks_spam(t: Mailtown, ada: MemberId, grace: MemberId, letter: ConversationId) -> None:
    await t.town.do(lambda tx: inbox.mark_spam(tx, grace, letter, t.town.now))


async def _bounces(t: Mailtown, ada: MemberId, grace: MemberId, letter: ConversationId) -> None:
    async def bounce(tx) -> None:
        (mailbox,) = (await mailboxes.of(tx, [grace])).values()
        await mailboxes.fail(tx, mailbox, "5.1.1", t.town.now)

    await t.town.do(bounce)


async def _wants_none(t: Mailtown, ada: MemberId, grace: MemberId, letter: ConversationId) -> None:
    await t.wants(grace, MailChanges(on=False))


async def _wants_no_letters(
    t: Mailtown, ada: MemberId, grace: MemberId, letter: ConversationId
) -> None:
    await t.wants(grace, MailChanges(kinds={Kind.INMAIL: False}))


GONE = [
    _answers,
    _reads,
    _withdraws,
    _blocks,
    _is_blocked,
    _leaves,
    _is_suspended,
    _marks_spam,
    _bounces,
    _wants_none,
    _wants_no_letters,
]


@pytest.mark.parametrize("gone", GONE, ids=lambda gone: gone.__name__.strip("_"))
async def test_none_comes_where_the_reason_is_gone_before_it_goes(mailtown: Mailtown, gone: Gone):
    ada, grace = await two(mailtown)
    letter = await mailtown.sends(ada, grace)

    await gone(mailtown, ada, grace, letter)

    assert await mailtown.none(grace)


async def test_none_comes_to_an_address_that_nobody_has_shown_to_be_theirs(mailtown: Mailtown):
    ada = await mailtown.member("ada", **CAREER)
    grace = await mailtown.member("grace", verified=False, **CAREER)
    await mailtown.sends(ada, grace)
    assert await mailtown.none(grace)

    await mailtown.town.do(lambda tx: tx.execute("update accounts set verified_at = now()"))
    await mailtown.passes(hours=48)

    assert says(*mailtown.opened(grace), "Ada still waits for your answer")


async def test_who_wants_no_letters_still_hears_of_the_rest(mailtown: Mailtown):
    ada, grace, letter = await open_thread(mailtown)
    await mailtown.wants(grace, MailChanges(kinds={Kind.INMAIL: False}))
    await mailtown.writes(ada, letter, "Thank you!")

    await mailtown.passes(minutes=10)

    assert says(*mailtown.opened(grace), "Thank you!")


# Its reminder ---------------------------------------------------------------------------------------


async def test_the_reminder_brings_the_letter_once_more_in_its_thread(mailtown: Mailtown):
    ada, grace = await two(mailtown)
    await mailtown.sends(ada, grace, BODY, "Compilers")
    first = await mailtown.one(grace)

    await mailtown.passes(days=30)

    (again,) = [mail for mail in mailtown.opened(grace) if "Compilers" in mail["subject"]]
    assert says(again, "Ada Byron still waits for your answer", "may I ask you")
    assert again["date"].datetime == SIGN_UP + timedelta(hours=48)
    assert again["references"] == again["in-reply-to"] == first["message-id"]
    assert again["message-id"] != first["message-id"]
    assert str(again["subject"]) == "Re: Compilers"


async def test_an_answer_keeps_the_reminder_away(mailtown: Mailtown):
    ada, grace = await two(mailtown)
    letter = await mailtown.sends(ada, grace, BODY, "Compilers")
    await mailtown.passes()
    mailtown.opened()
    await _answers(mailtown, ada, grace, letter)

    await mailtown.passes(days=4)

    assert mailtown.opened(grace) == []


# An answer ------------------------------------------------------------------------------------------


async def test_an_answer_comes_with_its_words_and_the_credit(mailtown: Mailtown):
    ada, grace = await two(mailtown)
    letter = await mailtown.sends(ada, grace, subject="Compilers")
    await mailtown.writes(grace, letter, "Gladly, on Tuesday.")

    mail = await mailtown.one(ada)

    assert says(mail, "Grace Hopper accepted", "Gladly, on Tuesday.")
    assert says(mail, "Your credit is back: you have 5 now.")
    assert str(mail["subject"]) == "Re: Compilers"
    # That is all: what was told by it is not told again.
    await mailtown.passes(hours=1)
    assert mailtown.opened(ada) == []


async def test_a_no_without_words_comes_with_the_credit_too(mailtown: Mailtown):
    ada, grace = await two(mailtown)
    letter = await mailtown.sends(ada, grace)
    await _answers(mailtown, ada, grace, letter)

    mail = await mailtown.one(ada)

    assert says(mail, "Grace Hopper declined", "Your credit is back: you have 5 now.")


async def test_an_answer_says_why_a_credit_waits_or_does_not_come_back(mailtown: Mailtown):
    ada, grace = await two(mailtown)
    letters = [await mailtown.sends(ada, grace)]
    await mailtown.passes(days=89)
    mailtown.opened()
    assert (await mailtown.rows("select balance from credit_accounts"))[0] == (15,)

    await _answers(mailtown, ada, grace, letters[0])
    waits = await mailtown.one(ada)
    letters.append(await mailtown.sends(ada, grace))
    entered = await mailtown.one(ada)
    await mailtown.passes(days=91)
    mailtown.opened()
    await _answers(mailtown, ada, grace, letters[1])
    late = await mailtown.one(ada)

    assert says(waits, "Your credit comes back when there is room for it")
    assert says(entered, "A credit is back", "Grace Hopper, and had waited until there was room")
    assert says(late, "The credit does not come back: the answer came too late for it.")


async def test_who_declines_and_blocks_is_not_heard_of_any_more(mailtown: Mailtown):
    ada, grace = await two(mailtown)
    letter = await mailtown.sends(ada, grace)

    await mailtown.town.acts(Respond(grace, letter, Outcome.DECLINED, block=True))

    assert await mailtown.none(ada)


async def test_an_account_that_is_closed_gives_the_credit_back(mailtown: Mailtown):
    ada, grace = await two(mailtown)
    letter = await mailtown.sends(ada, grace)
    await _leaves(mailtown, ada, grace, letter)

    mail = await mailtown.one(ada)

    assert says(mail, "A credit is back", "the account that it went to was closed")
    assert "Grace" not in text_of(mail)


# Messages -------------------------------------------------------------------------------------------


async def test_messages_are_told_once_they_have_lain_unread_for_a_while(mailtown: Mailtown):
    ada, grace, thread = await open_thread(mailtown)
    await mailtown.writes(grace, thread, "One thing")
    await mailtown.passes(minutes=5)
    await mailtown.writes(grace, thread, "and another.")

    await mailtown.passes(minutes=4)
    assert mailtown.opened(ada) == []
    await mailtown.passes(minutes=1)
    (mail,) = mailtown.opened(ada)

    assert says(mail, "Grace Hopper wrote to you", "One thing", "and another.")
    assert str(mail["subject"]) == "Re: Compilers"
    assert mailtown.opened(grace) == []


async def test_one_mail_comes_for_a_conversation_until_it_is_read(mailtown: Mailtown):
    ada, grace, thread = await open_thread(mailtown)
    for text in ("One", "Two", "Three"):
        await mailtown.writes(grace, thread, text)
        await mailtown.passes(hours=1)
    (first,) = mailtown.opened(ada)

    await _reads(mailtown, grace, ada, thread)
    await mailtown.writes(grace, thread, "Four")
    await mailtown.passes(hours=1)
    (second,) = mailtown.opened(ada)

    assert "Two" not in text_of(first)
    assert "Four" in text_of(second)
    assert "Three" not in text_of(second)
    assert first["message-id"] != second["message-id"]
    assert first["references"] == second["references"]


async def test_messages_of_connections_are_a_thread_of_their_own(mailtown: Mailtown):
    ada, grace = await two(mailtown)
    await mailtown.town.do(lambda tx: network.upsert_pairs(tx, [(ada, grace)], mailtown.town.now))
    thread = await mailtown.sends(ada, grace, "Good morning")
    await mailtown.passes(minutes=10)
    (first,) = mailtown.opened(grace)
    await _reads(mailtown, ada, grace, thread)
    await mailtown.writes(ada, thread, "Good night")
    await mailtown.passes(minutes=10)
    (second,) = mailtown.opened(grace)

    assert str(first["subject"]) == str(second["subject"]) == "Messages from Ada Byron"
    assert first["references"] == second["references"]
    assert says(first, "Good morning")
    assert says(second, "Good night")


async def test_what_is_read_in_time_is_not_mailed(mailtown: Mailtown):
    ada, grace, thread = await open_thread(mailtown)
    await mailtown.writes(grace, thread, "One thing")
    await mailtown.passes(minutes=9)

    await _reads(mailtown, grace, ada, thread)

    await mailtown.passes(hours=1)
    assert mailtown.opened(ada) == []


async def test_a_muted_conversation_rings_in_no_mailbox_either(mailtown: Mailtown):
    ada, grace, thread = await open_thread(mailtown)
    await mailtown.town.do(lambda tx: inbox.mute(tx, ada, thread, mailtown.town.now, on=True))
    await mailtown.writes(grace, thread, "One thing")

    await mailtown.passes(hours=1)

    assert mailtown.opened(ada) == []


async def test_a_block_silences_what_was_written_before_it(mailtown: Mailtown):
    ada, grace, thread = await open_thread(mailtown)
    await mailtown.writes(grace, thread, "One thing")
    await _is_blocked(mailtown, ada, grace, thread)

    await mailtown.passes(hours=1)

    assert mailtown.opened() == []


# The network ----------------------------------------------------------------------------------------


async def test_an_invitation_and_its_acceptance_are_told(mailtown: Mailtown):
    ada, grace = await two(mailtown)
    invitation = await mailtown.invites(ada, grace, "We met at the conference.")
    invited = await mailtown.one(grace)
    await mailtown.town.do(lambda tx: network.accept(tx, grace, invitation, mailtown.town.now))
    accepted = await mailtown.one(ada)

    assert says(invited, "Ada Byron wants to connect with you", "We met at the conference.")
    assert "https://overture.example/network" in links_of(invited)
    assert says(accepted, "Grace Hopper accepted your invitation")
    assert "https://overture.example/compose?to=grace" in links_of(accepted)


async def test_whom_an_operator_connects_gets_no_mail(mailtown: Mailtown):
    ada, grace = await two(mailtown)
    await mailtown.town.do(lambda tx: network.upsert_pairs(tx, [(ada, grace)], mailtown.town.now))

    assert await mailtown.none(ada)
    assert mailtown.opened(grace) == []


# Credits and plans ----------------------------------------------------------------------------------


async def test_a_year_tells_of_each_grant_and_warns_of_each_expiry_twice(mailtown: Mailtown):
    await mailtown.member("ada", **CAREER)
    await mailtown.member("bo", sales_navigator="sales_navigator_core")
    start = mailtown.town.now

    await mailtown.passes(days=365)

    told: dict[str, list[str]] = {}
    for mail in mailtown.opened():
        handle = mail["to"].addresses[0].username
        day = mail["date"].datetime.strftime("%d %b")
        told.setdefault(handle, []).append(f"{day}: {mail['subject']}")
    warned = [each for each in told["ada"] if "expire" in each]
    lots = await mailtown.rows(
        "select l.expires_at, -x.credits from ledger_entries l"
        " join ledger_entries x on x.owner_id = l.owner_id and x.lot = l.lot and x.pool = l.pool"
        " where l.pool = 'premium' and l.expires_at is not null and x.kind = 'expire'"
        " order by l.expires_at"
    )
    expected = [
        (at - timedelta(days=days), f"{number} credits expire in {days} days")
        for at, number in lots
        for days in (14, 3)
    ]
    assert start < lots[0][0]
    assert warned[: len(expected)] == [f"{at:%d %b}: {told}" for at, told in sorted(expected)]
    assert told["ada"][0] == "28 Feb: 5 new credits of Premium Career"
    assert all("credits of Sales Navigator Core" in each or "expire" in each for each in told["bo"])
    assert len(told["ada"]) == len(set(told["ada"]))
    assert len(told["bo"]) == len(set(told["bo"]))


async def test_a_grant_says_what_there_is_now_and_what_did_not_fit(mailtown: Mailtown):
    ada = await mailtown.member("ada", **CAREER)
    await mailtown.passes(days=59)
    mailtown.opened()
    for name in ("grace", "alan", "edsger"):
        await mailtown.sends(ada, await mailtown.member(name, **CAREER))
    mailtown.opened()

    await mailtown.passes(days=31)

    (mail,) = [each for each in mailtown.opened(ada) if "new credit" in each["subject"]]
    assert says(mail, "3 new credits of Premium Career", "15 of at most 15")
    assert says(mail, "2 more did not fit under your limit of 15.")


async def test_credits_that_were_used_are_not_warned_of(mailtown: Mailtown):
    ada = await mailtown.member("ada", **CAREER)
    for number in range(5):
        await mailtown.sends(ada, await mailtown.member(f"m{number}", **CAREER))

    await mailtown.passes(days=118)

    assert [each for each in mailtown.opened(ada) if "expire" in each["subject"]] == []


@pytest.mark.parametrize("canceled", [False, True])
async def test_credits_that_go_with_their_plan_before_they_expire_are_not_warned_of(
    mailtown: Mailtown, *, canceled: bool
):
    ada, grace = await two(mailtown)
    letter = await mailtown.sends(ada, grace)
    await mailtown.passes(days=5)
    await _answers(mailtown, ada, grace, letter)
    await mailtown.passes(days=105)
    mailtown.opened()
    if canceled:
        await mailtown.town.cancels(ada, "premium")

    # The credit that came back expires on 5 June, the plan ends on 31 May.
    await mailtown.passes(days=2)

    warned = [str(each["subject"]) for each in mailtown.opened(ada) if "expire" in each["subject"]]
    assert warned == ([] if canceled else ["1 credit expires in 14 days"])


async def test_each_change_of_a_plan_is_told(mailtown: Mailtown):
    ada = await mailtown.member("ada")
    said: list[str] = []
    for plan, days in (
        ("premium_career", 1),
        ("premium_business", 1),
        ("premium_career", 1),
        ("premium_business", 1),
    ):
        await mailtown.town.chooses(ada, "premium", plan)
        said.append(str((await mailtown.one(ada))["subject"]))
        await mailtown.passes(days=days)
    await mailtown.town.cancels(ada, "premium")
    said.append(str((await mailtown.one(ada))["subject"]))
    await mailtown.passes(days=40)
    said += [str(each["subject"]) for each in mailtown.opened(ada)]

    assert said == [
        "You have Premium Career",
        "You have Premium Business",
        "Your plan changes to Premium Career on 1 March 2025",
        "You keep Premium Business",
        "Your plan Premium Business ends on 1 March 2025",
        "Your plan Premium Business has ended",
    ]


async def test_a_change_that_waited_is_told_when_it_comes(mailtown: Mailtown):
    ada = await mailtown.member("ada", premium="premium_business")
    await mailtown.town.chooses(ada, "premium", "premium_career")
    await mailtown.passes(days=28)

    said = [str(each["subject"]) for each in mailtown.opened(ada)]

    assert said == [
        "Your plan changes to Premium Career on 28 February 2025",
        "You have Premium Career",
    ]


async def test_of_changes_that_follow_each_other_the_last_one_is_told(mailtown: Mailtown):
    ada = await mailtown.member("ada")
    await mailtown.town.chooses(ada, "premium", "premium_career")
    await mailtown.town.cancels(ada, "premium", "now")

    await mailtown.passes()

    assert [str(each["subject"]) for each in mailtown.opened(ada)] == [
        "Your plan Premium Career has ended"
    ]


# The safety of the account --------------------------------------------------------------------------


async def tells(mailtown: Mailtown, member: MemberId, kind: str, **payload: object) -> None:
    event = Event(member, kind, mailtown.town.now, payload)
    await mailtown.town.do(lambda tx: outbox.tell(tx, [event]))


async def signs_in(mailtown: Mailtown, member: MemberId, *, known: bool = False) -> None:
    session, secret = ids.new(), accounts.hash_of(ids.new())
    agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    await mailtown.town.do(
        lambda tx: sessions.add(
            tx, member, session=session, sha256=secret, client="203.0.113.7", agent=agent
        )
    )
    await tells(mailtown, member, "account.signed_in", session=session, known_device=known)


async def test_a_sign_in_from_a_new_browser_is_told(mailtown: Mailtown):
    ada = await mailtown.member("ada")
    old = "update accounts set password_at = now() - interval '2 days'"
    await mailtown.town.do(lambda tx: tx.execute(old))
    await signs_in(mailtown, ada)

    mail = await mailtown.one(ada)

    assert says(mail, "A new sign-in to your account", "Firefox on Linux", "203.0.113.7")
    assert "https://overture.example/reset" in links_of(mail)
    assert mail["list-unsubscribe"] is None
    assert says(mail, "Mails about the safety of your account cannot be switched off.")


async def test_a_known_browser_and_the_first_after_a_new_password_are_not_told(mailtown: Mailtown):
    ada = await mailtown.member("ada")
    await signs_in(mailtown, ada)
    assert await mailtown.none(ada)
    await signs_in(mailtown, ada, known=True)
    assert await mailtown.none(ada)

    # The second stranger within the hour is one too many.
    await signs_in(mailtown, ada)

    assert says(await mailtown.one(ada), "A new sign-in to your account")


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("account.password_changed", "Your password was changed"),
        ("account.passkey_added", "A passkey was added to your account"),
        ("account.two_steps_on", "Signing in takes two steps now"),
        ("account.two_steps_off", "Signing in takes one step again"),
        ("account.code_app_added", "Another app makes your codes"),
        ("account.recovery_code_used", "A recovery code was used"),
        ("account.recovery_codes_made", "New recovery codes were made"),
        ("account.second_step_failed", "Wrong codes were given for your account"),
        ("account.identity_linked", "Another way to sign in to your account"),
    ],
)
async def test_what_changes_the_safety_of_an_account_is_told_whatever_was_chosen(
    mailtown: Mailtown, kind: str, sentence: str
):
    ada = await mailtown.member("ada")
    await mailtown.wants(ada, MailChanges(on=False, daily=True, kinds=dict.fromkeys(Kind, False)))
    await tells(mailtown, ada, kind)

    assert says(await mailtown.one(ada), sentence)


async def test_with_the_first_app_comes_one_mail(mailtown: Mailtown):
    ada = await mailtown.member("ada")

    await tells(mailtown, ada, "account.code_app_added", again=False)

    assert await mailtown.none(ada)


async def test_an_account_that_begins_at_the_identity_provider_is_not_told_of_that(
    mailtown: Mailtown,
):
    ada = await mailtown.member("ada")

    await tells(mailtown, ada, "account.identity_linked", opens=True)

    assert await mailtown.none(ada)


# The digest -----------------------------------------------------------------------------------------


async def test_a_digest_comes_once_in_the_morning_with_all_that_waits(mailtown: Mailtown):
    ada, grace, _ = await open_thread(mailtown)
    sam = await mailtown.member("sam", "Sam Lee", time_zone="America/New_York", **CAREER)
    await mailtown.wants(sam, MailChanges(daily=True))
    await mailtown.sends(ada, sam, BODY, "Compilers")
    await mailtown.invites(grace, sam)
    answered = await mailtown.sends(sam, grace, subject="Ships")
    await mailtown.writes(grace, answered, "Aye.")

    await mailtown.passes(hours=2.9)
    assert mailtown.opened(sam) == []
    await mailtown.passes(hours=0.2)
    (mail,) = mailtown.opened(sam)

    # It was 5 in the morning in New York: three hours to go, and none the day after.
    assert mail["date"].datetime == SIGN_UP + timedelta(hours=3)
    assert says(mail, "3 things since your last digest")
    assert says(mail, "Ada Byron wrote you an InMail", "Compilers: Hello Grace")
    assert says(
        mail, "Grace Hopper wants to connect with you", "Grace Hopper accepted", "Ships: Aye."
    )
    links = links_of(mail)
    assert f"https://overture.example/inbox/{answered}" in links
    await mailtown.passes(days=1)
    assert mailtown.opened(sam) == []


async def test_what_comes_while_a_digest_is_sent_waits_for_the_next(mailtown: Mailtown):
    grace = await mailtown.member("grace")
    due = NewJob("mail:digest", grace, "2025-02-01", SIGN_UP + timedelta(days=9), {})

    async def keep(tx) -> None:
        await store.keep_for_digest(tx, grace, "message-1", b'{"type": "message"}', due)

    await mailtown.town.do(keep)
    ((sent, _),) = await mailtown.town.look(lambda tx: store.kept(tx, grace))
    await mailtown.town.do(keep)

    await mailtown.town.do(lambda tx: store.drop_kept(tx, grace, [sent]))

    assert len(await mailtown.town.look(lambda tx: store.kept(tx, grace))) == 1


async def test_no_digest_comes_where_nothing_waits_any_more(mailtown: Mailtown):
    ada, grace = await two(mailtown)
    await mailtown.wants(grace, MailChanges(daily=True))
    letter = await mailtown.sends(ada, grace)
    await mailtown.passes(hours=1)

    await _answers(mailtown, ada, grace, letter)
    await mailtown.passes(days=2)

    assert mailtown.opened(grace) == []
    assert await mailtown.rows("select from digest_items") == []


async def test_who_switches_all_mails_off_gets_no_digest_either(mailtown: Mailtown):
    ada, grace = await two(mailtown)
    await mailtown.wants(grace, MailChanges(daily=True))
    await mailtown.sends(ada, grace)
    await mailtown.passes(hours=1)
    await mailtown.wants(grace, MailChanges(on=False))

    await mailtown.passes(days=2)

    assert mailtown.opened(grace) == []


async def test_what_one_did_oneself_is_told_at_once_also_with_a_digest(mailtown: Mailtown):
    ada = await mailtown.member("ada")
    await mailtown.wants(ada, MailChanges(daily=True))
    await mailtown.town.chooses(ada, "premium", "premium_career")

    assert says(await mailtown.one(ada), "You have Premium Career")


# What stands around them ----------------------------------------------------------------------------


async def test_the_mails_of_a_conversation_are_one_thread_on_either_side(mailtown: Mailtown):
    ada, grace = await two(mailtown)
    letter = await mailtown.sends(ada, grace, subject="Compilers")
    first = await mailtown.one(grace)
    await mailtown.writes(grace, letter, "Gladly.")
    answer = await mailtown.one(ada)
    await mailtown.writes(ada, letter, "Thank you!")
    await mailtown.passes(minutes=10)
    (message,) = mailtown.opened(grace)

    assert first["references"] is None
    assert message["references"] == message["in-reply-to"] == first["message-id"]
    assert answer["references"] not in (None, first["message-id"])
    assert len({first["message-id"], answer["message-id"], message["message-id"]}) == 3
    assert {re.sub("^Re: ", "", str(each["subject"])) for each in (first, answer, message)} == {
        "Compilers"
    }
    assert all(str(each["auto-submitted"]) == "auto-generated" for each in (first, answer, message))


async def test_each_mail_that_can_be_ended_says_how_to_mail_programs(mailtown: Mailtown):
    ada, grace = await two(mailtown)
    await mailtown.sends(ada, grace)

    mail = await mailtown.one(grace)

    seal = seals.for_unsubscribing(SECRET, member=grace, kind="inmail")
    assert mail["list-unsubscribe"] == f"<https://overture.example/unsubscribe/{seal}>"
    assert mail["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
    assert f"https://overture.example/unsubscribe/{seal}" in links_of(mail)


async def test_headers_of_ids_and_addresses_stay_whole(mailtown: Mailtown):
    ada, grace = await two(mailtown)
    letter = await mailtown.sends(ada, grace)
    await _answers(mailtown, ada, grace, letter)
    await mailtown.passes()

    for file in mailtown.folder.iterdir():
        head, _, _ = file.read_bytes().partition(b"\r\n\r\n")
        for name in (b"Message-ID", b"References", b"List-Unsubscribe"):
            for line in re.findall(rb"^%s: .*$" % name, head, re.MULTILINE):
                assert re.fullmatch(rb"[\w-]+: <[\w.@:/-]+>\r?", line), line


@pytest.mark.parametrize(
    "name",
    [
        "Ada, Byron",
        "<eve@evil.example>",
        '"; Bcc: eve@evil.example; x="',
        "Ada\r\nBcc: eve@evil.example",
        "Ada\nSubject: won",
        "Ada \u202emoc.live\u202c",
        "Άντα Βύρωνος",
        "A" * 300,
        "a@b, c@d",
        "=?utf-8?q?Eve=0d=0aBcc=3a_e=40e.example?=",
    ],
)
async def test_no_name_and_no_subject_becomes_a_header_or_an_address(mailtown: Mailtown, name: str):
    """Such names are refused by the site; here they stand in the database all the same."""
    ada, grace = await two(mailtown)
    letter = await mailtown.sends(ada, grace)

    async def hostile(tx) -> None:
        await tx.execute("update members set name = %s", (name,))
        await tx.execute("update inbox set subject = %s", (name,))
        await tx.execute("update conversations set subject = %s", (name,))

    await mailtown.town.do(hostile)
    assert letter
    mail = await mailtown.one(grace)

    assert [each.addr_spec for each in mail["to"].addresses] == ["grace@example.org"]
    assert [each.addr_spec for each in mail["from"].addresses] == ["no-reply@overture.example"]
    assert len(mail["reply-to"].addresses) == 1
    assert mail["bcc"] is None
    assert len(mail.get_all("subject")) == 1
    shown = f"{mail['from']} {mail['to']} {mail['subject']}"
    assert not set(shown) & set("\r\n\u202e\u202c")


async def test_a_mail_speaks_its_readers_language_and_shows_their_hours(mailtown: Mailtown):
    ada = await mailtown.member("ada", "Ada Byron", **CAREER)
    noor = await mailtown.member("noor", "Noor", language="ar", time_zone="Asia/Riyadh", **CAREER)
    await mailtown.sends(ada, noor)

    mail = await mailtown.one(noor)

    html = html_of(mail)
    assert '<html lang="ar" dir="rtl">' in html
    assert says(mail, "رسالة InMail إليك من Ada Byron", "13:00")
    assert mail["content-language"] == "ar"
    assert "wrote" not in text_of(mail)
