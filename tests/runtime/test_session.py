"""Sessions: bound feeds and results, names, shapes, memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from golden_suite import ROOT

import vggrepro.runtime.session as module
from vggrepro.errors import DeviceError, NetError, ShapeError
from vggrepro.graph.forward import build_forward
from vggrepro.graph.model import Graph
from vggrepro.graph.reference import reference_forward
from vggrepro.layers.rules import few_rows
from vggrepro.net.load import load_net
from vggrepro.runtime.device import Device
from vggrepro.runtime.session import Session
from vggrepro.verify.reference_case import ReferenceCase


@pytest.fixture(scope="module")
def case() -> ReferenceCase:
    return ReferenceCase(ROOT / "nets" / "vgg_a")


@pytest.fixture(scope="module")
def graph(case: ReferenceCase) -> Graph:
    return build_forward(case.load(), outputs=["prob", "pool3"])


@pytest.fixture(scope="module")
def session(graph: Graph) -> Session:
    return Session(graph, threads=1)


def test_outputs_by_name(session: Session, case: ReferenceCase) -> None:
    feeds = case.arrays("in")
    every = session.run(feeds)
    assert list(every) == ["prob", "pool3"]
    assert list(session.run(feeds, ["pool3"])) == ["pool3"]
    assert case.compare("out:prob", every["prob"]).passed


def test_one_session_for_every_batch(session: Session) -> None:
    rng = np.random.default_rng(0)
    images = rng.standard_normal((7, 3, 64, 64), np.float32)
    whole = session.run({"data": images})
    for size in (1, 3, 2):
        part = session.run({"data": images[:size]})
        assert part["prob"].shape == (size, 10)
        np.testing.assert_allclose(part["prob"], whole["prob"][:size], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("images", "batch", "parts"), [(1, 6, 1), (2, 6, 1), (3, 6, 1), (4, 6, 2), (7, 6, 3), (7, 5, 1)]
)
def test_images_side_by_side(
    graph: Graph, images: int, batch: int, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each thread takes two or more images, if batches have so many, and results are those of one run."""
    data = np.random.default_rng(images).standard_normal((images, 3, 64, 64), np.float32)
    side_by_side, runs = Session(graph, threads=3, batch=batch), []
    computed = side_by_side._computed
    monkeypatch.setattr(
        side_by_side, "_computed", lambda feeds, names: runs.append(feeds) or computed(feeds, names)
    )
    expected, found = Session(graph, threads=1).run({"data": data}), side_by_side.run({"data": data})
    assert found.keys() == expected.keys()
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name])
    assert len(runs) == parts


