from __future__ import annotations

import math

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient, tie_free
from hypothesis import given
from hypothesis import strategies as st
from loss_cases import few, freed, loss_params

from vggrepro.errors import GradientError, ShapeError
from vggrepro.layers.base import Layer, Needed

ONE = np.array(1, np.float32)


def layer_of(loss_param: str = "") -> Layer:
    return parse(f'type: "SigmoidCrossEntropyLoss" loss_param {{ {loss_param} }}')


@few
@given(st.data(), loss_params, st.sampled_from([None, -1, 0, 1]))
def test_any_shape(data: st.DataObject, loss_param: str, ignore: int | None) -> None:
    """Targets are fractions, -1 and 1; ignoring goes by the integer part, so 0 ignores fractions."""
    shape = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=5))
    other = data.draw(st.sampled_from([tuple(shape), (shape[0], math.prod(shape[1:]))]))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    target = rng.choice(np.array([0, 0.3, 0.9, 1, -1, -0.5], np.float32), size=other)
    bottoms = [tie_free(rng, shape, -4, 4), target]
    layer = layer_of(loss_param if ignore is None else f"{loss_param} ignore_label: {ignore}")
    check_forward(layer, bottoms, dims=[data.draw(freed(b.shape)) for b in bottoms])
    check_gradient(layer, bottoms)


@pytest.mark.parametrize(
    ("loss_param", "divisor"),
    [
        ("", 2),
        ("normalization: VALID", 4),
        ("normalization: FULL", 6),
        ("normalization: BATCH_SIZE", 2),
        ("normalization: NONE", 1),
        ("normalize: true", 4),
        ("normalize: false", 2),
    ],
)
def test_divisor(loss_param: str, divisor: int) -> None:
    """At 0 each of the 4 counted targets costs log 2. The default is BATCH_SIZE here."""
    layer = layer_of(f"ignore_label: -1 {loss_param}")
    target = np.array([[0, -1, 1], [1, 1, -1]], np.float32)
    (loss,) = check_forward(layer, [np.zeros((2, 3), np.float32), target])
    np.testing.assert_allclose(loss, 4 * np.log(2) / divisor, rtol=1e-6)


@pytest.mark.parametrize("negative", [None, 1.5])
@few
@given(st.data())
def test_heds_and_rcfs_balanced_loss(negative: float | None, data: st.DataObject) -> None:
    """By the forks' loops; targets that are neither 0 nor 1 have no loss, but in HED's a gradient without a
    weight."""
    shape = tuple(data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    x, target = tie_free(rng, shape, -4, 4), rng.choice(np.array([0, 1, 1, 0.5], np.float32), size=shape)
    layer = layer_of("balanced: true" + (f" negative_weight: {negative}" if negative else ""))
    (loss,) = check_forward(layer, [x, target], dims=[data.draw(freed(shape)), shape])
    total, gradient = 0.0, np.zeros(shape)
    for item, wanted, row in zip(*(a.reshape(shape[0], -1) for a in (x, target, gradient)), strict=True):
        ones, zeros = np.count_nonzero(wanted == 1), np.count_nonzero(wanted == 0)
        for place, (score, t) in enumerate(zip(item.tolist(), wanted.tolist(), strict=True)):
            weight = {1: zeros, 0: (negative or 1) * ones}.get(t, 0) / max(ones + zeros, 1)
            total += weight * math.log1p(math.exp(-score if t == 1 else score))
            factor = weight if negative or t in (0, 1) else 1
            row[place] = factor * (1 / (1 + math.exp(-score)) - t) / shape[0]
    np.testing.assert_allclose(loss, total / shape[0], rtol=1e-5, atol=1e-6)
    found, _ = run_gradient(layer, [x, target], [], [ONE], needed=Needed((True, False), ()))
    np.testing.assert_allclose(found, gradient, rtol=1e-5, atol=1e-6)


def test_large_scores_neither_overflow_nor_cancel() -> None:
    x = np.array([[120, -120, 1e30, -1e30, 50, -50]], np.float32)
    (loss,) = check_forward(layer_of(), [x, np.array([[1, 0, 1, 0, 0.5, 0.5]], np.float32)])
    assert loss == 50
    gradient, _ = run_gradient(layer_of(), [x, np.array([[1, 0, 0, 1, 1, 0]], np.float32)], [], [ONE])
    np.testing.assert_allclose(gradient, [[0, 0, 1, -1, 0, 0]], atol=1e-7)


def test_ignored_targets_hide_whatever_the_score_is() -> None:
    layer = layer_of("ignore_label: -1")
    x, target = np.array([[np.nan, 0]], np.float32), np.array([[-1, 1]], np.float32)
    np.testing.assert_allclose(check_forward(layer, [x, target])[0], np.log(2), rtol=1e-6)
    np.testing.assert_array_equal(run_gradient(layer, [x, target], [], [ONE])[0], [[0, -0.5]])


def test_without_any_counted_target_the_loss_is_zero() -> None:
    layer = layer_of("ignore_label: -1 normalization: VALID")
    bottoms = [np.ones((2, 3), np.float32), np.full((2, 3), -1, np.float32)]
    assert check_forward(layer, bottoms)[0] == 0
    gradient = run_gradient(layer, bottoms, [], [ONE])[0]
    assert gradient is not None and not gradient.any()


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(2, 3), (3, 2)], "The data and label should have the same first dimension"),
        ([(2, 3), (2, 4)], r"SIGMOID_CROSS_ENTROPY_LOSS layer inputs must have the same count. \(6 vs. 8\)"),
    ],
)
def test_refuses_shapes(shapes: list[tuple[int, ...]], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        layer_of().out_shapes(shapes)


def test_targets_get_no_gradient() -> None:
    bottoms = [np.zeros((2, 3), np.float32)] * 2
    with pytest.raises(GradientError, match="cannot backpropagate to label inputs"):
        run_gradient(layer_of(), bottoms, [], [ONE], needed=Needed((False, True), ()))
