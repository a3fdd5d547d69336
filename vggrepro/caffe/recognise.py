"""What a file is that was given for another, for error messages."""

from __future__ import annotations

import re
from itertools import islice

from vggrepro.caffe.messages import BlobProto, LayerParameter, NetParameter, SolverState, V1LayerParameter
from vggrepro.caffe.wire import FIXED32, LENGTH, VARINT, Field, walk
from vggrepro.errors import ParseError

_MAGIC = {
    b"\x89HDF\r\n\x1a\n": "an HDF5 file",
    b"\xff\xd8\xff": "a JPEG image",
    b"\x89PNG": "a PNG image",
    b"GIF8": "a GIF image",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a zip archive, as of PyTorch or NumPy: unpack what was zipped",
    b"7z\xbc\xaf": "a 7z archive: unpack it first",
    b"BZh": "compressed by bzip2: unpack it first",
    b"\xfd7zXZ": "compressed by xz: unpack it first",
    b"\x80\x02": "a Python pickle",
    b"\x80\x04": "a Python pickle",
    b"\x93NUMPY": "a NumPy array",
    b"\x1f\x8b": "compressed by gzip: unpack it first",
    b"\xff\xfe": "text in UTF-16",
    b"\xfe\xff": "text in UTF-16",
}
_LOG_LINE = re.compile(r"[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ \S+:\d+\]")
_TEXTS = (
    (re.compile(r"Log file created at:|(.*\n){0,20}" + _LOG_LINE.pattern), "a log of Caffe"),
    (re.compile(r"\s*(<!doctype html|<html)", re.IGNORECASE), "a web page: download the file itself"),
    (re.compile(r"\s*<(\?xml|svg|!doctype)", re.IGNORECASE), "XML"),
    (
        re.compile(r"version https://git-lfs\.github\.com"),
        "a pointer of Git LFS, not the file itself: git lfs pull fetches it",
    ),
    (re.compile(r"\s*[{\[]\s*[\"\[{]"), "JSON"),
    (
        re.compile(r"(\s|#.*\n)*(net|net_param|train_net|test_net|base_lr|test_iter|type)\s*[:{]"),
        "a solver definition",
    ),
    (
        re.compile(r"(\s|#.*\n)*(name|layers?|input|input_dim|input_shape|state)\s*[:{<]"),
        "a net definition, a prototxt",
    ),
)
KINDS = {
    "NetParameter": "weights (a .caffemodel)",
    "SolverState": "a solver state (.solverstate)",
    "BlobProto": "a single blob (a .binaryproto)",
}
"""What the binary files of a message are called."""

_FIELDS = 100
"""How many of a message's fields are looked at."""


def text_kind(text: str) -> str | None:
    """What a text is, by how it begins; None if that does not tell."""
    head = text[:4096]
    return next((kind for pattern, kind in _TEXTS if pattern.match(head)), None)


def file_kind(data: bytes) -> str | None:
    """What a file is, text or not, by how it begins; None if that does not tell."""
    return binary_kind(memoryview(data)) or text_kind(data[:4096].decode("utf-8", "replace"))


def binary_kind(view: memoryview) -> str | None:
    """What a binary file is, by how it begins and by its message's fields; None if that does not tell."""
    head = bytes(view[:16])
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            return kind
    try:
        fields = list(islice(walk(view, 0, len(view)), _FIELDS))
    except ParseError:
        return None
    return _message_kind(view, {(field.number, field.wire_type) for field in fields}, fields)


def _message_kind(view: memoryview, kinds: set[tuple[int, int]], fields: list[Field]) -> str | None:
    if _has(SolverState, "iter", VARINT, kinds) and _has(SolverState, "history", LENGTH, kinds):
        return KINDS["SolverState"]
    if (
        (1, VARINT) in kinds and (7, LENGTH) in kinds and (8, LENGTH) in kinds
    ):  # ir_version, graph, opset_import
        return "an ONNX model"
    layer = (_number(NetParameter, "layer"), LENGTH)
    layers = (_number(NetParameter, "layers"), LENGTH)
    for field in fields:
        if (field.number, field.wire_type) in (layer, layers):
            kind = LayerParameter if field.number == layer[0] else V1LayerParameter
            if _holds_blobs(view, field, _number(kind, "blobs")):
                return KINDS["NetParameter"]
    data = {(_number(BlobProto, "data"), LENGTH), (_number(BlobProto, "data"), FIXED32)}
    if kinds & data and len(kinds) > 1:
        return KINDS["BlobProto"]
    return None


def _holds_blobs(view: memoryview, layer: Field, number: int) -> bool:
    try:
        return any(field.number == number for field in walk(view, layer.start, layer.end))
    except ParseError:
        return False


def _has(message: type[SolverState], name: str, wire_type: int, kinds: set[tuple[int, int]]) -> bool:
    return (_number(message, name), wire_type) in kinds


def _number(message: type, name: str) -> int:
    number: int = message.DESCRIPTOR.fields_by_name[name].number  # type: ignore[attr-defined]
    return number
