"""The facts of a schema: its fields and enum values, from compiled form, from text, from the table."""

import re
from importlib import resources
from pathlib import Path

from google.protobuf import descriptor_pb2 as pb

TABLE = Path(__file__).parents[1] / "caffe_schema.tsv"
FOLDER = resources.files("vggrepro.caffe")

LABELS = {
    value.number: name[6:].lower()
    for name, value in pb.FieldDescriptorProto.Label.DESCRIPTOR.values_by_name.items()
}
TYPES = {
    value.number: name[5:].lower()
    for name, value in pb.FieldDescriptorProto.Type.DESCRIPTOR.values_by_name.items()
}


def compiled():
    (file,) = pb.FileDescriptorSet.FromString(FOLDER.joinpath("caffe.binpb").read_bytes()).file
    return file


def type_name(field):
    return field.type_name.removeprefix(".caffe.") or TYPES[field.type]


def default_of(field):
    """A default as one value, however it is written: 1, 1.0 and 1e0 are equal."""
    return number_or_text(field.default_value) if field.HasField("default_value") else None


def number_or_text(text):
    try:
        return float(text)
    except ValueError:
        return text


def facts(file):
    """Every field and enum value of a compiled file, nested names with dots, defaults not needed left out."""
    fields, values = {}, {}

    def enum(scope, entry):
        for value in entry.value:
            values[scope + entry.name, value.name] = value.number

    def message(scope, entry):
        for field in entry.field:
            packed = field.options.packed
            fields[scope + entry.name, field.name] = (
                field.number,
                LABELS[field.label],
                type_name(field),
                packed,
                default_of(field),
            )
        for inner in entry.enum_type:
            enum(f"{scope}{entry.name}.", inner)
        for inner in entry.nested_type:
            message(f"{scope}{entry.name}.", inner)

    for entry in file.enum_type:
        enum("", entry)
    for entry in file.message_type:
        message("", entry)
    return fields, values


def table():
    fields, values = {}, {}
    rows = [line.split("\t") for line in TABLE.read_text().splitlines() if not line.startswith("#")]
    assert rows[0] == ["kind", "message_or_enum", "name", "number", "label", "type", "packed", "default"]
    for kind, owner, name, number, label, kind_of_value, packed, default in rows[1:]:
        if kind == "enum":
            values[owner, name] = int(number)
        else:
            known_default = number_or_text(default) if default else None
            fields[owner, name] = (int(number), label, kind_of_value, packed == "packed", known_default)
    return fields, values


def parse_proto(text):
    """The facts of ``caffe.proto``, read with a few patterns: it has messages, enums and fields, no more."""
    fields, values, scope = {}, {}, []
    for line in re.sub(r"//[^\n]*", "", text).splitlines():
        if opening := re.match(r"\s*(message|enum)\s+(\w+)\s*\{", line):
            scope.append(opening[2])
        elif re.match(r"\s*\}", line):
            scope.pop()
        elif field := re.match(
            r"\s*(optional|repeated|required)\s+([\w.]+)\s+(\w+)\s*=\s*(\d+)\s*(\[.*\])?;", line
        ):
            label, kind, name, number, options = field.groups(default="")
            default = re.search(r'default\s*=\s*"?([^"\]]*)"?', options)
            fields[".".join(scope), name] = (
                int(number),
                label,
                kind,
                "packed = true" in options,
                number_or_text(default[1]) if default else None,
            )
        elif value := re.match(r"\s*(\w+)\s*=\s*(\d+);", line):
            values[".".join(scope), value[1]] = int(value[2])
        else:
            assert re.match(r"\s*((syntax|package)\b.*;)?\s*$", line), line
    assert not scope
    return fields, values
