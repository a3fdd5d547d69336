"""Caffe's binary files in two parts: a small message without arrays, and where the arrays lie.

The file is mapped into memory, so opening half a gigabyte takes milliseconds and no memory. In the
message every ``BlobProto`` is a placeholder whose ``num`` is the blob's place in ``blobs``; upgrading
the message thus takes the arrays along.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from os import PathLike
from typing import Generic, TypeAlias, TypeVar

from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from vggrepro.caffe.blob import Float32, SavedBlob, decode_blob
from vggrepro.caffe.messages import (
    BlobProto,
    LayerParameter,
    NetParameter,
    SolverState,
    V0LayerParameter,
    V1LayerParameter,
)
from vggrepro.caffe.recognise import KINDS, binary_kind, text_kind
from vggrepro.caffe.schema import FORK_FIELDS, PRIVATE_FIELDS
from vggrepro.caffe.text import HEAD, looks_like_text
from vggrepro.caffe.wire import LENGTH, Field, prefix, walk
from vggrepro.errors import ParseError, VggReproError, some_of
from vggrepro.system.caller_warning import warn_caller
from vggrepro.system.file_names import failure
from vggrepro.system.mapped import MappedFile

MAX_NAMED = 50
"""How many unknown fields a warning names."""

_Nesting: TypeAlias = "Mapping[int, _Nesting | None]"
"""Fields that hold blobs somewhere inside, by number; None for the blob field itself."""


_Content = TypeVar("_Content", NetParameter, SolverState)


def _number(message_class: type[Message], field: str) -> int:
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
class BinaryFile(Generic[_Content]):
    """A file's message, its blobs replaced by placeholders, and the blobs' bytes."""

    path: str
    message: _Content
    blobs: tuple[memoryview, ...]
    """Serialised ``BlobProto``, views of the mapped file: it must not change while they are in use."""

    def raw(self, placeholder: BlobProto) -> memoryview:
        """The bytes of the blob that a placeholder in the message stands for."""
        return self.blobs[placeholder.num]

    def decode(self, placeholder: BlobProto, where: str) -> SavedBlob:
        """The array that a placeholder stands for. Errors name the file and ``where``."""
        (blob,) = self.decode_all([(placeholder, where)])
        return blob

    def decode_all(self, placeholders: Iterable[tuple[BlobProto, str]]) -> list[SavedBlob]:
        """The arrays that placeholders stand for, each with where it is; one warning for all fields that the
        schema lacks."""
        blobs = _decode([(self.raw(blob), where) for blob, where in placeholders], self.path)
        if self.blobs and isinstance(file := self.blobs[0].obj, MappedFile):
            file.forget()
        return blobs


def _decode(views: Iterable[tuple[memoryview, str]], path: str) -> list[SavedBlob]:
    blobs: list[SavedBlob] = []
    places: list[str] = []
    fields: set[int] = set()
    for view, where in views:
        try:
            blob, unknown = decode_blob(view)
        except VggReproError as error:
            raise error.within(f"{path}: {where}") from None
        blobs.append(blob)
        if unknown:
            places.append(where)
            fields.update(unknown)
    if fields:
        named = ", ".join(map(str, sorted(fields)))
        warn_caller(f"{path}: {some_of(places)}: left out BlobProto fields {named}")
    return blobs


def open_net(path: str | PathLike[str]) -> BinaryFile[NetParameter]:
    """Open a .caffemodel: a ``NetParameter`` as it was written, in any of Caffe's formats.

    One warning names the fields that BVLC Caffe does not have. Raises ParseError.
    """
    return _open(path, NetParameter(), _NET, essential=("layer", "layers"))


def open_solver_state(path: str | PathLike[str]) -> BinaryFile[SolverState]:
    """Open a binary .solverstate. Raises ParseError."""
    return _open(path, SolverState(), _STATE, essential=("iter",))


def read_blob(path: str | PathLike[str]) -> Float32:
    """The array of a .binaryproto file (a mean image, an infogain matrix), in the shape it has there.

    Raises ParseError or WeightsError.
    """
    (blob,) = _decode([(map_file(path), "BlobProto")], str(path))
    return blob.data


def map_file(path: str | PathLike[str]) -> memoryview:
    """A file's bytes, mapped rather than read. Raises ParseError if it is missing, empty or text."""
    try:
        view = memoryview(MappedFile(path))
    except OSError as error:
        raise ParseError(f"{path}: {failure(error)}") from None
    except ValueError:
        raise ParseError(f"{path}: the file is empty") from None
    head = bytes(view[:HEAD])
    if looks_like_text(head):
        kind = text_kind(head.decode("utf-8-sig", errors="replace"))
        raise ParseError(f"{path}: a text file, expected one of Caffe's binary files{_hint(kind)}")
    return view


