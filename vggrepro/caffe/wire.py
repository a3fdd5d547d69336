"""Protobuf's wire format, walked over a buffer without copying or parsing what is inside.

The protobuf libraries copy a whole file into messages, and stop at 2 GB. Weights need neither: a
packed ``repeated float`` is its values one after another, so its place in the file is enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vggrepro.errors import ParseError

VARINT, FIXED64, LENGTH, GROUP, GROUP_END, FIXED32 = range(6)
_FIXED_SIZE = {FIXED64: 8, FIXED32: 4}
MAX_DEPTH = 100
"""How deep groups may lie in groups, as in protobuf's own parsers."""


@dataclass(frozen=True)
class Field:
    """One field of a message: where it begins, and where its value lies."""

    number: int
    wire_type: int
    begin: int
    """Offset of the tag."""
    start: int
    """Offset of the value; for ``LENGTH`` that of the first byte after the length."""
    end: int
    """Offset after the value; for ``GROUP`` after the tag that ends it."""


def walk(view: memoryview, start: int, end: int) -> Iterator[Field]:
    """The fields of the message in ``view[start:end]``. Raises ParseError where it is malformed."""
    place = start
    while place < end:
        tag, value = read_varint(view, place, end)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == VARINT:
            _, stop = read_varint(view, value, end)
        elif wire_type in _FIXED_SIZE:
            stop = value + _FIXED_SIZE[wire_type]
        elif wire_type == LENGTH:
            length, value = read_varint(view, value, end)
            stop = value + length
        elif wire_type == GROUP:
            stop = _group_end(view, place, end)
        else:
            raise ParseError(f"not a protobuf message (wire type {wire_type} at byte {place})")
        if not 0 < number < 1 << 29:
            raise ParseError(f"not a protobuf message (field number {number} at byte {place})")
        if stop > end:
            raise ParseError(
                f"truncated: field {number} at byte {place} takes {stop - value} bytes, "
                f"but only {end - value} are left"
            )
        yield Field(number, wire_type, place, value, stop)
        place = stop


def _group_end(view: memoryview, start: int, end: int) -> int:
    """The offset after the group that begins at ``start``. Messages of Caffe have none, but a file may have
    some that nobody knows. Raises ParseError if the group does not end as it began, before ``end``."""
    opened: list[int] = []
    place = start
    while place < end:
        tag, value = read_varint(view, place, end)
        if tag & 7 == GROUP and len(opened) < MAX_DEPTH:
            opened.append(tag >> 3)
        elif tag & 7 == GROUP_END and tag >> 3 == opened[-1]:
            opened.pop()
        elif tag & 7 in (GROUP, GROUP_END):
            break
        else:
            value = next(walk(view, place, end)).end
        if not opened:
            return value
        place = value
    raise ParseError(f"not a protobuf message (a group without an end at byte {start})")


def read_varint(view: memoryview, place: int, end: int) -> tuple[int, int]:
    """The unsigned 64-bit number at ``place``, and the offset after it. Raises ParseError."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= end:
            raise ParseError(f"truncated: the data ends within a number at byte {place}")
        byte = view[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (1 << 64) - 1, place
    raise ParseError(f"not a protobuf message (a number of more than ten bytes before byte {place})")


def varint(value: int) -> bytes:
    """A number as it is written on the wire; a negative one takes ten bytes."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def prefix(number: int, length: int) -> bytes:
    """Tag and length in front of ``length`` bytes that are field ``number``."""
    return varint(number << 3 | LENGTH) + varint(length)
