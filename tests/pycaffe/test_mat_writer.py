"""MatWrite: files that MATLAB and SciPy read."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from vggrepro import pycaffe as caffe

NET = """
layer { name: "x" type: "Input" top: "x" top: "y"
  input_param { shape { dim: 1 dim: 2 dim: 3 dim: 5 } shape { dim: 7 } } }
layer { name: "s" type: "Silence" bottom: "y" }
layer { name: "a" type: "AbsVal" bottom: "x" top: "a" }
layer { name: "w" type: "MatWrite" bottom: "a" bottom: "y"
  mat_write_param { FIELDS } }
"""
VALUES = np.random.default_rng(3).normal(size=(1, 2, 3, 5)).astype(np.float32)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("out").mkdir()
    Path("id.txt").write_text("first.jpg x\nsecond.jpg\nthird.jpg\n")


def net_of(fields: str = "", prefix: str = "out/") -> caffe.Net:
    Path("net.prototxt").write_text(NET.replace("FIELDS", f'prefix: "{prefix}" {fields}'))
    return caffe.Net("net.prototxt", caffe.TEST)


def read(path: str) -> np.ndarray:
    """The array, by MathWorks' description of the format: for a name of four letters."""
    data = Path(path).read_bytes()
    assert data[:6] == b"MATLAB" and data[124:128] == b"\0\1IM"
    kind, size, *flags = struct.unpack_from("<6I", data, 128)
    assert (kind, size, *flags) == (14, len(data) - 136, 6, 8, 7, 0)
    kind, size, *sizes = struct.unpack_from("<2I4i", data, 152)
    assert (kind, size) == (5, 16)
    assert struct.unpack_from("<2I8s", data, 176) == (1, 4, b"data\0\0\0\0")
    kind, size = struct.unpack_from("<2I", data, 192)
    assert (kind, size) == (7, 4 * np.prod(sizes)) and len(data) % 8 == 0
    return np.frombuffer(data, "<f4", size // 4, 200).reshape(sizes, order="F")


def test_files_that_a_list_names() -> None:
    net = net_of('source: "id.txt" strip: 4')
    for sign in (1, 2, 3):
        net.forward(x=sign * VALUES, y=np.arange(7, dtype=np.float32))
    assert sorted(p.name for p in Path("out").iterdir()) == [
        f"{name}_blob_{index}.mat" for name in ("first", "second", "third") for index in (0, 1)
    ]
    np.testing.assert_array_equal(read("out/second_blob_0.mat"), abs(2 * VALUES).transpose(3, 2, 1, 0))
    np.testing.assert_array_equal(read("out/third_blob_1.mat"), np.arange(7).reshape(7, 1, 1, 1))
    with pytest.raises(RuntimeError, match="Test has run for more iterations"):
        net.forward()


def test_scipy_reads_them() -> None:
    scipy_io = pytest.importorskip("scipy.io")
    net_of().forward(x=VALUES, y=np.zeros(7))
    found = scipy_io.loadmat("out/iter_0_blob_0.mat")["data"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, abs(VALUES).transpose(3, 2, 1, 0))


def test_one_pass_of_several() -> None:
    net = net_of("period: 2")
    for _ in range(4):
        net.forward()
    assert sorted(p.name for p in Path("out").glob("*_0.mat")) == ["iter_0_blob_0.mat", "iter_2_blob_0.mat"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("period: 0", "period must be positive"),
        ('source: "none.txt"', "Failed to open source file none.txt"),
        ('source: "id.txt" strip: 9', "Too much stripping: 9 of 'first.jpg'"),
        ('source: "id.txt" strip: -1', "Strip cannot be negative"),
    ],
)
def test_what_is_refused(fields: str, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        net_of(fields)


def test_folders_are_not_made() -> None:
    net = net_of(prefix="none/")
    with pytest.raises(RuntimeError, match=r"Error creating MAT file none/iter_0_blob_0\.mat: No such"):
        net.forward()


def test_the_format_of_2014() -> None:
    Path("net.prototxt").write_text(
        """input: "x" input_dim: 1 input_dim: 2 input_dim: 3 input_dim: 5
        layers { name: "w" type: MAT_WRITE mat_write_param { prefix: "out/" } bottom: "x" }"""
    )
    caffe.Net("net.prototxt", caffe.TEST).forward(x=VALUES)
    np.testing.assert_array_equal(read("out/iter_0_blob_0.mat"), VALUES.transpose(3, 2, 1, 0))
