"""SpatialDropout: the identity in TEST, and in TRAIN whole channels of each item."""

from __future__ import annotations

import math

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient, tie_free
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values

from vggrepro.caffe.messages import TEST, TRAIN
from vggrepro.errors import ShapeError

STATE = [np.array([7, 3], np.int64)]
HALF = 'type: "SpatialDropout" spatial_dropout_param { dropout_ratio: 0.5 }'


@few
@given(shapes(least=2, most=5), st.floats(0.05, 0.95), seeds, st.data())
def test_equals_reference_and_central_differences(
    shape: tuple[int, ...], ratio: float, seed: int, data: st.DataObject
) -> None:
    layer = parse(f'type: "SpatialDropout" dropout_param {{ dropout_ratio: {ratio} }}', TRAIN)
    x = values(seed, shape)
    check_forward(layer, [x], states=STATE, dims=[data.draw(freed(shape))])
    check_gradient(layer, [x], states=STATE, most=20)


def test_channels_are_dropped_as_a_whole() -> None:
    x = tie_free(np.random.default_rng(0), (16, 40, 3, 5))
    layer = parse('type: "SpatialDropout" spatial_dropout_param { dropout_ratio: 0.25 }', TRAIN)
    (y,) = check_forward(layer, [x], states=STATE)
    kept = (y != 0).any((2, 3), keepdims=True)
    np.testing.assert_array_equal(y, np.where(kept, x * np.float32(1 / 0.75), 0))
    assert abs(kept.mean() - 0.75) < 4 * math.sqrt(0.25 * 0.75 / kept.size)
    assert len(np.unique(kept[:, :, 0, 0], axis=0)) == 16  # each item has draws of its own
    (dx,) = run_gradient(layer, [x], [], [np.ones_like(x)], states=STATE)
    np.testing.assert_array_equal(dx, np.where(kept, np.float32(1 / 0.75), np.zeros_like(x)))


def test_in_test() -> None:
    x = values(0, (2, 3, 4, 5))
    np.testing.assert_array_equal(check_forward(parse(HALF, TEST), [x])[0], x)
    samples = HALF.replace("0.5", "0.5 sample_weights_test: true")
    assert parse(samples, TEST).masks is not None
    assert parse('type: "SpatialDropout"', TRAIN).factor == 2


def test_a_vector_has_no_channels() -> None:
    with pytest.raises(ShapeError, match="must be"):
        parse(HALF, TRAIN).out_shapes([(3,)])
