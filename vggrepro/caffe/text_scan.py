"""Looking over text messages before they are parsed: unknown fields, strings that are not UTF-8.

Whatever the text is, every function takes time in proportion to its length, and little memory beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from google.protobuf.descriptor import Descriptor

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
_CLOSING = {"{": "}", "<": ">", "[": "]"}


@dataclass(frozen=True)
class UnknownField:
    """A field that its message type lacks, and the place of its first character (from 1)."""

    line: int
    column: int
    message_type: str
    field: str

    def __str__(self) -> str:
        text = f'Message type "{self.message_type}" has no field named "{self.field}"'
        return f"{self.line}:{self.column}: {text}"


def first_unknown_field(text: str, descriptor: Descriptor) -> UnknownField | None:
    """The first field that the schema lacks; ``descriptor`` is that of the whole text's message type."""
    for start, _, message_type, name in _unknown_spans(text, descriptor):
        return UnknownField(*_Places(text).of(start), message_type, name)
    return None


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


def blank_unknown_fields(
    text: str, descriptor: Descriptor, within: Sequence[range] | None = None
) -> tuple[str, tuple[UnknownField, ...]]:
    """The text with unknown fields replaced by spaces, and those fields.

    ``descriptor`` is that of the message type. ``within`` holds the stretches of the text in which fields
    are replaced, in order (default: everywhere). Lines and columns stay, so that the parser that
    comes after reports true places; what is not well formed is left for that parser to refuse.
    """
    pieces: list[str] = []
    unknown: list[UnknownField] = []
    places, done = _Places(text), 0
    stretches = iter([range(len(text))] if within is None else within)
    stretch = next(stretches, None)
    for start, end, message_type, name in _unknown_spans(text, descriptor):
        while stretch is not None and stretch.stop <= start:
            stretch = next(stretches, None)
        if stretch is None or start < stretch.start:
            continue
        unknown.append(UnknownField(*places.of(start), message_type, name))
        pieces += (text[done:start], re.sub(r"[^\n]", " ", text[start:end]))
        done = end
    return "".join(pieces) + text[done:], tuple(unknown)


def field_spans(text: str, name: str) -> list[range]:
    """Where the outermost fields called ``name`` lie in a text, names and values, in order."""
    tokens = _Tokens(text)
    spans = []
    while (token := tokens.take()) is not None:
        tokens.skip_value()
        if token.group() == name:
            spans.append(range(token.start(), tokens.end))
    return spans


def _unknown_spans(text: str, descriptor: Descriptor) -> Iterator[tuple[int, int, str, str]]:
    """Start, end, message type and name of each unknown field that has a value, outermost only."""
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
            if opened is None and tokens.skip_value() and field is None:
                yield token.start(), tokens.end, inside[-1].full_name, token.group()


class _Tokens:
    """The tokens of a text, without space and comments, one after another."""

    def __init__(self, text: str) -> None:
        self._tokens = (token for token in _TOKEN.finditer(text) if token.lastgroup != "space")
        self._next = next(self._tokens, None)
        self.end = 0
        """Where the token ends that was taken last."""

    def take(self) -> re.Match[str] | None:
        """The next token; None at the end of the text."""
        token = self._next
        if token is not None:
            self.end = token.end()
            self._next = next(self._tokens, None)
        return token

    def skip_value(self) -> bool:
        """Pass over the value of a field whose name was taken last; whether there was a whole one."""
        colon = self._is(":") and self.take() is not None
        if self._is(*_CLOSING):
            return self._skip_brackets()
        if not colon or not self._is_kind("name", "number", "text"):
            return False
        if self._is("-"):  # a sign apart from its number
            self.take()
            return self._is_kind("name", "number") and self.take() is not None
        text = self._is_kind("text")
        self.take()
        while text and self._is_kind("text"):  # neighbouring strings are one
            self.take()
        return True

    def _skip_brackets(self) -> bool:
        """Pass over a bracket and all that is in it; whether the one that closes it was found."""
        expected: list[str] = []
        while (token := self.take()) is not None:
            sign = token.group()
            if sign in _CLOSING:
                expected.append(_CLOSING[sign])
            elif sign == expected[-1]:
                expected.pop()
                if not expected:
                    return True
        return False

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
