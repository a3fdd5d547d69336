"""Flip and Reverse: against their references, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from shape_cases import values

from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Layer

SHAPE = (2, 3, 4, 5)


def flip(text: str) -> Layer:
    return parse(f'type: "Flip" flip_param {{ {text} }}')


def reverse(text: str) -> Layer:
    return parse(f'type: "Reverse" reverse_param {{ {text} }}')


@pytest.mark.parametrize(
    ("layer", "where"),
    [
        (flip("flip_width: true flip_height: false"), np.s_[:, :, :, ::-1]),
        (flip("flip_width: true flip_height: true"), np.s_[:, :, ::-1, ::-1]),
        (flip("flip_width: false flip_height: false"), np.s_[:]),
        (flip("axis: 1"), np.s_[:, ::-1]),
        (reverse("axis: 0"), np.s_[::-1]),
        (reverse(""), np.s_[::-1]),
        (reverse("axis: 2 axis: 0"), np.s_[::-1, :, ::-1]),
    ],
)
def test_forward_and_gradient(layer: Layer, where: tuple[slice, ...]) -> None:
    x = values(0, SHAPE)
    (top,) = check_forward(layer, [x], dims=[(None,) * 4])
    np.testing.assert_array_equal(top, x[where])
    check_gradient(layer, [x])


def test_refuses() -> None:
    for text in ("", "flip_width: true", "flip_height: true", "axis: 1 flip_width: true"):
        with pytest.raises(UnsupportedError, match="layer 'l': flip_param: expected axis, or flip_width and"):
            flip(text)
    for text in ("axis: -1", "axis: 1 axis: 1"):
        with pytest.raises(NetError, match="layer 'l': reverse_param: expected axis"):
            reverse(text)
    with pytest.raises(ShapeError, match=r"must be \(N, C, H, W\)"):
        flip("axis: 1").out_shapes([(2, 3, 4)])
    with pytest.raises(ShapeError, match="axis must be less than"):
        reverse("axis: 3").out_shapes([(2, 3, 4)])
