"""``BlobProto``: arrays in Caffe's binary files, read in place and written byte for byte as Caffe does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from vggrepro.caffe.messages import BlobProto, BlobShape
from vggrepro.caffe.schema import FORK_BLOB_FIELDS
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
from vggrepro.errors import ParseError, UnsupportedError, WeightsError

Float32 = npt.NDArray[np.float32]
Parts: TypeAlias = "tuple[bytes | memoryview, ...]"

MAX_AXES = 32
MAX_COUNT = 2**31 - 1
"""Caffe counts a blob's values in an int."""
MAX_UNKNOWN = 16
"""How many unknown fields of a blob are told."""

_NUMBERS: dict[str, int] = {f.name: f.number for f in BlobProto.DESCRIPTOR.fields}
_LEGACY = tuple(_NUMBERS[name] for name in ("num", "channels", "height", "width"))
_SHAPE, _DATA, _DOUBLE_DATA = (_NUMBERS[name] for name in ("shape", "data", "double_data"))
_RAW_TYPE, _RAW_DATA = _NUMBERS["raw_data_type"], _NUMBERS["raw_data"]
_KNOWN = frozenset(_NUMBERS.values())
_BVLC = _KNOWN - FORK_BLOB_FIELDS
_C3D_LEGACY, _C3D_DATA, _C3D_DIFF = (1, 2, 3, 4, 5), 6, 7
"""In C3D's blobs: num, channels, length, height and width, then the values and their gradients."""
_ELEMENTS: dict[int, tuple[np.dtype[Any], int]] = {
    _DATA: (np.dtype("<f4"), FIXED32),
    _DOUBLE_DATA: (np.dtype("<f8"), FIXED64),
}
_RAW_TYPES: dict[int, np.dtype[Any]] = {0: np.dtype("<f8"), 1: np.dtype("<f4"), 2: np.dtype("<f2")}
_RAW_NAMES = ("0 (double)", "1 (float)", "2 (half)")
_PACKED = {"data": 4, "diff": 4, "double_data": 8, "double_diff": 8}
_PACKED_SIZES = {_NUMBERS[name]: size for name, size in _PACKED.items()}
"""Bytes of one value, for the fields that hold many."""


@dataclass(frozen=True)
class SavedBlob:
    """One array of a file, float32, with the shape that the file gives it.

    ``data`` may be a read-only view of the memory-mapped file that is not aligned to four bytes:
    copy it before handing it to code that asks for alignment.
    """

    data: Float32
    legacy: bool = False
    """True if the shape is the old ``num, channels, height, width``, which pads with ones in front. C3D has a
    length before the height."""

    def fits(self, shape: Sequence[int]) -> bool:
        """Whether a parameter of this shape can take the values (Caffe's ``Blob::ShapeEquals``)."""
        if not self.legacy:
            return tuple(shape) == self.data.shape
        axes = self.data.ndim
        return len(shape) <= axes and (1,) * (axes - len(shape)) + tuple(shape) == self.data.shape


@dataclass
class _Content:
    """What a serialised ``BlobProto`` holds."""

    values: dict[int, _Values] = field(default_factory=lambda: {n: _Values() for n in _ELEMENTS})
    legacy: dict[int, int] = field(default_factory=dict)
    shape: bytearray = field(default_factory=bytearray)
    raw_type: int | None = None
    raw: memoryview | None = None
    unknown: set[int] = field(default_factory=set)


class _Values:
    """The values of one field: a view of the file if they are written in one run, else a copy."""

    def __init__(self) -> None:
        self._first: npt.NDArray[Any] | None = None
        self._copy: bytearray | None = None

    def add(self, run: npt.NDArray[Any]) -> None:
        if self._first is None:
            self._first = run if run.size else None
            return
        if self._copy is None:
            self._copy = bytearray(self._first.tobytes())
        self._copy += run.tobytes()

    def array(self) -> npt.NDArray[Any] | None:
        """All of them in one array; None if there are none."""
        if self._first is None or self._copy is None:
            return self._first
        return np.frombuffer(self._copy, self._first.dtype)


