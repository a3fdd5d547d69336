"""On a GPU: a part of the golden suite forward and backward, training steps, memory that stays there.

Skipped, with the reason that the package itself gives, where CUDA does not work.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from golden_suite import ROOT, cases

from vggrepro.errors import DeviceError
from vggrepro.graph.forward import build_forward
from vggrepro.graph.model import Graph
from vggrepro.runtime.device import parse_device, require
from vggrepro.runtime.device_array import DeviceArray
from vggrepro.runtime.session import Session
from vggrepro.training.solver import Solver
from vggrepro.verify.reference_case import ReferenceCase, check_backward, check_forward


def reason() -> str:
    """Why CUDA does not work here, or nothing."""
    try:
        require(parse_device("cuda"))
        Session(build_forward(ReferenceCase(ROOT / "layers" / "absval").load()), "cuda")
    except DeviceError as error:
        return str(error)
    return ""


REASON = reason()
pytestmark = [pytest.mark.cuda, pytest.mark.skipif(bool(REASON), reason=REASON)]

EXACT = [c for c in cases("layer", "net") if not c.about.get("random")]
"""The tolerances were made for float32 on a CPU, but they follow the spread between orders of summation,
which is what a GPU changes."""

TRAINED = [c for c in cases("train") if c.about["iters"] <= 60]


@pytest.mark.parametrize("case", EXACT, ids=lambda c: c.folder.name)
def test_forward(case: ReferenceCase) -> None:
    assert not [d for d in check_forward(case, case.load(), device="cuda") if not d.passed]


@pytest.mark.parametrize("case", [c for c in EXACT if c.entry["backward"]], ids=lambda c: c.folder.name)
def test_backward(case: ReferenceCase) -> None:
    assert not [d for d in check_backward(case, case.load(), device="cuda") if not d.passed]


@pytest.mark.parametrize("case", TRAINED, ids=lambda c: c.folder.name)
def test_training_steps(case: ReferenceCase, tmp_path: Path) -> None:
    for file in case.folder.iterdir():
        shutil.copy(file, tmp_path)
    solver = Solver(tmp_path / "solver.prototxt", weights=tmp_path / "init.caffemodel", device="cuda")
    with np.load(case.folder / "data.npz") as arrays:
        data = {key: arrays[key] for key in arrays.files}
    with np.load(case.folder / "trace.npz") as arrays:
        losses = arrays["loss"]
    order, passes = data.pop("order"), case.about["iter_size"]
    tolerance = case.entry["tolerance"]["loss"]
    for iteration in range(10):
        batches = order[iteration * passes : (iteration + 1) * passes]
        loss = solver.step([{name: array[batch] for name, array in data.items()} for batch in batches])
        allowed = tolerance["rtol"] * max(abs(losses[iteration]), tolerance["floor"])
        assert abs(loss - losses[iteration]) <= allowed


def test_nothing_of_vgg_runs_on_the_cpu(tmp_path: Path) -> None:
    """Every node of the forward graph is the CUDA provider's: nothing is copied back and forth."""
    graph = build_forward(ReferenceCase(ROOT / "nets" / "vgg_a").load())
    assert providers(graph, "cuda", tmp_path) == {"CUDAExecutionProvider"}


def providers(graph: Graph, device: str, folder: Path) -> set[str]:
    """The execution providers that a run's nodes are on, by ONNX Runtime's profile."""
    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    session = onnxruntime.InferenceSession(
        graph.to_model().SerializeToString(), options, providers=parse_device(device).providers(tf32=False)
    )
    session.run(None, {"data": np.zeros((1, 3, 64, 64), np.float32)})
    events = json.loads(Path(session.end_profiling()).read_text())
    return {event["args"]["provider"] for event in events if "provider" in event.get("args", {})}


def test_tf32_is_off_unless_asked() -> None:
    """Ten bits of mantissa would show as errors of 1e-3."""
    case = ReferenceCase(ROOT / "nets" / "vgg_a")
    graph = build_forward(case.load())
    exact = Session(graph, "cuda").run(case.arrays("in"))["prob"]
    assert case.compare("out:prob", exact).passed


def test_a_gpu_that_is_not_there() -> None:
    graph = build_forward(ReferenceCase(ROOT / "layers" / "absval").load())
    with pytest.raises(DeviceError, match="device cuda:99: "):
        Session(graph, "cuda:99")


def test_buffers() -> None:
    buffer = DeviceArray(1000, parse_device("cuda"))
    values = np.random.default_rng(0).standard_normal(1000, np.float32)
    buffer.write(values)
    np.testing.assert_array_equal(buffer.read(), values)
    buffer.clear()
    assert not buffer.read().any()
