"""Schemas from .proto text: BVLC's own comes out as protoc compiled it; faults are named by line."""

from importlib import resources

import pytest
from google.protobuf import descriptor_pb2 as pb
from schema_facts import facts

from vggrepro.caffe.proto_file import parse_schema, read_schema
from vggrepro.errors import ParseError

FOLDER = resources.files("vggrepro.caffe")

SMALL = """\
syntax = "proto2";  /* a comment { */
package mine;
import "other.proto";
option optimize_for = SPEED;
enum Mode { OFF = 0; ON = 1 [deprecated = true]; reserved 7; }
message NetParameter {
  repeated LayerParameter layer = 100;
  reserved 5, 6 to 9;
  extensions 200 to max;
}
message LayerParameter {
  message Inner { optional Kind kind = 1 [default = B]; enum Kind { A = -1; B = 0x10; } }
  optional string name = 1 [default = "a\\"b", (odd) = { x: 1 }];
  repeated float scale = 2 [packed = true];
  optional float gain = 3 [default = -1.5e-3];
  oneof either { int32 a = 4; .mine.Mode b = 5; }
  optional Inner inner = 6;
  optional double limit = 7 [default = - inf];
}
service S { rpc Get (NetParameter) returns (NetParameter); }
"""


def test_bvlcs_schema_is_read_as_protoc_reads_it():
    text = FOLDER.joinpath("caffe.proto").read_text()
    (compiled,) = pb.FileDescriptorSet.FromString(FOLDER.joinpath("caffe.binpb").read_bytes()).file
    found, expected = facts(parse_schema(text)), facts(compiled)
    plain = [
        {
            key: tuple(part.removesuffix(".0") if isinstance(part, str) else part for part in value)
            for key, value in fields.items()
        }
        for fields in (found[0], expected[0])
    ]
    assert plain[0] == plain[1]
    assert found[1] == expected[1]


def test_everything_that_forks_write(tmp_path):
    path = tmp_path / "mine.proto"
    path.write_text(SMALL)
    layer = read_schema(path).message_class("LayerParameter")()
    assert (layer.name, layer.inner.kind, layer.b, layer.limit) == ('a"b', 16, 0, float("-inf"))
    assert layer.gain == pytest.approx(-0.0015)
    layer.scale.extend([1, 2])
    assert layer.SerializeToString()[:2] == b"\x12\x08"  # packed
    with pytest.raises(ParseError, match="no message 'Solver'"):
        read_schema(path).message_class("Solver")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("message A {\n  optional B b = 1;\n}", r"type 'B' \(in A\) is defined nowhere"),
        ("message A {\n  optional int32 = 1;\n}", "p:2: got '=', expected a name"),
        ("message A {\n  optional int32 b = x;\n}", "p:2: got 'x', expected a number"),
        ("message A {\n  optional int32 b = 1", "p:2: got the end of the file"),
        ("\n\nnonsense", "p:3: got 'nonsense', expected message, enum or package"),
        ("message A { optional int32 b = 4294967296; }", "got '4294967296', expected a number of 32 bits"),
        (r'message A { optional string b = 1 [default = "\xff"]; }', r'got "\\xff", expected a text'),
        ("message A { " * 65 + "}" * 65, "p:1: got messages in messages, more than 64 deep"),
        ("message A { optional group B = 1 {} }", "p:1: got 'group', expected the type of a field"),
    ],
)
def test_faults_name_the_line(text, problem):
    with pytest.raises(ParseError, match=problem):
        parse_schema(text, "p")


def test_defaults_of_any_script():
    (message,) = parse_schema('message A { optional string b = 1 [default = "卷\\n积"]; }').message_type
    assert message.field[0].default_value == "卷\n积"


def test_what_protobuf_refuses_is_told(tmp_path):
    path = tmp_path / "twice.proto"
    path.write_text("message A { optional int32 a = 1; optional int32 b = 1; }")
    with pytest.raises(ParseError, match=r"twice\.proto: "):
        read_schema(path)
    with pytest.raises(ParseError, match="No such file"):
        read_schema(tmp_path / "none.proto")


def test_a_binary_file_is_no_schema(tmp_path):
    path = tmp_path / "weights.proto"
    path.write_bytes(b"\0" * 9)
    with pytest.raises(ParseError, match=r"weights\.proto: a binary file, not a schema"):
        read_schema(path)


def test_comments_come_in_any_encoding(tmp_path):
    path = tmp_path / "fork.proto"
    path.write_bytes(b'// caf\xe9\nmessage A { optional string b = 1 [default = "caf\xe9"]; }')
    with pytest.raises(ParseError, match=r"fork\.proto:2: got \"caf.*\", expected a text"):
        read_schema(path)
    path.write_bytes(b"// caf\xe9\nmessage A { optional string b = 1; }")
    assert read_schema(path).path == str(path)
