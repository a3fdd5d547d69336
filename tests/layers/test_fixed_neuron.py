"""FixedNeuron by its formula, its gradient, and what it refuses."""

from __future__ import annotations

from math import ceil, floor

import numpy as np
import pytest
from harness import check_forward, parse, run_gradient, tie_free

from vggrepro.caffe.messages import TRAIN
from vggrepro.errors import NetError, UnsupportedError

VALUES = [0.5, -0.5, 1.5, -1.5, 2.49, -2.51, 0.49999997, 1e6, -1e6, 0.0, 127.4, -128.4]


@pytest.mark.parametrize(("position", "bits"), [(0.0, 8), (2.7, 5), (-1.0, 8), (-0.5, 4)])
def test_the_nearest_number_of_so_many_bits(position: float, bits: int) -> None:
    layer = parse(f'type: "FixedNeuron" fixed_param {{ bit_width: {bits} }}')
    step = 2.0 ** -floor(position)
    x = np.float32(VALUES) * np.float32(step)
    assert [d.shape for d in layer.param_defs([x.shape])] == [(1,)]
    assert layer.param_defs([x.shape])[0].statistic
    (y,) = check_forward(layer, [x], [np.float32([position])], dims=[(None,)])
    half = 2 ** (bits - 1)
    wanted = [min(max(floor(float(v) / step + 0.5), -half), half - 1) * step for v in x.astype(np.float64)]
    np.testing.assert_array_equal(y, wanted)
    dy = tie_free(np.random.default_rng(0), x.shape)
    gradient = run_gradient(layer, [x], [np.float32([position])], [dy])
    np.testing.assert_array_equal(gradient[0], dy)


def test_toward_zero() -> None:
    layer = parse('type: "FixedNeuron" fixed_param { follow_data_layer: true }')
    (y,) = check_forward(layer, [np.float32(VALUES)], [np.float32([1])])
    wanted = [(floor if v > 0 else ceil)(float(np.float32(v)) * 2) / 2 for v in VALUES]
    np.testing.assert_array_equal(y, wanted)


def test_not_enabled() -> None:
    x = np.float32(VALUES)
    (y,) = check_forward(parse('type: "FixedNeuron" fixed_param { enable: false }'), [x], [np.float32([3])])
    np.testing.assert_array_equal(y, x)


def test_fixed_neuron_refuses() -> None:
    with pytest.raises(UnsupportedError, match="in TRAIN set enable: false"):
        parse('type: "FixedNeuron"', TRAIN)
    parse('type: "FixedNeuron" fixed_param { enable: false }', TRAIN)
    with pytest.raises(NetError, match="bit_width must be 1 to 24, got 0"):
        parse('type: "FixedNeuron" fixed_param { bit_width: 0 }')
