"""Reading a ``.proto`` file, a fork's schema of Caffe's files, without protoc.

Messages, enums, ``oneof`` and fields with labels and defaults are read; options other than ``default`` and
``packed``, imports, services and extensions are passed over. Source of the grammar: protobuf's language guide
for proto2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

from google.protobuf import message_factory, text_encoding
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message

from vggrepro.caffe.descriptor_pool import pool_of
from vggrepro.caffe.text import read_text
from vggrepro.errors import ParseError

_TOKEN = re.compile(
    r"""\s+ | //[^\n]* | /\*.*?\*/
    | (?P<token> [A-Za-z_.][\w.]* | -?[0-9][\w.+-]* | -\s*(?:inf|nan|[0-9][\w.+-]*)
        | "(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*' | [{}\[\]()<>=;,] | . )""",
    re.VERBOSE | re.DOTALL,
)
_SCALARS = {
    name.removeprefix("TYPE_").lower(): number
    for name, number in FieldDescriptorProto.Type.items()
    if name not in ("TYPE_MESSAGE", "TYPE_ENUM", "TYPE_GROUP")
}
_LABELS = {name.removeprefix("LABEL_").lower(): number for name, number in FieldDescriptorProto.Label.items()}
_SKIPPED = ("option", "reserved", "extensions", "import", "syntax", "edition")
_OPEN, _CLOSE = "{[(<", "}])>"
MAX_DEPTH = 64
"""How deep messages may lie in messages."""


@dataclass(frozen=True)
class ForkSchema:
    """The message classes of a fork's schema."""

    path: str
    package: str
    pool: DescriptorPool

    def message_class(self, name: str) -> type[Message]:
        """The class of a message. Raises ParseError for a name that the schema lacks."""
        try:
            full = f"{self.package}.{name}" if self.package else name
            return message_factory.GetMessageClass(self.pool.FindMessageTypeByName(full))
        except KeyError:
            raise ParseError(
                f"{self.path}: no message {name!r}, expected a schema of Caffe's files"
            ) from None


def read_schema(path: str | PathLike[str]) -> ForkSchema:
    """The schema of a ``.proto`` file. Raises ParseError."""
    file = parse_schema(read_text(path, "a schema"), str(path))
    try:
        pool = pool_of(file)
    except TypeError as error:  # a number or a name that is there twice, a default that does not fit
        raise ParseError(f"{path}: {' '.join(str(error).split())}") from None
    return ForkSchema(str(path), file.package, pool)


def parse_schema(text: str, source: str = "<string>") -> FileDescriptorProto:
    """The descriptor of a ``.proto`` text. Raises ParseError, naming the line."""
    parser = _Parser(text, source)
    file = FileDescriptorProto(name=Path(source).name, syntax="proto2")
    while (word := parser.take(end_allowed=True)) is not None:
        if word == "package":
            file.package = parser.take_name()
            parser.expect(";")
        elif word == "message":
            parser.message(file.message_type.add())
        elif word == "enum":
            parser.enum(file.enum_type.add())
        elif word in ("service", "extend"):
            parser.skip_block()
        elif word in _SKIPPED:
            parser.skip_statement()
        elif word != ";":
            raise parser.error(f"{word!r}, expected message, enum or package")
    _resolve(file, source)
    return file


