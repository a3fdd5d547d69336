"""SoftmaxWithLossOHEM: against its reference, and a formula of the test's own."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from loss_cases import IGNORE, ClassCase, class_cases, few, loss_params

from vggrepro.errors import NetError
from vggrepro.layers.base import Layer

WEIGHTS = "loss_weight: 1 loss_weight: 0 loss_weight: 0"


def layer_of(tops: int, text: str = "", axis: int = 1) -> Layer:
    named = " ".join(f'top: "t{index}"' for index in range(tops))
    return parse(
        f'type: "SoftmaxWithLossOHEM" {named} {" ".join(WEIGHTS.split()[: 2 * tops])}'
        f" softmax_param {{ axis: {axis} }} loss_param {{ {text} }}"
    )


@few
@given(class_cases(ignore=True), loss_params, st.integers(1, 3))
def test_forward(case: ClassCase, text: str, tops: int) -> None:
    layer = layer_of(tops, f"ignore_label: {IGNORE} {text}", case.axis)
    check_forward(layer, [case.predictions, case.label], dims=case.dims)


def test_by_formula() -> None:
    scores = np.random.default_rng(0).normal(size=(3, 4, 2)).astype(np.float32)
    label = np.array([[0, 3], [IGNORE, 1], [2, IGNORE]], np.float32)
    layer = layer_of(3, f"ignore_label: {IGNORE}")
    loss, prob, each = check_forward(layer, [scores, label])
    exact = np.exp(scores.astype(float)) / np.exp(scores.astype(float)).sum(1, keepdims=True)
    losses = np.zeros((3, 2))
    for n, s in np.ndindex(3, 2):
        if label[n, s] != IGNORE:
            losses[n, s] = -np.log(exact[n, int(label[n, s]), s])
    np.testing.assert_allclose(prob, exact, rtol=1e-5)
    np.testing.assert_allclose(each, losses, rtol=1e-5)
    np.testing.assert_allclose(loss, losses.sum() / 4, rtol=1e-5)
    check_gradient(layer, [scores, label])


def test_pre_fixed_divides_by_its_number() -> None:
    scores, label = np.eye(3, dtype=np.float32), np.array([0, 1, 1], np.float32)
    (full,) = check_forward(layer_of(1, "normalization: NONE"), [scores, label])
    fixed = layer_of(1, "normalization: PRE_FIXED pre_fixed_normalizer: 8")
    (eighth,) = check_forward(fixed, [scores, label])
    np.testing.assert_allclose(eighth, full / 8, rtol=1e-6)
    check_gradient(fixed, [scores, label])


def test_needs_a_weight_for_each_top() -> None:
    with pytest.raises(NetError, match="loss_weight must be unspecified or specified once"):
        parse('type: "SoftmaxWithLossOHEM" top: "a" top: "b" top: "c"')
