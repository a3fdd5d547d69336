"""NdConvolution by sums over all offsets and groups, central differences, and what it refuses."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, tie_free

from vggrepro.errors import NetError, ShapeError, UnsupportedError

STRIDE, PAD = (1, 2, 2), (2, 1, 0)
FIELDS = (
    "num_output: 4 group: 2 kernel_shape { dim: 3 dim: 2 dim: 2 } stride_shape { dim: 1 dim: 2 dim: 2 }"
    " pad_shape { dim: 2 dim: 1 dim: 0 } engine: CUDNN"
)


def convolution(fields: str):
    return parse(f'type: "NdConvolution" convolution_param {{ {fields} }}')


@pytest.mark.parametrize("fixed", [True, False])
def test_sums_over_offsets(fixed: bool) -> None:
    rng = np.random.default_rng(0)
    layer, x = convolution(FIELDS), tie_free(rng, (2, 6, 4, 5, 6))
    defs = [d.shape for d in layer.param_defs([x.shape])]
    assert defs == [(4, 3, 3, 2, 2), (4,)]
    weight, bias = (tie_free(rng, shape) for shape in defs)
    (y,) = check_forward(layer, [x], [weight, bias], dims=None if fixed else [(None, 6, None, None, None)])
    assert y.shape == (2, 4, 6, 3, 3)
    padded = np.pad(x.astype(np.float64), [(0, 0), (0, 0), *((p, p) for p in PAD)])
    wanted = np.zeros(y.shape) + bias.reshape(-1, 1, 1, 1)
    for index, offset in product(np.ndindex(*y.shape[2:]), np.ndindex(3, 2, 2)):
        at = tuple(i * s + o for i, s, o in zip(index, STRIDE, offset, strict=True))
        for group in range(2):
            seen = padded[(slice(None), slice(3 * group, 3 * group + 3), *at)]
            filters = weight[(slice(2 * group, 2 * group + 2), slice(None), *offset)]
            wanted[(slice(None), slice(2 * group, 2 * group + 2), *index)] += seen @ filters.T
    np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-4)
    if fixed:
        check_gradient(layer, [x], [weight, bias])


def test_an_axis_of_size_1_stays_and_the_defaults_are_stride_1_without_padding() -> None:
    layer = convolution("num_output: 5 bias_term: false kernel_shape { dim: 4 dim: 2 }")
    assert layer.out_shapes([(1, 3, 4, 6)]) == ((1, 5, 1, 5),)
    assert [d.shape for d in layer.param_defs([(1, 3, 4, 6)])] == [(5, 3, 4, 2)]


def test_refuses() -> None:
    with pytest.raises(UnsupportedError, match="NdConvolution does not read dilation"):
        convolution(FIELDS + " dilation: 2")
    with pytest.raises(NetError, match="Kernel shape is required"):
        convolution("num_output: 3 stride_shape { dim: 1 }")
    with pytest.raises(NetError, match="num_output 3 must be a positive multiple of group 2"):
        convolution(FIELDS.replace("num_output: 4", "num_output: 3"))
    with pytest.raises(ShapeError, match=r"does not fit in a bottom of shape \(1, 6, 4, 5, 1\)"):
        convolution(FIELDS).out_shapes([(1, 6, 4, 5, 1)])
    for kind in ("Convolution", "Deconvolution"):
        with pytest.raises(UnsupportedError, match="kernel_shape is for NdConvolution and NdPooling alone"):
            parse(f'type: "{kind}" convolution_param {{ num_output: 2 kernel_shape {{ dim: 2 }} }}')
    with pytest.raises(UnsupportedError, match="pad_shape is for NdConvolution and NdPooling alone"):
        parse('type: "Pooling" pooling_param { kernel_size: 1 pad_shape { dim: 2 } }')
