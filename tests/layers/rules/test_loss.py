"""Labels, divisors and checks that losses and Accuracy share."""

from __future__ import annotations

import numpy as np
import pytest
from graph_run import run_nodes
from harness import check_forward, parse

from vggrepro.caffe.messages import LayerParameter, LossParameter
from vggrepro.emit import GraphBuilder, Value
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.rules.loss import (
    Averaging,
    Normalization,
    check_first_sizes,
    check_label_count,
    check_loss_weights,
    check_ones,
    class_index,
    count,
    from_zero,
    instance_labels,
    instances,
    legacy_size,
    reference_instances,
    reference_labels,
    reference_rows,
    shaped_like,
)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (Normalization.FULL, 6),
        (Normalization.VALID, 4),
        (Normalization.BATCH_SIZE, 2),
        (Normalization.NONE, 1),
    ],
)
def test_divisors(mode: Normalization, expected: int) -> None:
    """Six labels in two images, two of them ignored."""
    averaging = Averaging(mode, ignore_label=9)
    label = np.float32([[0, 9, 1], [2, 9, 0]])
    g = GraphBuilder()
    scores, labels = Value("scores", (2, 4, 3)), Value("label", (2, 3))
    index = class_index(g, scores, labels, 1, 9)
    divisor = averaging.divisor(g, scores, labels, 1, index.ignored)
    feeds = {"scores": np.zeros((2, 4, 3), np.float32), "label": label}
    values = run_nodes(g, feeds, [divisor, index.index])
    assert values[0] == expected == averaging.reference_divisor(2, label.reshape(-1) != 9)
    assert values[1].shape == (2, 1, 3) and values[1].max() == 2


def test_a_batch_without_a_counted_label_is_divided_by_1() -> None:
    assert Averaging(Normalization.VALID).reference_divisor(1, np.zeros(3, bool)) == 1


def test_normalize_is_the_older_field() -> None:
    assert Averaging.from_param(LossParameter(normalize=False)).mode == Normalization.BATCH_SIZE
    both = LossParameter(normalize=False, normalization=LossParameter.FULL)
    assert Averaging.from_param(both).mode == Normalization.FULL
    assert Averaging.from_param(LossParameter(), Normalization.NONE).mode == Normalization.NONE


def test_labels_are_truncated() -> None:
    values, counted = reference_labels(np.array([1.9, 3.0, -0.5]), ignore_label=3)
    assert values.tolist() == [1, 0, 0] and counted.tolist() == [True, False, True]


def test_rows_follow_the_labels() -> None:
    x = np.arange(24.0).reshape(2, 3, 4)
    assert reference_rows(x, 1).shape == (8, 3)
    assert reference_rows(x, 1)[1].tolist() == [1, 5, 9]
    rows, labels = reference_instances(x, np.array([2.7, 1, 5, 6]))
    assert rows.shape == (2, 12) and labels.tolist() == [2, 1]


def test_instances_read_the_first_labels_alone() -> None:
    g = GraphBuilder()
    rows = instances(g, Value("x", (2, 3, 4)))
    labels = instance_labels(g, rows, Value("label", (2, 2)))
    feeds = {"x": np.zeros((2, 3, 4), np.float32), "label": np.float32([[1, 2], [3, 4]])}
    flat, picked = run_nodes(g, feeds, [rows.name, labels])
    assert flat.shape == (2, 12) and picked.tolist() == [[1], [2]]


@pytest.mark.parametrize("dims", [(2, 3, 4), (None, 3, None)])
def test_counts_and_shapes_of_free_sizes(dims: tuple[int | None, ...]) -> None:
    g = GraphBuilder()
    x, y = Value("x", dims), Value("y", (24,))
    names = [count(g, x), count(g, x, 1), shaped_like(g, y, x), shaped_like(g, Value("z", (8,)), x, 1)]
    feeds = {
        "x": np.zeros((2, 3, 4), np.float32),
        "y": np.zeros(24, np.float32),
        "z": np.zeros(8, np.float32),
    }
    whole, behind, shaped, labels = run_nodes(g, feeds, names)
    assert (whole, behind, shaped.shape, labels.shape) == (24, 12, (2, 3, 4), (2, 1, 4))


def test_what_caffe_refuses() -> None:
    with pytest.raises(ShapeError, match="same first dimension"):
        check_first_sizes([(2, 3), (3,)])
    with pytest.raises(ShapeError, match="Number of labels must match number of predictions"):
        check_label_count([(2, 3, 4), (2,)], 1, "softmax")
    assert check_label_count([(2, 3, 4), (2, 4)], -2, "softmax") == 1
    with pytest.raises(ShapeError, match=r"bottom\[1\]->width\(\) == 1 \(2 vs. 1\)"):
        check_ones([(2,), (2, 1, 1, 2)], 1, "height", "width")
    with pytest.raises(ShapeError, match="legacy accessors"):
        legacy_size((1, 2, 3, 4, 5), 0)
    assert legacy_size((2, 3), 3) == 1
    with pytest.raises(NetError, match="loss_weight must be unspecified or specified once per top blob"):
        check_loss_weights(LayerParameter(top=["a", "b"]))


@pytest.mark.parametrize(
    "layer",
    [
        'type: "SoftmaxWithLoss"',
        'type: "MultinomialLogisticLoss"',
        'type: "InfogainLoss" bottom: "a" bottom: "l" bottom: "m"',
        'type: "WeightedSoftmaxWithLoss" softmax_param { pos_mult: 2 }',
        'type: "SoftmaxWithFocalLoss"',
    ],
)
def test_right_answers_that_are_certain_have_a_loss_of_0_without_a_sign(layer: str) -> None:
    scores = np.float32([[200, 0, 0], [0, 200, 0]])
    if "Multinomial" in layer:
        scores = np.minimum(scores, 1)
    more = [np.eye(3, dtype=np.float32).reshape(1, 1, 3, 3)] if "Infogain" in layer else []
    (loss,) = check_forward(parse(layer), [scores, np.float32([0, 1]), *more])
    assert loss == 0 and not np.signbit(loss)


def test_from_zero() -> None:
    g = GraphBuilder()
    (values,) = run_nodes(g, {"x": np.float32([0, -0.0, 1.5, -3e-45])}, [from_zero(g, "x")])
    assert values.tolist() == [0, 0, -1.5, float(np.float32(3e-45))] and not np.signbit(values[:2]).any()
