"""Replies come in from a mail server, over LMTP and SMTP, and are in the thread; nothing else is."""

from __future__ import annotations

import asyncio
import re
import smtplib
import tomllib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from email.policy import SMTP
from email.utils import format_datetime

import pytest

from overture.clock import real_now
from overture.core import seals
from overture.core.conversations import State
from overture.core.ids import MemberId
from overture.core.policy import Outcome
from overture.core.refusals import Refusal
from overture.core.sending import Respond, Withdraw
from overture.mail.incoming import listener as door
from overture.mail.incoming.taking import Fate, Told
from overture.store import accounts, idempotency, installation, mailboxes
from overture.store.db import Unavailable, all_rows
from tests.cast import SIGN_UP, town_in
from tests.mail.posts import CORPUS, GRACE, Post, from_corpus, gets_address, mail, opened
from tests.running import PATIENCE


@pytest.fixture
async def post(database_url: str) -> AsyncIterator[Post]:
    async with town_in(database_url) as town, opened(town) as made:
        yield made


# What is a reply ----------------------------------------------------------------------------------


@pytest.mark.parametrize("lmtp", [True, False], ids=["lmtp", "smtp"])
async def test_a_reply_by_mail_is_the_answer_and_brings_the_credit_back(post, lmtp) -> None:
    told = await post.hands_over(mail(), post.reply_to(), lmtp=lmtp)

    assert told == (250, "2.6.0 It is in the conversation.")
    assert await post.messages() == ["Hello", "Yes, gladly."]
    assert (await post.state(), await post.refunds()) == (State.ACCEPTED, 1)


async def test_a_reply_is_stripped_of_what_it_quotes(post) -> None:
    await post.hands_over(from_corpus("gmail-german", post.reply_to()), post.reply_to())
    assert (await post.messages())[1].startswith("Liebe Ada,\n\nsehr gerne!")
    assert "Turku" not in (await post.messages())[1]


async def test_the_other_side_answers_by_mail_too(post) -> None:
    await gets_address(post.town, post.ada, "ada@example.com")
    await post.hands_over(mail(), post.reply_to())
    to = post.reply_to(member=post.ada, address="ada@example.com")

    told = await post.hands_over(mail("Splendid.", "2", sender="ada@example.com"), to)

    assert told[0] == 250
    assert (await post.messages())[2:] == ["Splendid."]


async def test_a_sender_has_to_wait_for_the_answer_by_mail_as_well(post) -> None:
    await gets_address(post.town, post.ada, "ada@example.com")
    to = post.reply_to(member=post.ada, address="ada@example.com")

    status, said = await post.hands_over(mail("And another thing."), to)

    assert status == 550
    assert "has no answer yet" in said
    assert f"https://inmail.example.org/inbox/{post.letter}" in said
    assert await post.nothing_happened()


async def test_the_mail_server_may_change_the_address_to_capitals(post) -> None:
    assert (await post.hands_over(mail(), post.reply_to().upper()))[0] == 250
    assert await post.state() is State.ACCEPTED


async def test_files_come_along_once_the_conversation_is_open(post) -> None:
    attached = mail("Here it is.", "2")
    attached.add_attachment("a list\n", filename="list.txt")

    status, said = await post.hands_over(attached, post.reply_to())
    assert (status, "once this conversation is open" in said) == (550, True)
    assert await post.nothing_happened()

    await post.hands_over(mail(), post.reply_to())
    assert (await post.hands_over(attached, post.reply_to()))[0] == 250
    rows = await post.town.look(
        lambda tx: all_rows(tx, "select files from messages order by number")
    )
    assert b"list.txt" in bytes(rows[-1][0])


