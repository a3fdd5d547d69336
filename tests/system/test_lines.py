"""Torn last lines of files that a killed run was writing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vggrepro.system import lines
from vggrepro.system.lines import append_whole, cut_torn_line


@pytest.mark.parametrize("piece", [1, 3, 1 << 16])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b""),
        (b"torn", b""),
        (b"one\n", b"one\n"),
        (b"one\ntwo\nto", b"one\ntwo\n"),
        (b"one\n\ntorn line", b"one\n\n"),
        (b"\n", b"\n"),
    ],
)
def test_what_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int, before: bytes, after: bytes
) -> None:
    """However many pieces the end is read in."""
    monkeypatch.setattr(lines, "_PIECE", piece)
    path = tmp_path / "log"
    path.write_bytes(before)
    cut_torn_line(path)
    assert path.read_bytes() == after


def test_no_file_is_left_so(tmp_path: Path) -> None:
    cut_torn_line(tmp_path / "log")
    assert not (tmp_path / "log").exists()


def test_what_is_appended_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    descriptor = os.open(tmp_path / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    write, left = os.write, [3, 3, 3]

    def write_some(to: int, data: bytes) -> int:
        if not left:
            raise OSError(28, "No space left on device")
        return write(to, bytes(data[: left.pop()]))

    monkeypatch.setattr(os, "write", write_some)
    append_whole(descriptor, b"eight ch")
    with pytest.raises(OSError, match="No space left"):
        append_whole(descriptor, b"more")
    os.close(descriptor)
    assert (tmp_path / "log").read_bytes() == b"eight ch"
