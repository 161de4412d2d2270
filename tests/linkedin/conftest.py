"""Small exports for tests: the sample beside this file, or files that a test writes itself."""

import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from overture.linkedin.archive import Archive, open_archive

SAMPLE = Path(__file__).parent / "sample"
# What makes an archive an export, in tests of something else.
PROFILE = "First Name,Last Name\r\nMina,Fernsby\r\n"

Files = dict[str, str | bytes]


@pytest.fixture
def zip_of(tmp_path: Path) -> Callable[[Files], Path]:
    def write(files: Files) -> Path:
        path = tmp_path / "export.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
            for name, content in files.items():
                zipped.writestr(name, content)
        return path

    return write


@pytest.fixture
def export_of(zip_of: Callable[[Files], Path]) -> Iterator[Callable[[Files], Archive]]:
    with ExitStack() as stack:
        yield lambda files: stack.enter_context(open_archive(zip_of(files)))


@pytest.fixture
def sample(export_of: Callable[[Files], Archive]) -> Archive:
    """Mina Fernsby's export: nobody in it lives."""
    return export_of({path.name: path.read_bytes() for path in SAMPLE.glob("*.csv")})
