"""Another implementation of MS-CNN's boxes, place by place, for the tests of BoxOutput and BoxGroupOutput."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

NO_NMS_KERNEL = ("NonMaxSuppression",)


@dataclass(frozen=True)
class Limits:
    threshold: float
    most: int = 0
    kept: int = 0
    least_score: float = 0
    min_size: float = 15
    whr: float = 2
    xyr: float = 2
    pixel: int = 0


def box_at(
    coded: Sequence[float], place: tuple[int, int], size: tuple[int, int], field: Sequence[int], lim: Limits
) -> list[float]:
    """x1, y1, x2, y2 of one place (row, column) of a map of ``size``; ``field``: width, height, stride."""
    ends = []
    for shift, stretch, index, number, side in zip(
        coded[:2], coded[2:], place[::-1], size[::-1], field[:2], strict=True
    ):
        shift = min(max(shift, -1 / lim.xyr), 1 / lim.xyr)
        stretch = min(max(stretch, np.log(1 / lim.whr)), np.log(lim.whr))
        length = side * np.exp(stretch)
        begin = shift * side + (index + 0.5) * field[2] - length / 2
        if lim.pixel:
            ends.append((max(begin, 0), min(begin + length - 1, number * field[2])))
        else:
            begin = max(begin, 0)
            ends.append((begin, begin + min(length, number * field[2] - begin)))
    (x1, x2), (y1, y2) = ends
    return [x1, y1, x2, y2]


def overlap(a: Sequence[float], b: Sequence[float], pixel: int) -> float:
    wide = min(a[2], b[2]) - max(a[0], b[0]) + pixel
    tall = min(a[3], b[3]) - max(a[1], b[1]) + pixel
    common = max(wide, 0) * max(tall, 0)
    areas = [(box[2] - box[0] + pixel) * (box[3] - box[1] + pixel) for box in (a, b)]
    return common / (sum(areas) - common)


def surest(found: list[tuple[float, list[float]]], lim: Limits) -> list[list[float]]:
    """Of one image's scores and boxes the rows that stay, x1, y1, x2, y2, score."""
    fits = [
        (score, index, box)
        for index, (score, box) in enumerate(found)
        if score >= lim.least_score and min(box[2] - box[0], box[3] - box[1]) + lim.pixel >= lim.min_size
    ]
    fits.sort(key=lambda entry: entry[:2], reverse=True)
    kept: list[tuple[float, list[float]]] = []
    for score, _, box in fits[: lim.most or None]:
        if all(overlap(box, other, lim.pixel) <= lim.threshold for _, other in kept):
            kept.append((score, box))
    return [[*box, score] for score, box in kept[: lim.kept or None]]


def tops_of(images: list[list[list[float]]], number: int) -> tuple[np.ndarray, np.ndarray]:
    """Regions and rows with scores, ``number`` for each image, from each image's rows."""
    rows = np.zeros((number * len(images), 6))
    found = [[image, *row] for image, own in enumerate(images) for row in own]
    if found:
        rows[: len(found)] = found
    regions = rows[:, :5].copy()
    if not found:
        regions[0] = [0, 1, 1, 10, 10]
    return regions[:, :, None, None], rows[:, :, None, None]
