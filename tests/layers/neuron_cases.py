"""What the tests of neuron layers share: shapes and numbers to draw, and a check at single values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from harness import check_forward, check_gradient, parse, run_gradient, tie_free
from hypothesis import strategies as st

SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=5)
SEEDS = st.integers(0, 2**32 - 1)
PARAMETERS = st.floats(-2, 2, width=32).filter(lambda v: v == 0 or abs(v) > 0.05)
POSITIVE = st.floats(0.25, 3, width=32)
BASES = st.sampled_from([-1.0, 0.5, 2.0, 10.0])


def check_neuron(text: str, low: float, high: float, shape: Sequence[int], seed: int) -> None:
    """Forward against the reference with free sizes, backward against central differences, for values
    between ``low`` and ``high``, where the layer's only kink may be 0."""
    layer = parse(text)
    x = tie_free(np.random.default_rng(seed), shape, low, high)
    check_forward(layer, [x], dims=[tuple(None if i != 1 else s for i, s in enumerate(shape))])
    check_gradient(layer, [x], most=30)


def check_values(text: str, x: Sequence[float], y: Sequence[float], slope: Sequence[float]) -> None:
    """``y`` and the slope that Caffe has at each ``x``."""
    layer = parse(text)
    bottom = np.array(x, np.float32)
    (top,) = check_forward(layer, [bottom])
    np.testing.assert_allclose(top, y, rtol=1e-6, atol=1e-7)
    (dx,) = run_gradient(layer, [bottom], [], [np.ones(len(bottom), np.float32)])
    np.testing.assert_allclose(dx, slope, rtol=1e-6, atol=1e-7)
