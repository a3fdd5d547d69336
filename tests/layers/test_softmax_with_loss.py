from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from loss_cases import IGNORE, ClassCase, class_cases, few, loss_params

from vggrepro.emit import GraphBuilder
from vggrepro.errors import GradientError, NetError, ShapeError, UnsupportedError, VggReproError
from vggrepro.layers.base import Layer, Needed

ONE = np.array(1, np.float32)


def layer_of(loss_param: str = "", axis: int = 1, prob: bool = False) -> Layer:
    tops = 'top: "loss" top: "prob" loss_weight: 1 loss_weight: 0' if prob else 'top: "loss"'
    return parse(
        f'type: "SoftmaxWithLoss" {tops} softmax_param {{ axis: {axis} }} loss_param {{ {loss_param} }}'
    )


@few
@given(class_cases(), loss_params, st.booleans())
def test_any_shape(case: ClassCase, loss_param: str, prob: bool) -> None:
    layer = layer_of(loss_param, case.axis, prob)
    check_forward(layer, [case.predictions, case.label], dims=case.dims)
    check_gradient(layer, [case.predictions, case.label])


@few
@given(class_cases(ignore=True), loss_params)
def test_ignored_labels(case: ClassCase, loss_param: str) -> None:
    layer = layer_of(f"{loss_param} ignore_label: {IGNORE}", case.axis)
    check_forward(layer, [case.predictions, case.label], dims=case.dims)
    check_gradient(layer, [case.predictions, case.label])


@pytest.mark.parametrize(
    ("loss_param", "divisor"),
    [
        ("", 4),
        ("normalization: VALID", 4),
        ("normalization: FULL", 6),
        ("normalization: BATCH_SIZE", 2),
        ("normalization: NONE", 1),
        ("normalize: true", 4),
        ("normalize: false", 2),
        ("normalize: false normalization: FULL", 6),
    ],
)
def test_divisor(loss_param: str, divisor: int) -> None:
    """Of equal scores each of the 4 counted labels costs log 5."""
    layer = layer_of(f"ignore_label: 2 {loss_param}")
    label = np.array([[0, 2, 4], [1, 1, 2]], np.float32)
    (loss,) = check_forward(layer, [np.zeros((2, 5, 3), np.float32), label])
    np.testing.assert_allclose(loss, 4 * np.log(5) / divisor, rtol=1e-6)


def test_without_any_counted_label_the_loss_is_zero() -> None:
    layer = layer_of("ignore_label: -1")
    x, label = np.ones((3, 2), np.float32), np.full(3, -1, np.float32)
    assert check_forward(layer, [x, label])[0] == 0
    gradient, _ = run_gradient(layer, [x, label], [], [ONE])
    assert gradient is not None and not gradient.any()


def test_the_loss_is_clamped_and_its_gradient_is_not() -> None:
    """exp(-200) is 0 in float32: the loss ends at -log(FLT_MIN), the gradient is that of calculus."""
    layer = layer_of()
    x, label = np.array([[0, -200, -300]], np.float32), np.array([1], np.float32)
    (loss,) = check_forward(layer, [x, label])
    np.testing.assert_allclose(loss, -np.log(np.finfo(np.float32).tiny), rtol=1e-6)
    gradient, _ = run_gradient(layer, [x, label], [], [ONE])
    np.testing.assert_array_equal(gradient, [[1, -1, 0]])


def test_the_gradient_carries_the_loss_weight() -> None:
    layer, rng = layer_of(prob=True), np.random.default_rng(0)
    bottoms = [rng.normal(size=(3, 4)).astype(np.float32), np.array([0, 3, 1], np.float32)]
    check_gradient(layer, bottoms, d_tops=[np.array(0.3, np.float32), None])


def test_no_gradient_enters_through_the_probabilities() -> None:
    only_prob = layer_of(prob=True).grad(GraphBuilder(), None, [None, "d"], Needed((True, False), ()))
    assert only_prob.bottoms == (None, None)


def test_labels_are_truncated() -> None:
    x = np.array([[0, 1, 2]], np.float32)
    (loss,) = check_forward(layer_of(), [x, np.array([1.9], np.float32)])
    assert loss == check_forward(layer_of(), [x, np.array([1], np.float32)])[0]


