"""Caffe's Datum: one image and its label, bare or encoded, as databases hold it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from vggrepro.caffe.messages import Datum
from vggrepro.data.choices import MAX_PIXELS
from vggrepro.data.decode import Pixels, decode, decode_unchanged
from vggrepro.errors import DataError


def parse_datum(value: bytes, where: str) -> Any:
    """The Datum message in a database's value. Raises DataError if there is none."""
    try:
        return Datum.FromString(value)
    except DecodeError as error:
        raise DataError(f"{where}: the value of {len(value)} bytes is not a Datum: {error}") from error


def bare_array(datum: Any, where: str) -> npt.NDArray[Any]:
    """The array of a Datum that is not encoded: uint8 or float32, (C, H, W).

    Raises DataError where it holds other than channels * height * width values.
    """
    if datum.data:
        values: npt.NDArray[Any] = np.frombuffer(datum.data, np.uint8)
    else:
        values = np.array(datum.float_data, np.float32)
    shape = (datum.channels, datum.height, datum.width)
    if min(shape) <= 0 or values.size != np.prod(shape):
        raise DataError(
            f"{where}: a Datum of channels, height, width {shape} holds {values.size} {values.dtype} values"
        )
    return values.reshape(shape)


def datum_pixels(datum: Any, where: str) -> bytes | Pixels:
    """The encoded file that a Datum holds, or its bare bytes as uint8 (H, W, C)."""
    if datum.encoded:
        return bytes(datum.data)
    array = bare_array(datum, where)
    if array.dtype != np.uint8:
        raise DataError(f"{where}: a Datum of float_data is no image")
    pixels: Pixels = array.transpose(1, 2, 0)
    return pixels


def datum_array(
    datum: Any,
    where: str,
    *,
    force_color: bool = False,
    force_gray: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> Any:
    """The (C, H, W) array that Caffe's Data layer transforms, uint8 or float32.

    An encoded image keeps the channels it has unless ``transform_param`` forces colour or grey. A warning
    names one that ends early.
    """
    if not datum.encoded:
        return bare_array(datum, where)
    if force_color or force_gray:
        decoded = decode(datum.data, where, grey=force_gray, max_pixels=max_pixels)
    else:
        decoded = decode_unchanged(datum.data, where, max_pixels=max_pixels)
    return decoded.warned(where).transpose(2, 0, 1)
