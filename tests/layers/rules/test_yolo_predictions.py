"""YoloPredictions: shapes and right boxes; EvalDetection's tests compare the boxes."""

from __future__ import annotations

import numpy as np
import pytest

from vggrepro.errors import ShapeError
from vggrepro.layers.rules.yolo_predictions import YoloPredictions, corners_of

FIRST = YoloPredictions(2, 3, 2, "OBJ")
SECOND = YoloPredictions(2, 3, 1, "OBJ", anchors=((1.0, 2.0),))


def test_shapes() -> None:
    FIRST.check((5, 4 * 13, 1, 1), (5, 28))
    SECOND.check((5, 8, 2, 2), (5, 150))
    with pytest.raises(ShapeError, match="must hold 8 numbers for each of 4 cells"):
        SECOND.check((5, 32), (5, 150))
    assert (FIRST.number, SECOND.number) == (8, 4)


def test_right_boxes() -> None:
    rows = np.zeros((30, 5))
    rows[:3] = [[1, 0.5, 0.5, 0.1, 0.2], [2, 0, 0.5, 0.1, 0.2], [1, 0.5, 0.5, 0.1, 0.2]]
    assert SECOND.reference_right(rows.reshape(-1)).tolist() == [
        [1, 0.5, 0.5, 0.1, 0.2, 1]
    ]  # x = 0 ends them
    cells = np.array([1, 0, 0, 0, 1, 0, 1, 0, 2, 0, 1, 0, *range(16)], float)
    assert FIRST.reference_right(cells).tolist() == [[2, 0, 1, 2, 3, 0], [1, 8, 9, 10, 11, 1]]


def test_corners() -> None:
    np.testing.assert_allclose(corners_of(np.array([[0.5, 0.4, 0.2, 0.6]])), [[0.4, 0.1, 0.6, 0.7]])
