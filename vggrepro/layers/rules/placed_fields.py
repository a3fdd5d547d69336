"""Fields of fixed sides around the places of a map, around which MS-CNN's networks predict boxes."""

from __future__ import annotations

from dataclasses import dataclass
from math import log, sqrt

import numpy as np

from vggrepro.errors import NetError
from vggrepro.layers.base import Array
from vggrepro.layers.rules.box_statistics import BoxStatistics


@dataclass(frozen=True)
class PlacedFields:
    """K fields around each place. Raises NetError for sides, strides or bounds that allow nothing."""

    sides: tuple[tuple[int, int], ...]
    """Width and height of each field, in pixels."""
    stride: int
    """Pixels from one place to the next."""
    bounds: tuple[float, float] | None
    """``field_xyr`` and ``field_whr``: a box is shifted by at most a side over the first, and stretched at
    most by the second. None: as predicted."""

    def __post_init__(self) -> None:
        if self.stride < 1 or not self.sides or any(min(sides) < 1 for sides in self.sides):
            raise NetError("needs the sides of fields, and the pixels from one place to the next, above 0")
        if self.bounds is not None and (self.bounds[0] <= 0 or self.bounds[1] < 1):
            raise NetError("field_xyr must be above 0, field_whr at least 1")

    def grid(self, size: tuple[int, int]) -> tuple[Array, Array]:
        """For a map of ``size``, height and width, the centres of its places (2, S), x and y, and the sides
        of fields (K, 2, 1), in pixels."""
        row, column = np.indices(size).reshape(2, -1)
        centres = (np.stack([column, row]).astype(np.float64) + 0.5) * self.stride
        return centres, np.array(self.sides, np.float64)[:, :, None]

    def limits(self, statistics: BoxStatistics) -> tuple[Array, Array] | None:
        """The lowest and the highest codes, (4, 1) each, of codes with these statistics."""
        if self.bounds is None:
            return None
        mean, deviation = statistics.mean, statistics.deviation
        edges = ((1 / self.bounds[0], 0), (log(self.bounds[1]), 2))
        ends = [
            [
                (sign * e - (mean[i] + mean[i + 1]) / 2) / sqrt(deviation[i] * deviation[i + 1])
                for e, i in edges
            ]
            for sign in (-1, 1)
        ]
        low, high = np.array(ends, np.float64).repeat(2, axis=1)[:, :, None]
        return low, high