@dataclass
class _Parser:
    text: str
    source: str
    place: int = 0
    start: int = field(default=0)
    """Where the token begins that was taken last."""
    depth: int = 0
    """How many messages the place is in."""

    def error(self, problem: str) -> ParseError:
        line = self.text.count("\n", 0, self.start) + 1
        return ParseError(f"{self.source}:{line}: got {problem}")

    def take(self, *, end_allowed: bool = False) -> str | None:
        while self.place < len(self.text):
            match = _TOKEN.match(self.text, self.place)
            assert match is not None  # the last alternative takes any character
            self.start, self.place = match.start(), match.end()
            if match["token"] is not None:
                return match["token"]
        if not end_allowed:
            raise self.error("the end of the file, expected the rest of a message")
        return None

    def take_name(self) -> str:
        word = self.take() or ""
        if not re.fullmatch(r"[A-Za-z_.][\w.]*", word):
            raise self.error(f"{word!r}, expected a name")
        return word

    def expect(self, *signs: str) -> str:
        word = self.take() or ""
        if word not in signs:
            raise self.error(f"{word!r}, expected {' or '.join(signs)}")
        return word

    def number(self) -> int:
        word = self.take() or ""
        try:
            value = int(word.replace(" ", ""), 0)
        except ValueError:
            raise self.error(f"{word!r}, expected a number") from None
        if not -(1 << 31) <= value < 1 << 31:
            raise self.error(f"{word!r}, expected a number of 32 bits")
        return value

    def skip_statement(self) -> None:
        while (word := self.take()) != ";":
            if word in tuple(_OPEN):
                self._skip_to_close()

    def skip_block(self) -> None:
        while self.take() != "{":
            pass
        self._skip_to_close()

    def _skip_to_close(self) -> None:
        depth = 1
        while depth:
            word = self.take() or ""
            depth += (word in tuple(_OPEN)) - (word in tuple(_CLOSE))

    def message(self, into: DescriptorProto) -> None:
        into.name = self.take_name()
        self.expect("{")
        self._members(into)

    def _members(self, into: DescriptorProto) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error(f"messages in messages, more than {MAX_DEPTH} deep")
        while (word := self.take()) != "}":
            if word == "message":
                self.message(into.nested_type.add())
            elif word == "enum":
                self.enum(into.enum_type.add())
            elif word == "oneof":
                self.take_name()
                self.expect("{")
                self._members(into)  # which of them may stand together is not looked at
            elif word == "extend":
                self.skip_block()
            elif word in _SKIPPED:
                self.skip_statement()
            elif word in _LABELS:
                self._field(into.field.add(label=_LABELS[word]), self.take_name())
            elif word != ";":
                self._field(into.field.add(label=_LABELS["optional"]), word or "")
        self.depth -= 1

    def _field(self, into: FieldDescriptorProto, kind: str) -> None:
        if kind == "group" or not re.fullmatch(r"[A-Za-z_.][\w.]*", kind):
            raise self.error(f"{kind!r}, expected the type of a field")
        if kind in _SCALARS:
            into.type = _SCALARS[kind]
        else:
            into.type_name = kind
        into.name = self.take_name()
        self.expect("=")
        into.number = self.number()
        if self.expect(";", "[") == "[":
            self._options(into)
            self.expect(";")

    def _options(self, into: FieldDescriptorProto) -> None:
        while True:
            words = []
            while (word := self.take() or "") not in ("=", "]", ","):
                words.append(word)
            name = "".join(words)
            if word == "=":
                value = self.take() or ""
                if value == "{":
                    self._skip_to_close()
                elif name == "default":
                    into.default_value = self._default(value, into.type)
                elif name == "packed":
                    into.options.packed = value == "true"
                word = self.expect(",", "]")
            if word == "]":
                return

    def _default(self, value: str, kind: int) -> str:
        """A default as descriptors hold it."""
        if value[:1] in ('"', "'"):
            try:
                return text_encoding.CUnescape(value[1:-1]).decode()
            except ValueError:
                raise self.error(f"{value}, expected a text") from None
        value = value.replace(" ", "")
        if kind in (FieldDescriptorProto.TYPE_FLOAT, FieldDescriptorProto.TYPE_DOUBLE):
            return value if value.endswith("inf") else value.rstrip("f")
        return value

    def enum(self, into: EnumDescriptorProto) -> None:
        into.name = self.take_name()
        self.expect("{")
        while (word := self.take()) != "}":
            if word in _SKIPPED:
                self.skip_statement()
            elif word != ";":
                self.expect("=")
                into.value.add(name=word, number=self.number())
                self.skip_statement()


def _resolve(file: FileDescriptorProto, source: str) -> None:
    """Give each named type its full name and kind, as seen from where it stands."""
    root = f".{file.package}" if file.package else ""
    kinds: dict[str, int] = {}

    def collect(prefix: str, messages: object, enums: object) -> None:
        for enum in enums:  # type: ignore[attr-defined]
            kinds[f"{prefix}.{enum.name}"] = FieldDescriptorProto.TYPE_ENUM
        for message in messages:  # type: ignore[attr-defined]
            kinds[f"{prefix}.{message.name}"] = FieldDescriptorProto.TYPE_MESSAGE
            collect(f"{prefix}.{message.name}", message.nested_type, message.enum_type)

    def settle(prefix: str, message: DescriptorProto) -> None:
        scope = f"{prefix}.{message.name}"
        for member in message.field:
            if member.type_name:
                member.type_name = _full_name(member.type_name, scope, kinds, source)
                member.type = kinds[member.type_name]  # type: ignore[assignment]
        for nested in message.nested_type:
            settle(scope, nested)

    collect(root, file.message_type, file.enum_type)
    for message in file.message_type:
        settle(root, message)


def _full_name(name: str, scope: str, kinds: dict[str, int], source: str) -> str:
    if name.startswith("."):
        candidates = [name]
    else:
        parts = scope.split(".")
        candidates = [".".join([*parts[:end], name]) for end in range(len(parts), 0, -1)]
    for candidate in candidates:
        if candidate in kinds:
            return candidate
    raise ParseError(f"{source}: type {name!r} (in {scope.strip('.')}) is defined nowhere in the file")
