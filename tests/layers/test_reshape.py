from __future__ import annotations

import math

import pytest
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values

from vggrepro.emit import GraphBuilder, Value
from vggrepro.errors import FixedShapeError, NetError, ShapeError
from vggrepro.layers.base import Layer


def layer_of(dims: list[int] | tuple[int, ...], axis: int = 0, num_axes: int = -1) -> Layer:
    shape = " ".join(f"dim: {d}" for d in dims)
    return parse(f'type: "Reshape" reshape_param {{ shape {{ {shape} }} axis: {axis} num_axes: {num_axes} }}')


@st.composite
def reshapes(draw: st.DrawFn) -> tuple[tuple[int, ...], Layer, bool]:
    """A shape, a Reshape that fits it, and whether every size may be symbolic."""
    shape = draw(shapes(0))
    rank = len(shape)
    start = draw(st.integers(0, rank))
    end = draw(st.integers(start, rank))
    new = list(draw(st.permutations(shape[start:end])))
    if new and draw(st.booleans()):
        new[-1:] = [1, new[-1]]
    if len(new) > 1 and draw(st.booleans()):
        new[:2] = [new[0] * new[1]]
    copied = [i for i, size in enumerate(new) if start + i < rank and shape[start + i] == size]
    for place in draw(st.sets(st.sampled_from(copied))) if copied else ():
        new[place] = 0
    infer = bool(new) and draw(st.booleans())
    if infer:
        new[draw(st.integers(0, len(new) - 1))] = -1
    negative = draw(st.booleans())
    layer = layer_of(new, start - rank - 1 if negative else start, -1 if end == rank else end - start)
    same_place = len(new) == end - start
    return shape, layer, same_place and infer


@few
@given(reshapes(), seeds, st.data())
def test_any_shape(case: tuple[tuple[int, ...], Layer, bool], seed: int, data: st.DataObject) -> None:
    shape, layer, free = case
    x = values(seed, shape)
    check_forward(layer, [x], dims=[data.draw(freed(shape)) if free else shape])
    check_gradient(layer, [x])


@pytest.mark.parametrize(
    ("dims", "axis", "num_axes", "expected"),
    [
        ((0, -1), 0, -1, (2, 60)),
        ((0, 0, -1), 0, -1, (2, 3, 20)),
        ((-1,), 1, 2, (2, 12, 5)),
        ((1,), 1, 0, (2, 1, 3, 4, 5)),
        ((1, 1), -1, 0, (2, 3, 4, 5, 1, 1)),
        ((5, 4), -3, -1, (2, 3, 5, 4)),
        ((), 0, 0, (2, 3, 4, 5)),
        ((2, 0, 4, 5), 0, -1, (2, 3, 4, 5)),
    ],
)
def test_caffe_rules(dims: tuple[int, ...], axis: int, num_axes: int, expected: tuple[int, ...]) -> None:
    layer = layer_of(dims, axis, num_axes)
    assert layer.out_shapes([(2, 3, 4, 5)]) == (expected,)
    check_forward(layer, [values(0, (2, 3, 4, 5))])


@pytest.mark.parametrize(
    ("dims", "axis", "num_axes", "free"),
    [
        ((0, -1), 0, -1, (None, 3, None, None)),
        ((-1, 5), 0, -1, (None, None, 4, 5)),
        ((12,), 1, 2, (None, 3, 4, None)),
        ((1,), 1, 0, (None, 3, 4, 5)),
        ((4, 3), 1, 2, (None, 3, 4, None)),
        ((0, 3, 20), 0, -1, (None, 3, 4, 5)),
    ],
)
def test_symbolic_sizes(
    dims: tuple[int, ...], axis: int, num_axes: int, free: tuple[int | None, ...]
) -> None:
    check_forward(layer_of(dims, axis, num_axes), [values(0, (2, 3, 4, 5))], dims=[free])


@pytest.mark.parametrize(
    ("dims", "axis", "num_axes"), [((2, 60), 0, -1), ((12,), 1, 2), ((3, 8, 5), 0, -1), ((-1, 2), 1, 1)]
)
def test_sizes_that_must_be_fixed(dims: tuple[int, ...], axis: int, num_axes: int) -> None:
    """A symbolic size that nothing copies or infers would be baked in silently."""
    with pytest.raises(FixedShapeError):
        layer_of(dims, axis, num_axes).emit(GraphBuilder(), [Value("x", (None, None, None, None))], [], [])


@pytest.mark.parametrize(
    ("dims", "num_axes", "message"),
    [((-1, -1), -1, "at most a single"), ((-2,), -1, "at least -1"), ((1,), -2, "num_axes must be >= 0")],
)
def test_wrong_parameters(dims: tuple[int, ...], num_axes: int, message: str) -> None:
    with pytest.raises(NetError, match=message):
        layer_of(dims, 0, num_axes)


@pytest.mark.parametrize(
    ("dims", "axis", "num_axes", "message"),
    [
        ((1,), 4, -1, "axis 4 out of range for 3-D input blob"),
        ((1,), -5, -1, "axis -5 out of range"),
        ((1,), 2, 2, "end_axis = axis"),
        ((2, 3, 4, 0), 0, -1, "no corresponding bottom axis to copy"),
        ((7, -1), 0, -1, r"bottom count \(24\) must be divisible .* \(7\)"),
        ((5, 5), 0, -1, "output count must match input count"),
    ],
)
def test_shapes_that_do_not_fit(dims: tuple[int, ...], axis: int, num_axes: int, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        layer_of(dims, axis, num_axes).out_shapes([(2, 3, 4)])


def test_the_reference_keeps_the_order_of_values() -> None:
    x = values(0, (2, 3, 4))
    (y,) = check_forward(layer_of((4, -1)), [x])
    assert y.size == math.prod(x.shape) and (y.reshape(-1) == x.reshape(-1)).all()