@pytest.mark.parametrize(
    "name", ["hostile-zip-named-pdf", "hostile-program", "hostile-zip", "forward-as-attachment"]
)
async def test_files_have_to_be_what_the_web_app_takes(post, name: str) -> None:
    expected = tomllib.loads((CORPUS / "expected.toml").read_text())[name]
    await post.hands_over(mail(), post.reply_to())

    status, said = await post.hands_over(from_corpus(name, post.reply_to()), post.reply_to())

    assert status == 550
    assert Refusal(expected["refused"]).sentence[:40] in said
    assert len(await post.messages()) == 2


async def test_a_mail_to_several_over_lmtp_has_an_answer_for_each(post) -> None:
    other = await post.town.sends(await sender(post, "eve"), post.grace)
    to = [post.reply_to(), post.reply_to(other)]

    def bring() -> list[bytes]:
        with smtplib.LMTP("127.0.0.1", post.port) as client:
            client.ehlo_or_helo_if_needed()
            client.mail(GRACE)
            assert [client.rcpt(each)[0] for each in to] == [250, 250]
            client.putcmd("data")
            client.getreply()
            client.send(mail().as_bytes(policy=SMTP) + b"\r\n.\r\n")
            return [client.getreply()[1] for _ in to]

    assert await asyncio.to_thread(bring) == [b"2.6.0 It is in the conversation."] * 2
    assert await post.messages() == ["Hello", "Yes, gladly."]
    assert await post.messages(other) == ["Hello", "Yes, gladly."]


async def sender(post: Post, name: str) -> MemberId:
    return await post.town.member(name, premium="premium_career")


# What is none -------------------------------------------------------------------------------------


async def test_a_replayed_mail_counts_once(post) -> None:
    for _ in range(3):
        assert (await post.hands_over(mail(), post.reply_to()))[0] == 250
    raw = mail().as_bytes()
    told = await asyncio.gather(*(post.intake.take(raw, post.reply_to(), GRACE) for _ in range(5)))

    assert {each.fate for each in told} == {Fate.TAKEN}
    assert await post.messages() == ["Hello", "Yes, gladly."]
    assert await post.refunds() == 1


async def test_a_mail_replayed_after_weeks_is_told_by_its_date(post) -> None:
    """What was taken is remembered for longer than an old mail is believed."""
    assert timedelta(days=30) + timedelta(days=2) < idempotency.MAIL_KEPT_FOR
    await post.hands_over(mail(), post.reply_to())
    aged = "update idempotency_keys set kept_at = kept_at - interval '33 days'"
    await post.town.do(lambda tx: tx.execute(aged))
    await post.town.do(idempotency.forget_old)

    assert (await post.hands_over(mail(), post.reply_to()))[0] == 250
    assert len(await post.messages()) == 2

    old = format_datetime(real_now() - timedelta(days=31))
    status, said = await post.hands_over(mail(date=old), post.reply_to())
    assert (status, "more than 30 days ago" in said) == (550, True)
    early = format_datetime(real_now() + timedelta(days=3))
    status, said = await post.hands_over(mail(date=early, name="3"), post.reply_to())
    assert (status, "dated in the future" in said) == (550, True)
    assert len(await post.messages()) == 2


async def test_a_mail_without_a_name_counts_once_as_well(post) -> None:
    nameless = mail()
    del nameless["Message-ID"]
    for _ in range(2):
        await post.hands_over(nameless, post.reply_to())
    assert await post.messages() == ["Hello", "Yes, gladly."]


async def test_a_forged_address_takes_nothing(post) -> None:
    good = post.reply_to()
    for place in (2, 20, 40, 61):
        changed = "b" if good[place] == "a" else "a"
        forged = good[:place] + changed + good[place + 1 :]
        status, said = await post.hands_over(mail(), forged)
        assert (status, said.split()[0]) == (550, "5.1.1")
    other = seals.Secret(b"another installation's" * 2)
    assert (await post.hands_over(mail(), post.reply_to(secret=other)))[0] == 550
    assert await post.nothing_happened()


