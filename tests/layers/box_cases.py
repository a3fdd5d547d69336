"""Prior boxes and right boxes for the tests of SSD's layers."""

from __future__ import annotations

import numpy as np


def priors(seed: int, number: int) -> np.ndarray:
    """Boxes of some area in the unit square, and variances: (1, 2, number * 4)."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 0.7, (number, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(0.1, 0.4, (number, 2))], axis=1)
    return np.stack([boxes, rng.uniform(0.05, 0.3, (number, 4))]).reshape(1, 2, -1).astype(np.float32)


def truth(seed: int, images: int, classes: int, number: int, ended: bool = False) -> np.ndarray:
    """Rows of right boxes, (1, 1, number, 8), their images in no order; ``ended``: the last is none."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 0.7, (number, 2))
    rows = np.column_stack(
        [
            rng.integers(0, images, number),
            rng.integers(1, classes, number),
            np.arange(number),
            corners,
            corners + rng.uniform(0.1, 0.5, (number, 2)),
            rng.integers(0, 2, number),
        ]
    )
    if ended:
        rows[-1] = -1
    return rows[None, None].astype(np.float32)


def overlap_of(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return float(width * height / (sum(areas) - width * height))
