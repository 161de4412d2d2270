"""Mail comes in by every way there is: a listener alone or within the server, a pipe, a Maildir."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import smtplib
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP, default
from pathlib import Path

import pytest

from overture import app
from overture.clock import TestClock
from overture.core import seals
from overture.core.seals import Secret
from overture.mail.incoming import maildir
from overture.mail.incoming.returning import Returning
from overture.mail.message import Letterhead
from overture.mail.post import Folder
from overture.store import mailboxes
from tests.cast import town_in
from tests.mail.posts import GRACE, OURS, URL, Post, from_corpus, mail, opened
from tests.ports import free_port
from tests.running import COMMAND, PATIENCE, Running, command, environment, on, serving

FORM = "r+*@inmail.example.org"


# The command line ---------------------------------------------------------------------------------


def written(server: Running) -> tuple[str, str]:
    """Ada writes to Grace through the API: the ids of Grace and of the letter."""

    def ask(method: str, path: str, body: object, acting: str = "") -> dict:
        headers = {"Act-As": acting} if acting else {}
        answer = server.request(method, f"/api/v1{path}", body, headers=headers)
        assert answer.is_success, answer.text
        return answer.json()

    members = {
        name: ask(
            "POST", "/members", {"handle": name, "name": name, "email": f"{name}@example.net"}
        )["id"]
        for name in ("ada", "grace")
    }
    for each in members.values():
        ask("PUT", "/me/subscriptions/premium", {"plan": "premium_career"}, each)
    letter = ask(
        "POST", "/conversations", {"to": members["grace"], "body": "Hello"}, members["ada"]
    )
    return members["grace"], letter["conversation"]["id"]


def address(url: str, member: str, letter: str) -> str:
    """The address that Grace's mail about the letter can be answered to."""

    async def secret() -> Secret:
        async with app.opened(url, connections=2) as there:
            return there.secret

    seal = seals.for_reply(asyncio.run(secret()), member=member, conversation=letter, address=GRACE)
    return OURS.of(seal)


def state(server: Running, member: str, letter: str) -> str:
    answer = server.request("GET", f"/api/v1/conversations/{letter}", headers={"Act-As": member})
    return answer.json()["state"]


def hand_over(port: int, to: str, message: EmailMessage | None = None) -> None:
    with smtplib.LMTP("127.0.0.1", port) as client:
        client.sendmail(GRACE, [to], (message or mail()).as_bytes(policy=SMTP))


