"""Caffe's binary files in two parts: a small message without arrays, and where the arrays lie.

The file is mapped into memory, so opening half a gigabyte takes milliseconds and no memory. In the
message every ``BlobProto`` is a placeholder whose ``num`` is the blob's place in ``blobs``; upgrading
the message thus takes the arrays along.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, NamedTuple, TypeAlias

from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from vggrepro.caffe.blob import Float32, SavedBlob, decode_blob
from vggrepro.caffe.messages import (
    FORK_FIELDS,
    PRIVATE_FIELDS,
    BlobProto,
    LayerParameter,
    NetParameter,
    SolverState,
    V0LayerParameter,
    V1LayerParameter,
)
from vggrepro.caffe.text import HEAD, looks_like_text
from vggrepro.caffe.wire import LENGTH, Field, prefix, walk
from vggrepro.errors import ParseError, WeightsError
from vggrepro.system.mapped import MappedFile

_Nesting: TypeAlias = "Mapping[int, _Nesting | None]"
"""Fields that hold blobs somewhere inside, by number; None for the blob field itself."""


def _number(message_class: Any, field: str) -> int:
    number: int = message_class.DESCRIPTOR.fields_by_name[field].number
    return number


_LAYER: _Nesting = {_number(LayerParameter, "blobs"): None}
_NET: _Nesting = {
    _number(NetParameter, "layer"): _LAYER,
    _number(NetParameter, "layers"): {
        _number(V1LayerParameter, "blobs"): None,
        _number(V1LayerParameter, "layer"): {_number(V0LayerParameter, "blobs"): None},
    },
}
_STATE: _Nesting = {_number(SolverState, "history"): None}


@dataclass(frozen=True)
class BinaryFile:
    """A file's message, its blobs replaced by placeholders, and the blobs' bytes."""

    path: str
    message: Any
    blobs: tuple[memoryview, ...]
    """Serialised ``BlobProto``, views of the mapped file: it must not change while they are in use."""

    def raw(self, placeholder: Any) -> memoryview:
        """The bytes of the blob that a placeholder in the message stands for."""
        index: int = placeholder.num
        return self.blobs[index]

    def decode(self, placeholder: Any, where: str) -> SavedBlob:
        """The array that a placeholder stands for. Errors name the file and ``where``."""
        try:
            blob, unknown = decode_blob(self.raw(placeholder))
        except (ParseError, WeightsError) as error:
            raise type(error)(f"{self.path}: {where}: {error}") from None
        if unknown:
            fields = ", ".join(map(str, sorted(unknown)))
            warnings.warn(f"{self.path}: {where}: left out BlobProto fields {fields}", stacklevel=2)
        return blob


def open_net(path: str | PathLike[str]) -> BinaryFile:
    """Open a .caffemodel: a ``NetParameter`` as it was written, in any of Caffe's formats.

    One warning names the fields that BVLC Caffe does not have. Raises ParseError.
    """
    return _open(path, NetParameter(), _NET, essential=("layer", "layers"))


def open_solver_state(path: str | PathLike[str]) -> BinaryFile:
    """Open a binary .solverstate. Raises ParseError."""
    return _open(path, SolverState(), _STATE, essential=("iter",))


def read_blob(path: str | PathLike[str]) -> Float32:
    """The array of a .binaryproto file (a mean image, an infogain matrix), in the shape it has there.

    Raises ParseError or WeightsError.
    """
    view = map_file(path)
    return BinaryFile(str(path), None, (view,)).decode(BlobProto(num=0), "BlobProto").data


def map_file(path: str | PathLike[str]) -> memoryview:
    """A file's bytes, mapped rather than read. Raises ParseError if it is missing, empty or text."""
    try:
        view = memoryview(MappedFile(path))
    except OSError as error:
        raise ParseError(f"{path}: {error.strerror}") from None
    except ValueError:
        raise ParseError(f"{path}: the file is empty") from None
    if looks_like_text(bytes(view[:HEAD])):
        raise ParseError(f"{path}: a text file, expected one of Caffe's binary files")
    return view


