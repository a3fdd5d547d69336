"""WeightedSoftmaxWithLoss: against its reference, central differences and the forks' loops."""

from __future__ import annotations

from math import exp, log

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from hypothesis import assume, given
from hypothesis import strategies as st
from loss_cases import IGNORE, ClassCase, class_cases, few

from vggrepro.errors import GradientError, ShapeError, UnsupportedError
from vggrepro.layers.base import Layer, Needed


def weighted(softmax: str, loss: str = "", tops: int = 1, bottoms: int = 2) -> Layer:
    named = " ".join(f'top: "t{index}" loss_weight: {1 - index}' for index in range(tops))
    named += " ".join(f' bottom: "b{index}"' for index in range(bottoms))
    inside = f"softmax_param {{ {softmax} }} loss_param {{ {loss} }}"
    return parse(f'type: "WeightedSoftmaxWithLoss" {named} {inside}')


@few
@given(class_cases(ignore=True), st.sampled_from([0.25, 3.0]), st.booleans(), st.booleans())
def test_a_class_of_more_weight(case: ClassCase, weight: float, normalize: bool, prob: bool) -> None:
    averaging = f"ignore_label: {IGNORE} normalize: {str(normalize).lower()}"
    layer = weighted(f"axis: {case.axis} pos_cid: 0 pos_mult: {weight}", averaging, 1 + prob)
    check_forward(layer, [case.predictions, case.label], dims=case.dims)
    check_gradient(layer, [case.predictions, case.label], rtol=1e-3)


@few
@given(class_cases(ignore=True), st.sampled_from(["FULL", "BATCH_SIZE", "NONE"]), st.integers(0, 99))
def test_weights_as_a_bottom(case: ClassCase, mode: str, seed: int) -> None:
    x = case.predictions
    axis = case.axis % x.ndim
    assume(case.label.shape[:1] == x.shape[:1])
    shape = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    weights = np.random.default_rng(seed).uniform(0, 2, shape).astype(np.float32)
    averaging = f"ignore_label: {IGNORE} normalization: {mode}"
    layer = weighted(f"axis: {case.axis}", averaging, bottoms=3)
    bottoms = [x, case.label, weights]
    dims = None if case.dims is None else [*case.dims, weights.shape]
    check_forward(layer, bottoms, dims=dims)
    check_gradient(layer, bottoms, needed=Needed((True, False, False), ()), rtol=1e-3)


def test_by_loops() -> None:
    scores = np.random.default_rng(0).normal(size=(2, 3, 2)).astype(np.float32)
    labels = np.float32([[0, 2], [1, 1]])
    weights = np.float32([[[1, 0.5]], [[3, 0]]])
    total = heavy = 0.0
    for n in range(2):
        for s in range(2):
            label = int(labels[n, s])
            own = exp(scores[n, label, s]) / sum(exp(v) for v in scores[n, :, s])
            total -= weights[n, 0, s] * log(own)
            heavy -= (2.5 if label == 1 else 1) * log(own)
    (loss,) = check_forward(weighted("pos_mult: 2.5", "normalize: true"), [scores, labels])
    assert loss == pytest.approx(heavy / 4, rel=1e-5)
    (loss,) = check_forward(weighted("pos_mult: 2.5", "normalize: false"), [scores, labels])
    assert loss == pytest.approx(heavy / 2, rel=1e-5)
    layer = weighted("", "normalization: BATCH_SIZE", bottoms=3)
    (loss,) = check_forward(layer, [scores, labels, weights])
    assert loss == pytest.approx(total / 2, rel=1e-5)


def test_one_label_for_each_image_needs_no_average() -> None:
    scores, labels = np.float32([[1, 2], [0, 3]]), np.float32([1, 0])
    (loss,) = check_forward(weighted("pos_mult: 2"), [scores, labels])
    assert loss == pytest.approx((2 * log(1 + exp(-1)) + log(1 + exp(3))) / 2, rel=1e-5)


def test_refuses() -> None:
    with pytest.raises(UnsupportedError, match="expected pos_mult"):
        weighted("")
    for loss in ("normalization: VALID", "ignore_label: 3", "normalization: FULL normalize: true"):
        with pytest.raises(UnsupportedError, match="give loss_param normalize alone"):
            weighted("pos_mult: 2", loss)
    for loss in ("", "normalization: VALID", "normalize: true", "ignore_label: 2"):
        with pytest.raises(UnsupportedError, match="FULL, BATCH_SIZE or NONE"):
            weighted("", loss, bottoms=3)
    with pytest.raises(UnsupportedError, match="several labels for each image"):
        weighted("pos_mult: 2").out_shapes([(2, 3, 4), (2, 4)])
    layer = weighted("", "normalization: FULL", bottoms=3)
    for shape in ((2, 3), (8,)):
        with pytest.raises(ShapeError, match="must have the same shape"):
            layer.out_shapes([(2, 3, 4), (2, 4), shape])
    allowed = layer.allowed_labels([(2, 3), (2,), (2, 1)])
    assert allowed is not None
    assert allowed.classes == 3
    bottoms = [np.float32([[1, 2]]), np.float32([0]), np.float32([[1]])]
    with pytest.raises(GradientError, match="cannot backpropagate to weight"):
        check_gradient(layer, bottoms, needed=Needed((True, False, True), ()))
    with pytest.raises(UnsupportedError, match="for WeightedSoftmaxWithLoss alone"):
        parse('type: "SoftmaxWithLoss" top: "y" softmax_param { pos_mult: 2 }')
