"""Files that go with messages: what is taken, when, and what becomes of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from io import BytesIO
from zipfile import ZipFile

import pytest
from PIL import Image

from overture import ids
from overture.actions import closing, files, network
from overture.actions.conversations import Ask, act
from overture.actions.files import Upload
from overture.core import files as rules
from overture.core.files import NewFile
from overture.core.ids import ConversationId, FileId, MemberId, MessageId
from overture.core.refusals import Refusal
from overture.core.sending import Done, Refused, Withdraw, Write
from overture.store import files as store
from overture.store.db import all_rows
from overture.store.inbox import conversation_of, messages
from tests.cast import Town, town_in

PDF = b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"


def image(kind: str, size: tuple[int, int] = (800, 600)) -> bytes:
    made = BytesIO()
    Image.new("RGB", size, (40, 60, 160)).save(made, kind)
    return made.getvalue()


def office(main: str = "word/document.xml", *more: str) -> bytes:
    made = BytesIO()
    with ZipFile(made, "w") as archive:
        for part in ("[Content_Types].xml", main, *more):
            archive.writestr(part, "<x/>")
    return made.getvalue()


def opendocument(said: str = "application/vnd.oasis.opendocument.text", *more: str) -> bytes:
    made = BytesIO()
    with ZipFile(made, "w") as archive:
        archive.writestr("mimetype", said)
        for part in ("content.xml", *more):
            archive.writestr(part, "<x/>")
    return made.getvalue()


async def examined(name: str, content: bytes) -> NewFile | Refusal:
    made = await files.examine([Upload(FileId(ids.new()), name, content)])
    return made if isinstance(made, Refusal) else made[0]


@pytest.fixture
async def town(database_url: str) -> AsyncIterator[Town]:
    async with town_in(database_url) as made:
        yield made


class Pair:
    """Two members and the InMail between them."""

    def __init__(self, town: Town, ada: MemberId, grace: MemberId, inmail: ConversationId) -> None:
        self.town, self.ada, self.grace, self.inmail = town, ada, grace, inmail

    async def writes(
        self,
        viewer: MemberId,
        *names: str,
        content: bytes = PDF,
        into: ConversationId | None = None,
    ) -> Done | Refused:
        new = await files.examine([Upload(FileId(ids.new()), name, content) for name in names])
        assert not isinstance(new, Refusal), new
        message = MessageId(ids.new())
        return await self.town.acts(
            Write(viewer, into or self.inmail, message, "See here", files=new)
        )

    async def sees(self, viewer: MemberId) -> list[list[str]]:
        """The names of the files under each message, oldest first."""

        async def work(tx: object) -> list[list[str]]:
            held = await conversation_of(tx, viewer, self.inmail)  # pyright: ignore[reportArgumentType]
            assert held is not None
            page = await messages(tx, held, None, 100)  # pyright: ignore[reportArgumentType]
            return [[file.name for file in each.files] for each in reversed(page.items)]

        return await self.town.look(work)

    async def stored(self) -> int:
        rows = await self.town.look(lambda tx: all_rows(tx, "select count(*) from files"))
        return rows[0][0]

    async def space(self, member: MemberId) -> int:
        taken = await self.town.look(lambda tx: store.space_of(tx, [member]))
        return taken.get(member, 0)


@pytest.fixture
async def pair(town: Town) -> Pair:
    """Ada's InMail to Grace, which waits."""
    ada = await town.member("ada", premium="premium_career")
    grace = await town.member("grace", premium="premium_career")
    inmail = await town.sends(ada, grace)
    assert not isinstance(inmail, Refusal)
    return Pair(town, ada, grace, inmail)