def decode_blob(view: memoryview) -> tuple[SavedBlob, frozenset[int]]:
    """The array of a serialised ``BlobProto``, and the numbers of fields that are not known.

    Gradients (``diff``) are skipped. Of many unknown fields only some are told. Raises ParseError for bytes
    that are no message, WeightsError for a shape that Caffe refuses or that the number of values does not
    match, UnsupportedError for a type of raw values other than double, float and half.
    """
    if _is_c3d(view):
        return _decode_c3d(view)
    content = _read(view)
    # As Blob::FromProto: any legacy size makes the whole shape legacy; raw values are preferred to doubles,
    # doubles to floats.
    legacy = content.legacy
    dims = [_int32(legacy.get(number, 0)) for number in _LEGACY] if legacy else _dims(bytes(content.shape))
    values = _raw_values(content)
    for number in (_DOUBLE_DATA, _DATA):
        values = content.values[number].array() if values is None else values
    return SavedBlob(_shaped(_float32(values), dims), bool(legacy)), frozenset(content.unknown)


def _is_c3d(view: memoryview) -> bool:
    """Whether a blob is C3D's: its field 5 is a width, in all others it holds values."""
    first = next((part for part in walk(view, 0, len(view)) if part.number >= _DATA), None)
    return first is not None and (first.number, first.wire_type) == (_DATA, VARINT)


def _decode_c3d(view: memoryview) -> tuple[SavedBlob, frozenset[int]]:
    sizes: dict[int, int] = {}
    values, unknown = _Values(), set()
    for part in walk(view, 0, len(view)):
        if part.number in _C3D_LEGACY and part.wire_type == VARINT:
            sizes[part.number] = _int32(read_varint(view, part.start, part.end)[0])
        elif part.number == _C3D_DATA and part.wire_type in (LENGTH, FIXED32):
            _check_packed(part, 4)
            values.add(np.frombuffer(view[part.start : part.end], "<f4"))
        elif part.number != _C3D_DIFF:
            unknown.add(part.number)
    dims = [sizes.get(number, 0) for number in _C3D_LEGACY]
    return SavedBlob(_shaped(_float32(values.array()), dims), True), frozenset(unknown)


def _read(view: memoryview) -> _Content:
    content = _Content()
    place = 0
    while place < len(view):
        part = next(walk(view, place, len(view)))
        place = part.end
        kind = (part.number, part.wire_type)
        if part.number in _ELEMENTS and part.wire_type == _ELEMENTS[part.number][1]:
            run, place = _unpacked(view, part)
            content.values[part.number].add(run)
        elif part.number in _ELEMENTS and part.wire_type == LENGTH:
            content.values[part.number].add(_packed(view, part))
        elif part.number in _LEGACY and part.wire_type == VARINT:
            content.legacy[part.number] = read_varint(view, part.start, part.end)[0]
        elif kind == (_SHAPE, LENGTH):
            content.shape += view[part.start : part.end]
        elif kind == (_RAW_TYPE, VARINT):
            content.raw_type = read_varint(view, part.start, part.end)[0]
        elif kind == (_RAW_DATA, LENGTH):
            content.raw = view[part.start : part.end]
        elif part.number not in _KNOWN and len(content.unknown) < MAX_UNKNOWN:
            content.unknown.add(part.number)
    return content


def _raw_values(content: _Content) -> npt.NDArray[Any] | None:
    """NVCaffe's values: the bytes of an array, whose type another field tells; None in other blobs."""
    if content.raw_type is None and content.raw is None:
        return None
    if content.raw_type is None or content.raw is None:
        absent = "raw_data_type" if content.raw_type is None else "raw_data"
        raise WeightsError(f"has no {absent}, which NVCaffe's blobs have")
    if content.raw_type not in _RAW_TYPES:
        raise UnsupportedError(f"raw_data_type {content.raw_type}, expected one of {', '.join(_RAW_NAMES)}")
    dtype = _RAW_TYPES[content.raw_type]
    if len(content.raw) % dtype.itemsize:
        raise ParseError(f"{len(content.raw)} bytes of raw values of {dtype.itemsize} bytes each")
    return np.frombuffer(content.raw, dtype)


