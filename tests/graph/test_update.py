"""Solver rules over flat arrays: one step of each, written out as Caffe's solver computes it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from vggrepro.graph.update import RULES, Hyper, accumulate_graph, copy_graph, square_graph, update_graph
from vggrepro.runtime.session import Session

HYPER = Hyper(momentum=0.9, momentum2=0.99, delta=1e-3, rms_decay=0.8)
W, G, H0, H1 = np.float32([[0.5, -2, 0], [0.1, -0.3, 2], [0.4, 0.2, 0], [0.3, 0.1, 0.2]])
RATE, DECAY, SCALE = 0.05, 0.01, 0.5

Expected = tuple[np.ndarray, tuple[np.ndarray, ...]]


def sgd(d: np.ndarray) -> Expected:
    h = 0.9 * H0 + RATE * d
    return h, (h,)


def nesterov(d: np.ndarray) -> Expected:
    h = 0.9 * H0 + RATE * d
    return 1.9 * h - 0.9 * H0, (h,)


def adagrad(d: np.ndarray) -> Expected:
    h = H0 + d**2
    return RATE * d / (np.sqrt(h) + 1e-3), (h,)


def rmsprop(d: np.ndarray) -> Expected:
    h = 0.8 * H0 + 0.2 * d**2
    return RATE * d / (np.sqrt(h) + 1e-3), (h,)


def adadelta(d: np.ndarray) -> Expected:
    h0 = 0.9 * H0 + 0.1 * d**2
    step = d * np.sqrt((H1 + 1e-3) / (h0 + 1e-3))
    return RATE * step, (h0, 0.9 * H1 + 0.1 * step**2)


def adam(d: np.ndarray) -> Expected:
    h0, h1 = 0.9 * H0 + 0.1 * d, 0.99 * H1 + 0.01 * d**2
    return RATE * h0 / (np.sqrt(h1) + 1e-3), (h0, h1)


STEPS = {
    "SGD": sgd,
    "Nesterov": nesterov,
    "AdaGrad": adagrad,
    "RMSProp": rmsprop,
    "AdaDelta": adadelta,
    "Adam": adam,
}


def feeds(histories: int, *, decayed: bool) -> dict[str, np.ndarray]:
    scalars = {"rate": RATE, "scale": SCALE, **({"decay": DECAY} if decayed else {})}
    arrays = {"w": W, "g": G, **dict(list({"h0": H0, "h1": H1}.items())[:histories])}
    return {**arrays, **{name: np.array(value, np.float32) for name, value in scalars.items()}}


def test_every_rule_is_written_out_here() -> None:
    assert STEPS.keys() == RULES.keys()


@pytest.mark.parametrize("decay", [None, "L1", "L2"])
@pytest.mark.parametrize(("solver_type", "rule"), STEPS.items())
def test_one_step(solver_type: str, rule: Callable[[np.ndarray], Expected], decay: str | None) -> None:
    pull = {None: 0 * W, "L1": DECAY * np.sign(W), "L2": DECAY * W}[decay]
    step, histories = rule((SCALE * G + pull).astype(np.float64))
    hyper = Hyper(0.9, 0.99, 1e-3, 0.8, decay or "L2")
    graph = update_graph(solver_type, hyper, decayed=decay is not None)
    got = Session(graph, threads=1).run(feeds(len(histories), decayed=decay is not None))
    assert list(got) == ["w'", *(f"h{i}'" for i in range(len(histories)))]
    np.testing.assert_allclose(got["w'"], W - step, rtol=1e-5, atol=1e-7)
    for index, history in enumerate(histories):
        np.testing.assert_allclose(got[f"h{index}'"], history, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("solver_type", STEPS)
def test_steps_are_what_is_subtracted(solver_type: str) -> None:
    graph = update_graph(solver_type, HYPER, decayed=True, steps=True)
    got = Session(graph, threads=1).run(feeds(RULES[solver_type].histories, decayed=True))
    np.testing.assert_array_equal(got["w'"], W - got["g'"])


def test_without_decay_there_is_no_such_input() -> None:
    assert update_graph("SGD", HYPER, decayed=False).input_names == ["w", "g", "h0", "rate", "scale"]
    assert update_graph("SGD", HYPER, decayed=True).input_names == ["w", "g", "h0", "rate", "decay", "scale"]


def test_accumulate_and_square() -> None:
    got = Session(accumulate_graph(), threads=1).run({"a": W, "g": G})
    np.testing.assert_array_equal(got["a'"], W + G)
    np.testing.assert_allclose(Session(square_graph(), threads=1).run({"g": G})["s"], (G**2).sum(), rtol=1e-6)


def test_copy() -> None:
    graph = copy_graph({"a:0": W.shape, "a:1": ()})
    got = Session(graph, threads=1).run({"a:0": W, "a:1": np.float32(2).reshape(())})
    np.testing.assert_array_equal(got["a:0'"], W)
    assert got["a:1'"] == 2
