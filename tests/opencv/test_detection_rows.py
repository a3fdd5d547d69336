"""The order of DetectionOutput's rows."""

from __future__ import annotations

import numpy as np
import pytest

from vggrepro.opencv.detection_rows import likeliest_first


@pytest.mark.parametrize("numbers", [7, 15])
def test_image_by_image_the_likeliest_first_and_zeros_last(numbers: int) -> None:
    found = [(0, 3, 0.5), (0, 7, 0.9), (0, 7, 0.5), (1, 1, 0.6), (1, 2, 0.7), (0, 0, 0)]
    rows = np.zeros((1, 1, 6, numbers), np.float32)
    rows[0, 0, :, :3] = found
    rows[0, 0, :5, 3] = range(1, 6)
    got = likeliest_first(rows)
    assert got.shape == rows.shape and got.dtype == np.float32
    assert got[0, 0, :, 3].tolist() == [2, 1, 3, 5, 4, 0]  # equal ones stay in their order
