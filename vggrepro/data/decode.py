"""Encoded image bytes to pixels, as Caffe's ``ReadImageToCVMat`` and ``DecodeDatumToCVMat`` do it.

Caffe hands the bytes to OpenCV and takes what comes: B, G, R order; a grey picture repeated to
three channels; CMYK converted; the format told by the bytes and not by the file's name. Three
habits of OpenCV changed since the paper, so they are settled here for every version of it:

* EXIF orientation. In 2014 OpenCV ignored it; since 3.1 it rotates. ``exif="ignore"`` is the default.
* A JPEG that ends early. Reading a file, OpenCV fills what is missing with mid-grey and goes on,
  and so does this module, but it reports the image as truncated. (From memory, newer versions
  refuse such data; with an end marker behind it they give what reading the file gives.)
* A colour PNG that declares its gamma, asked for in grey: see :mod:`vggrepro.data.png_grey`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from vggrepro.data.opencv import opencv
from vggrepro.data.png_grey import declared_gamma, grey_of_colours
from vggrepro.errors import DataError

Pixels = npt.NDArray[np.uint8]
"""An image: (H, W, 3) in B, G, R order or (H, W, 1) in grey, 0-255."""

Exif = Literal["ignore", "apply"]

ENDS_EARLY = "ends early: what is missing is grey"

_SOI, _EOI = b"\xff\xd8", b"\xff\xd9"
_START_OF_SCAN = 0xDA


@dataclass(frozen=True)
class Decoded:
    """Pixels, and whether the file ended early: then they are what Caffe shows, not what was there."""

    pixels: Pixels
    truncated: bool

    def warned(self, name: str) -> Pixels:
        """The pixels, with a warning if the file ended early: for where nobody else counts such files."""
        if self.truncated:
            warnings.warn(f"{name}: {ENDS_EARLY}", stacklevel=2)
        return self.pixels


def decode(data: bytes, name: str, *, grey: bool = False, exif: Exif = "ignore") -> Decoded:
    """Decode one image to uint8 (H, W, 3), B, G, R, or (H, W, 1) where ``grey``.

    ``name`` is for the message. Raises DataError where Caffe finds no image in the data.
    """
    cv2 = opencv()
    gamma = declared_gamma(data) if grey else None
    flags = cv2.IMREAD_GRAYSCALE if grey and gamma is None else cv2.IMREAD_COLOR
    if exif == "ignore":
        flags |= cv2.IMREAD_IGNORE_ORIENTATION
    pixels, truncated = _imdecode(data, name, flags)
    if gamma is not None:
        pixels = grey_of_colours(pixels, gamma)
    return Decoded(pixels.reshape(*pixels.shape[:2], -1), truncated)


def decode_unchanged(data: bytes, name: str) -> Decoded:
    """Decode with the channels the file has (Caffe's ``DecodeDatumToCVMatNative``), uint8 (H, W, C).

    Raises DataError where there is no image, or one of more than 8 bits.
    """
    pixels, truncated = _imdecode(data, name, opencv().IMREAD_UNCHANGED)
    if pixels.dtype != np.uint8:
        raise DataError(f"{name}: Image data type must be unsigned byte, got {pixels.dtype}")
    return Decoded(pixels.reshape(*pixels.shape[:2], -1), truncated)


def is_truncated_jpeg(data: bytes) -> bool:
    """Whether the data begin as a JPEG and lack the end marker behind their first scan."""
    if not data.startswith(_SOI) or data.endswith(_EOI):
        return False
    # A thumbnail in the header has an end marker of its own, so only those behind the header count.
    return data.find(_EOI, _first_scan(data)) < 0


def _first_scan(data: bytes) -> int:
    """Where the first scan's data begin: past the header's segments. The end if there are none."""
    place = len(_SOI)
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == 0xFF:  # a fill byte
            place += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD7:  # markers without a segment
            place += 2
        else:
            place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
            if marker == _START_OF_SCAN:
                return place
    return len(data)


def _imdecode(data: bytes, name: str, flags: int) -> tuple[npt.NDArray[Any], bool]:
    cv2 = opencv()
    truncated = is_truncated_jpeg(data)
    encoded = np.frombuffer(data + _EOI if truncated else data, np.uint8)
    try:
        pixels = cv2.imdecode(encoded, flags) if encoded.size else None
    except cv2.error as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{name}: Could not decode {_description(data)}: {reason}") from error
    if pixels is None:
        raise DataError(f"{name}: Could not open or find file: {_description(data)} is no readable image")
    return pixels, truncated


def _description(data: bytes) -> str:
    if not data:
        return "empty data"
    return f"data of {len(data)} bytes that begin {data[:4].hex(' ')}"
