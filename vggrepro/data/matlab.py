"""MATLAB's ``imresize``: bicubic, widened when shrinking. The authors' published demo rescales with it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vggrepro.data.decode import Pixels

_MOST_WEIGHTS = 1 << 24
"""Elements up to which the weights of a whole axis are one matrix."""
_BLOCK = 1024


def imresize(pixels: Pixels, height: int, width: int) -> Pixels:
    """Resize uint8 (H, W, C) to ``height`` x ``width`` by anti-aliased cubic convolution (a = -0.5).

    DEVIATION: the demo converts to single precision first and keeps fractions; here the result is
    rounded to uint8, as in every other kernel, which moves a value by at most half a grey level.
    """
    rows = _resampled(pixels.astype(np.float32), height)  # height W C
    resized = _resampled(rows.transpose(1, 0, 2), width).transpose(1, 0, 2)  # height width C
    rounded: Pixels = np.clip(np.floor(resized + 0.5), 0, 255).astype(np.uint8)
    return rounded


def _resampled(array: npt.NDArray[np.float32], target: int) -> npt.NDArray[np.float32]:
    """The first axis of ``array`` resampled to ``target`` values; a long one in blocks of them."""
    length = len(array)
    block = target if target * length <= _MOST_WEIGHTS else _BLOCK
    parts = []
    for first in range(0, target, block):
        taps, weights = _taps(length, target, range(first, min(first + block, target)))
        low, high = int(taps.min()), int(taps.max()) + 1
        matrix = np.zeros((len(taps), high - low))
        np.add.at(matrix, (np.arange(len(taps))[:, None], taps - low), weights)
        parts.append(np.tensordot(matrix.astype(np.float32), array[low:high], axes=(1, 0)))
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _taps(length: int, target: int, rows: range) -> tuple[npt.NDArray[np.int_], npt.NDArray[np.float64]]:
    """For some ``rows`` of ``target``, the pixels of ``length`` that each is made of, and their weights, both
    (rows, taps). Pixels outside are mirrored in."""
    scale = target / length
    stretch = min(scale, 1.0)
    centres = (np.array(rows) + 0.5) / scale - 0.5  # in pixels of the source
    reach = int(np.ceil(2 / stretch)) + 1
    taps = np.floor(centres)[:, None].astype(int) + np.arange(-reach, reach + 1)
    weights = _cubic((centres[:, None] - taps) * stretch)
    weights /= weights.sum(axis=1, keepdims=True)
    mirrored = taps % (2 * length)
    return np.where(mirrored < length, mirrored, 2 * length - 1 - mirrored), weights


def _cubic(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Keys's cubic convolution kernel with a = -0.5."""
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))
