"""SoftAttention: against its reference, and what it refuses."""

from __future__ import annotations

import pytest
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds, values

from vggrepro.errors import ShapeError


@few
@given(st.tuples(*[st.integers(1, 4)] * 4), st.booleans(), st.booleans(), seeds)
def test_soft_attention(shape: tuple[int, int, int, int], flat: bool, free: bool, seed: int) -> None:
    n, _, *places = shape
    bottoms = [
        values(seed, shape),
        values(seed + 1, (n, 1, *places)),
        values(seed + 2, (n,) if flat else (n, 1)),
    ]
    layer = parse('type: "SoftAttention"')
    fixed = (1,)  # the axis that tells a from alpha
    dims = [
        tuple(None if free and axis not in fixed else size for axis, size in enumerate(bottom.shape))
        for bottom in bottoms
    ]
    check_forward(layer, bottoms, dims=dims, rtol=1e-4)
    check_gradient(layer, bottoms)


def test_soft_attention_refuses_what_does_not_fit() -> None:
    layer = parse('type: "SoftAttention"')
    assert layer.out_shapes([(2, 3, 4, 5), (2, 1, 4, 5), (2, 1)]) == ((2, 3, 1, 1),)
    for alpha in ((2, 3, 4, 5), (2, 1, 4, 4), (2, 4, 5)):
        with pytest.raises(ShapeError, match=r"alpha \(N, 1, H, W\)"):
            layer.out_shapes([(2, 3, 4, 5), alpha, (2, 1)])
    with pytest.raises(ShapeError, match=r"bottom\[1\]->num\(\) \(3 vs. 2\)"):
        layer.out_shapes([(2, 3, 4, 5), (2, 1, 4, 5), (3,)])
