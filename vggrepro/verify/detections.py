"""Detections compared as sets: equally sure ones may stand in any order."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.layers.detection_output import DetectionOutput
from vggrepro.net import Net

_NAMED = 2
"""The first columns of a detection: image and label. Confidence and box follow."""


def detection_blobs(net: Net) -> set[str]:
    """The blobs (1, 1, M, 7) whose rows are detections."""
    return {top for p in net.layers if isinstance(p.layer, DetectionOutput) for top in p.message.top}


def in_the_order_of(want: npt.NDArray[Any], got: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The rows of ``got`` (1, 1, M, 7), each where ``want``, of the same shape, has the one of the same
    image and label that it is nearest to. Rows without such a partner fill the places that are left."""
    if got.shape != want.shape:
        return got
    rows, exact = got.reshape(-1, got.shape[-1]), want.reshape(-1, want.shape[-1])
    free = np.ones(len(rows), np.bool_)
    chosen = np.full(len(exact), -1)
    for place, row in enumerate(exact):
        same = free & (rows[:, :_NAMED] == row[:_NAMED]).all(axis=1)
        candidates = np.flatnonzero(same)
        if len(candidates):
            off = np.abs(rows[candidates, _NAMED:] - row[_NAMED:]).max(axis=1)
            chosen[place] = candidates[int(np.argmin(off))]
            free[chosen[place]] = False
    chosen[chosen < 0] = np.flatnonzero(free)
    ordered: npt.NDArray[Any] = rows[chosen].reshape(got.shape)
    return ordered
