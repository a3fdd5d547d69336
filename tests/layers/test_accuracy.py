from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from harness import check_forward, parse
from hypothesis import given
from hypothesis import strategies as st
from loss_cases import IGNORE, ClassCase, class_cases, few

from vggrepro.errors import NetError, ShapeError, VggReproError
from vggrepro.layers.base import Layer


def layer_of(accuracy_param: str = "", per_class: bool = False) -> Layer:
    tops = 'top: "acc" top: "cls"' if per_class else 'top: "acc"'
    return parse(f'type: "Accuracy" {tops} accuracy_param {{ {accuracy_param} }}')


@few
@given(class_cases(ignore=True), st.booleans(), st.booleans(), st.data())
def test_any_shape(case: ClassCase, ties: bool, per_class: bool, data: st.DataObject) -> None:
    if ties:
        case = replace(case, predictions=np.round(case.predictions / 2))
    top_k = data.draw(st.integers(0, case.predictions.shape[case.axis]))
    layer = layer_of(f"top_k: {top_k} axis: {case.axis} ignore_label: {IGNORE}", per_class)
    check_forward(layer, [case.predictions, case.label], dims=case.dims, rtol=1e-6)


@few
@given(class_cases())
def test_without_ignored_labels(case: ClassCase) -> None:
    layer = layer_of(f"axis: {case.axis}", per_class=True)
    check_forward(layer, [case.predictions, case.label], dims=case.dims, rtol=1e-6)


def test_a_tie_with_the_true_class_counts_as_better() -> None:
    x = np.array([[1, 1, 0], [2, 1, 0]], np.float32)
    label = np.zeros(2, np.float32)
    assert check_forward(layer_of(), [x, label])[0] == 0.5
    assert check_forward(layer_of("top_k: 2"), [x, label])[0] == 1


def test_nan_compares_with_nothing() -> None:
    """A true class with NaN has no better one, and NaN elsewhere is not better."""
    x = np.array([[np.nan, 5, 6], [1, np.nan, 0]], np.float32)
    assert check_forward(layer_of(), [x, np.zeros(2, np.float32)])[0] == 1


def test_classes_and_batches_without_labels_have_accuracy_zero() -> None:
    layer = layer_of("ignore_label: 1", per_class=True)
    x = np.array([[3, 1, 2], [0, 1, 2], [3, 1, 2], [0, 9, 0]], np.float32)
    accuracy, of_class = check_forward(layer, [x, np.array([0, 0, 0, 1], np.float32)])
    np.testing.assert_allclose(accuracy, 2 / 3, rtol=1e-6)
    np.testing.assert_allclose(of_class, [2 / 3, 0, 0], rtol=1e-6)
    accuracy, of_class = check_forward(layer, [x, np.ones(4, np.float32)])
    assert accuracy == 0 and not of_class.any()


@pytest.mark.parametrize(
    ("shapes", "error", "message"),
    [
        (
            [(2, 3), (2,)],
            ShapeError,
            r"top_k must be less than or equal to the number of classes. \(4 vs. 3\)",
        ),
        (
            [(2, 8, 3), (2,)],
            ShapeError,
            "Number of labels must match number of predictions; e.g., if label axis",
        ),
        ([(8,), (1,)], NetError, "axis 1 out of range"),
    ],
)
def test_refuses_shapes(shapes: list[tuple[int, ...]], error: type[VggReproError], message: str) -> None:
    with pytest.raises(error, match=message):
        layer_of("top_k: 4").out_shapes(shapes)
