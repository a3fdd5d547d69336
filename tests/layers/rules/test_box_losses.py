"""Losses of boxes: the nodes against NumPy, whose values are right by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from graph_run import run_nodes

from vggrepro.emit import GraphBuilder
from vggrepro.layers.rules.box_losses import BoxLosses
from vggrepro.layers.rules.focus import Focus

DIFFERENCE = np.array([[-2, -0.5, 0, 0.5, 3]], np.float32)


@pytest.mark.parametrize(
    ("squared", "values", "slopes"),
    [
        (False, [1.5, 0.125, 0, 0.125, 2.5], [-1, -0.5, 0, 0.5, 1]),
        (True, [2, 0.125, 0, 0.125, 4.5], [-2, -0.5, 0, 0.5, 3]),
    ],
)
def test_places(squared: bool, values: list[float], slopes: list[float]) -> None:
    losses = BoxLosses(squared=squared)
    g = GraphBuilder()
    got = run_nodes(g, {"x": DIFFERENCE}, [losses.emit_places(g, "x"), losses.emit_slope(g, "x")])
    np.testing.assert_allclose(got, [[values], [slopes]])
    np.testing.assert_allclose(losses.places(np.asarray(DIFFERENCE, np.float64)), [values])


@pytest.mark.parametrize("logistic", [False, True])
def test_confidences(logistic: bool) -> None:
    scores = np.array([[[1, 2, -1], [200, -200, 0]]], np.float32)
    label = np.array([1, 1])
    losses = BoxLosses(logistic=logistic)
    g = GraphBuilder()
    feeds = {"scores": scores, "target": np.eye(3, dtype=np.float32)[label][None]}
    slopes, values, hardness = run_nodes(g, feeds, list(losses.emit_confidences(g, "scores", "target")))
    np.testing.assert_array_equal(values, hardness)
    shares = slopes + feeds["target"]
    np.testing.assert_allclose(
        values[0], losses.confidences(np.asarray(scores[0], np.float64), label), rtol=1e-5
    )
    powers = [math.exp(x) for x in scores[0, 0]]
    if logistic:
        first = math.log(1 + 1 / powers[1]) + math.log(1 + powers[0]) + math.log(1 + powers[2])
        assert values[0, 1] == pytest.approx(400 + math.log(2))
        np.testing.assert_allclose(shares[0, 0], [p / (1 + p) for p in powers], rtol=1e-6)
    else:
        first = -math.log(powers[1] / sum(powers))
        assert values[0, 1] == pytest.approx(87.3365, abs=1e-3)  # the smallest probability there is
        np.testing.assert_allclose(shares[0, 0], np.array(powers) / sum(powers), rtol=1e-6)
    assert values[0, 0] == pytest.approx(first, rel=1e-5)


def test_a_focus() -> None:
    scores, label = np.array([[[1, 2, -1], [0, 0, 0]]], np.float32), np.array([1, 2])
    losses = BoxLosses(focus=Focus(0.3, 1.5))
    g = GraphBuilder()
    feeds = {"scores": scores, "target": np.eye(3, dtype=np.float32)[label][None]}
    _, values, hardness = run_nodes(g, feeds, list(losses.emit_confidences(g, "scores", "target")))
    right = [math.exp(2) / (math.exp(1) + math.exp(2) + math.exp(-1)), 1 / 3]
    np.testing.assert_allclose(hardness, [[-math.log(p) for p in right]], rtol=1e-6)
    focused = [-0.3 * (1 - p) ** 1.5 * math.log(p) for p in right]
    np.testing.assert_allclose(values, [focused], rtol=1e-6)
    plain = losses.confidences(np.asarray(scores[0], np.float64), label)
    np.testing.assert_allclose(losses.focused(plain), focused)
    assert BoxLosses(logistic=True, focus=Focus(0.3)).focused(plain) is plain
