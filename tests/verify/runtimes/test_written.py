"""Written models against the reference, and the search for the first layer that differs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from golden_suite import ROOT

from vggrepro.errors import UnsupportedError
from vggrepro.graph.forward import build_deployed
from vggrepro.graph.model import Graph
from vggrepro.graph.targets.convert import Deployment
from vggrepro.net import Net, load_net
from vggrepro.verify.comparison import example_inputs
from vggrepro.verify.reference_case import ReferenceCase
from vggrepro.verify.runtimes.jobs import Runtime
from vggrepro.verify.runtimes.written import Example, RuntimeCheck, check_written, installed

WRONG = """
import numpy as np, onnx
from vggrepro.runtime.onnxruntime_run import answers as exact, version

def answers(model, inputs, outputs):
    operators = [n.op_type for n in onnx.load(model, load_external_data=False).graph.node]
    found = exact(model, inputs, outputs)
    if operators.count("MaxPool") > 1:
        FAULT
    return found
"""


def net() -> Net:
    return ReferenceCase(ROOT / "nets" / "alexnet_like").load()


def build(blobs: Sequence[str]) -> Graph:
    return build_deployed(net(), Deployment(), outputs=blobs)


def checked(folder: Path, fault: str) -> RuntimeCheck:
    """What a runtime that has a fault from the second MaxPool on gives for the net."""
    (folder / "wrong_run.py").write_text(WRONG.replace("FAULT", fault))
    graph = build(["prob"])
    graph.save(folder / "m.onnx")
    runtime = Runtime("wrong", "wrong_run", path=(str(folder),))
    example = Example("noise", net(), example_inputs(net(), graph))
    (check,) = check_written(folder / "m.onnx", graph, runtime, [example], 1e-4, build)
    return check


def test_a_right_answer(tmp_path: Path) -> None:
    check = checked(tmp_path, "pass")
    assert check.passed
    assert check.first_layer == ""
    assert [d.blob for d in check.differences] == ["prob"]
    assert check.as_json()["passed"]


def test_a_wrong_answer_names_output_difference_and_first_layer(tmp_path: Path) -> None:
    check = checked(tmp_path, "found = {k: a + np.float32(0.25) * np.abs(a).max() for k, a in found.items()}")
    assert not check.passed
    assert check.first_layer == "pool2"
    assert check.complaint().startswith("wrong ")
    assert "(noise): output 'prob' is off by 2.50e-01 of " in check.complaint()
    assert check.complaint().endswith("; the first layer that differs is 'pool2'")
    assert check.as_json()["first_layer"] == "pool2"


def test_a_refusal_names_the_first_layer_too(tmp_path: Path) -> None:
    check = checked(tmp_path, "raise ValueError('two pools')")
    assert check.error == "ValueError: two pools"
    assert check.first_layer == "pool2"


def test_layers_that_work_in_place_are_one(tmp_path: Path) -> None:
    fault = WRONG.replace('operators.count("MaxPool") > 1', "operators.count('Conv') > 3")
    (tmp_path / "wrong_run.py").write_text(
        fault.replace("FAULT", "found = {k: a * 2 + 1 for k, a in found.items()}")
    )
    graph = build(["prob"])
    graph.save(tmp_path / "m.onnx")
    example = Example("noise", net(), example_inputs(net(), graph))
    runtime = Runtime("wrong", "wrong_run", path=(str(tmp_path),))
    (check,) = check_written(tmp_path / "m.onnx", graph, runtime, [example], 1e-4, build)
    assert check.first_layer == "norm2" or " and " in check.first_layer


ROOT_RUN = """
import numpy as np
from vggrepro.runtime.onnxruntime_run import answers as exact, version

def answers(model, inputs, outputs):
    found = exact(model, inputs, outputs)
    return {name: FAULT for name, array in found.items()}
"""


@pytest.mark.parametrize(
    ("fault", "first"),
    [
        ("array", ""),
        ("array * np.float32(1 + 1e-3 * (name == 'f'))", "f"),
        ("array * np.float32(1.001)", "c"),
    ],
)
def test_behind_a_root_the_bottoms_of_the_runtime_count(tmp_path: Path, fault: str, first: str) -> None:
    (tmp_path / "net.prototxt").write_text(
        'input: "x" input_shape { dim: 1 dim: 4 dim: 3 dim: 5 }'
        'layer { name: "c" type: "CompactBilinear" bottom: "x" bottom: "x" top: "c"'
        " compact_bilinear_param { num_output: 64 sum_pool: false } }"
        'layer { name: "s" type: "SignedSqrt" bottom: "c" top: "s" }'
        'layer { name: "f" type: "InnerProduct" bottom: "s" top: "f"'
        ' inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }'
    )
    rooted = load_net(tmp_path / "net.prototxt", seed=0)
    (tmp_path / "root_run.py").write_text(ROOT_RUN.replace("FAULT", fault))
    parts = lambda blobs: build_deployed(rooted, Deployment(), outputs=blobs)  # noqa: E731
    graph = parts(["s", "f"])
    graph.save(tmp_path / "m.onnx")
    example = Example("noise", rooted, example_inputs(rooted, graph))
    runtime = Runtime("root", "root_run", path=(str(tmp_path),))
    (check,) = check_written(tmp_path / "m.onnx", graph, runtime, [example], 1e-4, parts)
    assert check.first_layer == first
    assert [d.blob for d in check.differences] == ["s", "f", "c"]
    assert check.passed == (not first)


def test_an_unknown_runtime() -> None:
    with pytest.raises(UnsupportedError, match="runtime 'caffe2': expected onnxruntime, opencv, openvino"):
        installed("caffe2")
