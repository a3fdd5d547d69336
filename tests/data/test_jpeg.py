"""Files that end early, of every format and at every place: never taken for whole ones."""

import struct
import zlib
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from vggrepro.data.decode import decode
from vggrepro.data.jpeg import EOI, read_jpeg
from vggrepro.errors import DataError


def picture(height: int, width: int) -> np.ndarray:
    """Smooth, so that files are small, and nowhere mid-grey."""
    small = np.random.default_rng(7).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def encoded(suffix: str, options: dict[str, int], *size: int, grey: bool = False) -> bytes:
    pixels = picture(*(size or (29, 37)))
    numbers = {"TIFF_ROWSPERSTRIP": 278}  # a TIFF tag's own number; OpenCV 4.8 has no name for it
    flags: list[int] = []
    for key, set_to in options.items():
        flags += (numbers.get(key) or getattr(cv2, f"IMWRITE_{key}"), set_to)
    return cv2.imencode(suffix, pixels[:, :, 0] if grey else pixels, flags)[1].tobytes()


FORMATS = {
    "baseline": encoded(".jpg", {}),
    "baseline 4:4:4": encoded(".jpg", {"JPEG_SAMPLING_FACTOR": 0x111111}),
    "baseline grey": encoded(".jpg", {}, grey=True),
    "progressive": encoded(".jpg", {"JPEG_PROGRESSIVE": 1}),
    "restart markers": encoded(".jpg", {"JPEG_RST_INTERVAL": 2}),
    "PNG": encoded(".png", {}),
    "BMP": encoded(".bmp", {}),
    "PPM": encoded(".ppm", {}),
    "TIFF LZW": encoded(".tif", {"TIFF_ROWSPERSTRIP": 4}),
    "TIFF bare": encoded(".tif", {"TIFF_COMPRESSION": 1}),
    "WEBP lossless": encoded(".webp", {}),
    "WEBP": encoded(".webp", {"WEBP_QUALITY": 80}),
    "Sun raster": encoded(".ras", {}),
}
JPEGS = [name for name, data in FORMATS.items() if data.startswith(b"\xff\xd8")]


@pytest.mark.parametrize("name", FORMATS)
def test_a_whole_file_is_good(name):
    for grey in (False, True):
        assert not decode(FORMATS[name], "x", grey=grey).truncated
    assert not decode(FORMATS[name], "x", exif="apply").truncated


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_cut_anywhere_is_an_error_or_truncated(name):
    data, used = FORMATS[name], 0
    for length in range(len(data)):
        try:
            decoded = decode(data[:length], "x")
        except DataError as error:
            assert str(error).startswith("x: Could not")
        else:
            assert decoded.truncated, length
            used += 1
    assert (used > len(data) // 3) == (name in JPEGS)  # a cut JPEG is used as far as it goes


@pytest.mark.parametrize("name", JPEGS)
def test_a_cut_scan_with_an_end_marker_is_truncated(name):
    """libjpeg fills with grey what the scan lacks, end marker or not."""
    data = FORMATS[name]
    whole, scan = decode(data, "x").pixels, read_jpeg(data).scan
    assert scan is not None
    for length in range(scan.start, len(data) - len(EOI), 2):
        try:
            decoded = decode(data[:length] + EOI, "x")
        except DataError:
            continue
        assert decoded.truncated or np.array_equal(decoded.pixels, whole), length  # bits that only pad


@pytest.mark.parametrize("exif", ["ignore", "apply"])
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("options", [{}, {"JPEG_SAMPLING_FACTOR": 0x111111}, {"JPEG_RST_INTERVAL": 5}])
def test_a_larger_jpeg_that_lacks_more_than_its_last_unit(options, grey, exif):
    data = encoded(".jpg", options, 173, 189)
    scan = read_jpeg(data).scan
    assert scan is not None
    for length in range(scan.start + 1, len(data) - 80, 211):
        assert decode(data[:length] + EOI, "x", grey=grey, exif=exif).truncated, length
    assert not decode(data, "x", grey=grey, exif=exif).truncated


@pytest.mark.parametrize("height", [180, 256, 1000])
@pytest.mark.parametrize("name", ["JPEG_PROGRESSIVE", "JPEG_OPTIMIZE"])
def test_a_header_that_claims_more_rows_than_the_scans_hold(name, height):
    data = bytearray(encoded(".jpg", {name: 1}, 150, 170))
    frame = data.find(b"\xff\xc2" if name == "JPEG_PROGRESSIVE" else b"\xff\xc0")
    struct.pack_into(">H", data, frame + 5, height)
    decoded = decode(bytes(data), "x")
    assert decoded.truncated
    assert decoded.pixels.shape == (height, 170, 3)


def scans(data: bytes) -> Iterator[int]:
    """Where the scans of a progressive file begin."""
    place = data.find(b"\xff\xda")
    while place >= 0:
        yield place
        place = data.find(b"\xff\xda", place + 2)


def test_a_progressive_file_without_its_last_scans_is_truncated():
    data = encoded(".jpg", {"JPEG_PROGRESSIVE": 1}, 150, 170)
    places = list(scans(data))
    assert len(places) > 5
    for place in places[1:]:
        assert read_jpeg(data[:place] + EOI).ends_early
        assert decode(data[:place] + EOI, "x").truncated


def test_flat_grey_that_is_all_there_is_no_truncation():
    grey = np.full((150, 170, 3), 128, np.uint8)
    for progressive in (0, 1):
        data = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive])[1].tobytes()
        decoded = decode(data, "x")
        assert not decoded.truncated
        assert_array_equal(decoded.pixels, grey)