def test_nan_shows_in_the_loss_unless_it_is_ignored() -> None:
    layer = layer_of("ignore_label: 9")
    x = np.array([[0, 1], [np.nan, 0]], np.float32)
    counted, ignored = np.array([0, 1], np.float32), np.array([0, 9], np.float32)
    assert np.isnan(check_forward(layer, [x, counted])[0])
    np.testing.assert_allclose(check_forward(layer, [x, ignored])[0], np.log1p(np.e), rtol=1e-6)
    gradient, _ = run_gradient(layer, [x, ignored], [], [ONE])
    assert gradient is not None and np.isfinite(gradient[0]).all() and not gradient[1].any()


@pytest.mark.parametrize(
    ("shapes", "error", "message"),
    [
        (
            [(2, 3, 5, 6), (2, 1, 1, 1)],
            ShapeError,
            r"outer_num_ \* inner_num_ == bottom\[1\]->count\(\) \(60 vs. 2\) Number of labels must match",
        ),
        ([(2, 3), (3,)], ShapeError, "The data and label should have the same first dimension"),
        ([(2,), (2,)], NetError, "axis 1 out of range"),
    ],
)
def test_refuses_shapes(shapes: list[tuple[int, ...]], error: type[VggReproError], message: str) -> None:
    with pytest.raises(error, match=message):
        layer_of().out_shapes(shapes)


def test_two_tops_need_two_loss_weights() -> None:
    with pytest.raises(NetError, match="loss_weight must be unspecified or specified once per top blob"):
        parse('name: "l" type: "SoftmaxWithLoss" top: "a" top: "b"')


def test_labels_get_no_gradient() -> None:
    bottoms = [np.zeros((2, 3), np.float32), np.zeros(2, np.float32)]
    with pytest.raises(GradientError, match="SoftmaxWithLoss Layer cannot backpropagate to label inputs"):
        run_gradient(layer_of(), bottoms, [], [ONE], needed=Needed((True, True), ()))


def test_weights_of_classes() -> None:
    """SegNet's ``weight_by_label_freqs``: each label's loss and gradient times its class's weight, over the
    number of labels that count."""
    weights = [0.5, 2.0, 3.0]
    text = " ".join(f"class_weighting: {w}" for w in weights)
    loss = f"loss_param {{ weight_by_label_freqs: true ignore_label: 1 {text} }}"
    layer = parse(f'type: "SoftmaxWithLoss" bottom: "x" bottom: "l" top: "loss" {loss}')
    x = np.random.default_rng(0).normal(size=(2, 3, 2, 2)).astype(np.float32)
    label = np.float32([[[0, 1], [2, 2]], [[1, 0], [0, 2]]])
    (y,) = check_forward(layer, [x, label])
    p = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    values = label.astype(int)
    single = -np.log(np.take_along_axis(p, values[:, None], 1))[:, 0] * np.array(weights)[values]
    assert y == pytest.approx(single[values != 1].sum() / (values != 1).sum(), rel=1e-5)
    check_gradient(layer, [x, label])
    with pytest.raises(ShapeError, match=r"does not match the number of classes\. \(3 vs\. 4\)"):
        layer.out_shapes([(2, 4, 2, 2), (2, 2, 2)])
    with pytest.raises(NetError, match="weight_by_label_freqs needs class_weighting"):
        parse('type: "SoftmaxWithLoss" loss_param { weight_by_label_freqs: true }')


@pytest.mark.parametrize("kind", ["SoftmaxWithLoss", "InfogainLoss"])
def test_a_temperature_is_refused(kind: str) -> None:
    with pytest.raises(UnsupportedError, match="temperature"):
        parse(f'type: "{kind}" bottom: "x" bottom: "l" top: "loss" softmax_param {{ temperature: 2 }}')


@pytest.mark.parametrize("kind", ["SigmoidCrossEntropyLoss", "InfogainLoss"])
def test_weights_of_classes_are_refused_by_other_losses(kind: str) -> None:
    with pytest.raises(UnsupportedError, match="weight_by_label_freqs"):
        parse(f'type: "{kind}" bottom: "x" bottom: "l" top: "y" loss_param {{ weight_by_label_freqs: true }}')
