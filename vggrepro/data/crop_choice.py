"""Which parts of an image random crops may be: any of the crop's size, or those of temporal segment networks,
at fixed places and of several sizes (not from BVLC Caffe; source: yjxiong/caffe)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

FIVE = ((0, 0), (0, 4), (4, 0), (4, 4), (2, 2))
"""The corners and the middle, in quarters of what a crop leaves free of the height and the width."""

MORE = ((0, 2), (4, 2), (2, 0), (2, 4), (1, 1), (1, 3), (3, 1), (3, 3))
"""The middles of the sides, and the middles of the four parts."""

DEFAULT_SIZES = (1.0, 0.875, 0.75, 0.66)

NEARLY = 3
"""A size that differs from the crop's by less is the crop's."""


@dataclass(frozen=True)
class CropChoice:
    """How crops in TRAIN are drawn."""

    places: tuple[tuple[int, int], ...] = ()
    """Where crops may lie, in quarters of what they leave free; nothing for anywhere."""
    sizes: tuple[float, ...] = ()
    """The heights and widths, as parts of the image's shorter side, of which one of each is drawn; what is
    cut out is resized to the crop's size. Nothing for the crop's size alone."""
    max_distort: int = 1
    """How far the places of a height and a width in ``sizes`` may be apart."""

    @classmethod
    def from_param(cls, param: Any) -> CropChoice:
        """What a ``TransformationParameter`` says: ``fix_crop`` and ``more_fix_crop``, ``multi_scale`` with
        ``scale_ratios`` and ``max_distort``."""
        places = (FIVE + MORE if param.more_fix_crop else FIVE) if param.fix_crop else ()
        sizes = (tuple(param.scale_ratios) or DEFAULT_SIZES) if param.multi_scale else ()
        return cls(places, sizes, param.max_distort)

    def draw(self, height: int, width: int, size: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
        """Draw the top, the left, the height and the width of a crop of an image that is no smaller than the
        crop's ``size``."""
        pairs = self._pairs(min(height, width), size)
        crop_height, crop_width = pairs[int(rng.integers(len(pairs)))] if len(pairs) > 1 else pairs[0]
        free_height, free_width = height - crop_height, width - crop_width
        if not self.places:
            top, left = int(rng.integers(free_height + 1)), int(rng.integers(free_width + 1))
        else:
            down, right = self.places[int(rng.integers(len(self.places)))]
            top, left = down * (free_height // 4), right * (free_width // 4)
        return top, left, crop_height, crop_width

    def _pairs(self, side: int, size: int) -> list[tuple[int, int]]:
        """The heights and widths that may be drawn for an image whose shorter side is ``side``."""
        if not self.sizes:
            return [(size, size)]
        lengths = [int(np.float32(side) * np.float32(part)) for part in self.sizes]
        lengths = [size if abs(length - size) < NEARLY else length for length in lengths]
        places = range(len(lengths))
        return [(lengths[h], lengths[w]) for h in places for w in places if abs(h - w) <= self.max_distort]
