"""SureBoxes: order, limits and ties; the layers' tests compare its nodes."""

from __future__ import annotations

import numpy as np
import pytest

from vggrepro.errors import UnsupportedError
from vggrepro.layers.rules.pooling_nodes import LOWEST
from vggrepro.layers.rules.sure_boxes import SureBoxes, check_suppression

APART = np.array([[20.0 * i, 0, 20 * i + 10, 10] for i in range(4)])
SCORES = np.array([0.5, 0.9, 0.5, LOWEST])


def rows(sure: SureBoxes, boxes: np.ndarray = APART) -> list[float]:
    """The first corner of each box that stays."""
    return (sure.reference(boxes, SCORES)[:, 0] / 20).tolist()


def test_of_equal_scores_the_first_or_the_last() -> None:
    assert rows(SureBoxes(0.5)) == [1, 0, 2]
    assert rows(SureBoxes(0.5, last_first=True)) == [1, 2, 0]


def test_limits() -> None:
    assert rows(SureBoxes(0.5, most=2)) == [1, 0]
    assert rows(SureBoxes(0.5, kept=1)) == [1]
    assert [SureBoxes(0.5, *limits).number(7) for limits in ((), (5,), (5, 3), (0, 9))] == [7, 5, 3, 9]


def test_the_last_pixels() -> None:
    """Two of 4 x 4 pixels share 2 of 6 columns, a third; without the last ones 1 of 5, a fifth."""
    boxes = np.array([[0.0, 0, 3, 3], [2, 0, 5, 3], [40, 0, 43, 3], [60, 0, 63, 3]])
    assert len(SureBoxes(0.25).reference(boxes, SCORES)) == 3
    assert len(SureBoxes(0.25, pixels=True).reference(boxes, SCORES)) == 2


def test_other_overlaps_are_refused() -> None:
    check_suppression("IOU")
    with pytest.raises(UnsupportedError, match="nms_type 'IOFU'"):
        check_suppression("IOFU")
