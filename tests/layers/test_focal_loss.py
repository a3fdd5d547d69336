"""FocalLoss: against its reference, central differences and the paper's formula."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient
from hypothesis import assume, given
from hypothesis import strategies as st
from loss_cases import IGNORE, ClassCase, class_cases, few, loss_params

from vggrepro.errors import GradientError, NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Layer, Needed


def focal(text: str, more: str = "", tops: int = 1) -> Layer:
    named = " ".join(f'top: "t{index}" loss_weight: {1 - index}' for index in range(tops))
    return parse(f'type: "FocalLoss" {named} {more} focal_loss_param {{ {text} }}')


@few
@given(
    class_cases(ignore=True),
    loss_params,
    st.sampled_from(["gamma: 2", "gamma: 0", "gamma: 0.5"]),
    st.sampled_from(["alpha: 0.25", "alpha: 2", "type: ONEADDP"]),
    st.booleans(),
)
def test_focal_loss(case: ClassCase, averaging: str, gamma: str, kind: str, prob: bool) -> None:
    assume(case.predictions.shape[case.axis] > 1)
    more = f"softmax_param {{ axis: {case.axis} }} loss_param {{ ignore_label: {IGNORE} {averaging} }}"
    layer = focal(f"{gamma} {kind}", more, 1 + prob)
    check_forward(layer, [case.predictions, case.label], dims=case.dims)
    check_gradient(layer, [case.predictions, case.label], rtol=1e-3)


def test_by_formula() -> None:
    scores, labels = np.float32([[1, 2, -1], [0.5, 0, 3]]), np.float32([1, 0])
    p = np.exp(scores.astype(float))
    own = (p / p.sum(1, keepdims=True))[[0, 1], [1, 0]]
    (loss,) = check_forward(focal("alpha: 0.3 gamma: 1.5"), [scores, labels])
    assert loss == pytest.approx(-(0.3 * (1 - own) ** 1.5 * np.log(own)).mean(), rel=1e-5)
    (loss,) = check_forward(focal("type: ONEADDP gamma: 1.5"), [scores, labels])
    assert loss == pytest.approx(-((1 + own) ** 1.5 * np.log(own)).mean(), rel=1e-5)


def test_the_type_of_another_fork() -> None:
    """SoftmaxWithFocalLoss: the same with a field of its own, and alpha is known."""
    scores, labels = np.float32([[1, 2, -1], [0.5, 0, 3]]), np.float32([1, 0])
    for text, same in (("alpha: 2 gamma: 1", "alpha: 2 gamma: 1"), ("", "alpha: 0.25 gamma: 2")):
        layer = parse(f'type: "SoftmaxWithFocalLoss" softmax_focal_loss_param {{ {text} }}')
        np.testing.assert_allclose(
            check_forward(layer, [scores, labels]), check_forward(focal(same), [scores, labels])
        )
        check_gradient(layer, [scores, labels])
    with pytest.raises(UnsupportedError, match="SoftmaxWithFocalLoss of one class"):
        layer.out_shapes([(2, 1), (2,)])


def test_sure_labels_have_a_gradient() -> None:
    """Probabilities of 0 and 1 in float32."""
    scores, labels = np.float32([[200, 0], [0, 200]]), np.float32([0, 0])
    check_forward(focal("alpha: 1"), [scores, labels])
    dx = run_gradient(focal("alpha: 1"), [scores, labels], [], [np.float32(1)])[0]
    assert np.isfinite(dx).all()
    np.testing.assert_allclose(dx[0], 0, atol=1e-6)


def test_refuses() -> None:
    with pytest.raises(UnsupportedError, match=r"layer 'l': .*name the fork: zimenglan"):
        focal("gamma: 2")
    for text in ("type: LINEAR alpha: 1", "type: ONEADDP alpha: 0.5"):
        with pytest.raises(UnsupportedError, match="LINEAR, and ONEADDP with alpha"):
            focal(text)
    for text in ("alpha: 0", "alpha: 1 gamma: -1"):
        with pytest.raises(NetError, match="gamma must be at least 0"):
            focal(text)
    layer = focal("alpha: 1")
    with pytest.raises(UnsupportedError, match="of one class"):
        layer.out_shapes([(2, 1), (2,)])
    with pytest.raises(ShapeError, match="Number of labels must match"):
        layer.out_shapes([(2, 3), (2, 3)])
    bottoms = [np.float32([[1, 2]]), np.float32([0])]
    with pytest.raises(GradientError, match="cannot backpropagate to label"):
        check_gradient(layer, bottoms, needed=Needed((True, True), ()))
