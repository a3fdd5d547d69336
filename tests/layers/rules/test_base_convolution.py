"""What Convolution and Deconvolution share."""

from __future__ import annotations

import pytest
from harness import parse

from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.rules.base_convolution import BaseConvolution

KINDS = ["Convolution", "Deconvolution"]


def layer_of(kind: str, more: str = "") -> BaseConvolution:
    layer = parse(f'type: "{kind}" convolution_param {{ num_output: 4 kernel_size: 3 {more} }}')
    assert isinstance(layer, BaseConvolution)
    return layer


@pytest.mark.parametrize("kind", KINDS)
def test_a_blob_without_spatial_axes_gets_one_of_size_1(kind: str) -> None:
    layer = parse(f'type: "{kind}" convolution_param {{ num_output: 4 axis: 2 }}')
    assert isinstance(layer, BaseConvolution)
    layout, windows = layer.windows(3)
    assert layout.spatial == 0 and windows.kernel == (1,)
    assert layer.out_shapes([(2, 3, 5)]) == ((2, 3, 4),)
    assert layer.output_axis(3) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_pairs_of_bottoms_and_tops_share_the_weight(kind: str) -> None:
    layer = layer_of(kind)
    assert len(layer.out_shapes([(2, 3, 5, 5)] * 2)) == 2
    assert len(layer.param_defs([(2, 3, 5, 5)] * 2)) == 2
    with pytest.raises(ShapeError, match=r"shape mismatch - bottom\[0\]: 2 3 5 5"):
        layer.out_shapes([(2, 3, 5, 5), (2, 3, 5, 6)])


@pytest.mark.parametrize("kind", KINDS)
def test_what_caffe_refuses(kind: str) -> None:
    with pytest.raises(NetError, match="Number of output should be multiples of group"):
        layer_of(kind, "group: 3")
    with pytest.raises(UnsupportedError, match="dilation 0"):
        layer_of(kind, "dilation: 0")
    with pytest.raises(ShapeError, match="channels_ % group_ == 0"):
        layer_of(kind, "group: 2").out_shapes([(2, 3, 5, 5)])
    with pytest.raises(NetError, match="one top blob as output for each bottom"):
        parse(f'type: "{kind}" bottom: "a" bottom: "b" top: "y" convolution_param {{ num_output: 4 }}')
