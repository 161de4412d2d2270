"""Files of a conversation: sent with a message, fetched by those in it and by nobody else."""

from __future__ import annotations

import re
from dataclasses import replace
from io import BytesIO

import httpx
import pytest
from PIL import Image

from overture import ids
from overture.actions import closing, network, pace
from overture.core.files import FILE_BYTES_MAX
from overture.core.ids import ConversationId, MemberId
from overture.core.refusals import Refusal
from overture.store.db import all_rows
from overture.web.app import FIELDS_BESIDE_FILES_MAX
from overture.web.visit import FORM_BYTES_MAX
from tests.web.conftest import Browser, Place, text_of

PDF = b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
HTML = b"<!doctype html><script>alert(document.cookie)</script>"


def image(kind: str = "PNG", size: tuple[int, int] = (640, 480)) -> bytes:
    made = BytesIO()
    Image.new("RGB", size, (40, 60, 160)).save(made, kind)
    return made.getvalue()


def me(browser: Browser) -> MemberId:
    assert browser.id is not None
    return browser.id


class Talk:
    """A conversation between connections, in two browsers."""

    def __init__(
        self, place: Place, ada: Browser, grace: Browser, conversation: ConversationId
    ) -> None:
        self.place, self.ada, self.grace, self.conversation = place, ada, grace, conversation

    @property
    def page(self) -> str:
        return f"/inbox/{self.conversation}"

    async def sends(
        self,
        browser: Browser,
        *files: tuple[str, bytes],
        body: str = "See here",
        key: str = "",
        live: str = "",
    ) -> httpx.Response:
        return await browser.post(
            f"{self.page}/messages",
            {"body": body, "key": key or str(ids.new())},
            files=[("files", (name, content, "image/png")) for name, content in files],
            live=live,
        )

    async def stored(self) -> int:
        rows = await self.place.town.look(lambda tx: all_rows(tx, "select count(*) from files"))
        return rows[0][0]

    async def links(self, browser: Browser) -> list[str]:
        """Where the files are that the thread shows."""
        page = await browser.get(self.page)
        assert page.status_code == 200, text_of(page)
        return re.findall(r'<a class="file[^"]*" href="([^"]+)"', page.text)


@pytest.fixture
async def talk(place: Place) -> Talk:
    ada, grace = await place.member("ada"), await place.member("grace")
    town = place.town
    await town.do(lambda tx: network.upsert_pairs(tx, [(me(ada), me(grace))], town.now))
    begun = await town.sends(me(ada), me(grace))
    assert not isinstance(begun, Refusal)
    return Talk(place, ada, grace, begun)


async def test_files_come_with_their_message_and_are_listed_below_it(talk: Talk) -> None:
    sent = await talk.sends(talk.ada, ("cv.pdf", PDF), ("me.png", image()))
    assert sent.status_code == 303, text_of(sent)

    page = await talk.grace.get(talk.page)

    assert "See here" in text_of(page)
    assert "cv.pdf PDF, 69 bytes" in text_of(page)
    assert "me.png PNG, 2 kB" in text_of(page)
    assert 'width="480" height="360"' in page.text


async def test_with_a_script_the_message_comes_back_with_its_files(talk: Talk) -> None:
    sent = await talk.sends(talk.ada, ("cv.pdf", PDF), live="1")

    assert sent.status_code == 200
    assert "cv.pdf" in text_of(httpx.Response(200, text=sent.text.replace("template", "div")))


async def test_a_file_is_saved_and_never_shown_or_run(talk: Talk) -> None:
    await talk.sends(talk.ada, ("r\u00e9sum\u00e9 1.pdf", PDF))
    [link] = await talk.links(talk.grace)

    fetched = await talk.grace.get(link)

    assert fetched.content == PDF
    assert fetched.headers["content-type"] == "application/pdf"
    assert (
        fetched.headers["content-disposition"]
        == "attachment; filename*=UTF-8''r%C3%A9sum%C3%A9%201.pdf"
    )
    assert fetched.headers["x-content-type-options"] == "nosniff"
    assert fetched.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert fetched.headers["cross-origin-resource-policy"] == "same-origin"
    assert fetched.headers["cache-control"] == "private, no-cache"


async def test_a_file_that_was_fetched_is_not_fetched_again(talk: Talk) -> None:
    await talk.sends(talk.ada, ("cv.pdf", PDF))
    [link] = await talk.links(talk.grace)
    tag = (await talk.grace.get(link)).headers["etag"]

    again = await talk.grace.http.get(link, headers={"If-None-Match": tag})

    assert again.status_code == 304
    assert again.content == b""


async def test_of_an_image_a_small_still_is_shown(talk: Talk) -> None:
    await talk.sends(talk.ada, ("me.jpg", image("JPEG", (2000, 1000))))
    [link] = await talk.links(talk.grace)

    still = await talk.grace.get(f"{link}?preview")

    assert still.headers["content-type"] == "image/webp"
    assert Image.open(BytesIO(still.content)).size == (480, 240)
    assert (await talk.grace.get(link)).headers["content-type"] == "image/jpeg"


