"""ConvolutionDepthwise and DepthwiseConvolution: against their references, and a sum of the test's own."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from shape_cases import values

from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.rules.correlation import RULES

SHAPE = (2, 5, 7, 6)
WINDOW = "kernel_h: 3 kernel_w: 2 stride: 2 pad: 1 dilation: 2"


def layer_of(type_: str, text: str = WINDOW, outputs: int = 5):
    group = f"group: {outputs}" if type_ == "DepthwiseConvolution" else ""
    return parse(f'type: "{type_}" convolution_param {{ num_output: {outputs} {group} {text} }}')


TYPES = ["ConvolutionDepthwise", "DepthwiseConvolution"]


def by_hand(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """The sum over the taps of the window that WINDOW describes."""
    padded = np.pad(x.astype(float), [(0, 0), (0, 0), (1, 1), (1, 1)])
    height, width = (7 + 2 - 5) // 2 + 1, (6 + 2 - 3) // 2 + 1
    top = np.zeros((2, 5, height, width)) + bias.reshape(1, 5, 1, 1)
    for i, j in np.ndindex(height, width):
        seen = padded[:, :, 2 * i : 2 * i + 5 : 2, 2 * j : 2 * j + 3 : 2]
        top[:, :, i, j] += (seen * weight[None, :, 0]).sum((2, 3))
    return top


@pytest.mark.parametrize("type_", TYPES)
def test_forward_and_gradient(type_: str) -> None:
    layer = layer_of(type_)
    x, weight, bias = values(0, SHAPE), values(1, (5, 1, 3, 2)), values(2, (5,))
    (top,) = check_forward(layer, [x], [weight, bias], dims=[(None, 5, None, None)])
    np.testing.assert_allclose(top, by_hand(x, weight, bias), rtol=1e-4, atol=1e-5)
    for device in RULES:
        check_gradient(layer, [x], [weight, bias], device=device)
    plain = layer_of(type_, "kernel_size: 3 bias_term: false")
    assert [d.shape for d in plain.param_defs([SHAPE])] == [(5, 1, 3, 3)]
    check_forward(plain, [x], [values(1, (5, 1, 3, 3))])


@pytest.mark.parametrize("type_", TYPES)
def test_refuses_other_channels(type_: str) -> None:
    with pytest.raises(ShapeError, match=r"C equal to num_output and group: .* num_output 4, group 4"):
        layer_of(type_, outputs=4).out_shapes([SHAPE])
    with pytest.raises(ShapeError, match=r"\(N, C, H, W\)"):
        layer_of(type_).out_shapes([(2, 5, 7)])
    with pytest.raises(NetError, match="num_output"):
        parse(f'type: "{type_}" convolution_param {{ kernel_size: 3 }}')


def test_depthwise_convolution_without_groups_is_refused() -> None:
    layer = parse('type: "DepthwiseConvolution" convolution_param { num_output: 5 kernel_size: 3 }')
    with pytest.raises(ShapeError, match="group 1"):
        layer.out_shapes([SHAPE])
