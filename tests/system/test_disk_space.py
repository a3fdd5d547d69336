"""Space that is set aside for a file."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from vggrepro.system.atomic import replacing
from vggrepro.system.disk_space import reserve

MUCH = 1 << 60
"""More than any disk has, and than any file may have."""


def test_a_files_size_stays_what_was_written(tmp_path: Path) -> None:
    with replacing(tmp_path / "file") as file:
        file.reserve(1 << 20)
        file.write(b"abc")
    assert (tmp_path / "file").read_bytes() == b"abc"


@pytest.mark.skipif(sys.platform != "linux", reason="fallocate is Linux's")
def test_what_has_no_room_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(OSError) as raised, replacing(tmp_path / "file") as file:
        file.reserve(MUCH)
    assert raised.value.errno in (errno.ENOSPC, errno.EFBIG)
    assert raised.value.filename == str(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_what_is_no_file_of_a_disk_has_nothing_to_set_aside() -> None:
    read, write = os.pipe()
    try:
        reserve(write, MUCH)
        os.write(write, b"abc")
        assert os.read(read, 3) == b"abc"
    finally:
        os.close(read)
        os.close(write)
