"""The command that writes prototxt and caffemodel from an ONNX model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from golden_suite import ROOT
from onnx import helper, numpy_helper

from vggrepro.cli import to_caffe as command
from vggrepro.graph.forward import to_onnx
from vggrepro.graph.to_caffe import onnx_to_caffe
from vggrepro.net import load_net

NET = ROOT / "nets" / "mobilenet_like"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "net.onnx"
    onnx.save(to_onnx(load_net(NET / "net.prototxt", NET / "weights.caffemodel")), path)
    return path


@pytest.mark.parametrize("output", ["back", "back.prototxt", "back.caffemodel"])
def test_both_files_are_written_and_are_the_model(
    model: Path, output: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = ",".join(map(str, load_net(NET / "net.prototxt").inputs["data"]))
    assert command.main([str(model), "-o", str(tmp_path / output), "--input-shape", f"data={sizes}"]) == 0
    assert "verified: worst" in capsys.readouterr().out
    net = load_net(tmp_path / "back.prototxt", tmp_path / "back.caffemodel")
    assert {use.owner for use in net.param_uses} == net.loaded
    assert "BatchNorm" not in {layer.message.type for layer in net.layers}


def test_a_net_that_computes_something_else_is_not_written(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def doubled(made, shapes):  # type: ignore[no-untyped-def]
        message, blobs = to_caffe(made, shapes)
        return message, {name: [array * 2 for array in arrays] for name, arrays in blobs.items()}

    to_caffe = onnx_to_caffe.to_caffe
    monkeypatch.setattr(onnx_to_caffe, "to_caffe", doubled)
    sizes = ",".join(map(str, load_net(NET / "net.prototxt").inputs["data"]))
    assert command.main([str(model), "-o", str(tmp_path / "back"), "--input-shape", f"data={sizes}"]) == 1
    assert "FAILED: output" in capsys.readouterr().err
    assert list(tmp_path.glob("back*")) == []


def test_what_cannot_be_said_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "loss.onnx"
    onnx.save(to_onnx(load_net(ROOT / "nets" / "lenet_test" / "net.prototxt"), fixed=True), path)
    assert command.main([str(path), "-o", str(tmp_path / "back")]) == 2
    assert "operators that Caffe lacks: " in capsys.readouterr().err
    assert list(tmp_path.glob("back*")) == []


def test_tensors_called_as_parameters_are(tmp_path: Path) -> None:
    weight = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["fc"], transB=1),
        helper.make_node("Tanh", ["fc"], ["fc:0"]),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", 1, [2, 4])],
        [helper.make_tensor_value_info("fc:0", 1, [2, 3])],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "net.onnx")
    assert command.main([str(tmp_path / "net.onnx"), "-o", str(tmp_path / "back")]) == 0
    net = load_net(tmp_path / "back.prototxt", tmp_path / "back.caffemodel")
    np.testing.assert_array_equal(net.params["fc:0'"], weight)
