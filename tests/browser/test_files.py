"""Files in a real browser: chosen, dropped, taken off again, sent, and saved by the other side."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import FilePayload, Locator, Page, Route, expect

from overture.core.ids import ConversationId
from tests.browser.network import Member, Network
from tests.browser.people import NARROW, Person, comes, settle

Visit = Callable[..., Person]

PDF = b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"


def file(name: str, content: bytes = PDF) -> FilePayload:
    return {"name": name, "mimeType": "application/octet-stream", "buffer": content}


def picture() -> bytes:
    made = BytesIO()
    Image.new("RGB", (900, 600), (40, 60, 160)).save(made, "PNG")
    return made.getvalue()


@pytest.fixture
def talk(network: Network) -> tuple[Member, Member, ConversationId]:
    ada, grace = network.member("Ada"), network.member("Grace")
    network.connect(ada, grace)
    return ada, grace, network.letter(ada, grace, "Hello Grace")


def chosen(page: Page) -> Locator:
    return page.locator(".attached button")


def sends(page: Page, text: str) -> None:
    page.locator(".reply textarea").fill(text)
    page.locator(".reply").get_by_role("button", name="Send").click()
    expect(page.locator(".msg.me .bub").filter(has_text=text)).to_be_visible()


def test_files_are_chosen_taken_off_sent_and_saved(
    visit: Visit, talk: tuple[Member, Member, ConversationId], tmp_path: Path
) -> None:
    ada, grace, conversation = talk
    writer = visit(ada)
    page = writer.opens(f"/inbox/{conversation}")
    chooser = page.locator("input[type=file]")

    chooser.set_input_files([file("cv.pdf"), file("wrong.pdf")])
    chooser.set_input_files([file("me.png", picture())])
    expect(chosen(page)).to_have_text(["Take off cv.pdf", "Take off wrong.pdf", "Take off me.png"])
    page.get_by_role("button", name="Take off wrong.pdf").click()
    expect(chosen(page)).to_have_count(2)
    sends(page, "My CV and I")
    expect(chosen(page)).to_have_count(0)
    expect(page.locator(".msg.me .file")).to_have_count(2)

    reader = visit(grace)
    page = reader.opens(f"/inbox/{conversation}")
    expect(page.locator(".file.picture img")).to_have_js_property("naturalWidth", 480)
    with page.expect_download() as download:
        page.get_by_role("link", name="cv.pdf").click()
    assert download.value.suggested_filename == "cv.pdf"
    download.value.save_as(tmp_path / "cv.pdf")
    assert (tmp_path / "cv.pdf").read_bytes() == PDF


def test_a_picture_has_its_place_before_it_is_there(
    visit: Visit, talk: tuple[Member, Member, ConversationId]
) -> None:
    ada, grace, conversation = talk
    writer, reader = visit(ada), visit(grace)
    waiting: list[Route] = []
    reader.page.route("**/*preview", lambda route: waiting.append(route))  # noqa: PLW0108
    for each in (writer, reader):
        each.opens(f"/inbox/{conversation}")

    # Until they no longer fit on the screen.
    for number in range(4):
        writer.page.locator("input[type=file]").set_input_files(file("me.png", picture()))
        sends(writer.page, f"Picture {number}")
        shown = reader.page.locator(".msg").filter(has_text=f"Picture {number}")
        expect(shown).to_be_in_viewport(ratio=0.95)
        comes(reader.page, lambda number=number: len(waiting) == number + 1)
        before = shown.bounding_box()
        with reader.page.expect_event("requestfinished"):
            waiting[number].continue_()
        comes(reader.page, lambda: reader.page.evaluate(_ALL_THERE))
        settle(reader.page)
        assert shown.bounding_box() == before
        bubble, inside = (shown.locator(each).bounding_box() for each in (".bub", ".picture"))
        assert bubble
        assert inside
        assert bubble["width"] - inside["width"] < 40
        for each in (writer, reader):
            expect(each.page.locator(".msg").last).to_be_in_viewport(ratio=0.95)


_ALL_THERE = "[...document.querySelectorAll('.msg img')].every((each) => each.complete)"


def test_files_can_be_dropped_and_pasted(
    visit: Visit, talk: tuple[Member, Member, ConversationId]
) -> None:
    ada, _, conversation = talk
    page = visit(ada).opens(f"/inbox/{conversation}")

    for happens in ("drop", "paste"):
        page.locator(".reply textarea").evaluate(
            """(field, happens) => {
                const data = new DataTransfer(), more = { bubbles: true, cancelable: true };
                data.items.add(new File(["Compilers"], `${happens}.txt`));
                field.dispatchEvent(happens === "drop"
                    ? new DragEvent("drop", { dataTransfer: data, ...more })
                    : new ClipboardEvent("paste", { clipboardData: data, ...more }));
            }""",
            happens,
        )
    expect(chosen(page)).to_have_text(["Take off drop.txt", "Take off paste.txt"])

    sends(page, "Two notes")
    expect(page.locator(".msg.me .file")).to_have_count(2)


def test_too_many_files_are_told_before_they_are_sent(
    visit: Visit, talk: tuple[Member, Member, ConversationId]
) -> None:
    ada, _, conversation = talk
    page = visit(ada).opens(f"/inbox/{conversation}")
    chooser = page.locator("input[type=file]")

    chooser.set_input_files([file(f"{n}.pdf") for n in range(6)])
    told = "each => each.validationMessage"
    comes(page, lambda: chooser.evaluate(told).startswith("A message takes up to 5"))

    page.get_by_role("button", name="Take off 3.pdf").click()
    expect(chooser).to_have_js_property("validationMessage", "")
    sends(page, "Five of them")
    expect(page.locator(".msg.me .file")).to_have_count(5)


def test_what_the_server_refuses_stays_to_be_mended(
    visit: Visit, talk: tuple[Member, Member, ConversationId]
) -> None:
    ada, _, conversation = talk
    page = visit(ada).opens(f"/inbox/{conversation}")
    page.locator("input[type=file]").set_input_files([file("page.png", b"<!doctype html>")])
    page.locator(".reply textarea").fill("My picture")

    page.locator(".reply").get_by_role("button", name="Send").click()

    expect(page.get_by_role("alert")).to_contain_text("is not what its name says")
    expect(page.locator(".reply textarea")).to_have_value("My picture")
    page.get_by_role("button", name="Take off page.png").click()
    sends(page, "My picture")


def test_without_javascript_the_chooser_is_whole_on_a_phone(
    visit: Visit, talk: tuple[Member, Member, ConversationId]
) -> None:
    ada, _, conversation = talk
    page = visit(ada, java_script_enabled=False, viewport=NARROW).opens(f"/inbox/{conversation}")

    chooser, form = page.locator("input[type=file]"), page.locator(".reply")
    whole, around = chooser.bounding_box(), form.bounding_box()
    assert whole
    assert around
    assert around["x"] < whole["x"]
    assert whole["x"] + whole["width"] < around["x"] + around["width"]


def test_without_javascript_files_are_sent_by_a_plain_form(
    visit: Visit, talk: tuple[Member, Member, ConversationId]
) -> None:
    ada, _, conversation = talk
    page = visit(ada, java_script_enabled=False).opens(f"/inbox/{conversation}")
    expect(page.locator("input[type=file]")).to_be_visible()

    page.locator("input[type=file]").set_input_files([file("cv.pdf")])
    page.locator(".reply textarea").fill("Without a script")
    page.locator(".reply").get_by_role("button", name="Send").click()

    expect(page.locator(".msg.me .file")).to_have_count(1)
