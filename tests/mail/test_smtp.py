"""Mails to a real server: over STARTTLS or TLS, and what becomes of those that it does not take."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.message import EmailMessage

import pytest

from overture.core.jobs import DONE, Again, Hopeless
from overture.mail.post import NoSuchMailbox, Ready
from overture.mail.smtp import Smtp
from tests.mail.conftest import Certificates, Server, listening

To = Callable[..., Smtp]


def a_mail(to: str = "grace@example.org") -> Ready:
    message = EmailMessage()
    message["From"] = "Overture <no-reply@overture.example>"
    message["To"] = to
    message["Subject"] = "Γειά"
    message["Message-ID"] = "<1@overture.example>"
    message.set_content("Hello\n", cte="quoted-printable")
    return Ready("1", to, "bounce+1@overture.example", message)


async def test_a_mail_goes_over_starttls(server: Server, smtp_to: To):
    assert await smtp_to(server).send(a_mail()) is DONE

    (taken,) = server.taken
    assert taken.over_tls
    assert (taken.sender, taken.to) == ("bounce+1@overture.example", "grace@example.org")
    assert taken.message["subject"] == "Γειά"


async def test_a_mail_goes_over_tls(certificates: Certificates, smtp_to: To):
    async with listening(certificates, tls=True) as server:
        assert await smtp_to(server, security="tls").send(a_mail()) is DONE

    assert len(server.taken) == 1


async def test_who_has_a_name_and_a_password_signs_in(certificates: Certificates, smtp_to: To):
    async with listening(certificates, password="secret") as server:
        outcomes = [
            await smtp_to(server, user="overture", password=each).send(a_mail())
            for each in ("secret", "guess")
        ]

    assert outcomes[0] is DONE
    no = Again("The mail server does not let us sign in: 535 5.7.8.")
    assert outcomes[1] == no
    assert len(server.taken) == 1


async def test_nothing_goes_to_a_server_that_is_not_the_one(server: Server, smtp_to: To):
    no = await smtp_to(server, trusted=None).send(a_mail())

    assert no == Again("The mail server's certificate cannot be trusted.")
    assert server.taken == []


async def test_nothing_goes_in_the_clear_where_privacy_was_asked_for(smtp_to: To):
    async with listening(None) as server:
        no = await smtp_to(server).send(a_mail())
        plainly = await smtp_to(server, security="none").send(a_mail())

    assert no == Again("The mail server does not offer what the settings ask of it.")
    assert plainly is DONE
    assert [taken.over_tls for taken in server.taken] == [False]


@pytest.mark.parametrize("step", ["RCPT", "DATA"])
async def test_a_refusal_for_good_is_hopeless_and_names_nobody(
    server: Server, smtp_to: To, step: str
):
    server.answers[step] = "550 5.1.1 <grace@example.org>: nobody of that name"

    no = await smtp_to(server).send(a_mail())

    assert isinstance(no, Hopeless)
    assert no.why == "The mail server refused it for good: 550 5.1.1."
    # Of the recipient it says that the address is nobody's, of the mail it may mean anything.
    assert isinstance(no, NoSuchMailbox) is (step == "RCPT")


@pytest.mark.parametrize(
    ("step", "answer"),
    [
        ("RCPT", "451 4.7.1 grey"),
        ("DATA", "452 full"),
        ("MAIL", "450 4.1.8 later"),
        # About us, and so about no mail: whoever runs the server will mend it.
        ("MAIL", "553 5.7.1 not from this address"),
        ("RCPT", "530 5.7.0 sign in first"),
    ],
)
async def test_what_may_work_later_is_tried_again(
    server: Server, smtp_to: To, step: str, answer: str
):
    server.answers[step] = answer

    assert isinstance(await smtp_to(server).send(a_mail()), Again)

    server.answers.clear()
    assert await smtp_to(server).send(a_mail()) is DONE


async def test_a_server_that_hangs_or_is_away_is_tried_again(server: Server, smtp_to: To):
    server.hangs = True
    assert await smtp_to(server, seconds=0.2).send(a_mail()) == Again(
        "The mail server took too long."
    )
    away = await smtp_to(server, port=1).send(a_mail())

    assert away == Again("The mail server could not be reached, or went away.")


async def test_a_mail_that_was_taken_is_not_sent_again_whatever_follows(smtp_to: To):
    """The server takes the mail and says no more."""
    taken, over = asyncio.Event(), asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        while line := await reader.readline():
            if line == b".\r\n":
                taken.set()
            if line.startswith(b"QUIT"):
                await reader.read()
                break
            if line.startswith((b"EHLO", b"MAIL", b"RCPT", b".")):
                writer.write(b"250 fine\r\n")
            if line.startswith(b"DATA"):
                writer.write(b"354 go on\r\n")
        writer.close()
        await writer.wait_closed()
        over.set()

    listener = await asyncio.start_server(talk, "localhost", 0)
    port = listener.sockets[0].getsockname()[1]

    outcome = await smtp_to(Server(port=port), security="none").send(a_mail())
    await over.wait()
    listener.close()

    assert taken.is_set()
    assert outcome is DONE


def test_a_password_shows_itself_nowhere(smtp_to: To):
    assert "secret" not in repr(smtp_to(Server(), password="secret"))
