"""Arrays that users give come from .npy files of numbers alone."""

from pathlib import Path

import numpy as np
import pytest

from vggrepro.data.npy_file import npy_fault, read_npy
from vggrepro.errors import DataError


@pytest.mark.parametrize("dtype", ["f4", "f8", "u1", "i8"])
def test_an_array_is_as_it_was_saved(tmp_path: Path, dtype: str) -> None:
    array = np.arange(6, dtype=dtype).reshape(2, 3)
    np.save(tmp_path / "x.npy", array)
    found = read_npy(tmp_path / "x.npy")
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("content", [b"", b"no array"])
def test_other_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.npy: not a \.npy file"):
        read_npy(path)


def test_other_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "words.npy", np.array(["a"]))
    np.savez(tmp_path / "two.npz", a=np.zeros(1))
    for name in ("words.npy", "two.npz"):
        with pytest.raises(DataError, match="expected one array of numbers"):
            read_npy(tmp_path / name)


def test_an_array_beyond_all_memory_is_told_by_its_files_name(tmp_path: Path) -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (%d,), }\n" % (1 << 60)
    path = tmp_path / "x.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(MemoryError, match=r"x\.npy: Unable to allocate 4\.00 EiB"):
        read_npy(path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\x93NUMPY\x01", "numpy's words"),
        (b"\xff\xd8\xff\xe0", "this is a JPEG image"),
        (b"<html></html>", "this is a web page: download the file itself"),
        (b"", "this is an empty file"),
        (b"abcdef", "it begins 61 62 63 64"),
    ],
)
def test_a_file_is_told_by_what_it_is(content: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    assert npy_fault(tmp_path / "x.npy", ValueError("numpy's words")) == told
