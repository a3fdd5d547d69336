"""Encoded image bytes to pixels, as Caffe's ``ReadImageToCVMat`` and ``DecodeDatumToCVMat`` do it.

Caffe hands the bytes to OpenCV and takes what comes: B, G, R order; a grey picture repeated to
three channels; CMYK converted; the format told by the bytes and not by the file's name. Three
habits of OpenCV changed since the paper, so they are settled here for every version of it:

* EXIF orientation. In 2014 OpenCV ignored it; since 3.1 it rotates. ``exif="ignore"`` is the default.
* A JPEG that ends early. Reading a file, OpenCV fills what is missing with mid-grey and goes on,
  and so does this module, but it reports the image as truncated. (Newer versions refuse such data;
  with an end marker behind it they give what reading the file gives.) Other formats that end early
  are refused, by OpenCV and here.
* A colour PNG that declares its gamma, asked for in grey: see :mod:`vggrepro.data.png_grey`.

DEVIATION: the size that a file declares is checked before it is decoded, and a format whose size
cannot be told is refused, where Caffe's OpenCV takes the memory that the file asks for.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.data.choices import MAX_PIXELS, Exif
from vggrepro.data.image_header import FORMATS, check_pixels, foreign_format, read_header
from vggrepro.data.jpeg import EOI, SOI, may_lack_data, padded, read_jpeg
from vggrepro.data.opencv import opencv
from vggrepro.data.png import damage
from vggrepro.data.png_grey import declared_gamma, grey_of_colours
from vggrepro.errors import DataError

Pixels = npt.NDArray[np.uint8]
"""An image: (H, W, 3) in B, G, R order or (H, W, 1) in grey, 0-255."""

ENDS_EARLY = "ends early: what is missing is grey"


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


def decode(
    data: bytes, name: str, *, grey: bool = False, exif: Exif = "ignore", max_pixels: int = MAX_PIXELS
) -> Decoded:
    """Decode one image to uint8 (H, W, 3), B, G, R, or (H, W, 1) where ``grey``.

    ``name`` is for the message. Raises DataError where Caffe finds no image in the data, and
    ImageTooLargeError, before anything is decoded, where the file declares more than ``max_pixels`` pixels.
    """
    cv2 = opencv()
    gamma = declared_gamma(data) if grey else None
    flags = cv2.IMREAD_GRAYSCALE if grey and gamma is None else cv2.IMREAD_COLOR
    if exif == "ignore":
        flags |= cv2.IMREAD_IGNORE_ORIENTATION
    pixels, truncated = _decode(data, name, flags, max_pixels)
    if gamma is not None:
        pixels = grey_of_colours(pixels, gamma)
    return Decoded(pixels.reshape(*pixels.shape[:2], -1), truncated)


def decode_unchanged(data: bytes, name: str, *, deep: bool = False, max_pixels: int = MAX_PIXELS) -> Decoded:
    """Decode with the channels the file has (Caffe's ``DecodeDatumToCVMatNative``), uint8 (H, W, C), or
    uint16 where ``deep`` and the file has 16 bits.

    Raises DataError where there is no image, or one of more bits or more than ``max_pixels`` pixels.
    """
    pixels, truncated = _decode(data, name, opencv().IMREAD_UNCHANGED, max_pixels)
    if pixels.dtype != np.uint8 and not (deep and pixels.dtype == np.uint16):
        raise DataError(f"{name}: Image data type must be unsigned byte, got {pixels.dtype}")
    return Decoded(pixels.reshape(*pixels.shape[:2], -1), truncated)


def _decode(data: bytes, name: str, flags: int, max_pixels: int) -> tuple[npt.NDArray[Any], bool]:
    """Pixels and whether they are those of a file that ends early, after the checks of the header."""
    if data.startswith(SOI):
        return _decode_jpeg(data, name, flags, max_pixels)
    header = read_header(data)
    if header is None:
        foreign = foreign_format(data)
        if foreign is not None:
            raise DataError(f"{name}: Could not decode {_description(data)}: {foreign}, expected {FORMATS}")
        raise _no_image(data, name)
    check_pixels(header.height, header.width, f"{name}: a {header.format}", max_pixels)
    reason = damage(data) if header.format == "PNG" else None
    if reason is not None:
        raise DataError(f"{name}: Could not decode {_description(data)}: {reason}")
    return _imdecode(data, data, name, flags), False


def _decode_jpeg(data: bytes, name: str, flags: int, max_pixels: int) -> tuple[npt.NDArray[Any], bool]:
    jpeg = read_jpeg(data)
    if jpeg.frame is None:
        raise _no_image(data, name)
    check_pixels(jpeg.frame.height, jpeg.frame.width, f"{name}: a JPEG", max_pixels)
    if jpeg.ends_early:
        return _imdecode(data + EOI, data, name, flags), True
    pixels = _imdecode(data, data, name, flags)
    turned = not flags & opencv().IMREAD_IGNORE_ORIENTATION
    if not may_lack_data(jpeg, pixels, turned=turned):
        return pixels, False
    others = (_decoded(other, flags) for other in padded(jpeg))
    return pixels, any(other is None or not np.array_equal(pixels, other) for other in others)


def _decoded(encoded: bytes, flags: int) -> npt.NDArray[Any] | None:
    """OpenCV's pixels of ``encoded``, None for no image. Raises ``cv2.error``."""
    pixels: npt.NDArray[Any] | None = opencv().imdecode(np.frombuffer(encoded, np.uint8), flags)
    return pixels


def _imdecode(encoded: bytes, data: bytes, name: str, flags: int) -> npt.NDArray[Any]:
    """OpenCV's pixels of ``encoded``. Raises DataError that describes ``data``, the file as it is."""
    try:
        pixels = _decoded(encoded, flags)
    except opencv().error as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{name}: Could not decode {_description(data)}: {reason}") from error
    if pixels is None:
        raise _no_image(data, name)
    return pixels


def _no_image(data: bytes, name: str) -> DataError:
    from vggrepro.caffe.recognise import file_kind

    kind = file_kind(data) if data else None
    told = f" (this is {kind})" if kind else ""
    return DataError(f"{name}: Could not open or find file: {_description(data)} is no readable image{told}")


def _description(data: bytes) -> str:
    if not data:
        return "empty data"
    return f"data of {len(data)} bytes that begin {data[:4].hex(' ')}"
