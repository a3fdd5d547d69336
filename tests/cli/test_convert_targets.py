"""The conversion command for other runtimes: options, files, what is refused, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from golden_suite import ROOT

from vggrepro.cli.convert_caffemodel import main
from vggrepro.net import load_net, save_weights

NETS = ROOT / "nets"


def convert(name: str, out: Path, *options: str) -> int:
    folder = NETS / name
    return main([str(folder / "net.prototxt"), str(folder / "weights.caffemodel"), "-o", str(out), *options])


def dims(path: Path) -> list[int | str]:
    shape = onnx.load(path).graph.input[0].type.tensor_type.shape
    return [d.dim_value or d.dim_param for d in shape.dim]


def test_names_and_order_of_opencv(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(
        'input: "data" input_dim: 1 input_dim: 2 input_dim: 5 input_dim: 5\n'
        'layer { name: "fc" type: "InnerProduct" bottom: "data" top: "z"'
        " inner_product_param { num_output: 3 weight_filler { type: 'xavier' } } }\n"
        'layer { name: "last" type: "ReLU" bottom: "z" top: "z" }\n'
        'layer { name: "b" type: "AbsVal" bottom: "data" top: "a" }\n'
    )
    save_weights(load_net(path), tmp_path / "net.caffemodel")
    files = [str(path), str(tmp_path / "net.caffemodel"), "-o", str(tmp_path / "m.onnx"), "--verify"]
    assert main([*files, "--opencv-names"]) == 0
    assert outputs(tmp_path / "m.onnx") == ["last", "b"]
    assert main([*files, "--opencv-names", "--outputs", "fc"]) == 0
    assert outputs(tmp_path / "m.onnx") == ["fc"]
    assert main(files) == 0
    assert outputs(tmp_path / "m.onnx") == ["a", "z"]


def outputs(path: Path) -> list[str]:
    return [output.name for output in onnx.load(path).graph.output]


def test_a_given_shape_is_fixed(tmp_path: Path) -> None:
    assert convert("squeezenet_like", tmp_path / "m.onnx") == 0
    assert dims(tmp_path / "m.onnx")[0] == "N"
    assert convert("squeezenet_like", tmp_path / "m.onnx", "--input-shape", "data=2,3,40,44") == 0
    assert dims(tmp_path / "m.onnx") == [2, 3, 40, 44]


def test_versions(tmp_path: Path) -> None:
    assert convert("squeezenet_like", tmp_path / "m.onnx", "--opset", "13", "--ir-version", "7") == 0
    model = onnx.load(tmp_path / "m.onnx")
    assert (model.opset_import[0].version, model.ir_version) == (13, 7)


def test_scores_in_place_of_probabilities(tmp_path: Path) -> None:
    assert convert("alexnet_like", tmp_path / "m.onnx", "--no-softmax", "--verify") == 0
    assert [o.name for o in onnx.load(tmp_path / "m.onnx").graph.output] == ["fc8"]


def test_half_precision_tells_its_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert("alexnet_like", tmp_path / "whole.onnx", "--no-softmax") == 0
    assert convert("alexnet_like", tmp_path / "m.onnx", "--no-softmax", "--fp16") == 0
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("float16")]
    assert line.startswith("float16 weights: output 'fc8' is off by ")
    assert 1e-5 < float(line.split()[7]) < 5e-3
    assert (tmp_path / "m.onnx").stat().st_size < 0.65 * (tmp_path / "whole.onnx").stat().st_size


def test_external_data(tmp_path: Path) -> None:
    options = ("--external-data", "--verify-with", "onnxruntime")
    assert convert("alexnet_like", tmp_path / "m.onnx", *options) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.onnx", "m.onnx.data"]
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    with np.load(NETS / "alexnet_like" / "io.npz") as io:
        (got,) = session.run(["prob"], {"data": io["in:data"]})
        np.testing.assert_allclose(got, io["out:prob"], atol=1e-5)


@pytest.mark.parametrize("target", ["opencv5", "opencv4"])
def test_a_target_is_verified_in_its_runtime(
    target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--target", target, "--verify-with", "opencv,onnxruntime", "--json", str(tmp_path / "r.json"))
    assert convert("alexnet_like", tmp_path / "m.onnx", *options) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["opencv", "opencv", "onnxruntime", "onnxruntime"]
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["passed"]
    assert [check["input"] for check in report["runtimes"]] == [
        "normal noise of standard deviation 50",
        "small noise",
    ] * 2


def test_a_file_that_a_runtime_answers_wrongly_is_not_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "doubling_run.py").write_text(
        "from vggrepro.runtime.onnxruntime_run import answers as exact, version\n"
        "def answers(model, inputs, outputs):\n"
        "    return {k: 2 * a for k, a in exact(model, inputs, outputs).items()}\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setitem(
        __import__("vggrepro.verify.runtimes.jobs", fromlist=["RUNTIMES"]).RUNTIMES, "opencv", "doubling_run"
    )
    (tmp_path / "m.onnx").write_bytes(b"old")
    given = tmp_path / "x.npy"
    with np.load(NETS / "alexnet_like" / "io.npz") as io:
        np.save(given, io["in:data"])
    options = ("--verify-with", "opencv", "--input", str(given), "--json", str(tmp_path / "r.json"))
    assert convert("alexnet_like", tmp_path / "m.onnx", *options) == 1
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 3
    assert f"not written: opencv {onnxruntime.__version__} ({given}): output 'prob' is off by " in errors[0]
    assert errors[0].endswith("; the first layer that differs is 'conv1 and relu1'")
    assert (tmp_path / "m.onnx").read_bytes() == b"old"
    assert not json.loads((tmp_path / "r.json").read_text())["passed"]
    assert not list(tmp_path.glob(".m.onnx*"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--target", "opencv4"), "layer 'accuracy': operator GatherElements for OpenCV 4: does not exist"),
        (("--opset", "12"), "opset 12: expected 13 to "),
        (("--ir-version", "3"), "IR version 3: expected 8 to "),
        (("--no-softmax",), "no Softmax layer at its end"),
        (("--verify-with", "caffe2"), "runtime 'caffe2': expected onnxruntime, opencv, openvino"),
        (("--target", "caffe2"), "argument --target: invalid choice: 'caffe2'"),
    ],
)
def test_what_cannot_be_is_refused(
    options: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = convert("lenet_test", tmp_path / "m.onnx", *options)
    except SystemExit as exit:
        code = exit.code
    assert code == 2
    (line,) = [t for t in capsys.readouterr().err.splitlines() if not t.startswith("warning:")]
    assert message in line
    assert list(tmp_path.iterdir()) == []


def test_a_target_that_was_not_run_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert("squeezenet_like", tmp_path / "m.onnx", "--target", "tensorrt") == 0
    assert "note: the rules for TensorRT come from its list of operators: nothing was run in it" in (
        capsys.readouterr().err
    )
