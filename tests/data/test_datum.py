"""Datums: bare and encoded, of bytes and of floats, and those that hold no image."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from vggrepro.caffe.messages import Datum
from vggrepro.data.datum import bare_array, datum_array, datum_pixels, parse_datum
from vggrepro.errors import DataError, ImageTooLargeError

PICTURE = np.random.default_rng(4).integers(0, 256, (2, 5, 3), dtype=np.uint8)  # H W C
PICS = Path(__file__).parents[1] / "golden" / "lmdb" / "pics"


def encoded(pixels: np.ndarray) -> Datum:
    return Datum(encoded=True, data=cv2.imencode(".png", pixels)[1].tobytes())


def bare(pixels: np.ndarray) -> Datum:
    height, width, channels = pixels.shape
    data = pixels.transpose(2, 0, 1).tobytes()
    return Datum(channels=channels, height=height, width=width, data=data)


def test_what_is_written_is_parsed():
    datum = bare(PICTURE)
    datum.label = 7
    assert parse_datum(datum.SerializeToString(), "x") == datum
    with pytest.raises(DataError, match=r"^db: 00: the value of 3 bytes is not a Datum: "):
        parse_datum(b"\xff\xff\xff", "db: 00")


def test_bare_bytes_are_channels_rows_columns():
    array = bare_array(bare(PICTURE), "x")
    assert (array.dtype, array.shape) == (np.uint8, (3, 2, 5))
    assert_array_equal(array, PICTURE.transpose(2, 0, 1))
    assert_array_equal(datum_array(bare(PICTURE), "x"), array)
    assert_array_equal(datum_pixels(bare(PICTURE), "x"), PICTURE)


def test_floats_stay_floats_and_are_no_pixels():
    datum = Datum(channels=2, height=1, width=3, float_data=[0.5, -1, 300, 0, 1, 2])
    array = bare_array(datum, "x")
    assert array.dtype == np.float32
    assert_array_equal(array, [[[0.5, -1, 300]], [[0, 1, 2]]])
    with pytest.raises(DataError, match=r"^x: a Datum of float_data is no image$"):
        datum_pixels(datum, "x")


@pytest.mark.parametrize("shape", [(3, 2, 3), (0, 0, 0), (-2, -2, 1), (2, 2, 2)])
def test_sizes_that_are_not_those_of_the_values(shape):
    channels, height, width = shape
    datum = Datum(channels=channels, height=height, width=width, data=b"1234")
    with pytest.raises(DataError) as error:
        bare_array(datum, "x")
    assert str(error.value) == f"x: a Datum of channels, height, width {shape} holds 4 uint8 values"


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_an_encoded_image_keeps_its_channels(channels):
    pixels = np.random.default_rng(1).integers(0, 256, (4, 6, channels), dtype=np.uint8)
    assert_array_equal(datum_array(encoded(pixels), "x"), pixels.transpose(2, 0, 1))


def test_colour_and_grey_can_be_forced():
    grey = PICTURE[:, :, :1]
    coloured = datum_array(encoded(grey), "x", force_color=True)
    assert_array_equal(coloured, np.repeat(grey, 3, axis=2).transpose(2, 0, 1))
    mixed = cv2.cvtColor(PICTURE, cv2.COLOR_BGR2GRAY).astype(int)
    found = datum_array(encoded(PICTURE), "x", force_gray=True)
    assert found.shape == (1, 2, 5)
    assert np.abs(found[0] - mixed).max() <= 1  # libpng rounds in its own way


def test_an_encoded_image_is_given_as_its_file():
    datum = encoded(PICTURE)
    assert datum_pixels(datum, "x") == datum.data


@pytest.mark.parametrize("forced", [{}, {"force_color": True}, {"force_gray": True}])
def test_the_limit_of_pixels_holds_however_it_is_decoded(forced):
    with pytest.raises(ImageTooLargeError, match=r"^x: .* pixels, expected at most 9"):
        datum_array(encoded(PICTURE), "x", max_pixels=9, **forced)
    assert datum_array(encoded(PICTURE), "x", max_pixels=10, **forced).shape[1:] == (2, 5)


@pytest.mark.parametrize("forced", [{}, {"force_color": True}])
def test_an_image_that_ends_early_is_warned_of(forced):
    data = (PICS / "p01.jpg").read_bytes()
    with pytest.warns(UserWarning, match="^db: 3: ends early"):
        datum_array(Datum(encoded=True, data=data[: len(data) // 2]), "db: 3", **forced)
