"""Rows of DetectionOutput in the order in which OpenCV 4 gives them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def likeliest_first(blob: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The rows (image, label, confidence, place) of a blob (1, 1, N, 7 or 15), image by image, the likeliest
    first whatever its label; rows of zeros stand last. Caffe, and so a converted model, goes label by label.
    """
    rows = blob.reshape(-1, blob.shape[-1])
    padding = ~rows.any(axis=1)
    order = np.lexsort((-rows[:, 2], rows[:, 0], padding))
    return rows[order].reshape(blob.shape)
