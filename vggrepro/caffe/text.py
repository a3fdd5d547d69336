"""Reading and writing Caffe's text format (prototxt), as strictly as Caffe's own parser.

Every error is one line that begins with ``file:line:column``. A field that the schema does not have is
an error. With ``allow_unknown`` those on which no number depends are left out (``fork_fields.py`` says
which), and one warning names them; the others stay errors.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from os import PathLike
from typing import IO, TypeVar

from google.protobuf import text_format
from google.protobuf.message import Message

from vggrepro.caffe.fork_fields import is_harmless, is_refused, why_not
from vggrepro.caffe.messages import NetParameter, SolverParameter
from vggrepro.caffe.recognise import binary_kind, text_kind
from vggrepro.caffe.text_scan import (
    UnknownField,
    blanked,
    undecodable_string,
    unknown_fields,
    with_fields_of_forks,
    with_joined_signs,
    with_pooling_of_axes,
)
from vggrepro.errors import ParseError, UnknownFieldError, did_you_mean, some_of, within_length
from vggrepro.system.caller_warning import warn_caller
from vggrepro.system.file_names import failure, file_path

MAX_BYTES = 256 << 20
"""Largest text file that is read. The definitions of the deepest published nets take 1 MB."""

MOST_QUOTED = 1000
"""Characters of what the parser says that an error tells."""

HEAD = 1024
"""How many bytes tell text from a binary file."""

_OF_A_TEMPLATE = re.compile(r"\$|\{[{%]|<%|%\s*(if|for|else|end)")
"""How names that a script replaces, and the script's own lines, begin."""

_NAME_FOR_A_NUMBER = re.compile(r"Couldn't parse (integer|float): [A-Z][A-Z0-9_]{2,}$")
"""What is said of a name in capitals, as scripts replace it too, where a number is expected."""

_Message = TypeVar("_Message", NetParameter, SolverParameter)


def parse_net(text: str, source: str = "<string>", *, allow_unknown: bool = False) -> NetParameter:
    """A ``NetParameter`` from text, as it was written (not upgraded). Raises ParseError."""
    return _parse(text, NetParameter(), source, allow_unknown)


def parse_solver(text: str, source: str = "<string>", *, allow_unknown: bool = False) -> SolverParameter:
    """A ``SolverParameter`` from text, as it was written (not upgraded). Raises ParseError."""
    return _parse(text, SolverParameter(), source, allow_unknown)


def read_net(path: str | PathLike[str], *, allow_unknown: bool = False) -> NetParameter:
    """A ``NetParameter`` from a text file, not upgraded. Raises ParseError."""
    return not_empty(parse_net(read_text(path), str(path), allow_unknown=allow_unknown), path)


def read_solver(path: str | PathLike[str], *, allow_unknown: bool = False) -> SolverParameter:
    """A ``SolverParameter`` from a text file, not upgraded. Raises ParseError."""
    return not_empty(parse_solver(read_text(path), str(path), allow_unknown=allow_unknown), path)


def format_message(message: Message) -> str:
    """The text of a message, fields in the order of their numbers as Caffe's tools write them."""
    return with_fields_of_forks(text_format.MessageToString(message, as_utf8=True))


def is_text(path: str | PathLike[str]) -> bool:
    """Whether a file is text rather than one of Caffe's binary files, by how it begins. Raises ParseError."""
    try:
        with file_path(path).open("rb") as file:
            return looks_like_text(file.read(HEAD))
    except OSError as error:
        raise ParseError(f"{path}: {failure(error)}") from None


def looks_like_text(head: bytes) -> bool:
    """Text has no control characters; in Caffe's binary files each layer begins with one."""
    return all(byte >= 32 or byte in b"\t\r\n\f\v" for byte in head)


def _parse(text: str, message: _Message, source: str, allow_unknown: bool) -> _Message:
    text = text.removeprefix("\ufeff")  # a byte order mark is no part of the text
    undecodable = undecodable_string(text)
    if undecodable is not None:
        # DEVIATION: Caffe takes names in any encoding; protobuf's Python strings are Unicode.
        raise ParseError(f"{source}:{undecodable[0]}:{undecodable[1]}: String is not UTF-8.")
    if allow_unknown:
        text = _without_harmless(text, list(unknown_fields(text, message.DESCRIPTOR)), message, source)
    try:
        text_format.Parse(text, message)
    except text_format.ParseError as error:
        if (rewritten := with_joined_signs(with_pooling_of_axes(text))) != text:
            message.Clear()
            return _parse(rewritten, message, source, allow_unknown)
        problem, hint = _located(source, error, text), _hint(text, message) or _placeholder(text, error)
        first = next(unknown_fields(text, message.DESCRIPTOR), None)
        if first is None or (first.line, first.column) != (error.GetLine(), error.GetColumn()):
            raise ParseError(problem + hint) from None
        meant = f" ({why_not(first)})" if is_refused(first) else _meant(first)
        told = problem.removesuffix(".") + meant if meant else problem
        raise unknown_field_error(told + hint, source, first) from None
    except (ValueError, TypeError, RecursionError) as error:
        raise ParseError(f"{source}: {_one_line(str(error))}") from None
    if not message.IsInitialized():
        missing = ", ".join(message.FindInitializationErrors())
        raise ParseError(f"{source}: Message missing required fields: {missing}")
    return message


