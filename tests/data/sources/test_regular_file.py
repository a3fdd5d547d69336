"""Files that are opened only if they are files."""

import os
import stat
from pathlib import Path

import pytest

from vggrepro.data.sources.regular_file import kind_of, open_regular, read_regular
from vggrepro.errors import DataError

OPEN_FILES = Path("/proc/self/fd")


def test_a_file_is_read_up_to_a_limit(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"1234")
    assert read_regular(path, 4, "x") == b"1234"
    with open_regular(path, "x") as file:
        assert os.pread(file.fileno(), 2, 1) == b"23"
    with pytest.raises(DataError, match=r"^the list: 4 bytes, expected at most 3$"):
        read_regular(path, 3, "the list")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_refused_at_once_and_closed(tmp_path, make):
    path = tmp_path / "x"
    make(path)
    before = len(list(OPEN_FILES.iterdir()))
    kind = r"a pipe \(FIFO\)" if make is os.mkfifo else "a folder"
    with pytest.raises(DataError, match=f"^mine: {kind}, expected a regular file$"):
        open_regular(path, "mine")
    assert len(list(OPEN_FILES.iterdir())) == before


@pytest.mark.parametrize(
    ("name", "problem"), [("none", "No such file or directory"), ("a\0b", "NUL character")]
)
def test_what_cannot_be_opened_says_why(tmp_path, name, problem):
    with pytest.raises(DataError, match=f"^mine: .*{problem}$"):
        open_regular(tmp_path / name, "mine")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (stat.S_IFDIR, "a folder"),
        (stat.S_IFIFO, "a pipe (FIFO)"),
        (stat.S_IFSOCK, "a socket"),
        (stat.S_IFCHR, "a device"),
        (stat.S_IFBLK, "a device"),
        (0, "no regular file"),
    ],
)
def test_kinds_have_words(kind, words):
    assert kind_of(kind | 0o644) == words
