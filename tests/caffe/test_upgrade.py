"""Upgrading: equal to Caffe's own tools on every golden case, and rule by rule where those are silent."""

import json
from pathlib import Path

import pytest

from vggrepro.caffe import messages, text, upgrade
from vggrepro.errors import ParseError, UpgradeError

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = sorted(path.name for path in (GOLDEN / "upgrade").iterdir())


def test_there_are_24_golden_cases():
    assert len(CASES) == 24


@pytest.mark.parametrize("case", CASES)
def test_golden(case):
    folder = GOLDEN / "upgrade" / case
    facts = json.loads((folder / "case.json").read_text())
    if facts["tool"] == "upgrade_net_proto_binary":
        old, new = (
            messages.NetParameter.FromString((folder / f"{name}.caffemodel").read_bytes())
            for name in ("old", "new")
        )
        result = upgrade.upgrade_net_report(old)
    elif facts["tool"] == "upgrade_solver_proto_text":
        old, new = (text.read_solver(folder / f"{name}.prototxt") for name in ("old", "new"))
        result = upgrade.upgrade_solver_report(old)
        assert text.parse_solver(upgrade.upgrade_solver((folder / "old.prototxt").read_text())) == new
    else:
        old, new = (text.read_net(folder / f"{name}.prototxt") for name in ("old", "new"))
        result = upgrade.upgrade_net_report(old)
        assert text.parse_net(upgrade.upgrade_net((folder / "old.prototxt").read_text())) == new
    assert result.message == new
    assert bool(result.problems) == (facts["exit_code"] == 1)
    already_newest = any("already in latest" in line for line in facts["message"])
    assert (result.steps == ()) == already_newest


@pytest.mark.parametrize("case", [case for case in CASES if not case.startswith(("solver", "binary"))])
def test_upgrading_twice_is_upgrading_once_and_changes_nothing_given(case):
    old = text.read_net(GOLDEN / "upgrade" / case / "old.prototxt")
    before = messages.NetParameter.FromString(old.SerializeToString())
    new = upgrade.upgrade_net_param(old)
    assert old == before
    again = upgrade.upgrade_net_report(new)
    assert again.message == new
    # Caffe's test for old BatchNorm layers also finds those that it has upgraded
    assert set(again.steps) <= {"batch norm params"}


def test_a_mix_of_formats_is_refused_in_caffes_words():
    path = GOLDEN / "errors" / "both_formats.prototxt"
    printed = next(
        case["message"][0]
        for case in json.loads((GOLDEN / "errors" / "errors.json").read_text())["cases"]
        if case["name"] == "both_formats"
    )
    with pytest.raises(UpgradeError) as caught:
        upgrade.upgrade_net_param(text.read_net(path), "net")
    assert str(caught.value) == f"net: {printed.split('] ', 1)[1]}"
    with pytest.raises(UpgradeError, match="both 'layer' and 'layers'"):
        upgrade.upgrade_net('layers { layer { type: "relu" } } layer { type: "ReLU" }')


def test_input_shapes_go_before_input_dims_and_the_rest_is_left_over():
    old = (
        'input: "a" input: "b" input_dim: 9 input_shape { dim: 1 } input_shape {} input_shape { dim: 5 }'
        ' layer { name: "l" }'
    )
    new = (
        'layer { name: "input" type: "Input" top: "a" top: "b" input_param { shape { dim: 1 } shape {} } }'
        ' layer { name: "l" }'
    )
    assert upgrade.upgrade_net_param(text.parse_net(old)) == text.parse_net(new)


def test_dims_without_input_are_none_of_caffes_business():
    old = text.parse_net("input_dim: 1 input_dim: 2")
    assert upgrade.upgrade_net_report(old) == upgrade.Upgraded(old)


@pytest.mark.parametrize(
    ("old", "problem"),
    [
        ('input: "a" input: "b" input_shape { dim: 1 }', "input 'b': 1 input_shape for 2 input"),
        (
            'input: "a" input: "b" input_dim: 1 input_dim: 2 input_dim: 3 input_dim: 4 input_dim: 5',
            "input 'b': 5 input_dim",
        ),
    ],
)
def test_too_few_input_shapes_are_an_error_where_caffe_reads_beyond_the_end(old, problem):
    with pytest.raises(UpgradeError, match=problem):
        upgrade.upgrade_net(old)


@pytest.mark.parametrize("count", [2, 4])
def test_only_three_batch_norm_params_are_old(count):
    net = text.parse_net('layer { type: "BatchNorm" ' + "param { lr_mult: 1 } " * count + "}")
    assert upgrade.upgrade_net_report(net) == upgrade.Upgraded(net)


