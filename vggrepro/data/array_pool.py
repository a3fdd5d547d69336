"""Large arrays, used again once nobody holds them."""

from __future__ import annotations

import sys

import numpy as np

from vggrepro.data.decode import Pixels


class Buffers:
    """Hands out uint8 arrays of one shape. Fresh memory of a batch's size is zeroed by the kernel page
    by page at first touch, which costs a training loader 3% of its time; so arrays come back.

    An array is free when only this object refers to it: any view of it, and anything made from it
    without a copy, refers to it too, so a batch stays valid as long as somebody keeps it.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape = shape
        self._arrays: list[Pixels] = []

    def take(self) -> Pixels:
        """An array of undefined content. Not to be called from several threads at once."""
        for place in range(len(self._arrays)):
            # Two references: the list's, and the argument's in this very call.
            if sys.getrefcount(self._arrays[place]) == 2:
                return self._arrays[place]
        self._arrays.append(np.empty(self._shape, np.uint8))
        return self._arrays[-1]
