"""Arrays that are fed to a net come from .npy files of numbers alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vggrepro.cli.fed_array import read_array
from vggrepro.errors import NetError


@pytest.mark.parametrize("dtype", ["f4", "f8", "u1", "i8"])
def test_an_array_is_as_it_was_saved(tmp_path: Path, dtype: str) -> None:
    array = np.arange(6, dtype=dtype).reshape(2, 3)
    np.save(tmp_path / "x.npy", array)
    found = read_array(tmp_path / "x.npy")
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("content", [b"", b"no array"])
def test_other_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(content)
    with pytest.raises(NetError, match=r"x\.npy: not a \.npy file"):
        read_array(path)


def test_other_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "words.npy", np.array(["a"]))
    np.savez(tmp_path / "two.npz", a=np.zeros(1))
    for name in ("words.npy", "two.npz"):
        with pytest.raises(NetError, match="expected one array of numbers"):
            read_array(tmp_path / name)
