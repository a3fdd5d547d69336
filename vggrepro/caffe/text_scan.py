"""Looking over text messages before they are parsed: unknown fields, strings that are not UTF-8.

Whatever the text is, every function takes time in proportion to its length, and little memory beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise, takewhile
from typing import NamedTuple

from google.protobuf.descriptor import Descriptor, EnumDescriptor

_TOKEN = re.compile(
    r"""
      (?P<space> \s+ | \#[^\n]* )
    | (?P<name> [A-Za-z_][A-Za-z0-9_]* )
    | (?P<text> "[^"\\\n]*(?:\\.[^"\\\n]*)*" | '[^'\\\n]*(?:\\.[^'\\\n]*)*' )
    | (?P<unclosed> ["'][^\n]* )
    | (?P<number> [0-9+.-][A-Za-z0-9_+.-]* )
    | (?P<sign> . )
    """,
    re.VERBOSE,
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_DIGITS = 10
"""The most digits of an enum's value."""
_CLOSING = {"{": "}", "<": ">", "[": "]"}


@dataclass(frozen=True)
class UnknownField:
    """A field that its message type lacks, or a value that its enum lacks, and where that is."""

    line: int
    column: int
    """Of the field's name, or of the value; both count from 1."""
    message_type: str
    field: str
    value: str | None
    """What the enum lacks, or a list where the field takes one value; None where the field itself is
    unknown."""
    span: range
    """Where name and value lie in the text."""
    message: bool
    """Whether what the field holds is in braces."""
    written: str
    """What the field holds, as it stands in the text."""
    known: tuple[str, ...] = ()
    """The fields that the type has, or the values that the enum has."""

    def __str__(self) -> str:
        lacks = f'has no field named "{self.field}"'
        if self.value is not None:
            lacks = f'has no value {self.value} for "{self.field}"'
        return f'{self.line}:{self.column}: Message type "{self.message_type}" {lacks}'


def unknown_fields(text: str, descriptor: Descriptor) -> Iterator[UnknownField]:
    """The fields and enum values that the schema lacks, outermost only, in order. ``descriptor`` is that of
    the whole text's message type."""
    places = _Places(text)
    for found in _unknown_spans(text, descriptor):
        line, column = places.of(found.place)
        span = range(found.start, found.end)
        name, known = found.owner.full_name, tuple(found.owner.fields_by_name)
        enum = found.owner.fields_by_name[found.field].enum_type if found.value is not None else None
        if enum is not None:
            known = tuple(enum.values_by_name)
        written = text[found.start + len(found.field) : found.end].lstrip().removeprefix(":").strip()
        yield UnknownField(line, column, name, found.field, found.value, span, found.message, written, known)


def undecodable_string(text: str) -> tuple[int, int] | None:
    """Line and column (from 1) of the first string with bytes that are not UTF-8.

    ``text`` was decoded with ``surrogateescape``. Such bytes do no harm in comments.
    """
    if text.isascii() or not _SURROGATE.search(text):
        return None
    for token in _TOKEN.finditer(text):
        if token.lastgroup != "space" and _SURROGATE.search(token.group()):
            return _Places(text).of(token.start())
    return None


_OF_EACH_AXIS = ("kernel_size", "stride", "pad")
"""Fields of pooling that a fork gives once for each axis."""


def with_pooling_of_axes(text: str) -> str:
    """A definition in which poolings that give their kernel size, stride or padding several times, as
    naibaf7's Caffe takes them, have ``nd_kernel_size``, ``nd_stride`` and ``nd_pad`` instead."""
    tokens = (token for token in _TOKEN.finditer(text) if token.lastgroup != "space")
    starts: list[int] = []
    for token in tokens:
        if token.group() != "pooling_param":
            continue
        inside = list(takewhile(lambda inner: inner.group() not in ("}", ">"), tokens))
        given = [inner for inner in inside if inner.group() in _OF_EACH_AXIS]
        if len({inner.group() for inner in given}) < len(given):
            starts += (inner.start() for inner in given)
    pieces = [text[begin:end] for begin, end in pairwise((0, *starts, len(text)))]
    return "nd_".join(pieces)


def with_joined_signs(text: str) -> str:
    """A definition in which each minus sign stands directly before its number. C++'s parser takes spaces and
    comments between them, Python's does not."""
    tokens = (token for token in _TOKEN.finditer(text) if token.lastgroup != "space")
    pieces: list[str] = []
    done = 0
    for sign, number in pairwise(tokens):
        if sign.group() == "-" and number.lastgroup in ("number", "name") and number.group()[0] not in "+-":
            pieces += (text[done : sign.start()], text[sign.end() : number.start()], "-")
            done = number.start()
    return "".join(pieces) + text[done:]


def with_fields_of_forks(text: str) -> str:
    """A printed message with the names that fields of :func:`with_pooling_of_axes` have in the fork."""
    return re.sub(rf"\bnd_({'|'.join(_OF_EACH_AXIS)}):", r"\1:", text)


def blanked(text: str, fields: Iterable[UnknownField]) -> str:
    """The text with fields, given in order, replaced by spaces.

    Lines and columns stay, so that the parser that comes after reports true places; what is not well formed
    is left for that parser to refuse.
    """
    pieces: list[str] = []
    done = 0
    for field in fields:
        start, end = field.span.start, field.span.stop
        pieces += (text[done:start], re.sub(r"[^\n]", " ", text[start:end]))
        done = end
    return "".join(pieces) + text[done:]


def field_spans(text: str, name: str) -> list[range]:
    """Where the outermost fields called ``name`` lie in a text, names and values, in order."""
    tokens = _Tokens(text)
    spans = []
    while (token := tokens.take()) is not None:
        tokens.skip_value()
        if token.group() == name:
            spans.append(range(token.start(), tokens.end))
    return spans


class _Found(NamedTuple):
    """A field or enum value that the schema lacks, by offsets in the text."""

    start: int
    end: int
    place: int
    owner: Descriptor
    field: str
    value: str | None = None
    message: bool = False


def _unknown_spans(text: str, descriptor: Descriptor) -> Iterator[_Found]:
    """Each unknown field that has a value, each field with an unknown enum value, and each that has a list
    where it takes one value; outermost only."""
    tokens = _Tokens(text)
    inside = [descriptor]
    opened: Descriptor | None = None  # the type of the message that the next brace begins
    while (token := tokens.take()) is not None:
        if token.group() in ("{", "<") and opened is not None:
            inside.append(opened)
        elif token.group() in ("}", ">") and len(inside) > 1:
            opened = inside.pop()  # in a list, the next message has the same type
        elif token.lastgroup == "name":
            field = inside[-1].fields_by_name.get(token.group())
            opened = field.message_type if field is not None else None
            if opened is not None:
                continue
            enum = None if field is None else field.enum_type
            one_value = field is not None and enum is None and field.has_presence
            values = tokens.skip_value(texts=enum is not None)
            start = token.start()
            if field is None and values is not None:
                yield _Found(start, tokens.end, start, inside[-1], token.group(), message=tokens.in_braces)
            elif one_value and tokens.in_list and values is not None:
                place = text.index("[", start)
                yield _Found(start, tokens.end, place, inside[-1], token.group(), text[place : tokens.end])
            for place, value in values or () if enum is not None else ():
                if not _has_value(enum, value):
                    yield _Found(start, tokens.end, place, inside[-1], token.group(), value)
                    break


def _has_value(enum: EnumDescriptor | None, text: str) -> bool:
    """Whether an enum has the value of this name or number; what is neither is left for the parser."""
    if enum is None or text in enum.values_by_name:
        return True
    if text.isidentifier():
        return False
    # Python refuses to read thousands of digits.
    return not text.isdigit() or (len(text) <= _DIGITS and int(text) in enum.values_by_number)


class _Tokens:
    """The tokens of a text, without space and comments, one after another."""

    def __init__(self, text: str) -> None:
        self._tokens = (token for token in _TOKEN.finditer(text) if token.lastgroup != "space")
        self._next = next(self._tokens, None)
        self.end = 0
        """Where the token ends that was taken last."""
        self.in_braces = False
        """Whether the value that was passed over last was in braces."""
        self.in_list = False
        """Whether it was in square brackets."""

    def take(self) -> re.Match[str] | None:
        """The next token; None at the end of the text."""
        token = self._next
        if token is not None:
            self.end = token.end()
            self._next = next(self._tokens, None)
        return token

    def skip_value(self, *, texts: bool = False) -> list[tuple[int, str]] | None:
        """Pass over the value of a field whose name was taken last. None if there was no whole one, else the
        names and numbers in it with their offsets, if ``texts`` asks for them."""
        colon = self._is(":") and self.take() is not None
        self.in_braces, self.in_list = self._is("{", "<"), self._is("[")
        if self._is(*_CLOSING):
            return self._skip_brackets(texts)
        if not colon or not self._is_kind("name", "number", "text"):
            return None
        if self._is("-"):  # a sign apart from its number
            self.take()
            return [] if self._is_kind("name", "number") and self.take() is not None else None
        text = self._is_kind("text")
        token = self.take()
        while text and self._is_kind("text"):  # neighbouring strings are one
            self.take()
        return [] if token is None or text else [(token.start(), token.group())]

    def _skip_brackets(self, texts: bool) -> list[tuple[int, str]] | None:
        """Pass over a bracket and all that is in it. None if the one that closes it was not found."""
        expected: list[str] = []
        found: list[tuple[int, str]] = []
        while (token := self.take()) is not None:
            sign = token.group()
            if sign in _CLOSING:
                expected.append(_CLOSING[sign])
            elif sign == expected[-1]:
                expected.pop()
                if not expected:
                    return found
            elif texts and token.lastgroup in ("name", "number"):
                found.append((token.start(), sign))
        return None

    def _is(self, *texts: str) -> bool:
        return self._next is not None and self._next.group() in texts

    def _is_kind(self, *groups: str) -> bool:
        return self._next is not None and self._next.lastgroup in groups


class _Places:
    """Lines and columns, from 1, of offsets in a text that are asked for in ascending order."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._done = self._line_start = 0
        self._line = 1

    def of(self, offset: int) -> tuple[int, int]:
        breaks = self._text.count("\n", self._done, offset)
        if breaks:
            self._line += breaks
            self._line_start = self._text.rfind("\n", self._done, offset) + 1
        self._done = offset
        return self._line, offset - self._line_start + 1
