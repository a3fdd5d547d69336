"""Sizes from the headers of image files, and the limits that hold before anything is decoded."""

import struct
import tracemalloc
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from vggrepro.data.choices import MAX_PIXELS
from vggrepro.data.decode import decode, decode_unchanged
from vggrepro.data.image_header import ImageHeader, read_header
from vggrepro.data.preprocess import rescale
from vggrepro.data.reading import BadImages, Reader
from vggrepro.data.sources import open_images
from vggrepro.data.transform import resize
from vggrepro.errors import DataError, ImageTooLargeError

DAMAGED = Path(__file__).parent / "damaged"
PICTURE = np.random.default_rng(2).integers(0, 256, (11, 19, 3), dtype=np.uint8)


def encoded(suffix: str, *options: int) -> bytes:
    return cv2.imencode(suffix, PICTURE, list(options))[1].tobytes()


def tiff(order: str, big: bool, entries: list[tuple[int, int, int]]) -> bytes:
    """A TIFF without pixels: entries are (tag, type, value)."""
    mark = b"II" if order == "<" else b"MM"
    if big:
        head = mark + struct.pack(order + "HHHQ", 43, 8, 0, 16) + struct.pack(order + "Q", len(entries))
        word = {3: "HHHH", 4: "II", 16: "Q"}
        layout = order + "HHQ"
    else:
        head = mark + struct.pack(order + "HI", 42, 8) + struct.pack(order + "H", len(entries))
        word, layout = {3: "HH", 4: "I"}, order + "HHI"
    body = b""
    for tag, kind, value in entries:
        fields = word[kind]
        body += struct.pack(layout, tag, kind, 1) + struct.pack(
            order + fields, value, *[0] * (len(fields) - 1)
        )
    return head + body


FILES = [
    ("JPEG", encoded(".jpg")),
    ("JPEG", encoded(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1)),
    ("PNG", encoded(".png")),
    ("BMP", encoded(".bmp")),
    ("TIFF", encoded(".tif")),
    ("WEBP", encoded(".webp")),
    ("WEBP", encoded(".webp", cv2.IMWRITE_WEBP_QUALITY, 50)),
    ("PNM", encoded(".ppm")),
    ("PNM", b"P5 # a comment\n#another\n 19\t11\n255\n" + bytes(11 * 19)),
    ("Sun raster", encoded(".ras")),
    ("GIF", b"GIF89a" + struct.pack("<HH", 19, 11) + bytes(3)),
    ("BMP", b"BM" + bytes(12) + struct.pack("<IHHHH", 12, 19, 11, 1, 24)),
    ("BMP", b"BM" + bytes(12) + struct.pack("<Iii", 40, 19, -11)),
    ("WEBP", b"RIFF\0\0\0\0WEBPVP8X" + bytes(8) + b"\x12\0\0\x0a\0\0"),
    ("TIFF", tiff("<", True, [(256, 16, 19), (257, 3, 11)])),
    ("TIFF", tiff(">", False, [(256, 3, 19), (257, 4, 11)])),
    ("TIFF", tiff(">", True, [(256, 4, 19), (257, 16, 11)])),
]


@pytest.mark.parametrize(("name", "data"), FILES)
def test_sizes(name, data):
    assert read_header(data) == ImageHeader(name, 11, 19)


@pytest.mark.parametrize(("name", "data"), FILES)
def test_a_header_cut_anywhere_gives_no_size_or_the_right_one(name, data):
    found = {read_header(data[:n]) for n in range(min(len(data), 150))}
    assert found <= {None, ImageHeader(name, 11, 19)}


def test_the_tiles_of_a_tiff_count_where_they_are_larger():
    data = tiff("<", False, [(256, 3, 19), (257, 3, 11), (322, 4, 1 << 20), (323, 4, 1 << 20)])
    assert read_header(data) == ImageHeader("TIFF", 1 << 20, 1 << 20)