# What is taken ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cv.pdf", PDF),
        ("a.png", image("PNG")),
        ("a.jpg", image("JPEG")),
        ("A.JPEG", image("JPEG")),
        ("a.gif", image("GIF")),
        ("a.webp", image("WEBP")),
        ("note.txt", "Grüße\n".encode()),
        ("note.txt", "Grüße\n".encode("utf-16")),
        ("sums.csv", b"a;b\r\n1;\xfc\r\n"),
        ("plan.md", b"# Plan\n\nUse <b>two</b> lanes.\n"),
        ("cv.docx", office()),
        ("sums.xlsx", office("xl/workbook.xml")),
        ("talk.pptx", office("ppt/presentation.xml")),
        ("cv.odt", opendocument()),
    ],
)
async def test_documents_and_images_are_taken_as_what_they_are(name: str, content: bytes) -> None:
    made = await examined(name, content)

    assert isinstance(made, NewFile), made
    assert made.file.name == name
    assert made.file.kind == rules.KINDS[name.rpartition(".")[2].lower()]
    assert made.file.bytes == len(content)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("page.png", b"<!doctype html><script>alert(1)</script>"),
        ("page.txt", b"\xef\xbb\xbf  <HTML><script>alert(1)</script>"),
        ("drawing.png", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"),
        ("drawing.md", b"<?xml version='1.0'?><svg/>"),
        ("script.gif", b"GIF89a/*;*/=1;alert(1)//"),
        ("picture.png", image("JPEG")),
        ("picture.pdf", image("PNG")),
        ("cut-off.png", image("PNG")[:200]),
        ("late.pdf", b"<html>" + PDF),
        ("program.txt", b"\x7fELF\x02\x01\x01\x00\x00"),
        ("plain.docx", b"only text"),
        ("archive.docx", office("setup.exe")),
        ("macro.docx", office("word/document.xml", "word/vbaProject.bin")),
        ("sheet.odt", opendocument("application/vnd.oasis.opendocument.spreadsheet")),
        ("macro.odt", opendocument("application/vnd.oasis.opendocument.text", "Basic/a.xml")),
    ],
)
async def test_what_is_not_what_its_name_says_is_refused(name: str, content: bytes) -> None:
    assert await examined(name, content) is Refusal.FILE_IS_OTHERWISE


@pytest.mark.parametrize(
    "name", ["page.html", "a.svg", "a.exe", "cv.pdf.js", "a.docm", "a.zip", "a"]
)
async def test_other_kinds_are_refused_by_their_name(name: str) -> None:
    assert await examined(name, b"x") is Refusal.FILE_KIND_NOT_TAKEN


async def test_an_empty_file_is_refused() -> None:
    assert await examined("a.txt", b"") is Refusal.FILE_EMPTY


async def test_ten_megabytes_are_taken_and_one_byte_more_is_not() -> None:
    assert isinstance(await examined("a.txt", b"a" * rules.FILE_BYTES_MAX), NewFile)
    assert await examined("a.txt", b"a" * (rules.FILE_BYTES_MAX + 1)) is Refusal.FILE_TOO_LARGE


async def test_an_image_made_to_fill_the_memory_is_refused() -> None:
    made = BytesIO()
    Image.new("1", (8000, 8000)).save(made, "PNG")

    assert len(made.getvalue()) < 100_000
    assert await examined("bomb.png", made.getvalue()) is Refusal.FILE_IS_OTHERWISE


async def test_an_image_has_a_small_still_of_itself() -> None:
    made = await examined("a.jpg", image("JPEG", (1000, 500)))

    assert isinstance(made, NewFile)
    assert made.preview is not None
    assert (made.file.width, made.file.height) == (480, 240)
    assert Image.open(BytesIO(made.preview)).size == (480, 240)


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("cv.pdf", "cv.pdf"),
        ("../../etc/cv.pdf", "cv.pdf"),
        ("C:\\Users\\ada\\cv.pdf", "cv.pdf"),
        ("annexe\u202ecod.pdf", "annexecod.pdf"),
        ("a\r\nSet-Cookie: x.pdf", "aSet-Cookie_ x.pdf"),
        ('a"b<c>.pdf', "a_b_c_.pdf"),
        (".pdf", "pdf"),
        ("...", "file"),
        ("", "file"),
        ("لقطة شاشة.png", "لقطة شاشة.png"),
        ("cafe\u0301.txt", "café.txt"),
        ("x" * 300 + ".pdf", "x" * 116 + ".pdf"),
    ],
)
def test_a_name_has_no_path_and_does_not_read_as_another(raw: str, name: str) -> None:
    assert rules.clean_name(raw) == name