def test_params_of_other_layers_are_left_alone():
    net = text.parse_net('layer { type: "Scale" ' + "param { lr_mult: 1 } " * 3 + "}")
    assert upgrade.upgrade_net_report(net) == upgrade.Upgraded(net)


def test_the_steps_are_told_in_caffes_order():
    v0 = text.parse_net('input: "x" input_dim: [1, 1, 1, 1] layers { layer { type: "data" scale: 2 } }')
    formats = ("V0LayerParameter", "V1LayerParameter", "input fields")
    assert upgrade.upgrade_net_report(v0).steps == formats
    v1 = text.parse_net("layers { type: DATA data_param { scale: 2 } }")
    steps = ("transformation parameters", "V1LayerParameter")
    assert upgrade.upgrade_net_report(v1).steps == steps
    norm = text.parse_net('layer { type: "BatchNorm" param {} param {} param {} }')
    assert upgrade.upgrade_net_report(norm).steps == ("batch norm params",)


def test_a_net_with_problems_is_not_run():
    old = text.parse_net('layers { layer { name: "l" type: "relu" stride: 2 } top: "t" }')
    with pytest.raises(
        UpgradeError, match=r"^x\.prototxt: layer 'l': Unknown parameter stride for layer type"
    ):
        upgrade.upgrade_net_param(old, "x.prototxt")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("SGD", "SGD"),
        ("NESTEROV", "Nesterov"),
        ("ADAGRAD", "AdaGrad"),
        ("RMSPROP", "RMSProp"),
        ("ADADELTA", "AdaDelta"),
        ("ADAM", "Adam"),
    ],
)
def test_every_solver_type(old, new):
    assert text.parse_solver(upgrade.upgrade_solver(f"solver_type: {old}")) == text.parse_solver(
        f'type: "{new}"'
    )


def test_five_sizes_for_each_input_are_those_of_videos():
    """C3D's; of any other number each input takes four, as in Caffe."""
    sizes = [2, 3, 16, 7, 8, 1, 3, 4, 5, 6]
    net = messages.NetParameter(input=["a", "b"], input_dim=sizes)
    (layer,) = upgrade.upgrade_net_param(net).layer
    assert [list(shape.dim) for shape in layer.input_param.shape] == [sizes[:5], sizes[5:]]
    net.input_dim.pop()
    (layer,) = upgrade.upgrade_net_param(net).layer
    assert [list(shape.dim) for shape in layer.input_param.shape] == [sizes[:4], sizes[4:8]]


def test_inputs_without_sizes_take_those_that_are_given():
    for layers in (
        'layer { name: "r" type: "ReLU" bottom: "a" }',
        'layers { name: "r" type: RELU bottom: "a" }',
    ):
        net = text.parse_net('input: "a" input: "b" ' + layers)
        given = {"a": (1, 3), "b": (2,), "c": (9,)}
        first, _ = upgrade.upgrade_net_param(net, "x", given).layer
        assert first == messages.LayerParameter(
            name="input", type="Input", top=["a", "b"], input_param={"shape": [{"dim": [1, 3]}, {"dim": [2]}]}
        )
        assert [layer.name for layer in upgrade.upgrade_net_param(net, "x", {"a": (1,)}).layer] == ["r"]
    declared = text.parse_net('input: "a" input_shape { dim: 7 }')
    (first,) = upgrade.upgrade_net_param(declared, "x", {"a": (1,)}).layer
    assert first.input_param.shape[0].dim == [7]


def test_a_byte_order_mark_is_no_part_of_the_text():
    assert upgrade.upgrade_net('\ufeffname: "a"') == 'name: "a"\n'
    assert upgrade.upgrade_solver("\ufeffbase_lr: 1") == "base_lr: 1.0\n"


def test_two_solver_types_are_refused():
    with pytest.raises(UpgradeError, match="cannot be both specified"):
        upgrade.upgrade_solver('solver_type: SGD type: "SGD"')


def test_text_that_is_no_net_is_a_parse_error():
    with pytest.raises(ParseError, match="<string>:1:1"):
        upgrade.upgrade_net("}")
    with pytest.raises(ParseError, match="<string>:1:1"):
        upgrade.upgrade_solver('layer { name: "x" }')


def test_fields_of_forks_on_which_no_number_depends_may_be_left_out():
    with pytest.warns(UserWarning, match=r"NetParameter\.fork \(1:11\)") as caught:
        assert upgrade.upgrade_net('name: "a" fork: 1', allow_unknown=True) == 'name: "a"\n'
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match=r"SolverParameter\.engine"):
        assert upgrade.upgrade_solver('base_lr: 1 engine: "d"', allow_unknown=True) == "base_lr: 1.0\n"
    with pytest.raises(ParseError, match='no field named "warmup"'):
        upgrade.upgrade_solver("base_lr: 1 warmup: 3", allow_unknown=True)
