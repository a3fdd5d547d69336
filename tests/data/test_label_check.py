"""Labels that no net can take, in every form that a feed may give them."""

import numpy as np
import pytest

from vggrepro.data.label_check import check_labels
from vggrepro.errors import DataError


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8])
@pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 1, 1, 1), (2, 1, 1, 2)])
def test_labels_within_the_classes_pass(dtype, shape):
    check_labels(np.array([0, 4, 2, 1], dtype).reshape(shape), 5, "x")


@pytest.mark.parametrize("value", [5, -1, 1e9, 0.5, 4.0001, np.nan, np.inf, -np.inf])
def test_what_is_no_class(value):
    labels = np.array([0, 1, value, 2], np.float32)
    with pytest.raises(DataError, match=r"^x: row 2: label .*, expected 0 to 4$"):
        check_labels(labels, 5, "x", place=lambda row: f"row {row}")
    with pytest.raises(DataError, match=r"^x: .*, expected 0 to 4$"):
        check_labels(labels, 5, "x")


def test_ignore_label_passes_and_is_named():
    labels = np.array([[[[0, 255], [-1, 4]]]], np.float32)
    with pytest.raises(DataError, match=r"label -1, expected 0 to 4 or ignore_label 255$"):
        check_labels(labels, 5, "x", ignore_label=255, place=str)
    check_labels(labels[labels >= 0], 5, "x", ignore_label=255)


def test_the_example_of_a_label_image():
    labels = np.zeros((3, 1, 4, 5), np.float32)
    labels[1, 0, 2, 3] = np.nan
    with pytest.raises(DataError, match=r"^seg: example 1: label nan, expected 0 to 20$"):
        check_labels(labels, 21, "seg")


def test_a_single_label():
    check_labels(np.float32(3), 5, "x")
    with pytest.raises(DataError, match="x: labels run from 7 to 7, expected 0 to 4"):
        check_labels(np.float32(7), 5, "x")
    check_labels([], 5, "x")