# When it is taken -------------------------------------------------------------------------------


async def test_files_go_with_a_message_once_the_inmail_is_accepted(pair: Pair) -> None:
    await pair.town.accepts(pair.grace, pair.inmail)

    written = await pair.writes(pair.grace, "cv.pdf", "more.pdf")

    assert isinstance(written, Done)
    assert written.message is not None
    assert [file.name for file in written.message.files] == ["cv.pdf", "more.pdf"]
    assert await pair.sees(pair.ada) == [[], ["cv.pdf", "more.pdf"]]
    assert await pair.stored() == 2


async def test_no_file_goes_with_the_answer_to_a_letter_that_waits(pair: Pair) -> None:
    refused = await pair.writes(pair.grace, "cv.pdf")

    assert isinstance(refused, Refused)
    assert refused.code is Refusal.FILES_NOT_YET
    assert await pair.sees(pair.ada) == [[]]
    assert await pair.stored() == 0


async def test_no_file_goes_after_a_letter_that_waits_even_between_connections(pair: Pair) -> None:
    await pair.town.do(lambda tx: network.upsert_pairs(tx, [(pair.ada, pair.grace)], pair.town.now))

    refused = await pair.writes(pair.ada, "cv.pdf")

    assert isinstance(refused, Refused)
    assert refused.code is Refusal.FILES_NOT_YET


async def test_files_go_between_connections_until_the_connection_ends(town: Town) -> None:
    ada, grace = await town.member("ada"), await town.member("grace")
    await town.do(lambda tx: network.upsert_pairs(tx, [(ada, grace)], town.now))
    direct = await town.sends(ada, grace)
    assert not isinstance(direct, Refusal)
    pair = Pair(town, ada, grace, direct)

    assert isinstance(await pair.writes(grace, "cv.pdf"), Done)

    await town.do(lambda tx: network.disconnect(tx, ada, grace, town.now))
    refused = await pair.writes(grace, "cv.pdf")
    assert isinstance(refused, Refused)
    assert refused.code is Refusal.CONVERSATION_CLOSED


async def test_five_files_go_with_a_message_and_six_do_not() -> None:
    uploads = [Upload(FileId(ids.new()), "a.txt", b"a") for _ in range(6)]

    assert not isinstance(await files.examine(uploads[:5]), Refusal)
    assert await files.examine(uploads) is Refusal.TOO_MANY_FILES


