"""Mean and variance of channels: the nodes against NumPy, and the gradient against differences."""

from __future__ import annotations

import numpy as np
import pytest
from graph_run import run_nodes
from shape_cases import values

from vggrepro.emit import GraphBuilder, Value
from vggrepro.layers.rules.batch_statistics import (
    normal,
    normal_gradient,
    reference_statistics,
    reference_to_average,
    statistic_axes,
    to_average,
)


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 5), (3, 2, 4, 1)])
def test_statistics(shape: tuple[int, ...]) -> None:
    x = values(0, shape)
    g = GraphBuilder()
    batch = normal(g, Value("x", shape), 1e-3)
    unit, mean, variance, *average = run_nodes(
        g, {"x": x}, [batch.unit, batch.mean, batch.variance, *to_average(g, Value("x", shape), batch)]
    )
    wide = (1, -1) + (1,) * (len(shape) - 2)
    for found, expected in zip((mean, variance), reference_statistics(x.astype(float)), strict=True):
        np.testing.assert_allclose(found, expected.reshape(wide), rtol=1e-5, atol=1e-6)
    for found, expected in zip(average, reference_to_average(x.astype(float)), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    axes = tuple(statistic_axes(len(shape)))
    expected = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-3)
    np.testing.assert_allclose(unit, expected, rtol=1e-4, atol=1e-5)


def test_gradient() -> None:
    x, d, step = values(1, (3, 2, 5)), values(2, (3, 2, 5)), 1e-6

    def loss(x: np.ndarray) -> float:
        mean, variance = (v.reshape(1, 2, 1) for v in reference_statistics(x))
        return float(((x - mean) / np.sqrt(variance + 1e-3) * d).sum())

    g = GraphBuilder()
    batch = normal(g, Value("x", x.shape), 1e-3)
    (found,) = run_nodes(g, {"x": x, "d": d}, [normal_gradient(g, 3, batch.unit, batch.deviation, "d")])
    for index in np.ndindex(x.shape):
        shift = np.zeros(x.shape)
        shift[index] = step
        expected = (loss(x + shift) - loss(x - shift)) / (2 * step)
        assert found[index] == pytest.approx(expected, rel=1e-3, abs=1e-4)
