"""What the first bytes of an image file say: its format, height and width; and the limits they must keep.

A file of a few hundred bytes may declare a picture of many gigabytes. So the size is read here, from the
header alone, and checked before anything is decoded. A file whose size cannot be told here is not handed
to OpenCV at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from vggrepro.data.choices import MAX_PIXELS
from vggrepro.data.jpeg import read_jpeg
from vggrepro.errors import ImageTooLargeError

MAX_FILE_BYTES = (1 << 31) - 1
"""Most bytes of an encoded image: what OpenCV, which counts them in an int, can take."""

Format = Literal["JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PNM", "Sun raster"]

FORMATS = "JPEG, PNG, BMP, GIF, TIFF, WEBP, PNM and Sun raster"


@dataclass(frozen=True)
class ImageHeader:
    """Format, height and width of an image, in pixels, as its file declares them; nothing is checked."""

    format: Format
    height: int
    width: int


def read_header(data: bytes) -> ImageHeader | None:
    """The header of an encoded image; None if the data are of no known format, or end within the header."""
    for signature, format_name, size in _FORMATS:
        if signature.match(data):
            found = size(data)
            return None if found is None else ImageHeader(format_name, *found)
    return None


def foreign_format(data: bytes) -> str | None:
    """The name of a format that OpenCV may read but this package does not; None for anything else."""
    return next((name for signature, name in _FOREIGN if signature.match(data)), None)


def check_pixels(height: int, width: int, what: str, max_pixels: int = MAX_PIXELS) -> None:
    """Raise ImageTooLargeError, which begins with ``what``, if ``height`` * ``width`` is more than
    ``max_pixels``."""
    if height * width > max_pixels:
        raise ImageTooLargeError(
            f"{what} has {height} x {width} = {height * width:,} pixels, expected at most {max_pixels:,}"
        )


Size = tuple[int, int]
"""Height and width."""


def _jpeg(data: bytes) -> Size | None:
    frame = read_jpeg(data).frame
    return None if frame is None else (frame.height, frame.width)


def _png(data: bytes) -> Size | None:
    if len(data) < 24 or data[12:16] != b"IHDR":
        return None
    return int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big")


def _bmp(data: bytes) -> Size | None:
    if len(data) < 26:
        return None
    if int.from_bytes(data[14:18], "little") < 36:  # OS/2: sizes of 16 bits
        return abs(_signed(data[20:22])), int.from_bytes(data[18:20], "little")
    return abs(_signed(data[22:26])), abs(_signed(data[18:22]))  # a negative height: rows from the top


def _signed(field: bytes) -> int:
    return int.from_bytes(field, "little", signed=True)


def _gif(data: bytes) -> Size | None:
    if len(data) < 10:
        return None
    return int.from_bytes(data[8:10], "little"), int.from_bytes(data[6:8], "little")


def _webp(data: bytes) -> Size | None:
    if len(data) < 30:
        return None
    kind = data[12:16]
    if kind == b"VP8X":  # the canvas, less one
        return int.from_bytes(data[27:30], "little") + 1, int.from_bytes(data[24:27], "little") + 1
    if kind == b"VP8L":  # behind a signature of one byte: twice 14 bits, less one
        bits = int.from_bytes(data[21:25], "little")
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if kind == b"VP8 ":  # behind the frame's tag and start code: twice 14 bits, below two of scaling
        return (
            int.from_bytes(data[28:30], "little") & 0x3FFF,
            int.from_bytes(data[26:28], "little") & 0x3FFF,
        )
    return None


def _pnm(data: bytes) -> Size | None:
    found = _PNM_SIZE.match(data)
    return None if found is None else (int(found.group(2)), int(found.group(1)))


def _sun_raster(data: bytes) -> Size | None:
    if len(data) < 12:
        return None
    return int.from_bytes(data[8:12], "big"), int.from_bytes(data[4:8], "big")


_TIFF_WIDTH, _TIFF_HEIGHT, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 322, 323
_TIFF_BYTES = {1: 1, 3: 2, 4: 4, 16: 8}
"""Bytes of a value of TIFF's unsigned whole types."""


def _tiff(data: bytes) -> Size | None:
    """Height and width of the first picture; of its tiles, where these are larger."""
    order: Literal["little", "big"] = "little" if data[0:1] == b"I" else "big"

    def number(place: int, length: int) -> int:
        return int.from_bytes(data[place : place + length], order)

    big = number(2, 2) == 43  # BigTIFF: places, counts and values of 8 bytes
    directory = number(8, 8) if big else number(4, 4)
    word, counted, step = (8, 8, 20) if big else (4, 2, 12)
    first = directory + counted
    values: dict[int, int] = {}
    for entry in range(first, min(first + step * number(directory, counted), len(data) - step + 1), step):
        tag, size = number(entry, 2), _TIFF_BYTES.get(number(entry + 2, 2))
        if size is not None and number(entry + 4, word) == 1:
            values.setdefault(tag, number(entry + 4 + word, size))
    if _TIFF_WIDTH not in values or _TIFF_HEIGHT not in values:
        return None
    whole = values[_TIFF_HEIGHT], values[_TIFF_WIDTH]
    tile = values.get(_TILE_HEIGHT, 0), values.get(_TILE_WIDTH, 0)
    return max(whole, tile, key=lambda size: size[0] * size[1])


_GAP = rb"(?:[ \t\r\n\v\f]|#[^\n]{0,10000}\n){1,1000}"
_PNM_SIZE = re.compile(rb"P[1-6]" + _GAP + rb"(\d{1,10})" + _GAP + rb"(\d{1,10})[\s#]")

_FORMATS: tuple[tuple[re.Pattern[bytes], Format, Callable[[bytes], Size | None]], ...] = (
    (re.compile(rb"\xff\xd8\xff"), "JPEG", _jpeg),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "PNG", _png),
    (re.compile(rb"BM"), "BMP", _bmp),
    (re.compile(rb"GIF8[79]a"), "GIF", _gif),
    (re.compile(rb"II[*+]\0|MM\0[*+]"), "TIFF", _tiff),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "WEBP", _webp),
    (re.compile(rb"P[1-6]\s"), "PNM", _pnm),
    (re.compile(rb"\x59\xa6\x6a\x95"), "Sun raster", _sun_raster),
)

_FOREIGN: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51"), "JPEG 2000"),
    (re.compile(rb"\0\0\0.ftyp(avif|avis|heic|mif1)", re.DOTALL), "AVIF or HEIF"),
    (re.compile(rb"#\?(RADIANCE|RGBE)"), "Radiance HDR"),
    (re.compile(rb"\x76\x2f\x31\x01"), "OpenEXR"),
    (re.compile(rb"P7\s"), "PAM"),
    (re.compile(rb"P[Ff]\s"), "PFM"),
)
