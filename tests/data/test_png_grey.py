"""The grey of colour PNGs that declare a gamma, against libpng's."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from vggrepro.data.decode import decode
from vggrepro.data.png import SIGNATURE
from vggrepro.data.png_grey import declared_gamma, grey_of_colours

IMAGES = Path(__file__).parents[1] / "golden" / "images"


def jpeg(quality: int = 90, **settings: int) -> bytes:
    picture = np.random.default_rng(5).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    for name, value in settings.items():
        options += [getattr(cv2, f"IMWRITE_JPEG_{name.upper()}"), value]
    return cv2.imencode(".jpg", picture, options)[1].tobytes()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@pytest.mark.parametrize("gamma", [30_000, 45_455, 60_000, 94_999, 95_000, 100_000, 105_001, 200_000])
def test_grey_of_a_png_with_gamma_equals_libpng(gamma):
    plain = (IMAGES / "coffee_wide.png").read_bytes()
    data = plain[:33] + chunk(b"gAMA", struct.pack(">I", gamma)) + plain[33:]  # behind IHDR
    assert (declared_gamma(data) is None) == (95_000 <= gamma <= 105_000)
    ours = decode(data, "x", grey=True).pixels[:, :, 0]
    assert_array_equal(ours, cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE))


def test_srgb_profile_is_recognised_and_others_are_not():
    assert declared_gamma((IMAGES / "hubble_png.JPEG").read_bytes()) == 45_455
    plain = (IMAGES / "coffee_wide.png").read_bytes()
    for body in (b"other\0\0" + zlib.compress(b"a profile"), b"damaged\0\0xx"):
        assert declared_gamma(plain[:33] + chunk(b"iCCP", body) + plain[33:]) is None
    assert declared_gamma(plain) is None
    assert declared_gamma(jpeg()) is None


def test_grey_of_colours_mixes_in_linear_light():
    """By the formula in floating point: the tables of 8 bits are within some levels of it."""
    bgr = np.random.default_rng(0).integers(60, 256, (9, 11, 3), dtype=np.uint8)
    linear = (bgr / 255.0) ** 2.2
    mixed = 0.299 * linear[..., 2] + 0.587 * linear[..., 1] + 0.114 * linear[..., 0]
    assert np.abs(grey_of_colours(bgr, 45_455) - 255 * mixed ** (1 / 2.2)).max() < 3


def test_a_grey_pixel_keeps_its_value():
    levels = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    for gamma in (30_000, 45_455, 200_000):
        assert_array_equal(grey_of_colours(levels, gamma), levels[:, :, 0])


@pytest.mark.parametrize(
    ("header", "gamma"),
    [
        (bytes(8) + b"\x08\x02\0\0\0", 50_000),
        (bytes(8) + b"\x08\x03\0\0\0", 50_000),
        (bytes(8) + b"\x08\x06\0\0\0", 50_000),
        (bytes(8) + b"\x08\x00\0\0\0", None),  # grey
        (bytes(8) + b"\x08\x04\0\0\0", None),  # grey with alpha
        (bytes(8) + b"\x10\x02\0\0\0", None),  # 16 bits
        (bytes(8) + b"\x08", None),  # cut
    ],
)
def test_only_colours_of_eight_bits_are_mixed_here(header, gamma):
    declared = chunk(b"gAMA", struct.pack(">I", 50_000))
    assert declared_gamma(SIGNATURE + chunk(b"IHDR", header) + declared) == gamma


@pytest.mark.parametrize(
    ("more", "gamma"),
    [
        (chunk(b"sRGB", b"\0"), 45_455),
        (chunk(b"gAMA", bytes(4)), None),
        (chunk(b"gAMA", bytes(3)), None),
        (chunk(b"gAMA", struct.pack(">I", 30_000)) + chunk(b"sRGB", b"\0"), 45_455),
        (chunk(b"IDAT", b"") + chunk(b"sRGB", b"\0"), None),
    ],
)
def test_what_stands_before_the_pixels_declares_the_gamma(more, gamma):
    header = chunk(b"IHDR", bytes(8) + b"\x08\x02\0\0\0")
    assert declared_gamma(SIGNATURE + header + more) == gamma
