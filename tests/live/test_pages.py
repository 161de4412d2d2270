"""The stream of a browser: patches for the pages that its member has open."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256

import httpx
import pytest

from overture import ids
from overture.actions import inbox, members
from overture.clock import RealClock
from overture.context import share
from overture.core.ids import MemberId
from overture.core.sending import Done, Event, Write
from overture.live import presence as presences
from overture.live import stream as streams
from overture.store import presence, sessions
from overture.store.outbox import tell
from overture.web.app import web_app
from overture.web.context import Site, make_site
from tests.cast import Town
from tests.live.listening import Reader, behind_a_socket
from tests.work import SECRET, runner_in

HOST_SITE = "https://www.host.example"


@dataclass
class Live:
    site: Site
    town: Town
    http: httpx.AsyncClient

    @asynccontextmanager
    async def stream(
        self,
        member: MemberId,
        *,
        session: str | None = None,
        after: str | None = None,
        frame: str | None = None,
    ) -> AsyncIterator[Reader]:
        secret, session = ids.new(), session or ids.new()
        digest = sha256(secret.encode()).hexdigest()
        await self.town.do(
            lambda tx: sessions.add(
                tx, member, session=session, sha256=digest, client="", agent="a test", frame=frame
            )
        )
        path = "/events" if after is None else f"/events?after={after}"
        headers = {"Cookie": f"session={secret}"}
        if frame is not None:
            headers = {"Cookie": f"frame={secret}", "X-Framed": "1"}
        async with self.http.stream("GET", path, headers=headers) as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            reader = Reader(answer)
            if after is None:
                await reader.position()
            yield reader


@pytest.fixture
async def live(town: Town) -> AsyncIterator[Live]:
    shared = share(town.db, RealClock(), town.book, runner_in(town).play)
    site = make_site(
        shared, public_url="http://127.0.0.1", secret=SECRET, embed_origins=(HOST_SITE,)
    )
    await site.hub.start()
    try:
        async with (
            behind_a_socket(web_app(site)) as address,
            httpx.AsyncClient(base_url=address, timeout=None) as http,
        ):
            yield Live(site, town, http)
    finally:
        await site.hub.stop()
        await site.drain()


async def until(reader: Reader, *texts: str) -> str:
    """The patches until all of these texts have come: at once, or one after the other."""
    patches = ""
    while missing := [text for text in texts if text not in patches]:
        event = await reader.next()
        assert event is not None, f"the stream ended before {missing}"
        patches += event.text
    return patches


async def accepted(town: Town) -> tuple[MemberId, MemberId, str]:
    ada = await town.member("ada", premium="premium_career")
    grace = await town.member("grace", premium="premium_career")
    conversation = await town.sends(ada, grace)
    assert isinstance(await town.accepts(grace, conversation), Done)
    return ada, grace, conversation


async def test_a_message_comes_as_patches_of_what_shows_it(live):
    ada, grace, conversation = await accepted(live.town)
    async with live.stream(ada) as stream:
        await live.town.acts(Write(grace, conversation, ids.new(), "<b>Bold</b>\nsecond line"))

        patches = await until(
            stream, "second line", f"#tail-{conversation}", 'data-at="#badge-inbox"'
        )

    assert "&lt;b&gt;Bold" in patches
    assert patches.count("<template") == patches.count("</template>")


async def test_typing_is_shown_by_name_and_the_balance_as_it_is(live):
    ada, grace, conversation = await accepted(live.town)
    async with live.stream(ada) as stream:
        await live.town.do(lambda tx: inbox.typing(tx, grace, conversation))
        assert "Grace" in await until(stream, f'data-at="#typing-{conversation}"')

        await live.town.chooses(ada, "recruiter", "recruiter_lite")
        await until(stream, "data-balance=")


async def test_it_goes_on_from_where_the_page_was_read(live):
    ada, grace, conversation = await accepted(live.town)
    async with live.stream(grace) as first:
        after = first.last
    await live.town.acts(Write(ada, conversation, ids.new(), "While the page was made"))
    async with live.stream(grace, after=after) as stream:
        await until(stream, "While the page was made")


@pytest.mark.parametrize("after", ["yesterday", "-4", "9" * 30, "99999"])
async def test_a_place_that_is_unknown_or_none_begins_anew(live, after):
    ada = await live.town.member("ada")
    async with live.stream(ada, after=after) as stream:
        assert (await stream.next()).name == "reset"


async def test_whoever_is_not_signed_in_is_told_so(live):
    answer = await live.http.get("/events")

    assert answer.text == "event: bye\ndata: {}\n\n"


async def test_it_ends_with_its_session_at_once_and_when_the_session_is_gone(live, monkeypatch):
    ada = await live.town.member("ada")
    async with live.stream(ada, session=(one := ids.new())) as first, live.stream(ada) as second:
        event = Event(ada, "account.signed_out", live.town.now, {"sessions": [one]})
        await live.town.do(lambda tx: tell(tx, [event]))
        assert (await first.next()).name == "bye"

        monkeypatch.setattr(streams, "CHECK_SECONDS", 0)
        await live.town.do(lambda tx: sessions.end_all(tx, ada))
        await live.town.chooses(ada, "premium", "premium_career")
        while (told := await second.next()) is not None and told.name != "bye":
            pass
        assert told is not None


async def test_in_a_frame_it_goes_on_for_as_long_as_the_session_of_the_frame(live, monkeypatch):
    monkeypatch.setattr(streams, "CHECK_SECONDS", 0)
    ada, grace, conversation = await accepted(live.town)
    async with live.stream(ada, frame=HOST_SITE) as stream:
        for words in ("First words", "Second words"):
            await live.town.acts(Write(grace, conversation, ids.new(), words))
            await until(stream, words)

        await live.town.do(lambda tx: sessions.end_all(tx, ada))
        await live.town.acts(Write(grace, conversation, ids.new(), "Third words"))
        while (told := await stream.next()) is not None and told.name != "bye":
            pass
        assert told is not None


# Presence -----------------------------------------------------------------------------------------


async def test_who_is_here_is_told_to_those_who_may_know(live, monkeypatch):
    monkeypatch.setattr(presences, "GATHER_SECONDS", 0.01)
    ada, grace, _ = await accepted(live.town)
    eve = await live.town.member("eve")
    async with live.stream(ada) as of_ada, live.stream(eve):
        async with live.stream(grace):
            await until(of_ada, f"[data-here='{grace}']\"><b role")
        seen = await live.town.look(lambda tx: presence.here(tx, ada, [grace, eve]))
        assert seen == {grace}
        assert not await live.town.look(lambda tx: presence.here(tx, eve, [ada, grace]))

        await live.town.do(
            lambda tx: members.change_preferences(
                tx, grace, members.PreferenceChanges(receipts_and_typing=False), live.town.now
            )
        )
        await until(of_ada, f"[data-here='{grace}']\"></template>")
        assert not await live.town.look(lambda tx: presence.here(tx, ada, [grace]))
        assert not await live.town.look(lambda tx: presence.here(tx, grace, [ada]))


async def test_who_was_not_noted_for_a_while_has_gone(live):
    ada, grace, _ = await accepted(live.town)

    async def work(tx) -> None:
        await presence.note(tx, [ada, grace])
        await tx.execute(
            "update presence set seen_at = now() - %s where member_id = %s",
            (presence.HERE * 1.01, grace),
        )

    await live.town.do(work)
    assert await live.town.look(lambda tx: presence.here(tx, grace, [ada])) == {ada}
    assert not await live.town.look(lambda tx: presence.here(tx, ada, [grace]))

    since = (await live.town.look(lambda tx: presence.changes(tx, None)))[0]
    _, changed = await live.town.look(lambda tx: presence.changes(tx, since - presence.HERE * 0.1))
    assert changed == {ada: True, grace: False}


async def test_a_page_asks_who_of_those_it_shows_is_here(live):
    ada, grace, _ = await accepted(live.town)
    eve = await live.town.member("eve")
    await live.town.do(lambda tx: presence.note(tx, [grace, eve]))
    secret = ids.new()
    digest = sha256(secret.encode()).hexdigest()
    await live.town.do(
        lambda tx: sessions.add(tx, ada, session=ids.new(), sha256=digest, client="", agent="")
    )

    answer = await live.http.get(
        f"/here?ids={grace},{eve},{ada},nobody",
        headers={"Cookie": f"session={secret}", "X-Live": "1"},
    )

    assert f"[data-here='{grace}']" in answer.text
    assert answer.text.count("<template") == 1
    assert 'aria-label="Active now"' in answer.text