async def test_somebody_elses_address_takes_nothing(post) -> None:
    """One's own, made into another's: of another member, of a conversation one is not in."""
    eve = await sender(post, "eve")
    await gets_address(post.town, eve, "eve@example.com")
    theirs = await post.town.sends(eve, post.ada)
    for foreign in (
        post.reply_to(member=eve, address="eve@example.com"),
        post.reply_to(theirs),
        post.reply_to(address="eve@example.com"),
    ):
        assert (await post.hands_over(mail(), foreign))[0] == 550
    assert await post.nothing_happened()


@pytest.mark.parametrize(
    "stripped",
    [
        "r+@inmail.example.org",
        "r@inmail.example.org",
        "no-reply@inmail.example.org",
        "r+x@inmail.example.org",
    ],
)
async def test_an_address_without_its_seal_takes_nothing(post, stripped: str) -> None:
    """A seal in the text or the header is none: it has to be where the mail goes."""
    sealed = mail(f"Yes. {post.reply_to()}\n", to=post.reply_to())
    assert (await post.hands_over(sealed, stripped))[0] == 550
    assert await post.nothing_happened()


async def test_an_address_of_another_house_takes_nothing(post) -> None:
    elsewhere = post.reply_to().replace("inmail.example.org", "inmail.example.com")
    assert (await post.hands_over(mail(), elsewhere))[0] == 550
    assert await post.nothing_happened()


async def test_an_address_ends_with_the_members_own(post) -> None:
    """Whoever reads an old mailbox speaks for nobody any more."""
    before = post.reply_to()
    await post.town.do(lambda tx: accounts.change_email(tx, post.grace, "grace@example.com"))
    assert (await post.hands_over(mail(), before))[0] == 550
    assert await post.nothing_happened()
    assert (await post.hands_over(mail(), post.reply_to(address="grace@example.com")))[0] == 250


async def test_an_address_ends_when_nothing_happens_for_long(post) -> None:
    later = SIGN_UP + timedelta(days=181)
    await post.town.do(lambda tx: installation.set_test_clock(tx, later))
    status, said = await post.hands_over(mail(), post.reply_to())
    assert (status, said.split()[0]) == (550, "5.2.1")
    assert await post.nothing_happened()


async def test_what_the_rules_refuse_by_mail_is_told_in_one_sentence(post) -> None:
    await post.town.acts(Withdraw(post.ada, post.letter))
    status, said = await post.hands_over(mail(), post.reply_to())
    assert status == 550
    assert said.startswith("5.7.1 This conversation is closed")
    assert len(await post.messages()) == 1


async def test_who_declined_may_still_write_by_mail(post) -> None:
    await post.town.acts(Respond(post.grace, post.letter, Outcome.DECLINED))
    assert (await post.hands_over(mail("After all, yes."), post.reply_to()))[0] == 250
    assert (await post.state(), await post.refunds()) == (State.ACCEPTED, 1)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("auto-suspected-german", "reads like an automatic reply"),
        ("smime-encrypted", "is encrypted"),
        ("pgp-encrypted-inline", "is encrypted"),
        ("only-a-quote", "no words of your own"),
        ("nothing", "no words of your own"),
        ("hostile-deep-nesting", "too many parts"),
        ("much-text", "at most 2000"),
    ],
)
async def test_a_mail_that_cannot_be_taken_says_why(post, name: str, said: str) -> None:
    status, why = await post.hands_over(from_corpus(name, post.reply_to()), post.reply_to())
    assert (status, said in why) == (550, True), why
    assert await post.nothing_happened()


# What no person wrote -----------------------------------------------------------------------------

AUTOMATIC = sorted(each.stem for each in CORPUS.glob("auto-*.eml") if "suspected" not in each.stem)


@pytest.mark.parametrize("name", AUTOMATIC)
async def test_an_automatic_reply_is_no_response(post, name: str) -> None:
    """It is taken, since nobody is to be told, and changes nothing."""
    told = await post.hands_over(from_corpus(name, post.reply_to()), post.reply_to())
    assert told == (250, "2.6.0 It was noted.")
    assert await post.nothing_happened()