def blob_parts(array: npt.NDArray[Any]) -> Parts:
    """An array as a serialised ``BlobProto``, as ``Blob::ToProto``: packed data, then the shape.

    The parts are to be written one after another; a contiguous float32 array is not copied.
    """
    values = np.ascontiguousarray(array, "<f4").reshape(-1)
    data = (prefix(_DATA, values.nbytes), values.view(np.uint8).data) if values.size else ()
    return (*data, _shape_field(array.shape))


def plain_parts(view: memoryview) -> Parts:
    """A serialised ``BlobProto`` as BVLC Caffe would write it: byte for byte, without fields that it lacks.

    Raw values, which it lacks too, become floats, and C3D's blobs are written anew. Raises as
    :func:`decode_blob`, and ParseError for what protobuf would not parse: what is written must be whole.
    """
    if _is_c3d(view):
        return blob_parts(decode_blob(view)[0].data)
    kept: list[slice] = []  # neighbouring fields in one
    for part in walk(view, 0, len(view)):
        if part.number in (_RAW_TYPE, _RAW_DATA):
            return blob_parts(decode_blob(view)[0].data)
        if part.wire_type == LENGTH and part.number in _PACKED_SIZES:
            _check_packed(part, _PACKED_SIZES[part.number])
        if part.wire_type == LENGTH and part.number == _SHAPE:
            _dims(bytes(view[part.start : part.end]))
        if part.number not in _BVLC:
            continue
        if kept and kept[-1].stop == part.begin:
            kept[-1] = slice(kept[-1].start, part.end)
        else:
            kept.append(slice(part.begin, part.end))
    return tuple(view[piece] for piece in kept)


def _shape_field(shape: Sequence[int]) -> bytes:
    if not shape:
        return b""  # a scalar: Caffe leaves the message out
    dims = b"".join(map(varint, shape))
    body = prefix(1, len(dims)) + dims
    return prefix(_SHAPE, len(body)) + body


def _packed(view: memoryview, part: Field) -> npt.NDArray[Any]:
    dtype, _ = _ELEMENTS[part.number]
    _check_packed(part, dtype.itemsize)
    return np.frombuffer(view[part.start : part.end], dtype)


def _check_packed(part: Field, size: int) -> None:
    if (part.end - part.start) % size:
        raise ParseError(f"{part.end - part.start} bytes of packed values of {size} bytes each")


def _unpacked(view: memoryview, part: Field) -> tuple[npt.NDArray[Any], int]:
    """The run of unpacked values that begins with ``part``, and the offset after it.

    The end of the run is sought in steps of growing size, so that many short runs take no longer than one.
    """
    dtype, _ = _ELEMENTS[part.number]
    if part.start - part.begin > 1:  # a tag that takes more bytes than it needs
        return np.frombuffer(view[part.start : part.end], dtype), part.end
    pairs = np.dtype([("tag", "u1"), ("value", dtype)])
    most = (len(view) - part.begin) // pairs.itemsize
    run = np.frombuffer(view[part.begin : part.begin + most * pairs.itemsize], pairs)
    count, step = 1, 8
    while count < most:
        others = np.flatnonzero(run["tag"][count : count + step] != view[part.begin])
        if len(others):
            count += int(others[0])
            break
        count, step = min(count + step, most), 2 * step
    return run["value"][:count], part.begin + count * pairs.itemsize


def _float32(values: npt.NDArray[Any] | None) -> Float32:
    if values is None:
        return np.empty(0, np.float32)
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
