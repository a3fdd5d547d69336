"""Text: strictness, places of errors, unknown fields, encodings, files that are something else."""

import math
import warnings
from pathlib import Path

import pytest

from vggrepro.caffe import text
from vggrepro.errors import ParseError

GOLDEN = Path(__file__).parents[1] / "golden"

UNKNOWN = """\
name: "n"
layer {
  name: "r"  # a comment with "quotes" and { braces
  shape_hint: [1, 2,
    3]
  type: "ReLU"
  relu_param { engine: MKL2017 negative_slope: 0.2 }
  fork_param < inner { deep: "}" 'and "more"' } x: -1.5e3 > top: "t"
  transform_param: { colour: RED mirror: true sign: - 3 }
}
layer { shape_hint: 4 data_param { backend: IMAGEDB prefetch: 2 } }
"""


def test_a_text_survives_parsing_and_formatting():
    net = text.parse_net((GOLDEN / "nets" / "googlenet_like" / "net.prototxt").read_text())
    assert len(net.layer) > 20
    assert text.parse_net(text.format_message(net)) == net


def test_a_sign_may_stand_apart_from_its_number():
    net = text.parse_net(
        """name: "a - b" layer { name: "r" type: "Reshape"
        reshape_param { axis: -# the last
          1 num_axes: - 0x1 shape { dim: [0, - 1, -\t010] } }
        power_param { shift: - inf scale: -1.5 power: -  2.5f } }"""
    )
    (layer,) = net.layer
    assert net.name == "a - b"
    assert (layer.reshape_param.axis, layer.reshape_param.num_axes) == (-1, -1)
    assert list(layer.reshape_param.shape.dim) == [0, -1, -8]
    power = layer.power_param
    assert (power.shift, power.scale, power.power) == (-math.inf, -1.5, -2.5)


@pytest.mark.parametrize("value", ["-", "- -1", "--1", "- +1", '- "1"', "-:1"])
def test_a_sign_without_a_number_is_refused(value):
    with pytest.raises(ParseError, match=r"^<string>:1:\d+: "):
        text.parse_net(f"layer {{ power_param {{ shift: {value} }} }}")


def test_a_name_in_any_script_survives():
    net = text.parse_net('layer { name: "卷积一" top: "\\"q\\"\\n" }')
    assert "卷积一" in text.format_message(net)
    assert text.parse_net(text.format_message(net)) == net


def test_caffes_text_for_an_unknown_field(tmp_path):
    path = GOLDEN / "errors" / "unknown_field.prototxt"
    with pytest.raises(ParseError) as caught:
        text.read_net(path)
    assert str(caught.value) == (
        f'{path}:2:66: Message type "caffe.ReLUParameter" has no field named "slope".'
    )


def test_what_no_number_depends_on_is_left_out_with_one_warning():
    with pytest.warns(UserWarning) as caught:
        net = text.parse_net(UNKNOWN, "fork.prototxt", allow_unknown=True)
    (warning,) = caught
    assert str(warning.message) == (
        "fork.prototxt: left out, as no number depends on it: LayerParameter.shape_hint (4:3, 11:9);"
        " ReLUParameter.engine: MKL2017 (7:24); LayerParameter.fork_param (8:3);"
        " TransformationParameter.colour (9:22); TransformationParameter.sign (9:47); and 1 more"
    )
    assert warning.filename == __file__
    expected = (
        'name: "n" layer { name: "r" type: "ReLU" relu_param { negative_slope: 0.2 } top: "t"'
        " transform_param { mirror: true } } layer { data_param { prefetch: 2 } }"
    )
    assert net == text.parse_net(expected)


@pytest.mark.parametrize("allow_unknown", [False, True])
@pytest.mark.parametrize(
    ("written", "place", "problem"),
    [
        ("relu_param { slope: 1 }", "1:22", 'ReLUParameter" has no field named "slope"'),
        ("pooling_param { pad_type: 1 }", "1:25", 'has no field named "pad_type"'),
        ("quantization_param { scale_in: 8 }", "1:30", 'has no field named "scale_in"'),
        ("param { lr_policy: 'step' }", "1:17", "ParamSpec"),
        ("include { phases: TEST }", "1:19", "NetStateRule"),
        ("pooling_param { pool: RMS }", "1:31", "no value named RMS"),
    ],
)
def test_what_numbers_depend_on_is_an_error_always(written, place, problem, allow_unknown):
    with pytest.raises(ParseError) as caught:
        text.parse_net(f"layer {{ {written} }}", "x.prototxt", allow_unknown=allow_unknown)
    assert str(caught.value).startswith(f"x.prototxt:{place}: ")
    assert problem in str(caught.value)


def test_the_error_names_all_fields_and_what_is_known_of_them():
    written = "layer { pooling_param { pad_type: 1 a: 1 b: 1 c: 1 d: 1 a: 2 } }"
    with pytest.raises(ParseError) as caught:
        text.parse_net(written, "x.prototxt", allow_unknown=True)
    assert str(caught.value) == (
        'x.prototxt:1:25: Message type "caffe.PoolingParameter" has no field named "pad_type";'
        " synopsys-caffe: another rule of padding unless it is 0, so it is not left out; also"
        " PoolingParameter.a, PoolingParameter.b, PoolingParameter.c and 1 more"
    )


def test_a_solver_is_no_net_whatever_is_allowed():
    solver = "net: 'x.prototxt' base_lr: 0.1 debug_info: true"
    with pytest.raises(ParseError, match=r"this is a caffe.SolverParameter, not a caffe.NetParameter"):
        text.parse_net(solver, allow_unknown=True)


def test_a_known_text_gives_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for file in sorted((GOLDEN / "nets").glob("*/net.prototxt"))[:20]:
            assert text.read_net(file, allow_unknown=True) == text.read_net(file)