async def test_a_mail_that_nobody_is_to_answer_is_no_response(post) -> None:
    """The envelope says so where the mail does not."""
    assert (await post.hands_over(mail(), post.reply_to(), "<>"))[0] == 250
    assert await post.nothing_happened()


async def test_what_comes_back_for_good_marks_the_address(post) -> None:
    async def mailbox():
        return (await post.town.look(lambda tx: mailboxes.of(tx, [post.grace])))[post.grace]

    for harmless in ("bounce-delayed", "bounce-full", "bounce-policy", "complaint"):
        raw = from_corpus(harmless, post.returns_to())
        assert (await post.hands_over(raw, post.returns_to(), "<>"))[0] == 250
    forged = post.returns_to(address="grace@example.com")
    await post.hands_over(from_corpus("bounce-postfix", forged), forged, "<>")
    assert not (await mailbox()).failing

    raw = from_corpus("bounce-postfix", post.returns_to())
    assert (await post.hands_over(raw, post.returns_to(), "<>"))[0] == 250
    assert (await mailbox()).failing
    assert not (await mailbox()).verified
    assert await post.nothing_happened()


async def test_a_bounce_that_comes_to_the_reply_address_marks_it_too(post) -> None:
    raw = from_corpus("bounce-exchange", post.reply_to())
    assert (await post.hands_over(raw, post.reply_to(), "<>"))[0] == 250
    found = await post.town.look(lambda tx: mailboxes.of(tx, [post.grace]))
    assert found[post.grace].failing
    assert await post.nothing_happened()


async def test_a_letter_to_the_return_address_is_told_where_to_go(post) -> None:
    status, said = await post.hands_over(mail(), post.returns_to())
    assert (status, "Reply to the mail itself" in said) == (550, True)
    assert await post.nothing_happened()


# Whose it is --------------------------------------------------------------------------------------


async def test_a_member_may_write_from_an_alias(post) -> None:
    assert (await post.hands_over(mail(sender="g.okafor@example.com"), post.reply_to()))[0] == 250
    assert await post.state() is State.ACCEPTED


async def test_what_the_operators_mail_server_found_forged_is_refused(database_url) -> None:
    async with town_in(database_url) as town, opened(town, trusts="mx.example.org") as post:
        failed = "mx.example.org; dmarc=fail header.from=example.net"
        forged = mail(Authentication_Results=failed)
        assert (await post.hands_over(forged, post.reply_to()))[1].split()[0] == "5.7.26"
        assert await post.nothing_happened()

        elsewhere = mail(Authentication_Results=failed.replace("mx.", "else."))
        assert (await post.hands_over(elsewhere, post.reply_to()))[0] == 250


async def test_an_operator_may_ask_for_the_members_own_address(database_url) -> None:
    async with (
        town_in(database_url) as town,
        opened(town, trusts="mx.example.org", own_only=True) as post,
    ):
        passed = "mx.example.org; dmarc=pass header.from=example.net"
        for stranger in (
            mail(sender="mallory@example.com", Authentication_Results=passed.replace("net", "com")),
            mail(sender="mallory@example.com"),
            mail(Authentication_Results="mx.example.org; dmarc=none"),
            mail(),
        ):
            status, said = await post.hands_over(stranger, post.reply_to())
            assert (status, "your own address alone" in said) == (550, True)
        assert await post.nothing_happened()

        own = mail(sender=GRACE.upper(), Authentication_Results=passed)
        assert (await post.hands_over(own, post.reply_to()))[0] == 250


async def test_a_found_address_cannot_be_flooded(post) -> None:
    from overture.core.accounts import Limit
    from overture.mail.incoming import taking

    few = Limit("reply by mail", 3, taking.REPLIES.window)
    before, taking.REPLIES = taking.REPLIES, few
    try:
        told = [await post.hands_over(mail(name=str(n)), post.reply_to()) for n in range(5)]
    finally:
        taking.REPLIES = before
    assert [status for status, _ in told] == [250, 250, 250, 451, 451]
    assert len(await post.messages()) == 4


