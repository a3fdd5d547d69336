"""The wire schema against the table of BVLC Caffe's fields, and ``caffe.proto`` against its compiled form."""

import re
from importlib import resources
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2 as pb

from vggrepro.caffe import messages

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


def test_the_compiled_schema_has_every_field_of_bvlc_caffe_and_no_other():
    fields, values = facts(compiled())
    expected_fields, expected_values = table()
    assert fields == expected_fields
    assert values == expected_values
    assert len(fields) > 400
    assert len(values) > 100


def test_the_proto_text_says_what_the_compiled_schema_says():
    fields, values = facts(compiled())
    written_fields, written_values = parse_proto(FOLDER.joinpath("caffe.proto").read_text())
    assert written_values == values
    # the text names nested types by their short names
    assert {key: (*f[:2], f[2].split(".")[-1], *f[3:]) for key, f in fields.items()} == {
        key: (*f[:2], f[2].split(".")[-1], *f[3:]) for key, f in written_fields.items()
    }


def test_defaults_reach_the_classes():
    assert messages.NetParameter().force_backward is False
    assert messages.FillerParameter().type == "constant"
    assert messages.SolverParameter().delta == pytest.approx(1e-8)
    assert messages.NetState().phase == messages.TEST
    assert messages.LayerParameter().lrn_param.local_size == 5


def test_every_message_of_the_schema_is_an_attribute():
    for message in compiled().message_type:
        assert getattr(messages, message.name).DESCRIPTOR.full_name == f"caffe.{message.name}"
    with pytest.raises(AttributeError, match="NoSuchParameter"):
        _ = messages.NoSuchParameter