async def test_a_stranger_finds_nothing_there(talk: Talk) -> None:
    await talk.sends(talk.ada, ("me.png", image()))
    [link] = await talk.links(talk.grace)
    eve = await talk.place.member("eve")
    unknown = re.sub(r"/files/[0-9a-f-]+/", f"/files/{ids.new()}/", link)

    for address in (link, f"{link}?preview", unknown):
        found = await eve.get(address)
        assert found.status_code == 404
        assert "There is no such page." in text_of(found)
    assert (await talk.place.browser().get(link)).status_code == 303


async def test_a_large_file_comes_in_parts_and_whole(talk: Talk) -> None:
    large = b"0123456789\n" * 300_000
    await talk.sends(talk.ada, ("large.txt", large))
    [link] = await talk.links(talk.grace)

    fetched = await talk.grace.get(link)

    assert fetched.headers["content-length"] == str(len(large))
    assert fetched.content == large


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("page.png", HTML),
        ("page.html", HTML),
        ("page.pdf", HTML + PDF),
        ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("drawing.png", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"),
        ("both.gif", b"GIF89a/*" + HTML + b"*/"),
        ("empty.txt", b""),
        ("large.txt", b"a" * (FILE_BYTES_MAX + 1)),
    ],
)
async def test_what_cannot_be_taken_is_told_and_nothing_is_sent(
    talk: Talk, name: str, content: bytes
) -> None:
    refused = await talk.sends(talk.ada, ("cv.pdf", PDF), (name, content), body="Both of them")

    assert refused.status_code == 422
    assert "<script>" not in refused.text
    assert await talk.links(talk.grace) == []
    assert "Both of them" not in text_of(await talk.grace.get(talk.page))
    assert await talk.stored() == 0


async def test_more_than_a_message_takes_is_refused_while_it_comes_in(talk: Talk) -> None:
    async def endless() -> object:
        head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.txt"\r\n\r\n'
        yield head
        for _ in range(200):
            yield b"a" * 1_000_000
        raise AssertionError("nobody reads so much")

    refused = await talk.ada.http.post(
        f"{talk.page}/messages",
        content=endless(),  # pyright: ignore[reportArgumentType]
        headers={
            "Content-Type": "multipart/form-data; boundary=x",
            "Sec-Fetch-Site": "same-origin",
        },
    )

    assert refused.status_code == 413
    assert await talk.stored() == 0


async def test_no_file_goes_with_the_answer_to_a_letter_that_waits(place: Place) -> None:
    ada = await place.member("ada", premium="premium_career")
    grace = await place.member("grace", premium="premium_career")
    inmail = await place.town.sends(me(ada), me(grace))
    assert not isinstance(inmail, Refusal)
    talk = Talk(place, ada, grace, inmail)
    assert 'type="file"' not in (await grace.get(talk.page)).text

    refused = await talk.sends(grace, ("cv.pdf", PDF))
    assert refused.status_code == 403
    assert "Files can be added once this conversation is open." in text_of(refused)
    assert await talk.stored() == 0

    await place.town.accepts(me(grace), inmail)
    assert 'type="file"' in (await grace.get(talk.page)).text
    assert (await talk.sends(grace, ("cv.pdf", PDF))).status_code == 303
    assert len(await talk.links(ada)) == 1


async def test_a_form_that_is_sent_twice_sends_its_files_once(talk: Talk) -> None:
    for _ in range(2):
        sent = await talk.sends(talk.ada, ("cv.pdf", PDF), key="a-key")
        assert sent.status_code == 303, text_of(sent)

    assert await talk.stored() == 1
    other = await talk.sends(talk.ada, ("cv.pdf", PDF + b"\n"), key="a-key")
    assert other.status_code == 409
    assert await talk.stored() == 1


async def test_the_files_of_someone_who_left_are_gone(talk: Talk) -> None:
    await talk.sends(talk.ada, ("cv.pdf", PDF))
    [link] = await talk.links(talk.grace)

    town = talk.place.town
    await town.do(lambda tx: closing.close(tx, me(talk.ada), town.now, town.book))

    assert (await talk.grace.get(link)).status_code == 404
    assert await talk.links(talk.grace) == []
    assert "See here" in text_of(await talk.grace.get(talk.page))


async def test_who_sends_files_without_end_waits_and_their_text_is_kept(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "FILES", replace(pace.FILES, count=1))
    assert (await talk.sends(talk.ada, ("cv.pdf", PDF))).status_code == 303

    refused = await talk.sends(talk.ada, ("cv.pdf", PDF), body="And this one")

    assert refused.status_code == 429
    assert "too fast" in text_of(refused)
    assert await talk.stored() == 1
    assert "And this one" in (await talk.ada.get(talk.page)).text
    # Without files one goes on, and so does the other side.
    assert (await talk.sends(talk.ada)).status_code == 303
    assert (await talk.sends(talk.grace, ("cv.pdf", PDF))).status_code == 303


async def test_beside_its_files_a_form_brings_little(talk: Talk) -> None:
    form, body = f"{talk.page}/messages", "x" * (FORM_BYTES_MAX + 1)

    assert (await talk.ada.post(form, {"body": body})).status_code == 400
    assert (await talk.sends(talk.ada, ("cv.pdf", PDF), body=body)).status_code == 400
    fields = {f"field-{number}": "x" for number in range(FIELDS_BESIDE_FILES_MAX + 1)}
    assert (await talk.ada.post(form, fields)).status_code == 400
    assert await talk.stored() == 0
