"""Normalize with normalize_param: against its reference, central differences and NormFace's loops."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values

from vggrepro.errors import ShapeError, UnsupportedError
from vggrepro.layers.base import Layer


def normalized(text: str, tops: int = 1) -> Layer:
    named = " ".join(f'top: "t{index}"' for index in range(tops))
    return parse(f'type: "Normalize" {named} normalize_param {{ {text} }}')


@few
@given(shapes(least=2), st.sampled_from(["L1", "L2"]), st.booleans(), st.booleans(), seeds, st.data())
def test_by_loops(
    shape: tuple[int, ...], kind: str, second: bool, through: bool, seed: int, data: st.DataObject
) -> None:
    layer, x = (
        normalized(f'normalize_type: "{kind}" bp_norm: {str(through).lower()}', 1 + second),
        values(seed, shape),
    )
    tops = check_forward(layer, [x], dims=[data.draw(freed(shape))])
    full = x.astype(float).reshape(*shape, *[1] * (4 - len(shape)))
    lengths = np.sqrt((full**2).sum(1) + 1e-6) if kind == "L2" else np.abs(full).sum(1) + 1e-6
    np.testing.assert_allclose(tops[0], full / lengths[:, None], rtol=1e-5, atol=1e-7)
    dys = [values(seed + 1 + index, top.shape) for index, top in enumerate(tops)]
    dx = run_gradient(layer, [x], [], dys)[0]
    unit = full / lengths[:, None]
    along = unit if kind == "L2" else np.sign(full)
    expected = (dys[0] - along * (unit * dys[0]).sum(1, keepdims=True)) / lengths[:, None]
    if second:
        np.testing.assert_allclose(tops[1], lengths[:, None], rtol=1e-5)
        expected += along * dys[1] * through
    np.testing.assert_allclose(dx, expected.reshape(shape), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", ["L1", "L2"])
def test_gradient(kind: str) -> None:
    x = values(3, (2, 5, 3, 2), -3, 3)
    check_gradient(normalized(f'normalize_type: "{kind}" bp_norm: true', 2), [x], rtol=1e-3)


def test_refuses() -> None:
    for text in ('normalize_type: "max"', "fix_gradient: true"):
        with pytest.raises(UnsupportedError, match="only normalize_type 'L2' and 'L1'"):
            normalized(text)
    with pytest.raises(ShapeError, match="num_axes"):
        normalized("").out_shapes([(1, 2, 3, 4, 5)])
    with pytest.raises(UnsupportedError, match="layer 'l': Normalize without norm_param"):
        parse('type: "Normalize"')
