from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, tie_free
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vggrepro.emit import GraphBuilder, Value
from vggrepro.errors import FixedShapeError, NetError, ShapeError, UnsupportedError, VggReproError
from vggrepro.layers.base import Layer


def layer_of(height: int, method: str = "MAX") -> Layer:
    return parse(f'type: "SPP" spp_param {{ pyramid_height: {height} pool: {method} }}')


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 3),
    st.sampled_from(["MAX", "AVE"]),
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 13), st.integers(1, 13)),
    st.integers(0, 2**32 - 1),
)
def test_any_shape(height: int, method: str, shape: tuple[int, ...], seed: int) -> None:
    layer = layer_of(height, method)
    try:
        layer.out_shapes([shape])
    except ShapeError as error:
        assert height > 1 and "pad_" in str(error)
        assume(False)
    x = tie_free(np.random.default_rng(seed), shape)
    check_forward(layer, [x], dims=[(None, *shape[1:])])
    check_gradient(layer, [x], most=40)


def test_levels_stand_side_by_side() -> None:
    x = np.arange(1, 17, dtype=np.float32).reshape(1, 1, 4, 4)
    (y,) = check_forward(layer_of(3), [x])
    assert y.tolist() == [[16, 6, 8, 14, 16, *range(1, 17)]]


def test_one_level_keeps_four_axes() -> None:
    x = np.array([[0, 3, 1], [2, 3, 0]], np.float32).reshape(1, 1, 2, 3)
    (y,) = check_forward(layer_of(1), [x])
    assert y.tolist() == [[[[3]]]]


def test_height_and_width_must_be_fixed() -> None:
    with pytest.raises(FixedShapeError):
        layer_of(2).emit(GraphBuilder(), [Value("x", (2, 3, None, 4))], [], [])


def test_too_small_a_bottom_is_refused_as_by_the_pooling() -> None:
    """3 rows in 4 bins: windows of 1 row need a padding of 1."""
    with pytest.raises(ShapeError, match=r"level 2 .*pad_h_ < kernel_h_ \(1 vs. 1\)"):
        layer_of(3).out_shapes([(1, 1, 3, 8)])
    with pytest.raises(ShapeError, match="4 axes"):
        layer_of(2).out_shapes([(1, 1, 3)])
    with pytest.raises(ShapeError, match="Input dimensions cannot be zero"):
        layer_of(2).out_shapes([(1, 1, 0, 3)])


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("spp_param { pyramid_height: 2 pool: STOCHASTIC }", UnsupportedError, "STOCHASTIC"),
        ("", NetError, "pyramid_height must be at least 1"),
    ],
)
def test_refusals(text: str, error: type[VggReproError], words: str) -> None:
    with pytest.raises(error, match=f"layer 'l': .*{words}"):
        parse(f'type: "SPP" {text}')