# The conversation with the mail server ------------------------------------------------------------


async def talk(post: Post, *lines: bytes, ends: bool = True) -> list[str]:
    """What is answered to these lines, sent at once."""
    reader, writer = await asyncio.open_connection("127.0.0.1", post.port)
    writer.write(b"\r\n".join(lines) + b"\r\n" + (b"QUIT\r\n" if ends else b""))
    said = (await reader.read()).decode().splitlines()
    writer.close()
    return said


async def test_only_a_dot_between_whole_line_ends_ends_a_mail(post) -> None:
    """A mail within a mail would come past the mail server that looked at the outer one alone."""
    to = post.reply_to().encode()
    hidden = b"".join(
        end
        + b"MAIL FROM:<grace@example.net>\r\nRCPT TO:<"
        + to
        + b">\r\nDATA\r\n\r\nsmuggled\r\n.\r\n"
        for end in (b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n")
    )
    raw = b"From: grace@example.net\r\nMessage-ID: <1@x>\r\n\r\nouter\r\n" + hidden
    said = await talk(
        post,
        *(b"LHLO mx", b"MAIL FROM:<grace@example.net>", b"RCPT TO:<" + to + b">", b"DATA"),
        raw.replace(b"\r\n.\r\n", b"\r\n..\r\n") + b".",
    )
    assert [line for line in said if line.startswith("250 2.6.0")] == [
        "250 2.6.0 It is in the conversation."
    ]
    assert len(await post.messages()) == 2
    assert (await post.messages())[1].startswith("outer")


async def test_dots_and_long_lines_come_through(post) -> None:
    text = "..one\n.\ntwo " + "x" * 1_800 + "\n"
    made = mail()
    made.set_payload(text)
    await post.hands_over(made, post.reply_to())
    assert (await post.messages())[1] == text.strip()


async def test_what_is_too_large_is_refused_before_and_after_it_is_sent(post, monkeypatch) -> None:
    monkeypatch.setattr(door, "MAIL_BYTES_MAX", 100_000)
    to = post.reply_to().encode()
    said = await talk(post, b"LHLO mx", b"MAIL FROM:<g@example.net> SIZE=100001")
    assert [line for line in said if line.startswith("552")]
    said = await talk(
        post,
        *(b"LHLO mx", b"MAIL FROM:<g@example.net>", b"RCPT TO:<" + to + b">", b"DATA"),
        *(b"x" * 70 for _ in range(2_000)),
        b".",
        b"NOOP",
    )
    assert [line[:9] for line in said if line.startswith("552")] == ["552 5.3.4"]
    # The connection goes on where the mail ended.
    assert "250 OK" in said
    assert await post.nothing_happened()


async def test_it_relays_nothing(post) -> None:
    said = await talk(
        post, b"EHLO mx", b"MAIL FROM:<g@example.net>", b"RCPT TO:<someone@example.com>", b"DATA"
    )
    assert [line[:3] for line in said if line[0] == "5"] == ["550", "503"]


async def test_several_recipients_over_smtp_come_one_at_a_time(post) -> None:
    to = b"RCPT TO:<" + post.reply_to().encode() + b">"
    said = await talk(post, b"EHLO mx", b"MAIL FROM:<g@example.net>", to, to)
    assert said[-2:] == ["452 4.5.3 One recipient at a time", "221 Bye"]


@pytest.mark.parametrize(
    "junk",
    [
        b"\x00\xff\xfe" * 100,
        b"GET / HTTP/1.1",
        b"MAIL FROM:<" + b"(" * 300,
        b"RCPT TO:<@>",
        b'EHLO mx\r\nMAIL FROM:<x\r\nRCPT TO:<""@[]>\r\nVRFY (\r\nDATA',
        b"A" * 200_000,
    ],
    ids=["bytes", "http", "open brackets", "no address", "broken commands", "a long line"],
)
async def test_junk_gets_an_answer_and_the_next_one_is_served(post, junk: bytes) -> None:
    said = await talk(post, junk)
    assert said[0].startswith("220 ")
    assert all(re.match(r"[245]\d\d[ -]", line) for line in said)
    assert (await post.hands_over(mail(), post.reply_to()))[0] == 250


async def test_there_is_a_limit_to_connections(post, monkeypatch) -> None:
    monkeypatch.setattr(door, "CONNECTIONS_MAX", 2)
    held = [await asyncio.open_connection("127.0.0.1", post.port) for _ in range(2)]
    for reader, _ in held:
        assert (await reader.readline()).startswith(b"220 ")

    one_more = await asyncio.open_connection("127.0.0.1", post.port)
    assert (await one_more[0].read()).startswith(b"421 4.3.2 ")

    for _, writer in (*held, one_more):
        writer.close()
        await writer.wait_closed()
    # It sees that they have gone when it comes to it.
    async with asyncio.timeout(PATIENCE):
        while not await talks(post):
            pass
    assert (await post.hands_over(mail(), post.reply_to()))[0] == 250


async def talks(post: Post) -> bool:
    """Whether it has room for one who says nothing more than hello."""
    try:
        return (await talk(post, b"LHLO mx"))[0].startswith("220")
    except ConnectionError:
        return False


async def test_who_says_nothing_is_hung_up_on(post, monkeypatch) -> None:
    monkeypatch.setattr(door, "SECONDS", 0.2)
    assert len(await talk(post, b"LHLO mx", ends=False)) > 1


async def test_a_mail_under_way_at_the_end_is_finished(database_url) -> None:
    async with town_in(database_url) as town, opened(town) as post:
        reader, writer = await asyncio.open_connection("127.0.0.1", post.port)
        to = post.reply_to().encode()
        writer.write(b"LHLO mx\r\nMAIL FROM:<g@example.net>\r\nRCPT TO:<" + to + b">\r\nDATA\r\n")
        while not (await reader.readline()).startswith(b"354"):
            pass

        async def go_on() -> bytes:
            await asyncio.sleep(0.1)
            writer.write(b"Message-ID: <1@x>\r\n\r\nYes.\r\n.\r\n")
            said = await reader.read()
            writer.close()
            return said

        going = asyncio.create_task(go_on())
    assert (await going).startswith(b"250 2.6.0")


class Away:
    """A database that does not answer."""

    async def reading(self, work):
        raise Unavailable

    writing = reading


async def test_without_a_database_the_mail_server_keeps_the_mail(post) -> None:
    lost = replace(post.intake, shared=replace(post.intake.shared, db=Away()))
    told = await lost.take(mail().as_bytes(), post.reply_to(), GRACE)
    assert (told.fate, told.code) == (Fate.LATER, "4.3.0")
    refusal = await lost.refusal(post.reply_to())
    assert refusal is not None
    assert refusal.fate is Fate.LATER
    assert await post.nothing_happened()


def test_what_mail_servers_are_told_is_one_line_of_ascii() -> None:
    told = Told(Fate.REFUSED, "5.7.1", "“No” – it’s é…\r\n250 OK" + "x" * 1_000)
    said = door.answer(told, "https://inmail.example.org")
    assert said.startswith('550 5.7.1 "No" - it\'s ')
    assert said.isascii()
    assert said.isprintable()
    assert len(said) <= 450


async def test_why_mails_were_not_taken_is_counted_under_few_reasons(post) -> None:
    for length in (3001, 3002):
        await post.hands_over(mail("x" * length), post.reply_to())
    await post.hands_over(mail(""), post.reply_to())

    rows = await post.town.look(
        lambda tx: all_rows(tx, "select why, count from mail_counts order by count")
    )

    assert [count for _, count in rows] == [1, 2]
    assert [why.partition(" ")[0] for why, _ in rows] == ["5.6.0", "5.6.0"]
    assert "3001" not in str(rows)
