"""Datums of image files; the databases that Caffe wrote are in the test of convert_imageset."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from vggrepro.data.image_datum import DatumFormat
from vggrepro.errors import DataError, UnsupportedError

PIXELS = np.random.default_rng(3).integers(0, 256, (6, 9, 3)).astype(np.uint8)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.PNG"
    cv2.imwrite(str(path), PIXELS, [cv2.IMWRITE_PNG_COMPRESSION, 0])
    return path


def test_bare(image: Path) -> None:
    datum = DatumFormat().datum(image, image.name, 7)
    assert (datum.channels, datum.height, datum.width, datum.label, datum.encoded) == (3, 6, 9, 7, False)
    array = np.frombuffer(datum.data, np.uint8).reshape(3, 6, 9)
    assert_array_equal(array, PIXELS.transpose(2, 0, 1))
    small = DatumFormat(grey=True, height=4, width=5).datum(image, image.name, 7)
    assert (small.channels, len(small.data)) == (1, 20)


def test_a_file_is_kept_where_nothing_changes_it(image: Path) -> None:
    for kind in ("", "png"):
        assert (
            DatumFormat(encoded=True, encode_type=kind).datum(image, image.name, 0).data == image.read_bytes()
        )
    grey = DatumFormat(grey=True, encoded=True).datum(image, image.name, 0)
    assert grey.data == image.read_bytes()
    for sizes in ((2, 3), (0, 3), (2, 0)):  # one alone changes no size, but encodes anew
        other = DatumFormat(encoded=True, height=sizes[0], width=sizes[1]).datum(image, image.name, 0)
        assert other.data != image.read_bytes()
        decoded = cv2.imdecode(np.frombuffer(other.data, np.uint8), cv2.IMREAD_COLOR)
        assert decoded.shape == ((2, 3, 3) if all(sizes) else (6, 9, 3))
    jpeg = DatumFormat(encoded=True, encode_type="jpg").datum(image, image.name, 0)
    assert jpeg.data.startswith(b"\xff\xd8") and jpeg.encoded


def test_errors(image: Path, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="cannot be encoded as 'xyz'"):
        DatumFormat(encoded=True, encode_type="xyz").datum(image, image.name, 0)
    with pytest.raises(UnsupportedError, match=r"cannot be encoded as '\\udcff'"):
        DatumFormat(encoded=True, encode_type="\udcff").datum(image, image.name, 0)
    with pytest.raises(DataError, match="Could not open or find file"):
        DatumFormat().datum(tmp_path / "none.png", "none.png", 0)
