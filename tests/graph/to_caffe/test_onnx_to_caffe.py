"""Whole models on the way back, and what is refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from golden_suite import ROOT
from onnx_models import caffe_net, model, node, random

from vggrepro.errors import NetError, ParseError, UnsupportedError
from vggrepro.graph.forward import to_onnx
from vggrepro.graph.to_caffe.onnx_to_caffe import read_onnx, to_caffe
from vggrepro.net import load_net
from vggrepro.verify.written_net import compare_with_model

NETS = sorted(path.parent.name for path in (ROOT / "nets").glob("*/net.prototxt"))
JUDGED = ("GatherElements", "GreaterOrEqual", "Equal")
"""Operators of losses and accuracies, which Caffe's plain layers cannot say."""


@pytest.mark.parametrize("name", NETS)
def test_golden_nets_come_back(name: str, tmp_path: Path) -> None:
    """Those without a loss, an accuracy or an embedding, by the numbers; the others are refused by name."""
    made = to_onnx(load_net(ROOT / "nets" / name / "net.prototxt"), fixed=True)
    if any(n.op_type in JUDGED for n in made.graph.node):
        with pytest.raises(UnsupportedError, match=r"operators that Caffe lacks: .*Cast \('"):
            to_caffe(made)
        return
    onnx.save(made, tmp_path / "net.onnx")
    _, net = caffe_net(read_onnx(tmp_path / "net.onnx"))
    differences = compare_with_model(tmp_path / "net.onnx", net, 1e-4)
    assert [d.blob for d in differences if not d.passed] == []


@pytest.mark.parametrize("name", ["fuzz_28", "squeezenet_like"])
def test_padded_convolutions_of_one_pixel_come_back_from_what_openvino_needs(
    name: str, tmp_path: Path
) -> None:
    """That target gives them a second tap, of zeros, and padding that differs by side."""
    net = load_net(ROOT / "nets" / name / "net.prototxt")
    onnx.save(to_onnx(net, fixed=True, target="openvino"), tmp_path / "net.onnx")
    message, back = caffe_net(read_onnx(tmp_path / "net.onnx"))
    assert all(d.passed for d in compare_with_model(tmp_path / "net.onnx", back, 1e-4))
    wide = [p for p in (layer.convolution_param for layer in message.layer) if list(p.kernel_size) == [2]]
    assert [list(p.pad) for p in wide if p.pad] == []


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "No such file or directory"),
        (b"text", "no ONNX model: "),
        (b"", "an ONNX model without nodes"),
    ],
)
def test_files_that_are_no_models(content: bytes | None, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ParseError, match=f"^{path}: {problem}"):
        read_onnx(path)


def test_a_model_whose_weights_are_missing(tmp_path: Path) -> None:
    made = to_onnx(load_net(ROOT / "nets" / "squeezenet_like" / "net.prototxt"), fixed=True)
    onnx.save(made, tmp_path / "net.onnx", save_as_external_data=True, location="net.data", size_threshold=0)
    (tmp_path / "net.data").unlink()
    with pytest.raises(ParseError, match=r"^.*net\.onnx: .*net\.data"):
        read_onnx(tmp_path / "net.onnx")


def test_most_golden_nets_have_nothing_else() -> None:
    plain = [
        name
        for name in NETS
        if not any(
            n.op_type in JUDGED
            for n in to_onnx(load_net(ROOT / "nets" / name / "net.prototxt"), fixed=True).graph.node
        )
    ]
    assert len(plain) >= 58


def test_all_operators_that_lack_a_layer_are_named_at_once() -> None:
    nodes = [node("Erf", f"e{i - 1}" if i else "x", f"e{i}") for i in range(5)] + [node("Sin", "e4", "y")]
    with pytest.raises(UnsupportedError) as caught:
        to_caffe(model(nodes, [2, 3]))
    assert str(caught.value) == (
        "operators that Caffe lacks: Erf ('n_e0', 'n_e1', 'n_e2' and 2 more); Sin ('n_y')"
    )


def test_nodes_that_no_output_needs_are_left_out() -> None:
    nodes = [node("Erf", "x", "unused"), node("Relu", "x", "also_unused"), node("Relu", "x", "y")]
    message, _ = to_caffe(model(nodes, [2, 3]))
    assert [layer.type for layer in message.layer] == ["Input", "ReLU"]


@pytest.mark.parametrize("value", [{"value_float": 2.0}, {"value_floats": [2.0]}])
def test_constants_with_other_attributes_than_a_tensor(value: dict[str, object]) -> None:
    constant = onnx.helper.make_node("Constant", [], ["c"], **value)
    message, _ = to_caffe(model([constant, node("Mul", "x c", "y")], [2, 3]))
    assert message.layer[-1].power_param.scale == 2


@pytest.mark.parametrize(
    ("operator", "inputs", "problem"),
    [
        ("Tile", "x w", "'Repeats' input must be 1D tensor"),
        ("Dropout", "x w", "Ratio of Dropout must be a scalar"),
        ("Log", "n", r"unsupported type: tensor\(int64\)"),
    ],
)
def test_nodes_that_are_no_valid_onnx_are_named(operator: str, inputs: str, problem: str) -> None:
    arrays = {"w": random(2, 2), "n": np.zeros(3, np.int64)}
    with pytest.raises(NetError, match=rf"no valid ONNX: .*{operator}.*{problem}"):
        to_caffe(model([node(operator, inputs)], [2, 3], arrays))


def test_free_sizes_are_fixed() -> None:
    made = model([node("Conv", "x w")], ["n", 3, "h", "w"], {"w": random(4, 3, 3, 3)})
    with pytest.raises(UnsupportedError, match=r"input 'x' leaves sizes free: --input-shape x=N,C,H,W"):
        to_caffe(made)
    _, net = caffe_net(made, x=(2, 3, 8, 9))
    assert net.outputs == {"y": (2, 4, 6, 7)}
    with pytest.raises(NetError, match="no input 'z'"):
        to_caffe(made, {"z": (1,)})
    with pytest.raises(NetError, match=r"input 'x': shape \(1, 2\), the model has one of 4 sizes"):
        to_caffe(made, {"x": (1, 2)})


def test_operator_sets_that_are_not_read() -> None:
    made = model([node("Relu", "x")], [2, 3])
    made.opset_import[0].version = 5
    with pytest.raises(UnsupportedError, match="operator set 5"):
        to_caffe(made)


def test_what_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    for content in (b"", b"nonsense"):
        path.write_bytes(content)
        with pytest.raises(ParseError, match=r"x\.onnx: "):
            read_onnx(path)
    with pytest.raises(ParseError, match="No such file"):
        read_onnx(tmp_path / "none.onnx")


def test_an_initializer_whose_bytes_do_not_fit() -> None:
    made = model([node("Mul", "x w")], [2, 3], {"w": random(1)})
    made.graph.initializer[0].raw_data = bytes(5)
    with pytest.raises(NetError, match="tensor 'w': "):
        to_caffe(made)


def test_a_long_vector_takes_no_memory() -> None:
    """ONNX's inference would make a note of each element."""
    message, _ = to_caffe(model([node("Sub", "x x")], [2**31 - 1]))
    assert list(message.layer[0].input_param.shape[0].dim) == [2**31 - 1]
