"""MATLAB's files of version 5, as far as the devkit's meta.mat needs it: arrays of structures, read as rows.

A file is a header of 128 bytes and elements: a type, a number of bytes, the bytes. An element of type
miMATRIX is an array, itself made of elements (flags, sizes, name, values); one of type miCOMPRESSED is
another one, compressed by zlib. Every length is held against what there is before it is used.
(MathWorks, "MAT-File Format", chapter 1.)
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vggrepro.data.sources.regular_file import read_regular
from vggrepro.errors import DataError, within_length

Value: TypeAlias = "str | npt.NDArray[Any] | None"
"""A text, numbers in one row, or None for what is neither."""

Row = Mapping[str, Value]

_HEADER = 128
_MOST_BYTES = 1 << 24
"""Most bytes of a file, and of all its compressed elements once they are decompressed."""

_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
"""How the characters of a text are stored, by the type of its values."""

_STRUCTURE, _CHARACTERS = 2, 4
_INTEGERS = 5
"""The type of sizes and lengths: integers of 32 bits with a sign."""
_NUMERIC = range(6, 16)
_COMPLEX = 0x0800


@dataclass(frozen=True, slots=True)
class _Element:
    kind: int
    body: memoryview


def read_structures(path: Path, name: str) -> tuple[Row, ...]:
    """The elements of the array of structures ``name``, in MATLAB's order, each as its fields by name.

    Raises DataError where the file cannot be read, is no MATLAB file of version 5, is damaged, or has no such
    array.
    """

    def fail(problem: str) -> DataError:
        return DataError(f"{path}: not the meta.mat of an ILSVRC devkit: {problem}")

    data = read_regular(path, _MOST_BYTES, f"{path}: Could not open or find file")
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if order is None:
        raise fail("no MATLAB file of version 5")
    if data[124:126] not in (b"\x00\x01", b"\x01\x00"):
        raise fail(f"a MATLAB file of version {data[124:126].hex()}, expected version 5 (v7.3 is HDF5)")
    return _Reader(order, fail).find(memoryview(data)[_HEADER:], name)


@dataclass(frozen=True)
class _Reader:
    order: str
    fail: Callable[[str], DataError]

    def find(self, content: memoryview, name: str) -> tuple[Row, ...]:
        names = []
        left = _MOST_BYTES
        for element in self.elements(content):
            matrix = element
            if element.kind == _COMPRESSED:
                data = self.decompressed(element, left)
                left -= len(data)
                matrix = next(self.elements(data, most=1), _Element(0, data))
            if matrix.kind != _MATRIX:
                continue
            parts = list(self.elements(matrix.body, most=3))
            found = self.text_of(parts[2]) if len(parts) == 3 else ""
            if found == name:
                return self.structures(matrix)
            names.append(found)
        raise self.fail(f"no array {name!r}, only {within_length(map(repr, names)) or 'none'}")

    def elements(self, content: memoryview, most: int | None = None) -> Iterator[_Element]:
        """The elements of some bytes, at most so many. Raises DataError where one leaves them."""
        place = 0
        while place < len(content) and most != 0:
            if place + 8 > len(content):
                raise self.fail("the file ends within an element")
            kind, size = struct.unpack_from(self.order + "II", content, place)
            begin, end = place + 8, place + 8 + size
            following = end if kind == _COMPRESSED else -(-end // 8) * 8
            if kind >> 16:  # a small element: size and type in four bytes, up to four bytes of values
                kind, size = kind & 0xFFFF, kind >> 16
                begin, end, following = place + 4, place + 4 + size, place + 8
            if end > len(content) or end > following:
                raise self.fail(f"an element of {size:,} bytes, where {len(content) - begin:,} are left")
            yield _Element(kind, content[begin:end])
            place, most = following, None if most is None else most - 1

    def decompressed(self, element: _Element, most: int) -> memoryview:
        """The bytes of a compressed element. Raises DataError for more than ``most``."""
        try:
            inflater = zlib.decompressobj()
            data = inflater.decompress(element.body, most + 1)
        except zlib.error as error:
            raise self.fail(f"a damaged compressed element: {error}") from error
        if not inflater.eof or len(data) > most:
            raise self.fail(f"a compressed element that is cut, or makes more than {_MOST_BYTES:,} bytes")
        return memoryview(data)

    def structures(self, matrix: _Element) -> tuple[Row, ...]:
        """The rows of an array of structures."""
        elements = self.elements(matrix.body)
        head = list(islice(elements, 5))
        kind, _ = self.flags(head)
        if kind != _STRUCTURE or len(head) < 5:
            raise self.fail("the array holds no structures")
        lengths = self.numbers(head[3])
        length = int(lengths[0]) if head[3].kind == _INTEGERS and lengths.size == 1 else 0
        names = bytes(head[4].body)
        if length < 1 or len(names) % length:
            raise self.fail("the names of the fields are damaged")
        fields = [self.name(names[at : at + length]) for at in range(0, len(names), length)]
        wanted = self.count(head) * len(fields)
        values = list(islice(elements, min(wanted, len(matrix.body)) + 1))
        if len(values) != wanted or len(set(fields)) != len(fields):
            raise self.fail(
                f"the values are not those of {self.count(head)} structures of {len(fields)} fields"
            )
        rows = (values[at : at + len(fields)] for at in range(0, len(values), max(len(fields), 1)))
        return tuple({key: self.value(item) for key, item in zip(fields, row, strict=True)} for row in rows)

    def value(self, matrix: _Element) -> Value:
        """The text or the numbers of an array; None for other kinds."""
        if matrix.kind != _MATRIX:
            raise self.fail(f"a value of type {matrix.kind}, expected an array")
        if not matrix.body:  # MATLAB's short form of an empty array
            return np.zeros(0)
        elements = list(self.elements(matrix.body, most=4))
        kind, flags = self.flags(elements)
        if kind == _CHARACTERS:
            return self.text_of(elements[3]) if len(elements) > 3 else ""
        if kind not in _NUMERIC or flags & _COMPLEX:
            return None
        values = self.numbers(elements[3]) if len(elements) > 3 else np.zeros(0)
        if values.size != self.count(elements):
            raise self.fail(f"{values.size} numbers in an array of {self.count(elements)}")
        return values

    def flags(self, elements: list[_Element]) -> tuple[int, int]:
        """The class of an array, and its flags."""
        if len(elements) < 3 or elements[0].kind != 6 or len(elements[0].body) != 8:
            raise self.fail("an array without flags, sizes and name")
        flags: int = struct.unpack(self.order + "I", elements[0].body[:4])[0]
        return flags & 0xFF, flags

    def count(self, elements: list[_Element]) -> int:
        sizes = self.numbers(elements[1]).tolist()
        if len(sizes) < 2 or min(sizes) < 0 or elements[1].kind != _INTEGERS:
            raise self.fail(f"an array of sizes {sizes}")
        return math.prod(sizes)

    def numbers(self, element: _Element) -> npt.NDArray[Any]:
        code = _NUMBERS.get(element.kind)
        if code is None or len(element.body) % int(code[1]):
            raise self.fail(f"{len(element.body)} bytes of type {element.kind}, expected numbers")
        return np.frombuffer(element.body, self.order + code)

    def text_of(self, element: _Element) -> str:
        coding = _TEXTS.get(element.kind)
        if coding is None:
            raise self.fail(f"characters of type {element.kind}")
        if not coding.startswith(("latin", "utf-8")):
            coding += "-le" if self.order == "<" else "-be"
        try:
            return bytes(element.body).decode(coding)
        except UnicodeDecodeError as error:
            raise self.fail(f"damaged characters: {error}") from error

    def name(self, field: bytes) -> str:
        return field.partition(b"\0")[0].decode("latin-1")
