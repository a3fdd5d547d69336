"""Permute: against its reference, and what it refuses."""

from __future__ import annotations

import pytest
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values

from vggrepro.errors import NetError, ShapeError


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
