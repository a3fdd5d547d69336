from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient, tie_free
from hypothesis import given, settings
from hypothesis import strategies as st

from vggrepro.emit import Dims, Shape
from vggrepro.errors import NetError, UnsupportedError
from vggrepro.layers.base import Layer
from vggrepro.layers.rules import few_rows

some = settings(max_examples=100, deadline=None)
Case = tuple[Layer, Shape, Dims, int]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    shape = tuple(draw(st.integers(1, 4)) for _ in range(draw(st.integers(1, 5))))
    axis = draw(st.integers(0, len(shape) - 1))
    spelling = draw(st.sampled_from([axis, axis - len(shape)]))
    flags = [str(draw(st.booleans())).lower() for _ in "bt"]
    layer = parse(
        f'type: "InnerProduct" inner_product_param {{ num_output: {draw(st.integers(1, 4))} axis: {spelling}'
        f" bias_term: {flags[0]} transpose: {flags[1]} }}"
    )
    free = draw(st.sets(st.integers(0, axis - 1))) if axis else set()
    dims = tuple(None if a in free else s for a, s in enumerate(shape))
    return layer, shape, dims, draw(st.integers(0, 2**32 - 1))


def arrays(layer: Layer, shape: Shape, seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    return [tie_free(rng, shape)], [tie_free(rng, d.shape) for d in layer.param_defs([shape])]


@given(case=cases())
@some
def test_forward_equals_the_reference(case: Case) -> None:
    layer, shape, dims, seed = case
    check_forward(layer, *arrays(layer, shape, seed), dims=[dims])


@given(case=cases())
@some
def test_gradient_equals_differences(case: Case) -> None:
    layer, shape, _, seed = case
    check_gradient(layer, *arrays(layer, shape, seed))


@pytest.mark.parametrize(("num_output", "transpose"), [(32, "false"), (32, "true"), (20, "false")])
def test_a_few_rows_through_a_large_weight(
    monkeypatch: pytest.MonkeyPatch, num_output: int, transpose: str
) -> None:
    layer = parse(
        f'type: "InnerProduct" inner_product_param {{ num_output: {num_output} transpose: {transpose} }}'
    )
    (x,), (weight, bias) = arrays(layer, (3, 2, 4), 0)
    dy = np.random.default_rng(1).standard_normal((3, num_output), np.float32)
    expected = run_gradient(layer, [x], [weight, bias], [dy])
    monkeypatch.setattr(few_rows, "LEAST_ELEMENTS", 1)
    check_forward(layer, [x], [weight, bias])
    for got, array in zip(run_gradient(layer, [x], [weight, bias], [dy]), expected, strict=True):
        np.testing.assert_allclose(got, array, rtol=1e-5, atol=1e-5)


def test_no_gradient_arrives() -> None:
    layer = parse('type: "InnerProduct" inner_product_param { num_output: 2 }')
    bottoms, params = arrays(layer, (2, 3), 0)
    assert run_gradient(layer, bottoms, params, [None]) == [None, None, None]


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 3)])
def test_as_convolution(shape: Shape, transpose: bool) -> None:
    layer = parse(
        'type: "InnerProduct" inner_product_param'
        f" {{ num_output: 2 transpose: {str(transpose).lower()} bias_filler {{ value: 3 }} }}"
    )
    convolution = layer.as_convolution(shape)
    (x,), (weight, bias) = arrays(layer, shape, 0)
    image = x.reshape(*shape, *[1] * (4 - len(shape)))
    definitions = convolution.param_defs([image.shape])
    assert [d.shape for d in definitions] == [(2, *image.shape[1:]), (2,)]
    assert definitions[1].filler.value == 3
    kernels = (weight.T if transpose else weight).reshape(definitions[0].shape)
    (y,) = convolution.reference(
        [np.asarray(image, np.float64)], [np.asarray(kernels, np.float64), np.asarray(bias, np.float64)], []
    ).tops
    (expected,) = layer.reference(
        [np.asarray(x, np.float64)], [np.asarray(weight, np.float64), np.asarray(bias, np.float64)], []
    ).tops
    assert y.shape == (2, 2, 1, 1)
    np.testing.assert_allclose(y.reshape(2, 2), expected)


@pytest.mark.parametrize(("axis", "shape"), [(2, (2, 3, 4, 5)), (1, (2, 3, 4)), (0, (2, 3))])
def test_what_is_no_convolution(axis: int, shape: Shape) -> None:
    layer = parse(f'type: "InnerProduct" inner_product_param {{ num_output: 2 axis: {axis} }}')
    with pytest.raises(UnsupportedError, match="is no convolution"):
        layer.as_convolution(shape)


def test_work_and_window() -> None:
    layer = parse('type: "InnerProduct" inner_product_param { num_output: 2 }')
    assert layer.macs([(2, 3, 4, 5)]) == 2 * 60 * 2
    assert layer.reach((2, 3, 4, 5)).extent == (4, 5)


def test_refused() -> None:
    with pytest.raises(NetError, match="num_output 0"):
        parse('type: "InnerProduct"')
    layer = parse('type: "InnerProduct" inner_product_param { num_output: 1 axis: 2 }')
    with pytest.raises(NetError, match="axis 2 out of range"):
        layer.out_shapes([(1, 2)])