def test_a_fixed_number_of_images_is_not_split(case: ReferenceCase, session: Session) -> None:
    data = np.random.default_rng(0).standard_normal((2, 3, 64, 64), np.float32)
    graph = build_forward(case.load().reshape({"data": data.shape}), outputs=["prob"], fixed=True)
    found = Session(graph, threads=2, batch=8).run({"data": data})["prob"]
    np.testing.assert_allclose(found, session.run({"data": data})["prob"], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("rows", [1, 2])
def test_large_layers_one_behind_the_other(
    rows: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """ONNX Runtime joins products of a few rows with the biases and transposes around them."""
    monkeypatch.setattr(few_rows, "LEAST_ELEMENTS", 0)
    param = 'num_output: 256 weight_filler { type: "xavier" } bias_filler { type: "uniform" }'
    layers = [
        f'layer {{ name: "{top}" bottom: "{bottom}" top: "{top}" type: "InnerProduct"'
        f" inner_product_param {{ {param} }} }}"
        for bottom, top in (("data", "first"), ("first", "second"))
    ]
    prototxt = tmp_path / "deploy.prototxt"
    prototxt.write_text("\n".join([f'input: "data" input_shape {{ dim: {rows} dim: 512 }}', *layers]))
    net = load_net(prototxt)
    x = np.random.default_rng(0).standard_normal((rows, 512), np.float32)
    found = Session(build_forward(net, rules="cpu", fixed=True), threads=1).run({"data": x})["second"]
    np.testing.assert_allclose(found, reference_forward(net, {"data": x})["second"], rtol=1e-4, atol=1e-5)


def test_results_are_the_callers_own(session: Session) -> None:
    """A later run must not write into the arrays of an earlier one."""
    rng = np.random.default_rng(1)
    first, second = rng.standard_normal((2, 1, 3, 64, 64), np.float32)
    kept = session.run({"data": first})["pool3"]
    before = kept.copy()
    session.run({"data": second})
    np.testing.assert_array_equal(kept, before)


@pytest.mark.parametrize(
    "change",
    [
        lambda x: np.asfortranarray(x),
        lambda x: list(x),
        lambda x: x[:, ::-1][:, ::-1],
        lambda x: np.repeat(x, 2, axis=3)[..., ::2],
        lambda x: np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view("<f4").reshape(x.shape),
    ],
    ids=["fortran", "list", "reversed", "strided", "unaligned"],
)
def test_feeds_of_any_layout(session: Session, change) -> None:
    images = np.random.default_rng(2).standard_normal((2, 3, 64, 64), np.float32)
    want = session.run({"data": images})["prob"]
    np.testing.assert_array_equal(session.run({"data": change(images)})["prob"], want)


@pytest.mark.parametrize(
    ("feeds", "error", "text"),
    [
        ({}, NetError, "no array for input 'data'"),
        ({"image": (1, 3, 64, 64)}, NetError, "no array for input 'data'; the graph takes ['data']"),
        ({"data": (1, 3, 64, 64), "image": (1,)}, NetError, "the graph has no input 'image'"),
        ({"data": (3, 64, 64)}, ShapeError, "input 'data': shape (3, 64, 64), expected ('N', 3, 64, 64)"),
        ({"data": (1, 3, 65, 64)}, ShapeError, "input 'data': shape (1, 3, 65, 64)"),
    ],
)
def test_feeds_that_do_not_fit(
    session: Session, feeds: dict[str, tuple[int, ...]], error: type[Exception], text: str
) -> None:
    with pytest.raises(error) as caught:
        session.run({name: np.zeros(shape, np.float32) for name, shape in feeds.items()})
    assert text in str(caught.value)


def test_a_layer_that_needs_images(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 64 dim: 14 dim: 14 } } }'
        ' layer { name: "y" type: "Convolution" bottom: "x" top: "y" convolution_param { num_output: 64'
        " kernel_size: 5 } }"
    )
    session = Session(build_forward(load_net(path), rules="cpu"))
    with pytest.raises(ShapeError, match=r"^input 'x': shape \(0, 64, 14, 14\) has no elements"):
        session.run({"x": np.zeros((0, 64, 14, 14), np.float32)})


def test_other_dtypes_and_outputs(session: Session) -> None:
    images = np.zeros((1, 3, 64, 64))
    with pytest.raises(NetError, match=r"input 'data': dtype float64, expected tensor\(float\)"):
        session.run({"data": images})
    with pytest.raises(NetError, match="the graph has no output 'fc9'; it gives"):
        session.run({"data": images.astype(np.float32)}, ["fc9"])


def test_states_are_optional_feeds() -> None:
    case = ReferenceCase(ROOT / "layers" / "lstm_state_carries_over")
    graph = build_forward(case.load())
    session = Session(graph, threads=1)
    (out,) = case.arrays("out")
    first = session.run(case.arrays("in"))
    assert case.compare(f"out:{out}", first[out]).passed
    going_on = {**case.arrays("in"), "cont": np.ones_like(case.arrays("in")["cont"])}
    assert {state.input for state in graph.states} == session.inputs - set(going_on)
    again = session.run({**going_on, **{state.input: first[state.output] for state in graph.states}})
    assert (again[out] != session.run(going_on)[out]).any()