def _without_harmless(text: str, unknown: Sequence[UnknownField], message: _Message, source: str) -> str:
    """The text without those of its unknown fields and enum values on which no number depends, of which one
    warning tells. Raises UnknownFieldError for the first of the other fields; it names more of them."""
    if unknown and (hint := _hint(text, message)):  # what is no such message at all has nothing to leave out
        raise ParseError(f"{source}:{unknown[0]}{hint}")
    harmless = [field for field in unknown if is_harmless(field)]
    refused = [field for field in unknown if field.value is None and not is_harmless(field)]
    if refused:
        first, *others = refused
        names = dict.fromkeys(map(_short, others))
        named = some_of(name for name in names if name != _short(first))
        also = f"; also {named}" if named else ""
        problem = f"{source}:{first}; {why_not(first)}, so it is not left out{also}"
        raise unknown_field_error(problem, source, first)
    if harmless:
        warn_caller(f"{source}: left out, as no number depends on it: {_grouped(harmless)}")
    return blanked(text, harmless)


def _meant(field: UnknownField) -> str:
    """The end of a message with the fields or values that have a close name. The ``_param`` in which many end
    makes none of them close."""
    name = field.field if field.value is None else field.value
    stem = name.removesuffix("_param")
    close = [known for known in field.known if did_you_mean(stem, [known.removesuffix("_param")])]
    return did_you_mean(name, close)


def _grouped(fields: Sequence[UnknownField]) -> str:
    """Fields by their names, each with its first places and their number."""
    places = defaultdict(list)
    for field in fields:
        value = "" if field.value is None else f": {field.value}"
        places[_short(field) + value].append(f"{field.line}:{field.column}")
    return within_length(f"{name} ({some_of(found)})" for name, found in places.items())


def _short(field: UnknownField) -> str:
    return f"{field.message_type.rpartition('.')[2]}.{field.field}"


def unknown_field_error(problem: str, source: str, field: UnknownField) -> UnknownFieldError:
    """The error about a field, with its place."""
    return UnknownFieldError(
        problem,
        source=source,
        line=field.line,
        column=field.column,
        message_type=field.message_type,
        field=field.field,
        harmless=is_harmless(field),
    )


def _located(source: str, error: text_format.ParseError, text: str) -> str:
    """``file:line:column: problem``, from an error whose own text begins with the place it knows, and
    sometimes goes on with the whole line there, however long that is."""
    line, column = error.GetLine(), error.GetColumn()
    if line is None:
        return f"{source}: {_one_line(str(error))}"
    where = f"{line}:{column}" if column is not None else f"{line}"
    lines = text.split("\n")  # as the parser counts them
    quoted = f"'{lines[line - 1]}': " if line <= len(lines) else ""
    problem = str(error).removeprefix(where).removeprefix(" : ").removeprefix(quoted)
    return f"{source}:{where}: {_one_line(problem)}"


def _hint(text: str, message: NetParameter | SolverParameter) -> str:
    """A word on the most common mix-up: a net given for a solver, or the reverse."""
    net_wanted = isinstance(message, NetParameter)
    other: NetParameter | SolverParameter = SolverParameter() if net_wanted else NetParameter()
    try:
        text_format.Parse(text, other)
    except (text_format.ParseError, ValueError, TypeError, RecursionError):
        kind = text_kind(text)
        return "" if kind is None or "definition" in kind else f" (this is {kind})"
    return f" (this is a {other.DESCRIPTOR.full_name}, not a {message.DESCRIPTOR.full_name})"


def _placeholder(text: str, error: text_format.ParseError) -> str:
    """A word on a template, where the problem is a name that a script is to put a value in place of."""
    line, column = error.GetLine(), error.GetColumn()
    at = "" if line is None or column is None else text.split("\n")[line - 1][column - 1 :]
    is_one = _OF_A_TEMPLATE.match(at) or _NAME_FOR_A_NUMBER.search(str(error))
    return " (a template: put values in place of its names first)" if is_one else ""


def read_text(path: str | PathLike[str], what: str = "a prototxt") -> str:
    """The text of a file, bytes that are no UTF-8 as surrogates. Raises ParseError if it is no text, and then
    says that it is not ``what``."""
    try:
        with file_path(path).open("rb") as file:
            binary = not looks_like_text(file.peek(HEAD)[:HEAD])
            data = _read_at_most(file, MAX_BYTES)
    except OSError as error:
        raise ParseError(f"{path}: {failure(error)}") from None
    if binary:
        kind = binary_kind(memoryview(data))
        raise ParseError(f"{path}: a binary file, not {what}{'' if kind is None else f' (this is {kind})'}")
    if len(data) > MAX_BYTES:
        raise ParseError(f"{path}: larger than {MAX_BYTES >> 20} MiB, not {what}")
    return data.decode("utf-8-sig", errors="surrogateescape")  # comments come in any encoding


def _read_at_most(file: IO[bytes], size: int) -> bytearray:
    """The bytes of a file or pipe up to the first ``size`` and some more; memory is taken as they come."""
    data = bytearray()
    while len(data) <= size and (piece := file.read(1 << 20)):
        data += piece
    return data


def not_empty(message: _Message, path: str | PathLike[str]) -> _Message:
    """The message of a file. Raises ParseError if there is nothing in it."""
    if not message.ListFields():
        raise ParseError(f"{path}: empty, expected a {message.DESCRIPTOR.full_name}")
    return message


def _one_line(text: str) -> str:
    """What the parser says, in one line, and without its middle if that is long: it quotes whole values."""
    line = " ".join(text.split())
    return line if len(line) <= MOST_QUOTED else f"{line[: MOST_QUOTED // 2]} ... {line[-MOST_QUOTED // 2 :]}"
