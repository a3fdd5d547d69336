"""GroupNorm: its three forks, and the one that scales and shifts."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from shape_cases import values

from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Layer


def group_norm(text: str) -> Layer:
    return parse(f'type: "GroupNorm" group_norm_param {{ {text} }}')


def test_the_names_of_the_number_of_groups() -> None:
    x = values(0, (2, 6, 2, 2), -2, 2)
    (first,) = check_forward(group_norm("group_num: 3"), [x], atol=1e-5)
    (second,) = check_forward(group_norm("group_ratio: 3 eps: 1e-5"), [x], atol=1e-5)
    np.testing.assert_array_equal(first, second)
    ones, zeros = np.ones((1, 6, 1, 1), np.float32), np.zeros((1, 6, 1, 1), np.float32)
    (third,) = check_forward(group_norm("group: 3 eps: 1e-5"), [x], [ones, zeros], atol=1e-5)
    np.testing.assert_array_equal(first, third)


@pytest.mark.parametrize("shape", [(2, 4), (2, 4, 3), (2, 4, 3, 2), (2, 4, 1, 3, 2)])
def test_scale_and_shift(shape: tuple[int, ...]) -> None:
    fillers = 'scale_filler { type: "constant" value: 1 } bias_filler { type: "constant" value: 2 }'
    layer = group_norm(f"group: 2 eps: 0.01 {fillers}")
    params = [values(1, (1, 4, 1, 1)), values(2, (1, 4, 1, 1))]
    assert [(d.shape, d.filler.value) for d in layer.param_defs([shape])] == [
        ((1, 4, 1, 1), 1),
        ((1, 4, 1, 1), 2),
    ]
    x = values(3, shape, -2, 2)
    (top,) = check_forward(layer, [x], params, dims=[(None, *shape[1:])], atol=1e-5)
    rows = x.astype(float).reshape(2, 2, -1)
    unit = (rows - rows.mean(2, keepdims=True)) / np.sqrt(rows.var(2, keepdims=True) + 0.01)
    scale, shift = (p.reshape(4, *[1] * (len(shape) - 2)) for p in params)
    np.testing.assert_allclose(top, unit.reshape(shape) * scale + shift, rtol=1e-4, atol=1e-5)
    check_gradient(layer, [x], params, rtol=1e-3)


def test_refuses() -> None:
    for text in ("", "eps: 1e-5", "group: 2", "group_ratio: 2", "group: 2 group_num: 2 eps: 1"):
        with pytest.raises(UnsupportedError, match="forks differ: expected group_num"):
            group_norm(text)
    with pytest.raises(NetError, match="group_num must be above 0"):
        group_norm("group_num: 0")
    with pytest.raises(ShapeError, match="channels divisible by 2"):
        group_norm("group_num: 2").out_shapes([(1, 3, 2, 2)])