@contextmanager
def taking_mail(*options: object) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*COMMAND, "mail-in", "--reply-address", FORM, *map(str, options)],
        env=environment(**on(options)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()


@pytest.mark.parametrize("processes", [1, 2])
def test_the_server_takes_mail_in_by_itself(database_url: str, processes: int) -> None:
    port = free_port()
    options = ("--replies-listen", f"127.0.0.1:{port}", "--reply-address", FORM)
    with serving("--database-url", database_url, *options, "--processes", processes) as server:
        member, letter = written(server)
        hand_over(port, address(database_url, member, letter))
        assert state(server, member, letter) == "accepted"
        assert server.stop() == 0
    with pytest.raises(OSError, match="refused"):
        smtplib.LMTP("127.0.0.1", port)


def test_a_server_without_reply_addresses_takes_none_in(database_url: str) -> None:
    done = command(
        "serve", "--database-url", database_url, "--port", 0, "--replies-listen", "127.0.0.1:0"
    )
    assert done.returncode == 1
    assert "--reply-address" in done.stderr


def test_a_listener_alone_brings_mail_to_servers_beside_it(database_url: str) -> None:
    with (
        serving("--database-url", database_url) as server,
        taking_mail("--database-url", database_url, "--listen", "127.0.0.1:0") as listener,
    ):
        assert listener.stdout
        port = int(listener.stdout.readline().rpartition(":")[2])
        member, letter = written(server)
        hand_over(port, address(database_url, member, letter))
        assert state(server, member, letter) == "accepted"
        listener.send_signal(signal.SIGTERM)
        assert listener.wait(PATIENCE) == 0


@pytest.mark.skipif(
    shutil.which("swaks") is None, reason="swaks is not installed (Debian: apt install swaks)"
)
@pytest.mark.parametrize("protocol", ["LMTP", "ESMTP"])
def test_a_reply_sent_by_swaks_is_the_answer(database_url: str, protocol: str) -> None:
    port = free_port()
    options = ("--replies-listen", f"127.0.0.1:{port}", "--reply-address", FORM)
    with serving("--database-url", database_url, *options) as server:
        member, letter = written(server)
        to = address(database_url, member, letter)
        swaks = ["swaks", "--server", f"127.0.0.1:{port}", "--protocol", protocol, "--from", GRACE]
        swaks += ["--header", "Subject: Re: a letter", "--body", "Yes, gladly.", "--pipeline"]

        wrong = subprocess.run(
            [*swaks, "--to", to.replace("+", "+a")],
            check=False,
            capture_output=True,
            text=True,
        )
        assert "550 5.1.1" in wrong.stdout
        assert state(server, member, letter) == "pending"

        done = subprocess.run([*swaks, "--to", to], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
        assert "250 2.6.0 It is in the conversation." in done.stdout
        assert state(server, member, letter) == "accepted"


def pipe(database_url: str, raw: bytes, *options: str, **variables: str) -> tuple[int, str]:
    done = subprocess.run(  # noqa: PLW1510  its status is what is asked for
        [
            *COMMAND,
            "mail-in",
            "--pipe",
            "--reply-address",
            FORM,
            "--database-url",
            database_url,
            *options,
        ],
        env=environment(OVERTURE_ACCEPT_UNSAFE_DATABASE="true", **variables),
        input=raw,
        capture_output=True,
        timeout=3 * PATIENCE,
    )
    return done.returncode, done.stdout.decode()


def test_a_pipe_tells_what_became_of_a_mail_by_its_exit_status(database_url: str) -> None:
    with serving("--database-url", database_url) as server:
        member, letter = written(server)
        to = address(database_url, member, letter)

        status, said = pipe(database_url, mail().as_bytes(), "--recipient", OURS.of("a" * 61))
        assert (status, said[:6]) == (os.EX_NOUSER, "5.1.1 ")
        status, said = pipe(database_url, from_corpus("only-a-quote", to), ORIGINAL_RECIPIENT=to)
        assert (status, said[:6]) == (os.EX_DATAERR, "5.6.0 ")
        status, said = pipe(database_url, mail().as_bytes(), RECIPIENT=to, SENDER=GRACE)
        assert (status, said) == (0, "2.6.0 It is in the conversation.\n")
        # Only its header says where it came to; and it is the same mail.
        status, _ = pipe(database_url, from_corpus("gmail-web", to))
        assert status == 0
        status, _ = pipe(database_url, mail(to=to).as_bytes())
        assert status == 0
        status, said = pipe(database_url, from_corpus("auto-exchange", to), "--sender", "<>")
        assert (status, said) == (0, "2.6.0 It was noted.\n")
        status, said = pipe(
            database_url, mail(name="2").as_bytes(), RECIPIENT=to, SENDER="MAILER-DAEMON"
        )
        assert (status, said) == (0, "2.6.0 It was noted.\n")

        messages = server.request(
            "GET", f"/api/v1/conversations/{letter}/messages", headers={"Act-As": member}
        ).json()["items"]
        assert len(messages) == 3


def test_a_pipe_never_loses_a_mail_for_a_fault_of_ours(database_url: str) -> None:
    nowhere = "postgresql://nobody@127.0.0.1:1/nothing"
    assert pipe(nowhere, mail().as_bytes())[0] == os.EX_TEMPFAIL
    assert pipe(database_url, mail().as_bytes(), "--no-such-option")[0] == os.EX_TEMPFAIL
    assert (
        pipe(database_url, mail().as_bytes(), OVERTURE_REPLIES_FROM_OWN="perhaps")[0]
        == os.EX_TEMPFAIL
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "Say whence mail comes"),
        (("--listen", "127.0.0.1:0", "--pipe"), "Say whence mail comes"),
        (("--listen", "8025"), "HOST:PORT"),
        (("--maildir", "/nowhere"), "is no Maildir"),
    ],
)
def test_what_cannot_be_listened_to_is_told(database_url: str, options: tuple, said: str) -> None:
    done = command("mail-in", "--database-url", database_url, "--reply-address", FORM, *options)
    assert done.returncode != 0
    assert said in done.stderr


# A Maildir ----------------------------------------------------------------------------------------


@pytest.fixture
async def post(database_url: str):
    async with town_in(database_url) as town, opened(town) as made:
        yield made


@pytest.fixture
def box(tmp_path: Path) -> Path:
    for name in ("tmp", "new", "cur"):
        (tmp_path / "box" / name).mkdir(parents=True)
    return tmp_path / "box"


def put(box: Path, name: str, raw: bytes) -> None:
    (box / "new" / name).write_bytes(raw)