def _open(path: str | PathLike[str], message: Any, nesting: _Nesting, essential: Sequence[str]) -> BinaryFile:
    """``essential``: fields one of which every file of this type has, and files of others seldom."""
    view = map_file(path)
    taken = _Taken([], [])
    try:
        message.MergeFromString(_with_placeholders(view, 0, len(view), nesting, taken))
        unknown = tuple(dict.fromkeys((*taken.foreign, *_unknown_fields(message))))
    except ParseError as error:
        raise ParseError(f"{path}: {error}") from None
    except (DecodeError, UnicodeDecodeError) as error:
        # DEVIATION: Caffe takes names in any encoding; protobuf's Python strings are Unicode.
        raise ParseError(f"{path}: not a {message.DESCRIPTOR.full_name}: {error}") from None
    if not {field.name for field, _ in message.ListFields()} & set(essential):
        expected = message.DESCRIPTOR.full_name
        raise ParseError(f"{path}: has no field {' or '.join(essential)}, expected a {expected}")
    if unknown:
        warnings.warn(f"{path}: left out what BVLC Caffe does not know: {', '.join(unknown)}", stacklevel=3)
        message.DiscardUnknownFields()
    return BinaryFile(str(path), message, tuple(taken.blobs))


class _Taken(NamedTuple):
    """What is taken out of a file before it is parsed: blobs, and names of what :func:`_is_foreign` tells."""

    blobs: list[memoryview]
    foreign: list[str]


def _with_placeholders(view: memoryview, start: int, end: int, nesting: _Nesting, taken: _Taken) -> bytes:
    """The message in ``view[start:end]`` with each blob moved to ``taken``, and without foreign fields."""
    out = bytearray()
    for field in walk(view, start, end):
        if nesting is _LAYER and field.number in FORK_FIELDS and _is_foreign(field, view):
            taken.foreign.append(f"{LayerParameter.DESCRIPTOR.name} field {field.number}")
            continue
        if field.wire_type != LENGTH or field.number not in nesting:
            out += view[field.begin : field.end]
            continue
        inside = nesting[field.number]
        if inside is None:
            body = BlobProto(num=len(taken.blobs)).SerializeToString()
            taken.blobs.append(view[field.start : field.end])
        else:
            body = _with_placeholders(view, field.start, field.end, inside, taken)
        out += prefix(field.number, len(body)) + body
    return bytes(out)


def _is_foreign(field: Field, view: memoryview) -> bool:
    """Whether a LayerParameter's field has a fork's number, and is not what ``forks.proto`` calls by it.

    Forks give one number to different messages. What has SSD's number, and reads as SSD's message to
    the last byte, is taken for it.
    """
    if field.number in PRIVATE_FIELDS:
        return True
    layer = LayerParameter()
    try:
        layer.MergeFromString(bytes(view[field.begin : field.end]))
        return any(True for _ in _unknown_fields(layer))
    except (DecodeError, UnicodeDecodeError):
        return True


def _unknown_fields(message: Any) -> Iterator[str]:
    """``Type.number`` of each field, at any depth, that the schema does not have.

    Raises UnicodeDecodeError for a string that is not UTF-8: C++ takes it, Python cannot.
    """
    unknown = UnknownFieldSet(message)
    for index in range(len(unknown)):
        yield f"{message.DESCRIPTOR.name} field {unknown[index].field_number}"
    for descriptor, value in message.ListFields():
        single = hasattr(value, "DESCRIPTOR") or isinstance(value, (str, bytes, int, float))
        for inner in (value,) if single else value:
            if descriptor.message_type is not None:
                yield from _unknown_fields(inner)
            elif isinstance(inner, bytes):
                inner.decode()  # some releases hand out the bytes of what is no text
