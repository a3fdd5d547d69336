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
    """The rows of ``got`` (1, 1, M, 7), each where ``want`` has the one of the same image and label that it
    is nearest to. Rows without such a partner fill the places that are left. Rows that are no detection,
    of label -1 as in SSD or all 0 as in OpenCV, are the same, and there may be fewer or more of them."""
    if got.shape[:2] != want.shape[:2] or got.shape[3:] != want.shape[3:]:
        return got
    exact = want.reshape(-1, want.shape[-1])
    rows = got.reshape(-1, got.shape[-1])
    rows = rows[~_nothing(rows)]
    if len(rows) > len(exact) or (got.shape != want.shape and len(rows) != np.sum(~_nothing(exact))):
        return got
    chosen = np.full(len(exact), -1)
    free = np.ones(len(rows), np.bool_)
    for place, row in enumerate(exact):
        same = free & (rows[:, :_NAMED] == row[:_NAMED]).all(axis=1)
        candidates = np.flatnonzero(same)
        if len(candidates):
            off = np.abs(rows[candidates, _NAMED:] - row[_NAMED:]).max(axis=1)
            chosen[place] = candidates[int(np.argmin(off))]
            free[chosen[place]] = False
    ordered = exact.astype(got.dtype)
    ordered[~_nothing(exact)] = -1
    left = np.concatenate([np.flatnonzero((chosen < 0) & ~_nothing(exact)), np.flatnonzero(_nothing(exact))])
    ordered[chosen >= 0] = rows[chosen[chosen >= 0]]
    ordered[left[: free.sum()]] = rows[free]
    return ordered.reshape(want.shape)


def _nothing(rows: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Which rows are no detection."""
    found: npt.NDArray[np.bool_] = (rows[:, 1] < 0) | (rows == 0).all(axis=1)
    return found
