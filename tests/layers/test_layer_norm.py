"""LayerNorm: scale and shift of each element, and what forks disagree about."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from shape_cases import values

from vggrepro.errors import ShapeError, UnsupportedError


@pytest.mark.parametrize("shape", [(2, 5), (3, 2, 4), (2, 3, 2, 2), (2, 1, 3, 4, 5)])
def test_scale_and_shift(shape: tuple[int, ...]) -> None:
    layer = parse('type: "LayerNorm" layer_norm_param { eps: 0.01 elementwise_affine: true }')
    x, params = values(0, shape, -2, 2), [values(1, shape[1:]), values(2, shape[1:])]
    (top,) = check_forward(layer, [x], params, dims=[(None, *shape[1:])], atol=1e-5)
    rows = x.astype(float).reshape(len(x), -1)
    unit = (rows - rows.mean(1, keepdims=True)) / np.sqrt(rows.var(1, keepdims=True) + 0.01)
    np.testing.assert_allclose(top, unit.reshape(shape) * params[0] + params[1], rtol=1e-4, atol=1e-5)
    check_gradient(layer, [x], params, rtol=1e-3)
    assert [d.filler.value for d in layer.param_defs([shape])] == [1, 0]


def test_refuses() -> None:
    for text in ("", "eps: 1e-5", "elementwise_affine: true"):
        with pytest.raises(UnsupportedError, match="eps and elementwise_affine must be given"):
            parse(f'type: "LayerNorm" layer_norm_param {{ {text} }}')
    layer = parse('type: "LayerNorm" layer_norm_param { eps: 0.01 elementwise_affine: false }')
    with pytest.raises(ShapeError, match=r"must be \(N, ...\)"):
        layer.out_shapes([(3,)])
