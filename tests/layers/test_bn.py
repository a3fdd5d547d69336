"""BN of SegNet and of CUHK: against their references, formulas of the test's own, and each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient, tie_free
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, values

from vggrepro.caffe import messages
from vggrepro.caffe.blob import SavedBlob
from vggrepro.caffe.messages import TEST, TRAIN
from vggrepro.caffe.text import parse_net
from vggrepro.caffe.weights import SavedLayer
from vggrepro.emit import GraphBuilder, Value
from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Layer, Needed
from vggrepro.net import build_net
from vggrepro.net.load import match_weights

SHAPE = (3, 5, 2, 7)


def bn(text: str, phase: int = TEST, more: str = "") -> Layer:
    return parse(f'type: "BN" {more} bn_param {{ {text} }}', phase)


def blobs(seed: int, channels: int, number: int) -> list[np.ndarray]:
    """Scale, shift, means and positive variances."""
    rng = np.random.default_rng(seed)
    made = [rng.uniform(0.5, 1.5, (1, channels, 1, 1)) for _ in range(4)]
    made[1] -= 1
    return [b.astype(np.float32) for b in made[:number]]


def shapes_of(most: int = 4) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(st.integers(2, 5), min_size=2, max_size=most).map(tuple)


@few
@given(
    shapes_of(),
    st.sampled_from(
        [
            ("bn_mode: INFERENCE", 2, TEST),
            ("bn_mode: LEARN", 2, TEST),
            ("frozen: true", 4, TRAIN),
            ("eps: 0.01", 4, TEST),
            ("momentum: 0.75 eps: 0.01", 4, TRAIN),
        ]
    ),
    seeds,
    st.data(),
)
def test_bn(shape: tuple[int, ...], case: tuple[str, int, int], seed: int, data: st.DataObject) -> None:
    text, number, phase = case
    x = values(seed, shape, -2, 2)
    dims = [data.draw(freed(shape, but=(1,)))]
    check_forward(bn(text, phase), [x], blobs(seed, shape[1], number), dims=dims, rtol=1e-4, atol=2e-5)


def test_segnet_by_formula() -> None:
    x = values(0, SHAPE)
    scale, shift = blobs(1, 5, 2)
    more = 'top: "y" top: "mean" top: "variance"'
    y, mean, variance = check_forward(bn("bn_mode: LEARN", more=more), [x], [scale, shift])
    expected = x.astype(float).mean((0, 2, 3), keepdims=True)
    np.testing.assert_allclose(mean, expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(
        variance, (x.astype(float) ** 2).mean((0, 2, 3), keepdims=True) - expected**2, 1e-5
    )
    exact = (x - expected) / np.sqrt(variance + 1e-9) * scale + shift
    np.testing.assert_allclose(y, exact, rtol=1e-4, atol=1e-6)
    (y,) = check_forward(bn("bn_mode: INFERENCE"), [x], [scale, shift])
    np.testing.assert_allclose(y, x * scale + shift, rtol=1e-6)


def test_cuhk_by_formula() -> None:
    x = values(0, SHAPE)
    slope, bias, mean, variance = params = blobs(1, 5, 4)
    (y,) = check_forward(bn("frozen: true"), [x], params)
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(variance + 1e-5) * slope + bias, rtol=1e-4, atol=1e-6)
    moved = bn("momentum: 0.9", TRAIN).reference([x.astype(float)], params, []).next_params
    np.testing.assert_allclose(moved[2], 0.9 * mean + 0.1 * x.mean((0, 2, 3), keepdims=True), rtol=1e-6)
    np.testing.assert_allclose(moved[3], 0.9 * variance + 0.1 * x.var((0, 2, 3), keepdims=True), rtol=1e-6)


@pytest.mark.parametrize("shape", [SHAPE, (4, 3), (3, 2, 5)])
@pytest.mark.parametrize(
    ("text", "number", "phase"),
    [
        ("bn_mode: INFERENCE", 2, TEST),
        ("bn_mode: LEARN", 2, TRAIN),
        ("frozen: true", 4, TRAIN),
        ("momentum: 0.9", 4, TRAIN),
    ],
)
def test_gradients(shape: tuple[int, ...], text: str, number: int, phase: int) -> None:
    x = tie_free(np.random.default_rng(3), shape)
    check_gradient(bn(text, phase), [x], blobs(1, shape[1], number), rtol=1e-3, atol=1e-4)


def test_cuhk_takes_averages_for_the_batchs_in_backward_unless_frozen() -> None:
    x = values(0, SHAPE)
    dy = values(5, SHAPE)
    params = blobs(1, 5, 4)
    dx, *_ = run_gradient(bn("eps: 0.01"), [x], params, [dy])
    slope, _, mean, variance = params
    deviation = np.sqrt(variance + 0.01)
    unit, d = (x - mean) / deviation, dy * slope
    over = {"axis": (0, 2, 3), "keepdims": True}
    expected = (d - d.mean(**over) - unit * (d * unit).mean(**over)) / deviation
    np.testing.assert_allclose(dx, expected, rtol=1e-4, atol=1e-5)


def test_a_frozen_layer_learns_nothing() -> None:
    defs = bn("frozen: true slope_filler { value: 1 }", TRAIN).param_defs([SHAPE])
    assert [d.statistic for d in defs] == [True] * 4
    assert [d.filler.value for d in defs] == [1, 0, 0, 1]
    assert [d.statistic for d in bn("momentum: 0.9", TRAIN).param_defs([SHAPE])] == [False, False, True, True]
    layer = bn("frozen: true", TRAIN)
    needed = Needed((True,), (False,) * 4)
    x, dy = values(0, SHAPE), values(1, SHAPE)
    assert run_gradient(layer, [x], blobs(1, 5, 4), [dy], needed=needed)[1:] == [None] * 4


def test_inference_reads_an_overwritten_bottom_again() -> None:
    def saved(text: str, number: int) -> Any:
        layer, x = bn(text), Value("x", SHAPE)
        params = [Value(f"p{index}", (1, 5, 1, 1)) for index in range(number)]
        return layer.reread(layer.emit(GraphBuilder(), [x], params, []).saved, ["changed"], ["y"])

    assert saved("bn_mode: INFERENCE", 2).x == "changed"
    assert saved("frozen: true", 4).x != "changed"


def test_four_params_without_a_bn_param_are_cuhks() -> None:
    layer = parse('type: "BN" param { } param { } param { } param { }')
    assert len(layer.param_defs([SHAPE])) == 4
    assert len(bn("scale_filler { value: 1 }").param_defs([SHAPE])) == 2


@pytest.mark.parametrize(
    ("text", "kind", "problem"),
    [
        ("bn_param { bn_mode: LEARN frozen: true }", NetError, "fields of two forks"),
        ("", UnsupportedError, "cannot be told apart"),
        ('top: "a" top: "b" bn_param { frozen: true }', NetError, "only BN with bn_mode LEARN"),
        ('top: "a" top: "b" bn_param { bn_mode: INFERENCE }', NetError, "only BN with bn_mode LEARN"),
    ],
)
def test_refuses(text: str, kind: type[Exception], problem: str) -> None:
    with pytest.raises(kind, match=f"layer 'l': .*{problem}"):
        parse(f'type: "BN" {text}')


def test_refuses_a_fifth_axis() -> None:
    with pytest.raises(ShapeError, match="must be"):
        bn("frozen: true").out_shapes([(1, 2, 3, 4, 5)])


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1, 1)])
def test_both_shapes_of_cuhks_blobs_load(shape: tuple[int, ...]) -> None:
    message = parse_net(
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: [2, 3, 4, 5] } } }'
        'layer { name: "b" type: "BN" bottom: "x" top: "y" bn_param { frozen: true } }'
    )
    assert isinstance(message, messages.NetParameter)
    net = build_net(message, "TEST")
    saved = SavedLayer("b", "BN", tuple(SavedBlob(np.ones(shape, np.float32), False) for _ in range(4)))
    assert {a.shape for a in match_weights(net, [saved], "w").values()} == {(1, 3, 1, 1)}


@pytest.mark.parametrize(("text", "number"), [("bn_mode: INFERENCE", 2), ("frozen: true eps: 0.01", 4)])
def test_affine_is_what_folding_needs(text: str, number: int) -> None:
    x, params = values(0, SHAPE), blobs(1, 5, number)
    scale, shift = bn(text).affine(params, 4, 1)
    (top,) = bn(text).reference([x], params, []).tops
    np.testing.assert_allclose(x * scale.reshape(1, 5, 1, 1) + shift.reshape(1, 5, 1, 1), top, rtol=1e-4)
    assert bn(text).affine(params, 4, 2) is None
    assert bn("bn_mode: LEARN").affine(params[:2], 4, 1) is None
