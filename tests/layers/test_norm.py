"""Norm: against its reference, the forks' formula and central differences."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values

from vggrepro.caffe.text import parse_net
from vggrepro.caffe.upgrade import upgrade_net_param
from vggrepro.errors import ShapeError


@few
@given(shapes(least=2), seeds, st.data())
def test_by_places(shape: tuple[int, ...], seed: int, data: st.DataObject) -> None:
    layer, x = parse('type: "Norm"'), values(seed, shape, 0.1, 3)
    (top,) = check_forward(layer, [x], dims=[data.draw(freed(shape))])
    rows = np.moveaxis(x.astype(float).reshape(*shape, *[1] * (4 - len(shape))), 1, -1)
    for place in np.ndindex(rows.shape[:-1]):
        vector = rows[place]
        n, h, w = place
        np.testing.assert_allclose(top[n, :, h, w], vector / (np.sqrt(vector @ vector) + 1e-6), rtol=1e-5)
    check_gradient(layer, [x], rtol=1e-3, atol=1e-4)


def test_zeros_stay() -> None:
    """There the fork divides by 1e-6."""
    (top,) = check_forward(parse('type: "Norm"'), [np.zeros((1, 3, 1, 1), np.float32)])
    assert not top.any()


def test_refuses() -> None:
    with pytest.raises(ShapeError, match="num_axes"):
        parse('type: "Norm"').out_shapes([(1, 2, 3, 4, 5)])


def test_of_2014() -> None:
    (layer,) = upgrade_net_param(parse_net('layers { name: "n" type: NORM bottom: "x" top: "y" }')).layer
    assert layer.type == "Norm"
