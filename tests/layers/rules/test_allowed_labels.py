"""Labels that are allowed, and the one line for those that are not."""

from __future__ import annotations

import numpy as np
import pytest

from vggrepro.errors import DataError, LabelError
from vggrepro.layers.rules.allowed_labels import AllowedLabels, require_allowed


@pytest.mark.parametrize("values", [[0, 1, 3], [3.9, -0.9], [], [-0.0]])
def test_allowed(values: list[float]) -> None:
    """A value is truncated, as in Caffe."""
    require_allowed(AllowedLabels(1, 4), np.array(values, np.float32), "layer 'l'", "label")


@pytest.mark.parametrize("value", [4, -1, np.nan, np.inf, -np.inf, 1e30])
def test_refused(value: float) -> None:
    with pytest.raises(
        LabelError, match=r"^layer 'l': label \S+ in row 2 of blob 'y': expected 0 to 3$"
    ) as e:
        require_allowed(AllowedLabels(1, 4), np.array([0, 1, value, value]), "layer 'l'", "y")
    assert e.value.row == 2
    assert isinstance(e.value, DataError)


def test_the_ignored_label_counts_for_nothing() -> None:
    require_allowed(AllowedLabels(1, 4, ignored=255), np.array([255, 0]), "layer 'l'", "y")
    require_allowed(AllowedLabels(1, 4, ignored=-1), np.array([-1, 0]), "layer 'l'", "y")
    with pytest.raises(LabelError, match="expected 0 to 3, or 255, which is ignored"):
        require_allowed(AllowedLabels(1, 4, ignored=255), np.array([254]), "layer 'l'", "y")


def test_a_place_in_a_picture() -> None:
    values = np.zeros((2, 1, 3, 5))
    values[1, 0, 2, 4] = 9
    with pytest.raises(LabelError, match=r"label 9 in row 1, at \(0, 2, 4\) of blob 'y'"):
        require_allowed(AllowedLabels(1, 4), values, "layer 'l'", "y")


def test_what_is_not_read_is_not_checked() -> None:
    require_allowed(AllowedLabels(1, 4, read=2), np.array([0, 1, 7]), "layer 'l'", "y")


def test_any_number_but_no_other_value() -> None:
    require_allowed(AllowedLabels(2, None), np.array([-3, 1e6]), "layer 'l'", "y")
    with pytest.raises(LabelError, match="label nan in row 1 of blob 'y': expected a number"):
        require_allowed(AllowedLabels(2, None), np.array([0, np.nan]), "layer 'l'", "y")
