"""Mul: against its reference, and index by index."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds, shapes, values

from vggrepro.errors import NetError, ShapeError


def spread(a: np.ndarray, rank: int, index: tuple[int, ...]) -> float:
    """The element of ``a`` that stands at an index of a blob of ``rank`` axes."""
    own = index[rank - a.ndim :]
    return float(a[tuple(0 if size == 1 else i for size, i in zip(a.shape, own, strict=True))])


@few
@given(shapes(least=1), st.integers(0, 3), st.booleans(), st.booleans(), seeds, st.data())
def test_mul(
    shape: tuple[int, ...], cut: int, swap: bool, learned: bool, seed: int, data: st.DataObject
) -> None:
    other = tuple(data.draw(st.sampled_from([1, size])) for size in shape[cut:])
    a, b = values(seed, shape), values(seed + 1, other)
    a, b = (b, a) if swap else (a, b)
    named = " ".join(f"mul_shape: {size}" for size in b.shape) if learned else ""
    layer = parse(f'type: "Mul" mul_param {{ {named} }}')
    (top,) = check_forward(layer, [a], [b]) if learned else check_forward(layer, [a, b])
    assert [d.shape for d in layer.param_defs([a.shape])] == ([b.shape] if learned else [()])
    for index in np.ndindex(*top.shape):
        expected = spread(a, top.ndim, index) * spread(b, top.ndim, index)
        assert top[index] == pytest.approx(expected, rel=1e-6)


def test_refuses() -> None:
    with pytest.raises(NetError, match="of positive sizes"):
        parse('type: "Mul" mul_param { mul_shape: 0 }')
    with pytest.raises(ShapeError, match="equal or 1"):
        parse('type: "Mul"').out_shapes([(2, 3), (3, 2)])
    assert parse('type: "Mul"').out_shapes([(2, 1, 4), (3, 1)]) == ((2, 3, 4),)