def _hint(kind: str | None) -> str:
    return "" if kind is None else f" (this is {kind})"


@dataclass
class _Taken:
    """What does not go into a file's message: its blobs, and the fields that the schema lacks, by name."""

    blobs: list[memoryview] = field(default_factory=list)
    unknown: dict[str, None] = field(default_factory=dict)


def _open(
    path: str | PathLike[str], message: _Content, nesting: _Nesting, essential: Sequence[str]
) -> BinaryFile[_Content]:
    """``essential``: fields one of which every file of this type has, and files of others seldom."""
    view = map_file(path)
    try:
        taken = _fill(message, view, nesting)
    except ParseError as error:
        raise ParseError(f"{path}: {error}{_other_kind(view, message)}") from None
    except (DecodeError, UnicodeDecodeError) as error:
        # DEVIATION: Caffe takes names in any encoding; protobuf's Python strings are Unicode.
        problem = f"not a {message.DESCRIPTOR.full_name}: {error}"
        raise ParseError(f"{path}: {problem}{_other_kind(view, message)}") from None
    if not {field.name for field, _ in message.ListFields()} & set(essential):
        problem = f"has no field {' or '.join(essential)}, expected a {message.DESCRIPTOR.full_name}"
        raise ParseError(f"{path}: {problem}{_other_kind(view, message)}")
    if taken.unknown and (other := _other_kind(view, message)):
        raise ParseError(f"{path}: not a {message.DESCRIPTOR.full_name}{other}")
    if taken.unknown:
        unknown = ", ".join(islice(taken.unknown, MAX_NAMED))
        more = f" and {len(taken.unknown) - MAX_NAMED} more" if len(taken.unknown) > MAX_NAMED else ""
        warn_caller(f"{path}: left out what BVLC Caffe does not know: {unknown}{more}")
    return BinaryFile(str(path), message, tuple(taken.blobs))


def _other_kind(view: memoryview, message: NetParameter | SolverState) -> str:
    """A word on what the file is, if it is not what it should be."""
    kind = binary_kind(view)
    return "" if kind == KINDS[message.DESCRIPTOR.name] else _hint(kind)


def _fill(message: Message, view: memoryview, nesting: _Nesting) -> _Taken:
    """Parse a file's bytes into ``message``; the blobs and the names of fields that were left out of it."""
    taken = _Taken()
    message.MergeFromString(_with_placeholders(view, 0, len(view), nesting, taken))
    taken.unknown.update(dict.fromkeys(_unknown_fields(message)))
    message.DiscardUnknownFields()
    return taken


def _with_placeholders(view: memoryview, start: int, end: int, nesting: _Nesting, taken: _Taken) -> bytes:
    """The message in ``view[start:end]``, blobs and what only looks like a known field moved to ``taken``."""
    out = bytearray()
    for part in walk(view, start, end):
        if nesting is _LAYER and part.number in FORK_FIELDS and _is_unknown(part, view):
            taken.unknown[f"{LayerParameter.DESCRIPTOR.name} field {part.number}"] = None
            continue
        if part.wire_type != LENGTH or part.number not in nesting:
            out += view[part.begin : part.end]
            continue
        inside = nesting[part.number]
        if inside is None:
            body = BlobProto(num=len(taken.blobs)).SerializeToString()
            taken.blobs.append(view[part.start : part.end])
        else:
            body = _with_placeholders(view, part.start, part.end, inside, taken)
        out += prefix(part.number, len(body)) + body
    return bytes(out)


def _is_unknown(field: Field, view: memoryview) -> bool:
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


def _unknown_fields(message: Message) -> Iterator[str]:
    """``Type.number`` of each field, at any depth, that the schema does not have.

    Raises UnicodeDecodeError for a string that is not UTF-8: C++ takes it, Python cannot.
    """
    unknown = UnknownFieldSet(message)
    for index in range(len(unknown)):
        yield f"{message.DESCRIPTOR.name} field {unknown[index].field_number}"
    for descriptor, value in message.ListFields():
        single = isinstance(value, (Message, str, bytes, int, float))
        for inner in (value,) if single else value:
            if descriptor.message_type is not None:
                yield from _unknown_fields(inner)
            elif isinstance(inner, bytes):
                inner.decode()  # some releases hand out the bytes of what is no text
