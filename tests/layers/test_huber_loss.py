"""HuberLoss: against its reference, the formula and central differences."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values

from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Layer, Needed


def huber(text: str) -> Layer:
    return parse(f'type: "HuberLoss" huber_loss_param {{ {text} }}')


@few
@given(shapes(least=2), st.floats(0.2, 2), seeds, st.data())
def test_by_formula(shape: tuple[int, ...], delta: float, seed: int, data: st.DataObject) -> None:
    layer, a, b = huber(f"delta: {delta}"), values(seed, shape, -3, 3), values(seed + 1, shape)
    (loss,) = check_forward(layer, [a, b], dims=[data.draw(freed(shape)), shape])
    sizes = np.abs(a.astype(float) - b).reshape(-1)
    total = sum(d * d / 2 if d < delta else delta * (d - delta / 2) for d in sizes)
    assert loss == pytest.approx(total / a.size, rel=1e-4)
    check_gradient(layer, [a, b], needed=Needed((True, False), ()), rtol=1e-3)


def test_refuses() -> None:
    with pytest.raises(UnsupportedError, match="without delta"):
        huber("")
    with pytest.raises(NetError, match="greater than 0"):
        huber("delta: 0")
    with pytest.raises(ShapeError, match="same dimension"):
        huber("delta: 1").out_shapes([(2, 3), (2, 4)])
