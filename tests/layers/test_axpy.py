"""Axpy: against its reference, and what it refuses."""

from __future__ import annotations

import pytest
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values

from vggrepro.errors import ShapeError


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
