"""Looking over text messages before they are parsed: unknown fields, strings that are not UTF-8."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from google.protobuf.descriptor import Descriptor

_TOKEN = re.compile(
    r"""
      (?P<space> (?: \s | \#[^\n]* )+ )
    | (?P<name> [A-Za-z_][A-Za-z0-9_]* )
    | (?P<text> "(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*' )
    | (?P<number> [0-9+.-][A-Za-z0-9_+.-]* )
    | (?P<sign> . )
    """,
    re.VERBOSE,
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_CLOSING = {"{": "}", "<": ">", "[": "]"}

_Tokens = Sequence["re.Match[str]"]


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
        line = text.count("\n", 0, start) + 1
        return UnknownField(line, start - text.rfind("\n", 0, start), message_type, name)
    return None


def undecodable_string(text: str) -> tuple[int, int] | None:
    """Line and column (from 1) of the first string with bytes that are not UTF-8.

    ``text`` was decoded with ``surrogateescape``. Such bytes do no harm in comments.
    """
    if text.isascii() or not _SURROGATE.search(text):
        return None
    for token in _TOKEN.finditer(text):
        if token.lastgroup != "space" and _SURROGATE.search(token.group()):
            return text.count("\n", 0, token.start()) + 1, token.start() - text.rfind("\n", 0, token.start())
    return None


def blank_unknown_fields(
    text: str, descriptor: Descriptor, within: Sequence[range] | None = None
) -> tuple[str, tuple[UnknownField, ...]]:
    """The text with unknown fields replaced by spaces, and those fields.

    ``descriptor`` is that of the message type. ``within`` holds the stretches of the text in which fields
    are replaced (default: everywhere). Lines and columns stay, so that the parser that
    comes after reports true places; what is not well formed is left for that parser to refuse.
    """
    pieces: list[str] = []
    unknown: list[UnknownField] = []
    done, line = 0, 1
    for start, end, message_type, name in _unknown_spans(text, descriptor):
        if within is not None and not any(start in stretch for stretch in within):
            continue
        line += text.count("\n", done, start)
        column = start - text.rfind("\n", 0, start)
        unknown.append(UnknownField(line, column, message_type, name))
        line += text.count("\n", start, end)
        pieces += (text[done:start], re.sub(r"[^\n]", " ", text[start:end]))
        done = end
    return "".join(pieces) + text[done:], tuple(unknown)


def field_spans(text: str, name: str) -> list[range]:
    """Where the outermost fields called ``name`` lie in a text, names and values, in order."""
    tokens = [token for token in _TOKEN.finditer(text) if token.lastgroup != "space"]
    spans = []
    index = 0
    while index < len(tokens):
        end = max(_after_value(tokens, index + 1), index + 1)
        if tokens[index].group() == name:
            spans.append(range(tokens[index].start(), tokens[end - 1].end()))
        index = end
    return spans


def _unknown_spans(text: str, descriptor: Descriptor) -> Iterator[tuple[int, int, str, str]]:
    """Start, end, message type and name of each unknown field, outermost only."""
    tokens = [token for token in _TOKEN.finditer(text) if token.lastgroup != "space"]
    inside, opened = [descriptor], None  # opened: the type of the message that the next brace begins
    index = 0
    while index < len(tokens):
        token = tokens[index]
        index += 1
        if token.group() in ("{", "<") and opened is not None:
            inside.append(opened)
        elif token.group() in ("}", ">") and len(inside) > 1:
            opened = inside.pop()  # in a list, the next message has the same type
        elif token.lastgroup == "name":
            field = inside[-1].fields_by_name.get(token.group())
            opened = field.message_type if field is not None else None
            if opened is not None:
                continue
            end = _after_value(tokens, index)
            if field is None and end > index:
                yield token.start(), tokens[end - 1].end(), inside[-1].full_name, token.group()
            index = end


def _after_value(tokens: _Tokens, index: int) -> int:
    """The index after a field's value; ``index`` itself where no value follows."""
    start = index
    colon = index < len(tokens) and tokens[index].group() == ":"
    index += colon
    if index == len(tokens):
        return start
    token = tokens[index]
    if token.group() in _CLOSING:
        return _after_closing(tokens, index)
    if not colon or token.lastgroup == "sign":
        return start
    index += 1
    if token.group() == "-":  # a sign apart from its number
        return min(index + 1, len(tokens))
    while token.lastgroup == "text" and index < len(tokens) and tokens[index].lastgroup == "text":
        index += 1  # neighbouring strings are one
    return index


def _after_closing(tokens: _Tokens, index: int) -> int:
    """The index after the bracket that closes the one at ``index``, or after the last token."""
    expected: list[str] = []
    while index < len(tokens):
        sign = tokens[index].group()
        index += 1
        if sign in _CLOSING:
            expected.append(_CLOSING[sign])
        elif sign == expected[-1]:
            expected.pop()
            if not expected:
                break
    return index
