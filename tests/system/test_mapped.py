"""Bytes of arrays, in mapped files and elsewhere."""

import gc
import os
from pathlib import Path

import numpy as np
import pytest

from vggrepro.errors import WeightsError
from vggrepro.system import mapped
from vggrepro.system.mapped import MappedFile, chunks, own_copy

VALUES = np.arange(600_000, dtype=np.float32).reshape(600, 1000)  # 2.4 MB: several chunks


@pytest.fixture
def file(tmp_path):
    """Three bytes, then VALUES: nothing in it is aligned."""
    path = tmp_path / "file"
    path.write_bytes(b"abc" + VALUES.tobytes())
    return path


def array_in(mapping):
    return np.frombuffer(memoryview(mapping)[3:], np.float32).reshape(VALUES.shape)


def test_mapped_bytes_are_read(file, monkeypatch):
    array = array_in(MappedFile(file))
    asked = []
    real = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, size, offset: asked.append(offset) or real(fd, size, offset))
    assert b"".join(chunks(array)) == VALUES.tobytes()
    assert asked == [3, 3 + mapped.CHUNK, 3 + 2 * mapped.CHUNK]
    asked.clear()
    assert b"".join(chunks(array[17:40])) == VALUES[17:40].tobytes()
    assert asked == [3 + 17 * 4000]


def test_the_file_that_was_mapped_is_read_whatever_its_name_means_now(file):
    array = array_in(MappedFile(file))
    other = file.with_name("other")
    other.write_bytes(bytes(file.stat().st_size))
    other.replace(file)
    assert b"".join(chunks(array)) == VALUES.tobytes()


def test_a_file_that_becomes_shorter_is_an_error(file):
    mapping = MappedFile(file)
    array = array_in(mapping)
    os.truncate(file, 1_000_000)
    with pytest.raises(WeightsError, match="file: changed while it was read"):
        b"".join(chunks(array))


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.T,
        lambda a: a[::2, ::-1],
        lambda a: a[:, :7],
        lambda a: a[:0],
        lambda a: a[3, 4].reshape(()),
    ],
    ids=["transposed", "strided", "columns", "empty", "scalar"],
)
@pytest.mark.parametrize("where", ["mapped", "in memory"])
def test_arrays_of_any_layout(file, change, where):
    array = change(array_in(MappedFile(file)) if where == "mapped" else VALUES)
    want = np.array(change(VALUES), order="C")
    assert b"".join(chunks(array)) == want.tobytes()
    copy = own_copy(array)
    assert copy.flags.c_contiguous
    assert copy.flags.aligned
    assert copy.flags.owndata
    np.testing.assert_array_equal(copy, want)


def test_without_pread_the_pages_are_copied(file, monkeypatch):
    monkeypatch.delattr(os, "pread")
    assert b"".join(chunks(array_in(MappedFile(file)))) == VALUES.tobytes()


def test_descriptors_are_closed_with_the_last_array(file):
    mapping = MappedFile(file)
    descriptor, array = mapping.descriptor, array_in(mapping)
    del mapping
    gc.collect()
    os.fstat(descriptor)
    assert array[0, 1] == 1
    del array
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_what_cannot_be_mapped(tmp_path):
    with pytest.raises(FileNotFoundError):
        MappedFile(tmp_path / "nothing")
    (tmp_path / "empty").touch()
    with pytest.raises(ValueError, match="empty"):
        MappedFile(tmp_path / "empty")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = os.open(pipe, os.O_RDWR)
    with pytest.raises(OSError, match="a device or a pipe, expected a file"):
        MappedFile(pipe)
    os.close(writer)


def test_what_is_forgotten_counts_no_memory_and_is_there_again(tmp_path: Path) -> None:
    content = np.arange(1 << 20, dtype=np.float32).tobytes()
    (tmp_path / "forgotten").write_bytes(content)
    file = MappedFile(tmp_path / "forgotten")
    assert file[:] == content  # looks at every page
    file.forget()
    maps = Path("/proc/self/smaps")
    if maps.exists():
        (described,) = maps.read_text().split(f"{tmp_path}/forgotten\n")[1:]
        assert int(described.split("Rss:")[1].split()[0]) == 0
    assert file[:] == content
