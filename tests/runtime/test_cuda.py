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
from golden_suite import ROOT, cases, convolves, use_every_rule

from vggrepro.caffe.text import parse_net
from vggrepro.emit import RuleSet
from vggrepro.errors import DeviceError
from vggrepro.graph.forward import build_forward
from vggrepro.graph.model import Graph
from vggrepro.net.net import build
from vggrepro.runtime.device import parse_device, require
from vggrepro.runtime.device_array import DeviceArray, DeviceView
from vggrepro.runtime.session import Session
from vggrepro.runtime.upload import ArraysToDevice, CropsToBlob
from vggrepro.system.ranks import Alone
from vggrepro.training.carried_states import CarriedStates
from vggrepro.training.nccl_exchange import BUCKET, NcclExchange
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


@pytest.mark.parametrize("rules", ["cuda", "cuda-tf32"])
@pytest.mark.parametrize("case", [c for c in EXACT if convolves(c)], ids=lambda c: c.folder.name)
def test_every_rule_for_convolutions_wherever_it_holds(
    case: ReferenceCase, rules: RuleSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_every_rule(monkeypatch)
    found = check_forward(case, case.load(), device="cuda", rules=rules)
    if case.entry["backward"]:
        found += check_backward(case, case.load(), device="cuda", rules=rules)
    assert not [d for d in found if not d.passed]


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


def test_pooled_regions_are_the_cpus_to_the_last_bit() -> None:
    net = build(
        parse_net(
            'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 dim: 9 dim: 7 } } }'
            'layer { name: "r" type: "Input" top: "r" input_param { shape { dim: 40 dim: 5 } } }'
            'layer { name: "p" type: "ROIPooling" bottom: "x" bottom: "r" top: "p"'
            " roi_pooling_param { pooled_h: 3 pooled_w: 2 spatial_scale: 0.5 } }"
        ),
        "TEST",
    )
    rng = np.random.default_rng(0)
    regions = np.concatenate([rng.integers(0, 2, (40, 1)), rng.integers(-4, 22, (40, 4))], axis=1)
    feeds = {"x": rng.standard_normal((2, 3, 9, 7), np.float32), "r": regions.astype(np.float32)}
    found, expected = (Session(build_forward(net, rules=d), d).run(feeds)["p"] for d in ("cuda", "cpu"))
    np.testing.assert_array_equal(found, expected)


def test_recurrent_states_stay_on_the_device() -> None:
    case = ReferenceCase(ROOT / "layers" / "lstm_state_carries_over")
    x = case.arrays("in")["x"]
    found = {}
    for device in ("cuda", "cpu"):
        graph = build_forward(case.load())
        states, run = CarriedStates(), Session(graph, device).bind()
        states.bind(run, graph)
        run.return_output("y")
        run.feed("x", x)
        run.feed("cont", np.ones(x.shape[:2], np.float32))
        steps = []
        for _ in range(3):
            states.feed(run, graph)
            steps.append(run.run()["y"])
            states.take(run, graph)
        found[device] = np.stack(steps)
    np.testing.assert_allclose(found["cuda"], found["cpu"], rtol=1e-4, atol=1e-6)


def test_inputs_outlive_the_upload_of_the_next() -> None:
    device, rng = parse_device("cuda"), np.random.default_rng(0)
    to_blob = CropsToBlob(device, 2, 5, 1, double_buffered=True)
    to_device = ArraysToDevice(device)
    crops = rng.integers(0, 256, (4, 2, 5, 5, 3), np.uint8)
    blobs, arrays = [], []
    for number, batch in enumerate(crops):
        blobs.append(to_blob(batch, np.ones((2, 3), np.float32)))
        arrays.append(to_device({"x": batch.astype(np.float32)})["x"])
        for earlier in range(max(number - 1, 0), number + 1):
            array, sent = arrays[earlier], crops[earlier]
            assert isinstance(array, DeviceView)
            np.testing.assert_array_equal(array.read(), sent)
            np.testing.assert_array_equal(blobs[earlier].read(), sent.transpose(0, 3, 1, 2) + np.float32(1))
    to_blob.close()
    to_device.close()


def test_nccl_sums_over_one_rank() -> None:
    pytest.importorskip("nccl.core")
    device = parse_device("cuda")
    array, values = DeviceArray(BUCKET + 5, device), np.arange(BUCKET + 5, dtype=np.float32)
    array.write(values)
    exchange = NcclExchange(Alone(), device)
    exchange.begin(array)(array.size)
    exchange.share(array)
    np.testing.assert_array_equal(array.read(), values)
