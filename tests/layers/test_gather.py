"""Gather: slices of an axis, and blobs as they are."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds, shapes, values

from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Layer


def gather(text: str) -> Layer:
    return parse(f'type: "Gather" bottom: "x" gather_param {{ {text} }}')


@few
@given(shapes(), st.data(), seeds)
def test_slices(shape: tuple[int, ...], data: st.DataObject, seed: int) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    picked = data.draw(st.sampled_from([(0,), (1,), (3,), (2, 2), (1, 3)]))
    number = int(np.prod(picked)) if picked != (0,) else 1
    indices = [data.draw(st.integers(0, shape[axis] - 1)) for _ in range(number)]
    text = " ".join([f"axis: {axis}", *(f"indices: {i}" for i in indices), *(f"shape: {s}" for s in picked)])
    x = values(seed, shape)
    dims = tuple(size if i == axis % len(shape) else None for i, size in enumerate(shape))
    (top,) = check_forward(gather(text), [x], dims=[dims])
    index = np.array(indices).reshape(() if picked == (0,) else picked)
    np.testing.assert_array_equal(top, np.take(x, index, axis))
    check_gradient(gather(text), [x])


def test_batches_of_one_rank() -> None:
    layer = parse('type: "Gather" bottom: "a" bottom: "b" top: "c" top: "d"')
    bottoms = [values(0, (2, 3)), values(1, (2, 4, 5))]
    tops = check_forward(layer, bottoms, dims=[(None, 3), (None, 4, None)])
    assert all((top == bottom).all() for top, bottom in zip(tops, bottoms, strict=True))
    check_gradient(layer, bottoms)


def test_gather_refuses() -> None:
    with pytest.raises(NetError, match="layer 'l': Must have equal number of top and bottom blobs"):
        parse('type: "Gather" bottom: "a" bottom: "b" top: "c"')
    with pytest.raises(NetError, match=r"layer 'l': .*do not match \(2 indices, shape \[3\]\)"):
        gather("indices: 0 indices: 1 shape: 3")
    with pytest.raises(NetError, match="takes one bottom and one top"):
        parse('type: "Gather" bottom: "a" bottom: "b" gather_param { indices: 0 shape: 1 }')
    with pytest.raises(ShapeError, match="indices must be from 0 to 1"):
        gather("indices: 2 shape: 1").out_shapes([(2, 3)])