async def test_a_member_s_files_take_no_more_than_their_space(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pair.town.accepts(pair.grace, pair.inmail)
    monkeypatch.setattr("overture.core.sending.SPACE_BYTES_MAX", 3 * len(PDF))

    assert isinstance(await pair.writes(pair.ada, "1.pdf", "2.pdf"), Done)
    refused = await pair.writes(pair.ada, "3.pdf", "4.pdf")

    assert isinstance(refused, Refused)
    assert refused.code is Refusal.NO_SPACE_FOR_FILES
    assert isinstance(await pair.writes(pair.ada, "3.pdf"), Done)
    assert isinstance(await pair.writes(pair.grace, "hers.pdf"), Done)
    assert await pair.space(pair.ada) == 3 * len(PDF)


async def test_of_many_at_once_no_two_take_the_last_space(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pair.town.accepts(pair.grace, pair.inmail)
    monkeypatch.setattr("overture.core.sending.SPACE_BYTES_MAX", 2 * len(PDF))

    answers = await asyncio.gather(*(pair.writes(pair.ada, "a.pdf") for _ in range(4)))

    assert sum(isinstance(each, Done) for each in answers) == 2
    assert await pair.space(pair.ada) == 2 * len(PDF)
    assert await pair.stored() == 2


async def test_a_message_and_its_files_are_written_together_or_not_at_all(pair: Pair) -> None:
    await pair.town.accepts(pair.grace, pair.inmail)
    new = await examined("cv.pdf", PDF)
    assert isinstance(new, NewFile)
    command = Write(pair.ada, pair.inmail, MessageId(ids.new()), "See here", files=[new])

    class PowerCutError(Exception):
        pass

    async def cut(tx: object) -> None:
        await act(tx, [Ask(command)], pair.town.now, pair.town.book)  # pyright: ignore[reportArgumentType]
        raise PowerCutError

    with pytest.raises(PowerCutError):
        await pair.town.db.writing(cut)

    assert await pair.sees(pair.ada) == [[]]
    assert await pair.stored() == 0
    assert await pair.space(pair.ada) == 0


# Who sees it, and what becomes of it --------------------------------------------------------------


async def test_both_sides_find_a_file_and_nobody_else_does(pair: Pair) -> None:
    stranger = await pair.town.member("stranger", premium="premium_career")
    await pair.town.accepts(pair.grace, pair.inmail)
    written = await pair.writes(pair.ada, "cv.pdf")
    assert isinstance(written, Done)
    assert written.message is not None
    file = written.message.files[0]

    async def found_by(viewer: MemberId) -> bytes | Refusal:
        found = await pair.town.look(lambda tx: files.find(tx, viewer, pair.inmail, file.id))
        return found if isinstance(found, Refusal) else found.part

    assert await found_by(pair.ada) == PDF
    assert await found_by(pair.grace) == PDF
    assert await found_by(stranger) is Refusal.NO_SUCH_CONVERSATION


async def test_deleting_a_message_s_files_makes_room(pair: Pair) -> None:
    await pair.town.accepts(pair.grace, pair.inmail)
    await pair.writes(pair.ada, "1.pdf", "2.pdf")
    await pair.writes(pair.ada, "3.pdf")

    await pair.town.do(lambda tx: store.delete_of_message(tx, pair.ada, pair.inmail, 2))

    assert await pair.sees(pair.grace) == [[], [], ["3.pdf"]]
    assert await pair.stored() == 1
    assert await pair.space(pair.ada) == len(PDF)


async def test_closing_an_account_erases_the_files_that_its_member_sent(pair: Pair) -> None:
    await pair.town.accepts(pair.grace, pair.inmail)
    await pair.writes(pair.ada, "ada.pdf")
    await pair.writes(pair.grace, "grace.pdf")

    closed = await pair.town.do(
        lambda tx: closing.close(tx, pair.ada, pair.town.now, pair.town.book)
    )

    assert closed is True
    assert await pair.sees(pair.grace) == [[], [], ["grace.pdf"]]
    assert await pair.stored() == 1
    assert await pair.space(pair.ada) == 0


async def test_once_both_have_left_nothing_of_their_files_is_kept(pair: Pair) -> None:
    await pair.town.accepts(pair.grace, pair.inmail)
    await pair.writes(pair.ada, "ada.pdf")
    await pair.writes(pair.grace, "grace.pdf")

    for leaver in (pair.ada, pair.grace):
        await pair.town.do(
            lambda tx, who=leaver: closing.close(tx, who, pair.town.now, pair.town.book)
        )

    assert await pair.stored() == 0


async def test_withdrawing_is_refused_where_files_could_be(pair: Pair) -> None:
    """So that no withdrawn letter hides a file."""
    await pair.town.accepts(pair.grace, pair.inmail)
    await pair.writes(pair.ada, "cv.pdf")

    refused = await pair.town.acts(Withdraw(pair.ada, pair.inmail))

    assert isinstance(refused, Refused)
    assert refused.code is Refusal.ALREADY_ANSWERED