@pytest.mark.parametrize(("name", "data"), FILES[:10])
def test_more_pixels_than_the_limit_are_refused_before_decoding(name, data):
    assert decode(data, "x", max_pixels=209).pixels.shape == (11, 19, 3)
    message = rf"^x: a {name} has 11 x 19 = 209 pixels, expected at most 208$"
    for read in (decode, decode_unchanged):
        with pytest.raises(ImageTooLargeError, match=message):
            read(data, "x", max_pixels=208)


def test_the_default_limit_passes_the_largest_images_of_ilsvrc():
    assert MAX_PIXELS > 50_000_000 * 4


def test_few_bytes_that_declare_many_pixels_take_no_memory():
    data = (DAMAGED / "bomb32000.png").read_bytes()
    tracemalloc.start()
    with pytest.raises(ImageTooLargeError, match="32000 x 32000 = 1,024,000,000 pixels, expected at most"):
        decode(data, "bomb")
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("kernel", ["linear", "cubic", "area", "lanczos", "matlab"])
def test_rescaling_a_thin_image_must_not_blow_it_up(kernel):
    pixels = decode((DAMAGED / "thin.png").read_bytes(), "thin").pixels
    assert pixels.shape == (60000, 1, 3)
    with pytest.raises(ImageTooLargeError, match="60000 x 1 pixels, rescaled to a smaller side of 256"):
        rescale(pixels, 256, kernel)
    assert rescale(pixels, 2, kernel).shape == (120000, 2, 3)


def test_warping_is_bounded_too():
    with pytest.raises(ImageTooLargeError, match="4294967295 x 4294967295"):
        resize(PICTURE, 2**32 - 1, 2**32 - 1)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(80), "JPEG 2000"),
        (b"\0\0\0\x1cftypavif" + bytes(80), "AVIF or HEIF"),
        (b"#?RADIANCE\n" + bytes(80), "Radiance HDR"),
        (b"\x76\x2f\x31\x01" + bytes(80), "OpenEXR"),
        (b"P7\nWIDTH 3\n", "PAM"),
        (b"PF\n3 4\n", "PFM"),
    ],
)
def test_formats_whose_size_is_not_checked_are_refused_by_name(data, name):
    with pytest.raises(DataError, match=f"^x: Could not decode data of .*: {name}, expected JPEG, PNG"):
        decode(data, "x")


def folder_with(tmp_path: Path, name: str) -> Path:
    (tmp_path / "a.png").write_bytes(encoded(".png"))
    (tmp_path / "b.png").write_bytes((DAMAGED / name).read_bytes())
    return tmp_path


@pytest.mark.parametrize("name", ["bomb32000.png", "thin.png"])
def test_a_reader_names_or_skips_what_is_too_large(tmp_path, name):
    source = open_images(folder_with(tmp_path, name))
    reader = Reader(source, BadImages("skip"))
    assert [index for index, _ in reader.each(range(2), lambda p: rescale(p, 256), threads=1)] == [0]
    assert "pixels, expected at most" in reader.bad.report()["unreadable"]["b.png"]
    with pytest.raises(ImageTooLargeError, match=r"b\.png: a.* pixels, expected at most"):
        list(Reader(source, BadImages()).each(range(2), lambda p: rescale(p, 256), threads=1))


def test_a_reader_s_own_limit(tmp_path):
    source = open_images(folder_with(tmp_path, "thin.png"))
    with pytest.raises(ImageTooLargeError, match=r"a\.png: a PNG has 11 x 19"):
        Reader(source, BadImages(), max_pixels=100).pixels(0)


def test_a_compressed_profile_is_not_inflated_further_than_any_known_one():
    plain = encoded(".png")
    body = b"bomb\0\0" + zlib.compress(bytes(200 << 20))
    profile = struct.pack(">I", len(body)) + b"iCCP" + body + struct.pack(">I", zlib.crc32(b"iCCP" + body))
    tracemalloc.start()
    decode(plain[:33] + profile + plain[33:], "x", grey=True)
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()
