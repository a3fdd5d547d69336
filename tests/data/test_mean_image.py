"""Mean images of compute_image_mean and of pycaffe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from vggrepro.caffe.messages import BlobProto
from vggrepro.data.mean_image import read_mean_image
from vggrepro.errors import DataError

IMAGE = np.random.default_rng(0).uniform(0, 255, (3, 5, 7)).astype(np.float32)


def write_binaryproto(path: Path, image: np.ndarray) -> Path:
    """In the legacy layout of compute_image_mean."""
    channels, height, width = image.shape
    blob = BlobProto(num=1, channels=channels, height=height, width=width, data=image.ravel().tolist())
    path.write_bytes(blob.SerializeToString())
    return path


def test_both_files_give_the_same_image(tmp_path: Path) -> None:
    np.save(tmp_path / "mean.npy", IMAGE.astype(np.float64))
    for path in (tmp_path / "mean.npy", write_binaryproto(tmp_path / "mean.binaryproto", IMAGE)):
        image = read_mean_image(path)
        assert_array_equal(image.pixels, IMAGE.transpose(1, 2, 0))
        assert (image.channels, image.source) == (3, str(path))
        assert image.over_pixels == pytest.approx(IMAGE.mean(axis=(1, 2)).tolist(), rel=1e-6)
        assert_array_equal(read_mean_image(path, "rgb").pixels, IMAGE[::-1].transpose(1, 2, 0))


def test_a_path_may_be_a_text(tmp_path: Path) -> None:
    path = write_binaryproto(tmp_path / "mean.binaryproto", IMAGE)
    assert_array_equal(read_mean_image(str(path)).pixels, read_mean_image(path).pixels)


def test_a_grey_mean_image(tmp_path: Path) -> None:
    image = read_mean_image(write_binaryproto(tmp_path / "mean.binaryproto", IMAGE[:1]))
    assert image.pixels.shape == (5, 7, 1)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(3), r"holds an array of \(3,\), expected a mean image"),
        (np.zeros((2, 4, 4)), "expected a mean image"),
        (np.zeros((2, 3, 4, 4)), "expected a mean image"),
        (np.full((3, 2, 2), np.nan), "not finite"),
        (np.array(["x"]), "expected one array of numbers"),
    ],
)
def test_arrays_that_are_no_mean_image(tmp_path: Path, array: np.ndarray, message: str) -> None:
    np.save(tmp_path / "mean.npy", array)
    with pytest.raises(DataError, match=message):
        read_mean_image(tmp_path / "mean.npy")


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Could not open or find file"):
        read_mean_image(tmp_path / "mean.npy")
    (tmp_path / "mean.npy").write_bytes(b"no array")
    with pytest.raises(DataError, match=r"not a \.npy file"):
        read_mean_image(tmp_path / "mean.npy")


@pytest.mark.parametrize(
    "text", ["(" * 5000, "{'descr': '<f4', 'fortran_order': 1, 'shape': (1, b'x')}", "{"]
)
def test_a_header_that_python_cannot_read(tmp_path: Path, text: str) -> None:
    header = text.encode() + b"\n"
    start = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little")
    (tmp_path / "mean.npy").write_bytes(start + header)
    with pytest.raises(DataError, match=r"mean\.npy: not a \.npy file: .{1,200}$"):
        read_mean_image(tmp_path / "mean.npy")
