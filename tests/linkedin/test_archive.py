"""What may be opened, and which of its files are read."""

import io
import struct
import zipfile
from itertools import pairwise
from pathlib import Path

import pytest

from overture.linkedin.archive import ArchiveRefused, Counted, Limits, open_archive
from overture.linkedin.records import Connection, Problem

PROFILE = "First Name,Last Name\r\nMina,Fernsby\r\n"
CONNECTIONS = "First Name,Last Name,Connected On\r\nOtto,Quillfeather,12 Mar 2019\r\n"


def test_a_whole_export_opens(zip_of):
    with open_archive(zip_of({"Profile.csv": PROFILE, "Connections.csv": CONNECTIONS})) as archive:
        assert archive.found == ("connections.csv", "profile.csv")
        assert "messages.csv" in archive.missing


def test_a_missing_file_gives_no_rows(export_of):
    assert list(export_of({"Profile.csv": PROFILE}).messages()) == []


def test_nothing_there_is_refused(tmp_path):
    with pytest.raises(ArchiveRefused, match="There is no file"):
        open_archive(tmp_path / "absent.zip")


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(ArchiveRefused, match="is a folder"):
        open_archive(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"First Name,Last Name\n", b"\0" * 70_000])
def test_what_is_not_a_zip_is_refused(tmp_path, content):
    path = tmp_path / "export.zip"
    path.write_bytes(content)
    with pytest.raises(ArchiveRefused, match="not a zip file"):
        open_archive(path)


def test_a_half_downloaded_zip_is_refused(zip_of):
    path = zip_of({"Profile.csv": PROFILE, "messages.csv": "x" * 9999})
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ArchiveRefused, match="or only a part of one"):
        open_archive(path)


def test_a_zip_of_something_else_is_refused(zip_of):
    with pytest.raises(ArchiveRefused, match="none of the files of a LinkedIn export"):
        open_archive(zip_of({"holiday.jpg": b"sun"}))


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../up.csv", "a/../../up.csv", "C:up.csv", "a\\b.csv", "..\\up.csv"]
)
def test_a_path_outside_the_archive_is_refused(zip_of, name):
    with pytest.raises(ArchiveRefused, match="path outside itself"):
        open_archive(zip_of({"Profile.csv": PROFILE, name: "x"}))


def test_a_name_with_two_dots_in_it_is_fine(zip_of):
    open_archive(zip_of({"Profile.csv": PROFILE, "Articles/wait..what.html": "x"})).close()


def test_too_many_entries_are_refused(zip_of):
    path = zip_of({"Profile.csv": PROFILE, "a": "", "b": ""})
    with pytest.raises(ArchiveRefused, match="3 files"):
        open_archive(path, Limits(entries_max=2))
    open_archive(path, Limits(entries_max=3)).close()


def test_a_directory_of_a_million_entries_is_refused_before_it_is_read(zip_of):
    path = zip_of({"Profile.csv": PROFILE})
    data = bytearray(path.read_bytes())
    struct.pack_into("<L", data, len(data) - 22 + 12, 1 << 30)
    path.write_bytes(data)
    with pytest.raises(ArchiveRefused, match="far more files"):
        open_archive(path)


def test_an_archive_too_large_when_unpacked_is_refused(zip_of):
    path = zip_of({"Profile.csv": PROFILE, "b.csv": "x" * 10_000})
    with pytest.raises(ArchiveRefused, match="too large when unpacked"):
        open_archive(path, Limits(unpacked_bytes_max=10_000))
    open_archive(path, Limits(unpacked_bytes_max=20_000)).close()


def test_an_archive_of_nothing_but_noughts_is_refused(zip_of):
    path = zip_of({"Profile.csv": PROFILE, "messages.csv": b"\0" * (65 << 20)})
    with pytest.raises(ArchiveRefused, match="too large when unpacked"):
        open_archive(path)


def test_more_than_an_archive_may_hold_is_refused_while_it_is_read():
    stream = Counted(io.BytesIO(b"x" * 101), bytes_max=100)
    assert len(stream.read(100)) == 100
    with pytest.raises(ArchiveRefused, match="more than it says"):
        stream.read(1)


def test_a_file_larger_than_it_says_is_a_problem_and_no_more_is_read_of_it(zip_of):
    path = zip_of({"Connections.csv": CONNECTIONS + "Bo,Marrow,12 Mar 2019\r\n" * 999})
    data = bytearray(path.read_bytes())
    at = data.rfind(b"PK\x01\x02")
    struct.pack_into("<L", data, at + 24, len(CONNECTIONS))
    path.write_bytes(data)
    with open_archive(path) as archive:
        rows = list(archive.connections())
    assert len(rows) <= 2
    assert "damaged" in rows[-1].reason


def test_an_encrypted_file_is_refused(zip_of):
    path = zip_of({"Profile.csv": PROFILE})
    data = bytearray(path.read_bytes())
    data[data.rfind(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(ArchiveRefused, match="encrypted"):
        open_archive(path)


def test_an_unusual_packing_is_refused(tmp_path):
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as zipped:
        zipped.writestr("Profile.csv", PROFILE)
    with pytest.raises(ArchiveRefused, match="packed in an unusual way"):
        open_archive(path)


def test_damage_in_the_middle_keeps_what_stands_before_it(zip_of):
    rows = "".join(f"Bo,Marrow{number * 7919 % 9973},12 Mar 2019\r\n" for number in range(20_000))
    path = zip_of({"Connections.csv": CONNECTIONS + rows})
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 64] = b"\xff" * 64
    path.write_bytes(data)

    with open_archive(path) as archive:
        found = list(archive.connections())

    assert isinstance(found[0], Connection)
    assert isinstance(found[-1], Problem)
    assert "damaged" in found[-1].reason


def test_files_may_lie_in_a_folder_and_be_called_in_any_case(export_of):
    archive = export_of({"Basic_Export/CONNECTIONS.CSV": CONNECTIONS})
    (connection,) = archive.connections()
    assert connection.person.name == "Otto Quillfeather"


def test_of_two_exports_in_one_archive_only_one_is_read(export_of):
    archive = export_of(
        {
            "older/Connections.csv": CONNECTIONS,
            "whole/Connections.csv": CONNECTIONS.replace("Otto", "Wren"),
            "whole/Profile.csv": PROFILE,
        }
    )
    (connection,) = archive.connections()
    assert connection.person.name == "Wren Quillfeather"


def test_the_shadows_that_macos_leaves_are_not_read(export_of):
    archive = export_of(
        {"__MACOSX/._Connections.csv": b"\0\5\x16\7", "Connections.csv": CONNECTIONS}
    )
    assert len(list(archive.connections())) == 1


def test_reading_again_gives_the_same(sample):
    assert list(sample.messages()) == list(sample.messages())


def test_the_lines_of_all_rows_only_rise(sample):
    for rows in (sample.connections(), sample.messages(), sample.invitations()):
        assert all(earlier.line < later.line for earlier, later in pairwise(rows))


def test_two_files_can_be_read_at_the_same_time(sample):
    pairs = list(zip(sample.connections(), sample.messages(), strict=False))
    assert pairs[0][0].person.name == "Otto Quillfeather"
    assert pairs[0][1].sender.name == "Otto Quillfeather"


def test_the_path_may_be_a_string(zip_of):
    path = zip_of({"Profile.csv": PROFILE})
    assert isinstance(path, Path)
    open_archive(str(path)).close()