@pytest.mark.parametrize("allow_unknown", [False, True])
@pytest.mark.parametrize(
    ("written", "place", "problem"),
    [
        ('name: "a\n', "1:7", "String missing ending quote"),
        ('layer {\n  name: "a"\n  name: "b"\n}', "3:9", "multiple"),
        ("layer {\n  type: ReLU\n}", "2:9", "Expected string"),
        ("layers {\n  type: RELUS\n}", "2:9", "no value named RELUS"),
        ("layer {\n  convolution_param { num_output: 1.5 }\n}", "2:35", "parse integer"),
        ("layer {\n  name: 'a'\n", "", "Expected"),
        ("layer {}\n}", "2:1", "Expected identifier"),
        ("layer { clip_param { min: 0 } }", "", "missing required fields: layer[0].clip_param.max"),
        ("layer { relu_param { slope } }", "1:22", 'no field named "slope"'),
    ],
)
def test_errors_are_one_line_with_file_line_and_column(written, place, problem, allow_unknown):
    with pytest.raises(ParseError) as caught:
        text.parse_net(written, "x.prototxt", allow_unknown=allow_unknown)
    message = str(caught.value)
    assert message.startswith(f"x.prototxt:{place}" if place else "x.prototxt:")
    assert problem in message
    assert "\n" not in message


def test_a_long_line_is_not_repeated_in_the_message():
    with pytest.raises(ParseError) as caught:
        text.parse_net("layer {}\n" + "layer {} " * 10_000 + "input_dim: many")
    assert str(caught.value) == "<string>:2:90012: Couldn't parse integer: many"


@pytest.mark.parametrize(
    ("written", "begin", "end"),
    [
        ("x" * 5000, 'x.prototxt:1:1: Message type "caffe.NetParameter" has no field named "xxx', 'xxx".'),
        ("name: '" + "a" * 5000, "x.prototxt:1:7: String missing ending quote: ", ""),
        ("input_dim: " + "7" * 5000, "x.prototxt:1:12: ", ""),
        ("layers { type: " + "7" * 5000 + " }", "x.prototxt:1:16: ", ""),
    ],
)
def test_a_long_value_is_not_repeated_in_the_message(written, begin, end):
    for allow_unknown in (False, True):
        with pytest.raises(ParseError) as caught:
            text.parse_net(written, "x.prototxt", allow_unknown=allow_unknown)
        told = str(caught.value)
        assert told.startswith(begin) and told.endswith(end) and len(told) < 1100


def test_a_mix_up_of_net_and_solver_is_named():
    solver = GOLDEN / "train" / "adam" / "solver.prototxt"
    with pytest.raises(ParseError, match=r"this is a caffe.SolverParameter, not a caffe.NetParameter"):
        text.read_net(solver)
    assert text.read_solver(solver).type == "Adam"
    with pytest.raises(ParseError, match=r"this is a caffe.NetParameter, not a caffe.SolverParameter"):
        text.read_solver(GOLDEN / "train" / "adam" / "train_net.prototxt")


@pytest.mark.parametrize("name", ["$OUTPUTS", "{{ outputs }}", "<%= outputs %>", "\n% if deep:", "OUTPUTS"])
def test_a_template_is_named(name):
    with pytest.raises(ParseError, match="a template: put values in place of its names first"):
        text.parse_net(f"layer {{ inner_product_param {{ num_output: {name} }} }}")
    with pytest.raises(ParseError) as caught:
        text.parse_net(f"layer {{ inner_product_param {{ num_output: ? }} }} # {name}")
    assert "template" not in str(caught.value)
    with pytest.raises(ParseError, match=r"parse integer: weight_filler$"):
        text.parse_net("layer { inner_product_param { num_output: weight_filler { type: 'xavier' } } }")


def test_comments_come_in_any_encoding_but_names_in_utf8(tmp_path):
    path = tmp_path / "gbk.prototxt"
    path.write_bytes(b'name: "a" # \xc4\xe3\nlayer { name: "x" }')
    assert text.read_net(path).layer[0].name == "x"
    path.write_bytes(b'name: "a" # \xc4\xe3\nlayer { name: "\xc4\xe3" }')
    with pytest.raises(ParseError, match=r"gbk.prototxt:2:15: String is not UTF-8"):
        text.read_net(path)


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    path = tmp_path / "bom.prototxt"
    path.write_bytes(b'\xef\xbb\xbfname: "a"')
    assert text.read_net(path).name == "a"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "empty, expected a caffe.NetParameter"),
        (b"# nothing\n", "empty, expected a caffe.NetParameter"),
        (b"\x0a\x04VGG!\xa2\x06\x02\x0a\x00", "a binary file, not a prototxt"),
        ("name: 'x'".encode("utf-16"), "a binary file, not a prototxt (this is text in UTF-16)"),
    ],
)
def test_files_that_are_no_prototxt(tmp_path, content, problem):
    path = tmp_path / "x.prototxt"
    path.write_bytes(content)
    with pytest.raises(ParseError) as caught:
        text.read_net(path)
    assert str(caught.value) == f"{path}: {problem}"


def test_missing_files_folders_and_huge_files(tmp_path):
    with pytest.raises(ParseError, match=r"absent.prototxt: No such file"):
        text.read_net(tmp_path / "absent.prototxt")
    with pytest.raises(ParseError, match="Is a directory"):
        text.read_solver(tmp_path)
    huge = tmp_path / "huge.prototxt"
    with huge.open("wb") as file:
        file.write(b" " * text.HEAD)
        file.truncate(text.MAX_BYTES + 1)  # sparse: takes no room
    with pytest.raises(ParseError, match="larger than 256 MiB"):
        text.read_net(huge)
