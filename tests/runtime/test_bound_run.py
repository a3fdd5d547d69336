"""Runs whose inputs and outputs lie where they were bound."""

from __future__ import annotations

import numpy as np
import pytest

from vggrepro.emit import GraphBuilder, tensor_info
from vggrepro.errors import DeviceError
from vggrepro.graph.assembly import assemble_plain
from vggrepro.runtime.bound_run import BoundRun
from vggrepro.runtime.device import Device
from vggrepro.runtime.device_array import DeviceArray, DeviceScalar, DeviceView
from vggrepro.runtime.session import Session

CPU = Device("cpu")


@pytest.fixture(scope="module")
def session() -> Session:
    """``y = x * rate`` and ``total``, the sum of ``y``, for x of any length."""
    g = GraphBuilder()
    y = g.op("Mul", "x", "rate")
    inputs = [tensor_info("x", ["n"], np.float32), tensor_info("rate", [], np.float32)]
    outputs = [tensor_info("y", ["n"], np.float32), tensor_info("total", [], np.float32)]
    tensors = {"y": y, "total": g.op("ReduceSum", y, keepdims=0)}
    return Session(assemble_plain("scaled", g, inputs, outputs, tensors), CPU, threads=1)


def bound(session: Session, array: DeviceArray, start: int, count: int) -> tuple[BoundRun, DeviceScalar]:
    """A run in place on a stretch of ``array``, which returns ``total``."""
    run, rate, place = session.bind(), DeviceScalar(CPU), DeviceView(array, start, (count,))
    run.bind_input("x", place)
    run.bind_output("y", place)
    run.bind_scalar("rate", rate)
    run.return_output("total")
    return run, rate


def test_runs_in_place_read_what_is_there_and_leave_the_rest(session: Session) -> None:
    array = DeviceArray(6, CPU)
    array.write(np.arange(6, dtype=np.float32))
    run, rate = bound(session, array, 1, 3)
    rate.set(2)
    assert run.run() == {"total": 12.0}
    np.testing.assert_array_equal(array.read(), [0, 2, 4, 6, 4, 5])
    rate.set(0.5)
    assert run.run() == {"total": 6.0}
    np.testing.assert_array_equal(array.read(), np.arange(6))


def test_returned_outputs_are_the_callers_own(session: Session) -> None:
    array = DeviceArray(3, CPU)
    array.write(np.ones(3, np.float32))
    run, rate = bound(session, array, 0, 3)
    rate.set(2)
    first = run.run()["total"]
    run.run()
    assert first == 6


@pytest.mark.parametrize("x", [np.arange(8, dtype=np.float32)[::-2], np.zeros(0, np.float32)])
def test_fed_arrays_of_another_layout_and_length(session: Session, x: np.ndarray) -> None:
    run = session.bind()
    run.feed("rate", np.array(3, np.float32))
    run.feed("x", x)
    for name in ("y", "total"):
        run.return_output(name)
    got = run.run()
    np.testing.assert_array_equal(got["y"], 3 * x)
    assert got["total"] == 3 * x.sum()


def test_arrays_of_the_host_are_read_and_written_where_they_are(session: Session) -> None:
    x, y, total = np.arange(4, dtype=np.float32), np.zeros(4, np.float32), np.zeros((), np.float32)
    run = session.bind()
    run.read_host("x", x)
    run.read_host("rate", np.array(2, np.float32))
    run.write_host("y", y)
    run.write_host("total", total)
    for start in (0, 5):
        x[0] = start
        run.run()
        np.testing.assert_array_equal(y, 2 * x)
        assert total == y.sum()


def test_memory_lives_as_long_as_the_run(session: Session) -> None:
    run, rate = bound(session, DeviceArray(4, CPU), 0, 4)
    rate.set(1)
    del rate
    assert run.run()["total"] == 0


def test_a_failing_gpu_is_an_error_of_ours() -> None:
    class Broken:
        def io_binding(self) -> None:
            return None

        def run_with_iobinding(self, _: object) -> None:
            raise RuntimeError("CUDA failure 700: an illegal memory access\nmore")

    with pytest.raises(
        DeviceError, match=r"^device cuda:1: ONNX Runtime failed: CUDA failure 700: an illegal"
    ):
        BoundRun(Broken(), Device("cuda", 1)).run()
    with pytest.raises(RuntimeError, match="CUDA failure 700"):
        BoundRun(Broken(), CPU).run()


def test_started_runs_are_done_when_a_later_one_is(session: Session) -> None:
    array = DeviceArray(3, CPU)
    array.write(np.ones(3, np.float32))
    run, rate = bound(session, array, 0, 3)
    rate.set(2)
    for _ in range(3):
        run.start()
    assert run.run() == {"total": 48.0}


def test_inputs_share_an_array(session: Session) -> None:
    array = np.full((), 3, np.float32)
    run = session.bind()
    run.feed_together(["rate"], array)
    run.feed_together([], array)
    run.feed("x", np.ones(2, np.float32))
    run.return_output("total")
    assert run.run() == {"total": 6.0}


def test_a_run_goes_on_from_what_it_has_left(session: Session) -> None:
    """Outputs that are left and returned keep their names apart; what was left outlives the next run."""
    run, rate = session.bind(), DeviceScalar(CPU)
    run.leave_output("y")
    run.return_output("total")
    run.bind_scalar("rate", rate)
    rate.set(2)
    run.feed("x", np.array([1, 3], np.float32))
    found = []
    for _ in range(3):
        found.append(float(run.run()["total"]))
        run.take("x", run.left("y"))
    assert found == [8, 16, 32]
