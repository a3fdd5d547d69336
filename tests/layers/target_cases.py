"""Another implementation of what py-faster-rcnn and MS-CNN compute of boxes, one by one, in float64."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def parse_python(text: str, phase: int = 0) -> Any:
    """A Python layer, as a net's definition gets it, from the inside of its ``python_param``."""
    from google.protobuf import text_format

    from vggrepro.caffe.messages import LayerParameter
    from vggrepro.net.kinds import class_of

    definition = text_format.Parse(
        f'name: "l" type: "Python" top: "y" python_param {{ {text} }}', LayerParameter()
    )
    return class_of(definition).from_param(definition, phase)


def iou(a: Sequence[float], b: Sequence[float], least: float = 0) -> float:
    wide = min(a[2], b[2]) - max(a[0], b[0]) + 1
    tall = min(a[3], b[3]) - max(a[1], b[1]) + 1
    if wide <= 0 or tall <= 0 or wide < least or tall < least:
        return 0.0
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b)]
    return float(wide * tall / (sum(areas) - wide * tall))


def coded(box: Sequence[float], right: Sequence[float], stds: Sequence[float] = (1, 1, 1, 1)) -> list[float]:
    w, h = box[2] - box[0] + 1, box[3] - box[1] + 1
    wide, tall = right[2] - right[0] + 1, right[3] - right[1] + 1
    numbers = [
        (right[0] + wide / 2 - box[0] - w / 2) / w,
        (right[1] + tall / 2 - box[1] - h / 2) / h,
        np.log(wide / w),
        np.log(tall / h),
    ]
    return [number / std for number, std in zip(numbers, stds, strict=True)]


def right_boxes(seed: int, number: int, classes: int = 4, size: int = 100) -> np.ndarray:
    """Rows (number, 5) of x1, y1, x2, y2 and a label."""
    rng = np.random.default_rng(seed)
    first = rng.uniform(0, 0.6 * size, (number, 2))
    last = first + rng.uniform(0.1 * size, 0.4 * size, (number, 2))
    return np.column_stack([first, last, rng.integers(1, classes, number)]).astype(np.float32)


def regions_near(seed: int, boxes: np.ndarray, number: int) -> np.ndarray:
    """Corners (number, 4) of which a half lies near some box."""
    rng = np.random.default_rng(seed)
    first = rng.uniform(0, 70, (number, 2))
    rows = np.concatenate([first, first + rng.uniform(5, 40, (number, 2))], axis=1)
    near = boxes[rng.integers(0, len(boxes), number), :4] + rng.normal(0, 3, (number, 4))
    rows = np.where(rng.random((number, 1)) < 0.5, near, rows)
    rows[:, 2:] = np.maximum(rows[:, 2:], rows[:, :2])
    return rows.astype(np.float32)
