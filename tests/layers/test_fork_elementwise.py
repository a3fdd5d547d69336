"""ReLU6, Axpy, Permute, ShuffleChannel and Normalize: against their references, and the forks' rules."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient, tie_free
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values

from vggrepro.errors import NetError, ShapeError, UnsupportedError

EPS = 0.01
"""Large enough for central differences of vectors of one element, whose length is else constant."""


@few
@given(shapes(), seeds, st.sampled_from([0, 0.25, -0.5]), st.data())
def test_relu6(shape: tuple[int, ...], seed: int, slope: float, data: st.DataObject) -> None:
    layer = parse(f'type: "ReLU6" relu6_param {{ negative_slope: {slope} }}')
    x = tie_free(np.random.default_rng(seed), shape, -9, 9)
    x[np.abs(x - 6) < 1e-3] = 7
    check_forward(layer, [x], dims=[data.draw(freed(shape))])
    if slope >= 0:
        check_gradient(layer, [x])


def test_relu6_at_its_kinks() -> None:
    """The fork compares the bottom: no slope at 6, the negative slope at 0, and none above it."""
    layer = parse('type: "ReLU6" relu6_param { negative_slope: -1 }')
    x = np.array([-8, -2, 0, 3, 6, 7], np.float32)
    (y,) = check_forward(layer, [x])
    assert y.tolist() == [6, 2, 0, 3, 6, 6]
    (dx,) = run_gradient(layer, [x], [], [np.ones(6, np.float32)])
    assert dx is not None
    assert dx.tolist() == [-1, -1, -1, 1, 0, 0]


@few
@given(shapes(least=2), seeds, st.data())
def test_axpy(shape: tuple[int, ...], seed: int, data: st.DataObject) -> None:
    ones = data.draw(st.integers(0, 2))
    bottoms = [
        values(seed, shape[:2] + (1,) * ones),
        values(seed + 1, shape),
        values(seed + 2, shape),
    ]
    layer = parse('type: "Axpy"')
    free = data.draw(freed(shape))
    check_forward(layer, bottoms, dims=[free[:2] + (1,) * ones, free, free])
    check_gradient(layer, bottoms)


def test_axpy_refuses_what_does_not_fit() -> None:
    layer = parse('type: "Axpy"')
    with pytest.raises(ShapeError, match="one value for each channel"):
        layer.out_shapes([(2, 4, 1, 1), (2, 3, 5, 5), (2, 3, 5, 5)])
    with pytest.raises(ShapeError, match="no size but 1 behind"):
        layer.out_shapes([(2, 3, 5, 5), (2, 3, 5, 5), (2, 3, 5, 5)])
    with pytest.raises(ShapeError, match=r"bottom\[1\]->shape\(\) == bottom\[2\]->shape\(\)"):
        layer.out_shapes([(2, 3, 1, 1), (2, 3, 5, 5), (2, 3, 5, 4)])


@few
@given(shapes(), seeds, st.data())
def test_permute(shape: tuple[int, ...], seed: int, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(shape))))[: data.draw(st.integers(0, len(shape)))]
    layer = parse('type: "Permute" permute_param { ' + " ".join(f"order: {axis}" for axis in order) + " }")
    x = values(seed, shape)
    check_forward(layer, [x], dims=[data.draw(freed(shape))])
    check_gradient(layer, [x])


def test_permute_names_the_rest_in_its_order() -> None:
    layer = parse('type: "Permute" permute_param { order: 0 order: 2 }')
    assert layer.out_shapes([(2, 3, 4, 5)]) == ((2, 4, 3, 5),)
    assert parse('type: "Permute"').out_shapes([(2, 3, 4)]) == ((2, 3, 4),)
    with pytest.raises(ShapeError, match="order should be less than the input dimension"):
        layer.out_shapes([(2, 3)])
    with pytest.raises(NetError, match="layer 'l': there are duplicate orders"):
        parse('type: "Permute" permute_param { order: 1 order: 1 }')


@few
@given(
    st.integers(1, 4),
    st.integers(1, 3),
    shapes(least=1, most=4),
    seeds,
    st.data(),
)
def test_shuffle_channel(
    group: int, size: int, rest: tuple[int, ...], seed: int, data: st.DataObject
) -> None:
    shape = (rest[0], group * size, *rest[1:])
    layer = parse(f'type: "ShuffleChannel" shuffle_channel_param {{ group: {group} }}')
    x = values(seed, shape)
    check_forward(layer, [x], dims=[data.draw(freed(shape, but=(1,)))])
    check_gradient(layer, [x])


def test_shuffle_channel_takes_each_group_in_turn() -> None:
    layer = parse('type: "ShuffleChannel" shuffle_channel_param { group: 2 }')
    (y,) = check_forward(layer, [np.arange(6, dtype=np.float32).reshape(1, 6)])
    assert y.tolist() == [[0, 3, 1, 4, 2, 5]]
    with pytest.raises(ShapeError, match="Wrong group size"):
        layer.out_shapes([(1, 5, 2, 2)])
    with pytest.raises(NetError, match="group must be greater than 0"):
        parse('type: "ShuffleChannel" shuffle_channel_param { group: 0 }')


@few
@given(shapes(least=2, most=4), st.booleans(), st.booleans(), seeds, st.data())
def test_normalize(
    shape: tuple[int, ...], across: bool, shared: bool, seed: int, data: st.DataObject
) -> None:
    """SSD's gradient is that of calculus where all channels have the same scale."""
    flags = f"across_spatial: {int(across)} channel_shared: {int(shared)}"
    layer = parse(f'type: "Normalize" norm_param {{ {flags} eps: {EPS} }}')
    x = values(seed, shape)
    size = () if shared else shape[1:2]
    check_forward(layer, [x], [values(seed + 1, size)], dims=[data.draw(freed(shape, but=(1,)))])
    check_gradient(layer, [x], [np.full(size, 1.5, np.float32)])


def test_normalize_keeps_the_scale_out_of_the_sum() -> None:
    """By hand, for unequal scales, where SSD's backward is not the derivative of its forward."""
    layer = parse('type: "Normalize" norm_param { across_spatial: false channel_shared: false eps: 0 }')
    x, scale, dy = np.array([[[3.0]], [[4.0]]]), np.array([2.0, 10.0]), np.array([[[1.0]], [[1.0]]])
    arrays = [a.astype(np.float32) for a in (x[None], scale, dy[None])]
    dx, d_scale = run_gradient(layer, [arrays[0]], [arrays[1]], [arrays[2]])
    unit = x / 5
    expected = scale.reshape(2, 1, 1) * (dy - unit * (unit * dy).sum()) / 5
    np.testing.assert_allclose(dx, expected[None], rtol=1e-5)
    np.testing.assert_allclose(d_scale, (dy * unit).sum((1, 2)), rtol=1e-5)


def test_normalize_of_other_forks_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="layer 'l': Normalize without norm_param"):
        parse('type: "Normalize"')
    layer = parse('type: "Normalize" norm_param { scale_filler { type: "constant" value: 20 } }')
    (definition,) = layer.param_defs([(2, 3, 4, 5)])
    assert (definition.shape, definition.filler.value) == ((), 20)
    with pytest.raises(ShapeError, match="Number of axes of bottom blob must be >=2"):
        layer.out_shapes([(3,)])
    with pytest.raises(ShapeError, match="legacy accessors"):
        layer.out_shapes([(1, 2, 3, 4, 5)])
