"""``BlobProto``: arrays in Caffe's binary files, read in place and written byte for byte as Caffe does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from vggrepro.caffe.messages import BlobProto, BlobShape
from vggrepro.caffe.wire import (
    FIXED32,
    FIXED64,
    LENGTH,
    VARINT,
    Field,
    prefix,
    read_varint,
    varint,
    walk,
)
from vggrepro.errors import ParseError, WeightsError

Float32 = npt.NDArray[np.float32]
Parts: TypeAlias = "tuple[bytes | memoryview, ...]"

MAX_AXES = 32
MAX_COUNT = 2**31 - 1
"""Caffe counts a blob's values in an int."""

_NUMBERS: dict[str, int] = {f.name: f.number for f in BlobProto.DESCRIPTOR.fields}
_LEGACY = tuple(_NUMBERS[name] for name in ("num", "channels", "height", "width"))
_SHAPE, _DATA, _DOUBLE_DATA = (_NUMBERS[name] for name in ("shape", "data", "double_data"))
_KNOWN = frozenset(_NUMBERS.values())
_ELEMENTS: dict[int, tuple[np.dtype[Any], int]] = {
    _DATA: (np.dtype("<f4"), FIXED32),
    _DOUBLE_DATA: (np.dtype("<f8"), FIXED64),
}


@dataclass(frozen=True)
class SavedBlob:
    """One array of a file, float32, with the shape that the file gives it.

    ``data`` may be a read-only view of the memory-mapped file that is not aligned to four bytes:
    copy it before handing it to code that asks for alignment.
    """

    data: Float32
    legacy: bool = False
    """True if the shape is the old ``num, channels, height, width``, which pads with ones in front."""

    def fits(self, shape: Sequence[int]) -> bool:
        """Whether a parameter of this shape can take the values (Caffe's ``Blob::ShapeEquals``)."""
        if not self.legacy:
            return tuple(shape) == self.data.shape
        return len(shape) <= 4 and (1,) * (4 - len(shape)) + tuple(shape) == self.data.shape


def decode_blob(view: memoryview) -> tuple[SavedBlob, frozenset[int]]:
    """The array of a serialised ``BlobProto``, and the numbers of fields that BVLC Caffe lacks.

    Gradients (``diff``) are skipped. Raises ParseError for bytes that are no message, WeightsError
    for a shape that Caffe refuses or that the number of values does not match.
    """
    legacy: dict[int, int] = {}
    shape = b""
    runs: dict[int, list[npt.NDArray[Any]]] = {_DATA: [], _DOUBLE_DATA: []}
    unknown = set()
    place = 0
    while place < len(view):
        field = next(walk(view, place, len(view)))
        place = field.end
        if field.number in _ELEMENTS and field.wire_type == _ELEMENTS[field.number][1]:
            run, place = _unpacked(view, field)
            runs[field.number].append(run)
        elif field.number in _ELEMENTS and field.wire_type == LENGTH:
            runs[field.number].append(_packed(view, field))
        elif field.number in _LEGACY and field.wire_type == VARINT:
            legacy[field.number] = read_varint(view, field.start, field.end)[0]
        elif field.number == _SHAPE and field.wire_type == LENGTH:
            shape += view[field.start : field.end]
        elif field.number not in _KNOWN:
            unknown.add(field.number)
    # As Blob::FromProto: any legacy size makes the whole shape legacy, any double is preferred.
    dims = [_int32(legacy.get(number, 0)) for number in _LEGACY] if legacy else _dims(shape)
    values = _joined(runs[_DOUBLE_DATA]) if any(map(len, runs[_DOUBLE_DATA])) else _joined(runs[_DATA])
    return SavedBlob(_shaped(values, dims), bool(legacy)), frozenset(unknown)


def blob_parts(array: npt.NDArray[Any]) -> Parts:
    """An array as a serialised ``BlobProto``, as ``Blob::ToProto``: packed data, then the shape.

    The parts are to be written one after another; a contiguous float32 array is not copied.
    """
    values = np.ascontiguousarray(array, "<f4").reshape(-1)
    data = (prefix(_DATA, values.nbytes), values.view(np.uint8).data) if values.size else ()
    return (*data, _shape_field(array.shape))


def known_parts(view: memoryview) -> Parts:
    """A serialised ``BlobProto`` without the fields that BVLC Caffe lacks. Raises ParseError."""
    return tuple(view[f.begin : f.end] for f in walk(view, 0, len(view)) if f.number in _KNOWN)


def _shape_field(shape: Sequence[int]) -> bytes:
    if not shape:
        return b""  # a scalar: Caffe leaves the message out
    dims = b"".join(map(varint, shape))
    body = prefix(1, len(dims)) + dims
    return prefix(_SHAPE, len(body)) + body


def _packed(view: memoryview, field: Field) -> npt.NDArray[Any]:
    dtype, _ = _ELEMENTS[field.number]
    if (field.end - field.start) % dtype.itemsize:
        raise ParseError(f"{field.end - field.start} bytes of packed values of {dtype.itemsize} bytes each")
    values: npt.NDArray[Any] = np.frombuffer(view[field.start : field.end], dtype)
    return values


def _unpacked(view: memoryview, field: Field) -> tuple[npt.NDArray[Any], int]:
    """The run of unpacked values that begins with ``field``, and the offset after it."""
    dtype, _ = _ELEMENTS[field.number]
    pairs = np.dtype([("tag", "u1"), ("value", dtype)])  # both tags take one byte
    count = (len(view) - field.begin) // pairs.itemsize
    run = np.frombuffer(view[field.begin : field.begin + count * pairs.itemsize], pairs)
    others = np.flatnonzero(run["tag"] != view[field.begin])
    count = int(others[0]) if len(others) else count
    return run["value"][:count], field.begin + count * pairs.itemsize


def _joined(runs: Sequence[npt.NDArray[Any]]) -> Float32:
    values = runs[0] if len(runs) == 1 else np.concatenate(runs or [np.empty(0, np.float32)])
    with np.errstate(over="ignore"):  # a double beyond float32 becomes infinite, as in C++
        return values.astype(np.float32, copy=False)


def _dims(shape: bytes) -> list[int]:
    if len(shape) > 16 * MAX_AXES:
        raise WeightsError(f"a shape of {len(shape)} bytes, expected at most {MAX_AXES} axes")
    message = BlobShape()
    try:
        message.MergeFromString(shape)
    except DecodeError as error:
        raise ParseError(f"malformed shape: {error}") from None
    return list(message.dim)


def _shaped(values: Float32, dims: Sequence[int]) -> Float32:
    if len(dims) > MAX_AXES:
        raise WeightsError(f"{len(dims)} axes, expected at most {MAX_AXES}")
    if any(dim < 0 for dim in dims):
        raise WeightsError(f"shape {tuple(dims)} has a negative size")
    if prod(dims) > MAX_COUNT:
        raise WeightsError(f"shape {tuple(dims)}: blob size exceeds INT_MAX")
    if prod(dims) != len(values):
        raise WeightsError(f"shape {tuple(dims)} needs {prod(dims)} values, the file has {len(values)}")
    return values.reshape(dims)


def _int32(value: int) -> int:
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value >= 1 << 31 else value
