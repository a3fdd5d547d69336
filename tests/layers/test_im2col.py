from __future__ import annotations

import numpy as np
import pytest
from conv_cases import ConvCase, conv_cases
from harness import check_forward, check_gradient, parse
from hypothesis import given, settings

from vggrepro.errors import ShapeError, UnsupportedError

some = settings(max_examples=100, deadline=None)


@given(case=conv_cases("Im2col"))
@some
def test_forward_equals_the_reference(case: ConvCase) -> None:
    bottoms, _ = case.arrays()
    check_forward(case.layer(), bottoms, dims=[case.dims], rtol=0, atol=0)


@given(case=conv_cases("Im2col"))
@some
def test_gradient_equals_differences(case: ConvCase) -> None:
    check_gradient(case.layer(), case.arrays()[0], most=30)


def test_columns_are_what_a_convolution_multiplies() -> None:
    """Caffe's order: the taps of a channel together, row by row."""
    window = "kernel_h: 2 kernel_w: 3 stride: 2 pad: 1"
    columns = parse(f'type: "Im2col" convolution_param {{ {window} }}')
    convolution = parse(
        f'type: "Convolution" convolution_param {{ {window} num_output: 4 bias_term: false }}'
    )
    rng = np.random.default_rng(0)
    x, w = rng.random((2, 3, 5, 6)), rng.random((4, 3, 2, 3))
    seen = columns.reference([x], [], []).tops[0]
    (y,) = convolution.reference([x], [w], []).tops
    np.testing.assert_allclose(np.einsum("kc,nchw->nkhw", w.reshape(4, -1), seen), y)


def test_infinity_stays_in_its_place() -> None:
    layer = parse('type: "Im2col" convolution_param { kernel_size: 2 }')
    x = np.float32([[[[1, np.inf], [2, 3]]]])
    (y,) = check_forward(layer, [x])
    assert y.reshape(-1).tolist() == [1, np.inf, 2, 3]


def test_no_spatial_axis() -> None:
    layer = parse('type: "Im2col" convolution_param { kernel_size: 1 axis: 3 }')
    with pytest.raises(ShapeError, match="no spatial axis"):
        layer.out_shapes([(1, 2, 3, 4)])


def test_kernel_larger_than_the_input() -> None:
    layer = parse('type: "Im2col" convolution_param { kernel_size: 5 }')
    with pytest.raises(ShapeError, match="leave a top of shape"):
        layer.out_shapes([(1, 2, 3, 4)])


def test_no_dilation_is_not_supported() -> None:
    with pytest.raises(UnsupportedError, match="dilation 0"):
        parse('type: "Im2col" convolution_param { kernel_size: 1 dilation: 0 }')


def test_window() -> None:
    layer = parse('type: "Im2col" convolution_param { kernel_size: 3 stride: 2 dilation: 2 }')
    assert layer.reach((1, 2, 9, 9)).extent == (5, 5)
