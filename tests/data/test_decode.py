"""Decoding: every picture of the golden suite, and files that end early or hold no image."""

import json
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from vggrepro.data.decode import decode, decode_unchanged
from vggrepro.data.jpeg import read_jpeg
from vggrepro.errors import DataError

IMAGES = Path(__file__).parents[1] / "golden" / "images"
FILES = [name for name in json.loads((IMAGES / "case.json").read_text())["files"] if name != "broken.jpg"]
GOLDEN = np.load(IMAGES / "transform.npz")


def jpeg(quality: int = 90, **settings: int) -> bytes:
    picture = np.random.default_rng(5).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    for name, value in settings.items():
        options += [getattr(cv2, f"IMWRITE_JPEG_{name.upper()}"), value]
    return cv2.imencode(".jpg", picture, options)[1].tobytes()


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("name", FILES)
def test_equals_caffe(name, grey):
    # The suite's Caffe ran with an OpenCV that applies EXIF.
    decoded = decode((IMAGES / name).read_bytes(), name, grey=grey, exif="apply")
    assert_array_equal(decoded.pixels.transpose(2, 0, 1), GOLDEN[f"{name}|{'grey' if grey else 'raw'}"])
    assert not decoded.truncated


def test_exif_orientation_is_ignored_by_default():
    data = (IMAGES / "rocket_exif6.jpg").read_bytes()
    as_in_2014 = decode(data, "rocket").pixels
    upright = decode(data, "rocket", exif="apply").pixels
    assert as_in_2014.shape == (142, 213, 3)
    assert_array_equal(upright, np.rot90(as_in_2014, -1))


# caffe.io reads with scikit-image, which leaves CMYK as Adobe stores it: inverted. Caffe itself does not.
@pytest.mark.parametrize("name", [name for name in FILES if name != "chelsea_cmyk.jpg"])
def test_colours_equal_pycaffe(name):
    ours = decode((IMAGES / name).read_bytes(), name).pixels[:, :, ::-1]
    assert_array_equal(ours, GOLDEN[f"{name}|pycaffe_load"])


def test_broken_file_is_refused_with_caffes_words():
    with pytest.raises(DataError, match=r"broken\.jpg: Could not open or find file: data of 40 bytes"):
        decode((IMAGES / "broken.jpg").read_bytes(), "broken.jpg")


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"no image at all", jpeg()[:100]])
def test_no_image_is_an_error(data):
    with pytest.raises(DataError, match=r"^x\.jpg: Could not"):
        decode(data, "x.jpg")


@pytest.mark.parametrize("settings", [{}, {"progressive": 1}, {"rst_interval": 2}])
@pytest.mark.parametrize("kept", [0.5, 0.9, 0.999])
def test_truncated_jpeg_is_what_reading_the_file_gives(tmp_path, settings, kept):
    whole = jpeg(**settings)
    data = whole[: int(len(whole) * kept)]
    file = tmp_path / "cut.jpg"
    file.write_bytes(data)
    decoded = decode(data, "cut.jpg")
    assert decoded.truncated
    assert_array_equal(decoded.pixels, cv2.imread(str(file)))
    assert decode(data, "cut.jpg", grey=True).truncated


def test_truncated_jpeg_shows_nothing_of_earlier_images():
    """What is missing is flat grey: not rows of the buffer that the last image left behind."""
    data = jpeg(progressive=0)
    flat = decode(data[: len(data) // 2], "cut").pixels[-8:]
    assert_array_equal(flat, np.full_like(flat, 128))


def test_truncated_png_is_refused():
    data = (IMAGES / "coffee_wide.png").read_bytes()
    with pytest.raises(DataError, match="cut: Could not"):
        decode(data[: len(data) // 2], "cut")


def test_end_marker_of_a_thumbnail_does_not_count():
    whole = jpeg()
    thumbnail = b"\xff\xe1" + struct.pack(">H", 2 + 6 + 4) + b"Exif\0\0" + b"\xff\xd8\xff\xd9"
    with_thumbnail = whole[:2] + thumbnail + whole[2:]
    assert not decode(with_thumbnail, "x").truncated
    assert read_jpeg(with_thumbnail[:-2]).ends_early
    assert decode(with_thumbnail[:-2], "x").truncated


def test_bytes_behind_the_end_marker_are_no_truncation():
    whole = jpeg()
    assert not decode(whole + b"\0" * 100, "x").truncated
    assert_array_equal(decode(whole + b"junk", "x").pixels, decode(whole, "x").pixels)


def test_unchanged_keeps_the_channels_of_the_file():
    rgba = np.random.default_rng(0).integers(0, 256, (5, 7, 4), dtype=np.uint8)
    encoded = cv2.imencode(".png", rgba)[1].tobytes()
    assert_array_equal(decode_unchanged(encoded, "x").pixels, rgba)
    assert decode_unchanged((IMAGES / "camera_grey.jpg").read_bytes(), "x").pixels.shape == (200, 150, 1)
    assert_array_equal(decode(encoded, "x").pixels, rgba[:, :, :3])


def test_unchanged_has_sixteen_bits_where_they_are_asked_for():
    deep = np.random.default_rng(1).integers(0, 2**16, (5, 7, 1), dtype=np.uint16)
    encoded = cv2.imencode(".png", deep)[1].tobytes()
    pixels = decode_unchanged(encoded, "x", deep=True).pixels
    assert pixels.dtype == np.uint16
    assert_array_equal(pixels, deep)


def test_unchanged_refuses_sixteen_bits():
    encoded = cv2.imencode(".png", np.zeros((5, 7), np.uint16))[1].tobytes()
    with pytest.raises(DataError, match="Image data type must be unsigned byte, got uint16"):
        decode_unchanged(encoded, "x")