async def take_all(post: Post, box: Path) -> bool:
    head = Letterhead(URL, "no-reply@inmail.example.org", "inmail.example.org")
    returning = Returning(post.town.db, TestClock(), Folder(box.parent / "mail"), head)
    return await maildir.take_all(post.intake, box, returning.give_back)


def lying(box: Path) -> list[str]:
    return sorted(each.name for each in (box / "cur").iterdir())


def returned(box: Path) -> list[EmailMessage]:
    files = sorted((box.parent / "mail").glob("*.eml"))
    return [message_from_bytes(each.read_bytes(), policy=default) for each in files]


async def test_what_lies_in_a_maildir_is_taken_in_order_and_moved_on(post, box) -> None:
    to = post.reply_to()
    put(box, "1.first", mail("Yes.", "1", to=to).as_bytes())
    os.utime(box / "new" / "1.first", (1, 1))
    delivered = f"Delivered-To: {to}\n".encode()
    put(box, "0.second", delivered + mail("And another thing.", "2").as_bytes())
    put(box, "3.else", mail("Hello", "3", to="somebody@example.org").as_bytes())
    put(box, "4.automatic", from_corpus("auto-sieve", to))
    put(box, ".hidden", b"being written")

    assert await take_all(post, box)

    assert await post.messages() == ["Hello", "Yes.", "And another thing."]
    assert lying(box) == ["0.second:2,S", "1.first:2,S", "3.else:2,S", "4.automatic:2,S"]
    assert [each.name for each in (box / "new").iterdir()] == [".hidden"]
    assert returned(box) == []


async def test_a_mail_from_a_maildir_that_is_not_taken_is_given_back(post, box) -> None:
    to = post.reply_to()
    put(box, "1", from_corpus("only-a-quote", to))
    assert await take_all(post, box)

    (letter,) = returned(box)
    assert letter["To"] == "Grace <grace@example.net>"
    assert letter["Subject"] == "Your reply was not taken"
    assert letter["Auto-Submitted"] == "auto-generated"
    assert "no words of your own" in letter.get_body(("plain",)).get_content()
    assert lying(box) == ["1:2,RS"]
    assert await post.nothing_happened()


async def test_it_is_given_back_in_the_members_language(post, box) -> None:
    speaks = "update members set language = 'ar' where id = %s"
    await post.town.do(lambda tx: tx.execute(speaks, (post.grace,)))
    put(box, "1", from_corpus("nothing", post.reply_to()))
    await take_all(post, box)
    (letter,) = returned(box)
    assert letter["Subject"] != "Your reply was not taken"
    assert "no words of your own" not in letter.get_body(("plain",)).get_content()


async def test_nothing_is_given_back_to_whom_nobody_knows(post, box) -> None:
    """Of a mail whose address has no good seal, its sender is all there is, and may be anybody."""
    forged = OURS.of("b" * 61)
    put(box, "1.forged", from_corpus("gmail-web", forged))
    # Nor to programs, nor to an address that mail comes back from.
    put(box, "2.nobody", b"Return-Path: <>\n" + from_corpus("nothing", post.reply_to()))
    await take_all(post, box)
    found = (await post.town.look(lambda tx: mailboxes.of(tx, [post.grace])))[post.grace]
    await post.town.do(lambda tx: mailboxes.fail(tx, found, "5.1.1", post.town.now))
    put(box, "3.failing", from_corpus("nothing", post.reply_to()))
    await take_all(post, box)

    assert returned(box) == []
    assert len(lying(box)) == 3
    assert await post.nothing_happened()


async def test_a_maildir_waits_where_mail_cannot_be_taken_now(post, box) -> None:
    put(box, "1", from_corpus("nothing", post.reply_to()))
    (box.parent / "mail").write_text("in the way")
    assert not await take_all(post, box)
    assert (box / "new" / "1").exists()

    (box.parent / "mail").unlink()
    assert await take_all(post, box)
    assert len(returned(box)) == 1


def test_a_maildir_is_watched_until_the_end(database_url: str, box: Path) -> None:
    with (
        serving("--database-url", database_url) as server,
        taking_mail("--database-url", database_url, "--maildir", box) as watcher,
    ):
        assert watcher.stdout
        assert watcher.stdout.readline().startswith("Overture takes mail from")
        member, letter = written(server)
        put(box, "1", mail(to=address(database_url, member, letter)).as_bytes())
        until = time.monotonic() + PATIENCE
        while state(server, member, letter) != "accepted" and time.monotonic() < until:
            time.sleep(0.05)
        assert state(server, member, letter) == "accepted"
        watcher.send_signal(signal.SIGTERM)
        assert watcher.wait(PATIENCE) == 0