def test_weights_are_shared_where_memory_allows() -> None:
    """Aligned arrays are lent to ONNX Runtime, others are copied once, in C's order."""
    aligned = np.arange(4000, dtype=np.float32).reshape(40, 100)
    assert module._owned(aligned) is aligned
    unaligned = np.frombuffer(b"\0" + aligned.tobytes(), np.uint8)[1:].view("<f4").reshape(aligned.shape)
    for array in (unaligned, aligned.T):
        copy = module._owned(array)
        assert copy.flags.c_contiguous
        assert copy.ctypes.data % 4 == 0
        np.testing.assert_array_equal(copy, array)


MEMORY = """
import resource
import numpy as np
from vggrepro.emit import GraphBuilder, model, tensor_info
from vggrepro.graph.model import Graph, initializers
from vggrepro.runtime.session import Session

shape = (1, 50_000_000)
weight = np.ones(shape, np.float32)  # 200 MB
protos, weights = initializers({"w": weight})
g = GraphBuilder()
y = g.op("ReduceSum", g.op("Mul", "x", "w"), keepdims=0)
inputs, outputs = [tensor_info("x", (1, 1), np.float32)], [tensor_info(y, (), np.float32)]
skeleton = model("m", g.nodes, inputs, outputs, protos, {})

def resident():
    pages = open("/proc/self/statm").read().split()[1]
    return int(pages) * resource.getpagesize()

before = resident()
session = Session(Graph(skeleton, weights), threads=1)
print((resident() - before) / weight.nbytes)
"""


def test_a_session_holds_no_second_copy_of_the_weights() -> None:
    if not Path("/proc/self/statm").exists():
        pytest.skip("this system does not tell a process its memory")
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 0.2


def test_threads(graph: Graph) -> None:
    assert module.session_options(3).intra_op_num_threads == 3
    assert module.session_options(0).intra_op_num_threads == 0
    assert Session(graph, threads=2).run({"data": np.zeros((1, 3, 64, 64), np.float32)})


def test_a_device_that_fails_to_start_is_an_error_and_no_fallback(
    graph: Graph, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "require", lambda _: None)

    def fails(*args: object, **kwargs: object) -> None:
        assert kwargs["enable_fallback"] == 0
        raise RuntimeError("CUDA failure 100: no CUDA-capable device is detected\nmore")

    monkeypatch.setattr(onnxruntime, "InferenceSession", fails)
    with pytest.raises(DeviceError) as caught:
        Session(graph, "cuda")
    assert str(caught.value) == (
        "device cuda:0: ONNX Runtime failed: CUDA failure 100: no CUDA-capable device is detected"
    )
    assert capfd.readouterr().out == ""


def test_a_session_that_came_up_without_its_provider(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "require", lambda _: None)
    real = onnxruntime.InferenceSession
    monkeypatch.setattr(
        onnxruntime,
        "InferenceSession",
        lambda skeleton, options, **_: real(skeleton, options, providers=["CPUExecutionProvider"]),
    )
    with pytest.raises(DeviceError, match="device cuda:2: ONNX Runtime could not start CUDA there"):
        Session(graph, "cuda:2")


def test_a_device_may_be_given_as_such(graph: Graph) -> None:
    assert Session(graph, Device("cpu"), threads=1).device == Session(graph, "cpu", threads=1).device


def test_other_devices_are_refused_before_anything_else(graph: Graph) -> None:
    with pytest.raises(DeviceError, match="got 'tpu'"):
        Session(graph, "tpu")


def test_only_the_runtime_imports_onnxruntime() -> None:
    package = Path(module.__file__).parents[1]
    importers = {
        path.relative_to(package).parts[0]
        for path in package.rglob("*.py")
        if "import onnxruntime" in path.read_text()
    }
    assert importers == {"runtime"}


def test_no_other_room_touches_onnxruntimes_own_session() -> None:
    package = Path(module.__file__).parents[1]
    outside = [p for p in package.rglob("*.py") if p.relative_to(package).parts[0] != "runtime"]
    assert len(outside) > 100
    assert not [path for path in outside if "session._raw" in path.read_text()]