def test_lost_restart_markers_are_noticed():
    data = encoded(".jpg", {"JPEG_RST_INTERVAL": 5}, 173, 189)
    first, second = data.find(b"\xff\xd2"), data.find(b"\xff\xd5")
    assert decode(data[:first] + data[second:], "x").truncated


@pytest.mark.parametrize("fill", [b"\xff\xff", b"\0junk"])
def test_what_libjpeg_passes_over_between_segments_is_passed_over(fill):
    data = FORMATS["baseline"]
    frame = read_jpeg(data).frame
    assert frame is not None
    found = read_jpeg(data[:2] + fill + data[2:]).frame
    assert found == frame
    assert (frame.height, frame.width, frame.unit) == (29, 37, (16, 16))


@pytest.mark.parametrize(
    "data", [b"\xff\xd8\xff", b"\xff\xd8\xff\xda", b"\xff\xd8\xff\xc0\0\x0b\x08\0\x10\0\x10\x09"]
)
def test_damaged_segments_are_no_image(data):
    with pytest.raises(DataError, match=r"^x: Could not"):
        decode(b"\xff\xd8" + data, "x")


def png(rows: int, data_rows: int, *, interlaced: int = 0, end: bool = True) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 10, rows, 8, 2, 0, 0, interlaced)
    pixels = zlib.compress(bytes(31 * data_rows))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", pixels)
        + (chunk(b"IEND", b"") if end else b"")
    )


def test_a_png_that_declares_more_rows_than_it_has():
    assert decode(png(10, 10), "x").pixels.shape == (10, 10, 3)
    for data in (png(11, 10), png(300, 10), png(10, 9), png(40, 10, interlaced=1)):
        with pytest.raises(DataError, match=r"^x: Could not"):
            decode(data, "x")


def test_a_png_without_its_end():
    with pytest.raises(DataError, match="a PNG that ends before its IEND chunk"):
        decode(png(10, 10, end=False), "x")


def test_wrong_check_sums_of_a_png():
    data = png(10, 10)
    for chunk in (b"IHDR", b"IDAT", b"IEND"):
        damaged = bytearray(data)
        at = data.index(chunk)
        length = int.from_bytes(data[at - 4 : at], "big")
        damaged[at + 4 + length] ^= 1
        with pytest.raises(DataError, match=f"PNG chunk '{chunk.decode()}' with a wrong check sum"):
            decode(bytes(damaged), "x")
