"""SmoothL1Loss and SmoothL1LossOHEM: against their references, and a formula of the test's own."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from loss_cases import few, freed
from shape_cases import seeds, values

from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Layer

SHAPE = (3, 4, 2, 5)


def smooth_l1(bottoms: int, text: str = "", type_: str = "SmoothL1Loss") -> Layer:
    named = " ".join(f'bottom: "b{index}"' for index in range(bottoms))
    return parse(f'type: "{type_}" {named} {text}')


def sigma(value: float) -> str:
    return f"smooth_l1_loss_param {{ sigma: {value} }}"


def weights(seed: int, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return (np.random.default_rng(seed).random(shape) < 0.5).astype(np.float32)


def f(d: np.ndarray, sigma: float = 1) -> np.ndarray:
    """The two branches as they are written down in the fork."""
    near = np.abs(d) < 1 / sigma**2
    return np.where(near, 0.5 * (sigma * d) ** 2, np.abs(d) - 0.5 / sigma**2)


@few
@given(st.integers(2, 4), st.sampled_from([1, 3, 0.5]), seeds, st.data())
def test_smooth_l1_loss(bottoms: int, width: float, seed: int, data: st.DataObject) -> None:
    layer = smooth_l1(bottoms, "" if bottoms == 3 else sigma(width))
    shape = tuple(data.draw(st.lists(st.integers(1, 4), min_size=2, max_size=4)))
    arrays = [values(seed + index, shape, -2, 2) for index in range(bottoms)]
    check_forward(layer, arrays, dims=[data.draw(freed(shape)) for _ in arrays])


def test_py_faster_rcnn_by_formula() -> None:
    a, b = values(0, SHAPE, -2, 2), values(1, SHAPE, -1, 1)
    inside, outside = values(2, SHAPE), values(3, SHAPE)
    (loss,) = check_forward(smooth_l1(4, sigma(3)), [a, b, inside, outside])
    d = inside.astype(float) * (a - b)
    np.testing.assert_allclose(loss, (outside * f(d, 3)).sum() / 3, rtol=1e-5)
    (loss,) = check_forward(smooth_l1(2), [a, b])
    np.testing.assert_allclose(loss, f(a.astype(float) - b).sum() / 3, rtol=1e-5)


@pytest.mark.parametrize("width", [1, 3])
def test_py_faster_rcnns_gradient(width: float) -> None:
    arrays = [values(0, SHAPE, -2, 2), values(1, SHAPE, -0.777, 0.777)]
    check_gradient(smooth_l1(2, sigma(width)), arrays)
    check_gradient(smooth_l1(4, sigma(width)), [*arrays, values(2, SHAPE), values(3, SHAPE)])
    check_gradient(smooth_l1(2, sigma(width)), [arrays[0][..., 0, 0], arrays[1][:, :, :1, :1]])


@pytest.mark.parametrize("text", ["", 'top: "loss" top: "each" loss_weight: 1 loss_weight: 0'])
def test_older_layers_leave_the_weights_out_of_the_gradient(text: str) -> None:
    arrays = [values(0, SHAPE, -2, 2), values(1, SHAPE), values(2, SHAPE)]
    type_ = "SmoothL1LossOHEM" if text else "SmoothL1Loss"
    d_tops = [np.float32(2).reshape(()), *([None] if text else [])]
    da, db, dw = run_gradient(smooth_l1(3, text, type_), arrays, [], d_tops)
    d = arrays[2] * (arrays[0] - arrays[1])
    expected = np.where(np.abs(d) < 1, d, np.sign(d)) * 2 / (3 * 2 * 5)
    np.testing.assert_allclose(da, expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(db, -expected, rtol=1e-5, atol=1e-7)
    assert dw is None
    check_gradient(smooth_l1(3, text, type_), [*arrays[:2], weights(0)])


@pytest.mark.parametrize(
    ("text", "divisor"),
    [
        ("", 30),
        ("loss_param { normalization: FULL }", 30),
        ("loss_param { normalization: BATCH_SIZE }", 3),
        ("loss_param { normalize: false }", 3),
        ("loss_param { normalization: NONE }", 1),
        ("loss_param { normalization: PRE_FIXED pre_fixed_normalizer: 128 }", 128),
        ("loss_param { normalization: PRE_FIXED pre_fixed_normalizer: 0.5 }", 1),
    ],
)
def test_ohem(text: str, divisor: float) -> None:
    tops = 'top: "loss" top: "each" loss_weight: 1 loss_weight: 0'
    arrays = [values(0, SHAPE, -2, 2), values(1, SHAPE), weights(2)]
    layer = smooth_l1(3, f"{tops} {text}", "SmoothL1LossOHEM")
    loss, each = check_forward(layer, arrays, dims=[(None, *SHAPE[1:])] * 3)
    losses = f(arrays[2] * (arrays[0].astype(float) - arrays[1]))
    np.testing.assert_allclose(loss, losses.sum() / divisor, rtol=1e-5)
    np.testing.assert_allclose(each, losses.sum(1, keepdims=True), rtol=1e-5)
    check_gradient(layer, arrays)
    (alone,) = check_forward(smooth_l1(2, text, "SmoothL1LossOHEM"), arrays[:2])
    np.testing.assert_allclose(alone, f(arrays[0].astype(float) - arrays[1]).sum() / divisor, rtol=1e-5)


def test_refuses() -> None:
    with pytest.raises(NetError, match="layer 'l': SmoothL1Loss with sigma takes 2 or 4 bottoms"):
        smooth_l1(3, sigma(3))
    with pytest.raises(NetError, match="sigma must be above 0"):
        smooth_l1(2, sigma(0))
    with pytest.raises(ShapeError, match="bottoms of different shapes"):
        smooth_l1(2).out_shapes([(2, 3), (2, 4)])
    with pytest.raises(ShapeError, match="same first dimension"):
        smooth_l1(2).out_shapes([(2, 3), (3, 3)])
    with pytest.raises(ShapeError, match=r"must be \(N, C"):
        smooth_l1(2, "", "SmoothL1LossOHEM").out_shapes([(2,), (2,)])
    with pytest.raises(NetError, match="loss_weight must be unspecified or specified once"):
        smooth_l1(2, 'top: "a" top: "b"', "SmoothL1LossOHEM")
