"""Sizes of Synopsys' resizing layers: what their parameters say, and what is refused."""

from __future__ import annotations

import pytest
from harness import parse

from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Layer

LAYERS = {"ResizeBilinear": "resize_bilinear_param", "ResizeNearestNeighbor": "resize_nearest_neighbor_param"}
SIZES = "output_height: 2 output_width: 2"
NCHW = 'data_format: "NCHW" align_corners: true'


@pytest.fixture(params=LAYERS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def resize(kind: str, text: str) -> Layer:
    return parse(f'type: "{kind}" {LAYERS[kind]} {{ {text} }}')


def test_sizes_and_factors(kind: str) -> None:
    layer = resize(kind, 'data_format: "NCHW" scale_height: 1.5 output_width: 4 align_corners: false')
    assert layer.out_shapes([(1, 2, 5, 9)]) == ((1, 2, 7, 4),)
    layer = resize(kind, f'data_format: "NHWC" {SIZES} half_pixel_centers: true')
    assert layer.out_shapes([(1, 5, 9, 3)]) == ((1, 2, 2, 3),)
    assert layer.fixed_axes([(1, 5, 9, 3)]) == {1, 2}


@pytest.mark.parametrize(
    "text", ["align_corners: true", 'data_format: "NCHW"', 'data_format: "HWC" align_corners: true']
)
def test_defaults_of_the_fork_are_not_known(kind: str, text: str) -> None:
    with pytest.raises(UnsupportedError, match=f"{LAYERS[kind]}: data_format must be one of NHWC, NCHW"):
        resize(kind, f"{SIZES} {text}")


def test_depth_is_for_linear_resizing_alone() -> None:
    text = f'data_format: "NCHWD" align_corners: true {SIZES}'
    layer = resize("ResizeBilinear", f"{text} output_depth: 3")
    assert layer.out_shapes([(1, 2, 5, 9, 4)]) == ((1, 2, 2, 2, 3),)
    with pytest.raises(UnsupportedError, match="one of NHWC, NCHW, and align_corners or half_pixel_centers"):
        resize("ResizeNearestNeighbor", text)


def test_refuses(kind: str) -> None:
    with pytest.raises(NetError, match="align_corners must be False"):
        resize(kind, f"{SIZES} {NCHW} half_pixel_centers: true")
    with pytest.raises(NetError, match="output_width or scale_width must be above 0"):
        resize(kind, f"{NCHW} output_height: 2")
    with pytest.raises(ShapeError, match="must be N, C, H, W"):
        resize(kind, f"{SIZES} {NCHW}").out_shapes([(2, 3, 4)])
    with pytest.raises(ShapeError, match="nothing is left"):
        resize(kind, f"{NCHW} scale_height: 0.1 scale_width: 1").out_shapes([(2, 3, 4, 4)])
