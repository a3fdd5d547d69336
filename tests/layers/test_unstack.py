"""Unstack: against its reference, and by loops over memory."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from harness import check_forward, parse
from shape_cases import values

from vggrepro.errors import ShapeError, UnsupportedError
from vggrepro.layers.base import Layer


def unstack(axis: int, tops: int) -> Layer:
    text = " ".join(f'top: "{i}"' for i in range(tops))
    return parse(f'type: "Unstack" {text} unstack_param {{ axis: {axis} }}')


@pytest.mark.parametrize(("axis", "tops"), [(0, 2), (1, 3), (1, 2), (2, 4), (-1, 1)])
def test_by_memory(axis: int, tops: int) -> None:
    shape = (2, 3, 4)
    x = values(0, shape)
    dims = tuple(d if i == axis % 3 else None for i, d in enumerate(shape))
    found = check_forward(unstack(axis, tops), [x], dims=[dims])
    size, stride = shape[axis], prod(shape[axis % 3 + 1 :])
    for i, top in enumerate(found):
        expected = [
            x.reshape(-1)[(row * size + i) * stride + column]
            for row in range(x.size // size // stride)
            for column in range(stride)
        ]
        assert top.shape == tuple(np.delete(shape, axis))
        assert top.reshape(-1).tolist() == expected


def test_refuses() -> None:
    with pytest.raises(ShapeError, match="3 tops of 2 slices"):
        unstack(0, 3).out_shapes([(2, 3)])
    with pytest.raises(UnsupportedError, match="axis must be given"):
        parse('type: "Unstack" top: "a"')
