"""Normalization: against its reference, the formula and central differences."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values

from vggrepro.errors import ShapeError, UnsupportedError
from vggrepro.layers.base import Layer


def normalization(inside: str = "") -> Layer:
    return parse(f'type: "Normalization" {inside}')


def divided(x: np.ndarray) -> np.ndarray:
    rows = x.astype(float).reshape(len(x), -1)
    return rows / np.linalg.norm(rows, axis=1)[:, None]


@few
@given(st.integers(1, 4), st.integers(1, 5), st.sampled_from([(), (1,), (1, 1)]), seeds, st.data())
def test_vectors_need_no_word(number: int, size: int, ones: tuple, seed: int, data: st.DataObject) -> None:
    x = values(seed, (number, size, *ones), 0.1, 3)
    dims = (*data.draw(freed((number, size))), *ones)
    (top,) = check_forward(normalization(), [x], dims=[dims])
    np.testing.assert_allclose(top, divided(x).reshape(x.shape), rtol=1e-5)
    check_gradient(normalization(), [x], rtol=1e-3, atol=1e-4)


@few
@given(st.sampled_from(["norm: L2", "flatten: false", "flatten: true"]), shapes(least=2), seeds, st.data())
def test_whole_items(inside: str, shape: tuple[int, ...], seed: int, data: st.DataObject) -> None:
    x = values(seed, shape, 0.1, 3)
    layer = normalization(f"normalization_param {{ {inside} }}")
    (top,) = check_forward(layer, [x], dims=[data.draw(freed(shape))])
    rows = divided(x)
    np.testing.assert_allclose(top, rows if "true" in inside else rows.reshape(shape), rtol=1e-5)
    check_gradient(layer, [x], rtol=1e-3, atol=1e-4)


def test_refuses() -> None:
    with pytest.raises(ShapeError, match=r"forks differ .* \(3, 2, 2\): name the fork, caffemex"):
        normalization().out_shapes([(1, 3, 2, 2)])
    with pytest.raises(UnsupportedError, match="norm: L1 is not implemented"):
        normalization("normalization_param { norm: L1 }")
