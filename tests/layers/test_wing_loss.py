"""WingLoss: against its reference, the paper's formula and central differences."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values

from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Layer


def wing(text: str) -> Layer:
    return parse(f'type: "WingLoss" wing_loss_param {{ {text} }}')


@few
@given(shapes(least=2), st.floats(0.2, 2), st.floats(0.1, 1), seeds, st.data())
def test_by_formula(shape: tuple[int, ...], w: float, epsilon: float, seed: int, data: st.DataObject) -> None:
    layer, a = wing(f"w: {w} epsilon: {epsilon}"), values(seed, shape, -3, 3)
    b = np.zeros(shape, np.float32)
    (loss,) = check_forward(layer, [a, b], dims=[data.draw(freed(shape)), shape])
    size = np.abs(a.astype(float))
    near, far = w * np.log(1 + size / epsilon), size - (w - w * np.log(1 + w / epsilon))
    assert loss == pytest.approx(np.where(size < w, near, far).sum() / shape[0], rel=1e-4, abs=1e-5)
    if np.abs(size - w).min() > 1e-3:
        check_gradient(layer, [a, b], rtol=1e-3)


def test_slopes_at_the_kinks() -> None:
    a, b = np.float32([[0, 3, -3, 5]]), np.zeros((1, 4), np.float32)
    dx, d_labels = run_gradient(wing("w: 3 epsilon: 1.5"), [a, b], [], [np.float32(2)])
    np.testing.assert_allclose(dx, [[-4, 2, -2, 2]], rtol=1e-6)
    assert d_labels is None


def test_refuses() -> None:
    for text in ("", "epsilon: 2"):
        with pytest.raises(UnsupportedError, match="w must be given"):
            wing(text)
    with pytest.raises(NetError, match="must be above 0"):
        wing("w: 10 epsilon: 0")
    with pytest.raises(ShapeError, match="same dimension"):
        wing("w: 10").out_shapes([(2, 3), (2, 4)])
