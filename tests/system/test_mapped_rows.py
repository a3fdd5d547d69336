"""Arrays mapped for writing have their room on the disk; writes are complete."""

import errno
import os

import numpy as np
import pytest

from vggrepro.system.mapped_rows import mapped_rows, reserved_room, scratch_rows, write_whole


def test_mapped_rows_are_zeros_with_room(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"head")
    rows = mapped_rows(path, (1000, 33), 128)
    assert not rows.any()
    assert path.stat().st_blocks * 512 >= 128 + rows.nbytes
    rows[:] = 7
    rows.flush()
    assert path.read_bytes()[:4] == b"head"
    assert (np.fromfile(path, np.float32, offset=128) == 7).all()


def test_a_disk_without_room_is_an_error_that_names_the_file(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    path = tmp_path / "f"
    path.touch()
    with pytest.raises(OSError, match="No space left") as caught:
        mapped_rows(path, (3, 4))
    assert caught.value.filename == str(path)


def test_without_fallocate_zeros_are_written(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate")
    path = tmp_path / "f"
    path.touch()
    mapped_rows(path, (700, 1000), 3 * 128)
    assert path.stat().st_blocks * 512 >= 2_800_000


def test_scratch_has_no_name(tmp_path):
    with scratch_rows(tmp_path, (3, 4)) as rows:
        rows[:] = 1
        assert list(tmp_path.iterdir()) == []


def test_no_rows(tmp_path):
    path = tmp_path / "f"
    path.touch()
    assert mapped_rows(path, (0, 4)).shape == (0, 4)


def test_short_writes_are_completed_and_a_full_disk_is_told(tmp_path, monkeypatch):
    real, room = os.pwrite, [3, 3, 2]

    def pwrite(descriptor, data, offset):
        if not room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, bytes(data)[: room.pop(0)], offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    path = tmp_path / "f"
    with path.open("wb") as file:
        write_whole(file.fileno(), b"12345678", 2, path)
        assert path.read_bytes() == b"\0\x0012345678"
        with pytest.raises(OSError, match="No space left") as caught:
            write_whole(file.fileno(), b"9", 10, path)
    assert caught.value.filename == str(path)


def test_reserved_room_has_no_name_and_is_told_where_there_is_none(tmp_path, monkeypatch):
    with reserved_room(tmp_path, 10_000):
        assert list(tmp_path.iterdir()) == []

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left") as caught, reserved_room(tmp_path, 10_000):
        pass
    assert caught.value.filename == str(tmp_path)
