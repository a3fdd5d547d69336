"""Pieces of images: what is normalised together, and shapes with sizes left free."""

from __future__ import annotations

import numpy as np
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, values

TEXTS = {
    "GroupNorm": 'type: "GroupNorm" group_norm_param { group_num: 2 eps: 0.01 }',
    "InstanceNorm": 'type: "InstanceNorm"',
    "LayerNorm": 'type: "LayerNorm" layer_norm_param { eps: 0.01 elementwise_affine: false }',
}


@few
@given(st.sampled_from(sorted(TEXTS)), st.integers(1, 3), st.integers(1, 2), seeds, st.data())
def test_by_formula(kind: str, number: int, half: int, seed: int, data: st.DataObject) -> None:
    shape = (number, 2 * half, 3, 2)
    x = values(seed, shape, -3, 3)
    layer = parse(TEXTS[kind])
    (top,) = check_forward(layer, [x], dims=[data.draw(freed(shape, but=(1,)))], atol=1e-5)
    pieces = {"GroupNorm": 2, "InstanceNorm": 2 * half, "LayerNorm": 1}[kind]
    rows = x.astype(float).reshape(number, pieces, -1)
    eps = 1e-4 if kind == "InstanceNorm" else 0.01
    expected = (rows - rows.mean(2, keepdims=True)) / np.sqrt(rows.var(2, keepdims=True) + eps)
    np.testing.assert_allclose(top, expected.reshape(shape), rtol=1e-4, atol=1e-5)
    check_gradient(layer, [x], rtol=1e-3)
