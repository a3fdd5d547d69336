"""Elementwise graphs by NumPy: the bits of ONNX Runtime's, whatever the blocks and wherever outputs lie."""

from __future__ import annotations

import numpy as np
import pytest

from vggrepro.emit import GraphBuilder, tensor_info
from vggrepro.errors import UnsupportedError
from vggrepro.graph.assembly import assemble_plain
from vggrepro.graph.model import Graph
from vggrepro.graph.update import RULES, Hyper, accumulate_graph, update_graph
from vggrepro.runtime import elementwise as module
from vggrepro.runtime.device import Device
from vggrepro.runtime.device_array import DeviceArray, DeviceScalar, DeviceView
from vggrepro.runtime.elementwise import Elementwise
from vggrepro.runtime.session import Session

CPU = Device("cpu")
SIZE = 37
SCALARS = {"rate": 0.05, "decay": 0.01, "scale": 0.5}


def feeds_of(graph: Graph) -> dict[str, np.ndarray]:
    """Scalars by their names, and arrays, the histories of which are positive."""
    rng = np.random.default_rng(1)
    arrays = {
        name: rng.standard_normal(SIZE, np.float32) for name in graph.input_names if name not in SCALARS
    }
    arrays = {name: np.abs(array) if name[0] == "h" else array for name, array in arrays.items()}
    scalars = {name: np.array(value, np.float32) for name, value in SCALARS.items()}
    return {**arrays, **{name: scalars[name] for name in graph.input_names if name in scalars}}


def in_place(graph: Graph) -> dict[str, np.ndarray]:
    """The outputs, each of which lies where its input lies."""
    run, arrays = Elementwise(graph).bind(), {}
    for name, value in feeds_of(graph).items():
        if name in SCALARS:
            scalar = DeviceScalar(CPU)
            scalar.set(float(value))
            run.bind_scalar(name, scalar)
            continue
        arrays[name] = DeviceArray(SIZE, CPU)
        arrays[name].write(value)
        run.bind_input(name, DeviceView(arrays[name], 0, (SIZE,)))
        if f"{name}'" in graph.output_names:
            run.bind_output(f"{name}'", DeviceView(arrays[name], 0, (SIZE,)))
    run.run()
    return {name: arrays[name[:-1]].read() for name in graph.output_names}


@pytest.mark.parametrize("block", [8, 37, 1 << 18])
@pytest.mark.parametrize("kind", ["L1", "L2", "steps"])
@pytest.mark.parametrize("solver_type", RULES)
def test_updates(monkeypatch: pytest.MonkeyPatch, solver_type: str, kind: str, block: int) -> None:
    monkeypatch.setattr(module, "BLOCK", block)
    hyper = Hyper(0.9, 0.99, 1e-3, 0.8, "L1" if kind == "L1" else "L2")
    graph = update_graph(solver_type, hyper, decayed=True, steps=kind == "steps")
    expected, got = Session(graph, threads=1).run(feeds_of(graph)), in_place(graph)
    for name, array in expected.items():
        np.testing.assert_array_equal(got[name], array)


def test_sums() -> None:
    feeds = feeds_of(accumulate_graph())
    np.testing.assert_array_equal(in_place(accumulate_graph())["a'"], feeds["a"] + feeds["g"])


def test_overflow_is_infinite_and_no_warning() -> None:
    array = np.full(3, 3e38, np.float32)
    total = np.empty(3, np.float32)
    Elementwise(accumulate_graph()).compute({"a": array, "g": array, "a'": total}, {})
    assert np.isposinf(total).all()


def test_other_operators_are_refused() -> None:
    g = GraphBuilder()
    info = [tensor_info(name, ["n"], np.float32) for name in "xy"]
    graph = assemble_plain("tanh", g, info[:1], info[1:], {"y": g.op("Tanh", "x")})
    with pytest.raises(UnsupportedError, match="operator Tanh is none of Add, Sub"):
        Elementwise(graph)
