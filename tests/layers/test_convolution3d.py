"""Convolution3D and Deconvolution3D by sums over all offsets, in both forms of their fields."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, tie_free

from vggrepro.errors import NetError, ShapeError, UnsupportedError

FIELDS = "num_output: 3 kernel_size: 2 kernel_depth: 3 stride: 2 temporal_stride: 1 pad: 1 temporal_pad: 2"
STRIDE, PAD = (1, 2, 2), (2, 1, 1)
FORMS = [
    f"convolution_param {{ {FIELDS} engine: CAFFE }}",
    f"convolution3d_param {{ {FIELDS} filter_group: 3 group: 2 }}",
]


def place(index: tuple[int, ...], offset: tuple[int, ...]) -> tuple[slice | int, ...]:
    """Where, in a padded blob, a window at ``index`` has its element ``offset``."""
    inside = (i * s + o for i, s, o in zip(index, STRIDE, offset, strict=True))
    return (slice(None), slice(None), *inside)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("fixed", [True, False])
def test_convolution(form: str, fixed: bool) -> None:
    rng = np.random.default_rng(0)
    layer = parse(f'type: "Convolution3D" {form}')
    x = tie_free(rng, (2, 2, 4, 5, 6))
    shapes = [d.shape for d in layer.param_defs([x.shape])]
    assert shapes == [(3, 2, 3, 2, 2), (3,)]
    assert [d.also_saved_as for d in layer.param_defs([x.shape])] == [(), ((1, 1, 1, 1, 3),)]
    weight, bias = (tie_free(rng, shape) for shape in shapes)
    (y,) = check_forward(layer, [x], [weight, bias], dims=None if fixed else [(None, 2, None, None, None)])
    assert y.shape == (2, 3, 6, 3, 4)
    padded = np.pad(x.astype(np.float64), [(0, 0), (0, 0), *((p, p) for p in PAD)])
    wanted = np.zeros(y.shape) + bias.reshape(-1, 1, 1, 1)
    for index, offset in product(product(*map(range, y.shape[2:])), product(*map(range, (3, 2, 2)))):
        seen = padded[place(index, offset)]
        wanted[(..., *index)] += seen @ weight[(..., *offset)].T
    np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-4)
    if fixed:
        check_gradient(layer, [x], [weight, bias])


@pytest.mark.parametrize("form", FORMS)
def test_deconvolution(form: str) -> None:
    rng = np.random.default_rng(1)
    layer = parse(f'type: "Deconvolution3D" {form}')
    x = tie_free(rng, (2, 2, 4, 3, 2))
    shapes = [d.shape for d in layer.param_defs([x.shape])]
    assert shapes == [(2, 3, 3, 2, 2), (3,)]
    weight, bias = (tie_free(rng, shape) for shape in shapes)
    (y,) = check_forward(layer, [x], [weight, bias], dims=[(None, 2, None, None, None)])
    assert y.shape == (2, 3, 2, 4, 2)
    wanted = np.zeros((2, 3, 6, 6, 4))
    for index, offset in product(product(*map(range, x.shape[2:])), product(*map(range, (3, 2, 2)))):
        wanted[place(index, offset)] += x[(..., *index)].astype(np.float64) @ weight[(..., *offset)]
    wanted = wanted[:, :, 2:-2, 1:-1, 1:-1] + bias.reshape(-1, 1, 1, 1)
    np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-4)
    check_gradient(layer, [x], [weight, bias])


def test_the_bias_of_a_deconvolution_is_told_by_one_message() -> None:
    sizes = "convolution3d_param { num_output: 3 kernel_size: 2 kernel_depth: 3 bias_term: false }"
    blob = [(1, 2, 4, 4, 4)]
    assert len(parse(f'type: "Convolution3D" {sizes}').param_defs(blob)) == 1
    assert len(parse(f'type: "Deconvolution3D" {sizes}').param_defs(blob)) == 2
    without = f'type: "Deconvolution3D" {sizes} convolution_param {{ bias_term: false }}'
    assert len(parse(without).param_defs(blob)) == 1


def test_three_dimensional_filters_are_refused() -> None:
    with pytest.raises(NetError, match="num_output 3 must be a multiple of 2"):
        parse(f'type: "Convolution3D" convolution_param {{ {FIELDS} filter_group: 2 }}')
    with pytest.raises(UnsupportedError, match="kernel_depth is for Convolution3D, Deconvolution3D and"):
        parse(f'type: "Convolution" convolution_param {{ {FIELDS} }}')
    for kind in ("Convolution3D", "Deconvolution3D"):
        with pytest.raises(ShapeError, match=rf"{kind}: the bottom must be \(N, C, length, height, width\)"):
            parse(f'type: "{kind}" {FORMS[0]}').out_shapes([(1, 2, 4, 4)])
