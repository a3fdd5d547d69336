"""Threshold: against its reference, and without a gradient."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, parse, run_gradient, tie_free
from hypothesis import given, settings
from neuron_cases import PARAMETERS, SEEDS, SHAPES

from vggrepro.errors import UnsupportedError


@settings(max_examples=20, deadline=None)
@given(PARAMETERS, SHAPES, SEEDS)
def test_threshold(threshold: float, shape: list[int], seed: int) -> None:
    layer = parse(f'type: "Threshold" threshold_param {{ threshold: {threshold} }}')
    x = tie_free(np.random.default_rng(seed), shape, -2, 2)
    x.flat[0] = threshold
    (y,) = check_forward(layer, [x], dims=[(None,) * len(shape)])
    assert y.flat[0] == 0, "Caffe asks for strictly greater"


def test_threshold_has_no_gradient() -> None:
    layer = parse('type: "Threshold"')
    assert not layer.has_gradient
    with pytest.raises(UnsupportedError, match="Threshold: no gradient rule"):
        run_gradient(layer, [np.ones(2, np.float32)], [], [np.ones(2, np.float32)])
