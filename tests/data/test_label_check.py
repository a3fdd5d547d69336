"""Labels that no net can take."""

import numpy as np
import pytest

from vggrepro.data.label_check import check_labels
from vggrepro.errors import DataError


@pytest.mark.parametrize("labels", [[0, 4, 2, 1], np.array([0, 4], np.int64), np.array([4], np.uint8), []])
def test_labels_within_the_classes_pass(labels):
    check_labels(labels, 5, "x")


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ([0, 5], "0 to 5, expected 0 to 4$"),
        ([-1, 4], "-1 to 4, expected 0 to 4$"),
        ([2, 2**40], "2 to 1099511627776, expected 0 to 4$"),
        ([1, 3, 5], r"1 to 5, expected 0 to 4 \(they seem to count from 1: "),
        ([-1, 3], r"-1 to 3, expected 0 to 4 \(they seem to be one too low\)$"),
    ],
)
def test_what_is_no_class(labels, told):
    with pytest.raises(DataError, match=f"^x: labels run from {told}"):
        check_labels(labels, 5, "x")
