"""MATLAB's ``imresize``: bicubic, widened when shrinking. The authors' published demo rescales with it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vggrepro.data.decode import Pixels

_MOST_WEIGHTS = 1 << 24
"""Elements of a matrix of weights that are held at a time."""


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
    """The first axis of ``array`` resampled to ``target`` values."""
    length = len(array)
    block = max(_MOST_WEIGHTS // length, 1)
    parts = [
        np.tensordot(_weights(length, target, range(first, min(first + block, target))), array, axes=(1, 0))
        for first in range(0, target, block)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _weights(length: int, target: int, rows: range) -> npt.NDArray[np.float32]:
    """Some ``rows`` of the (target, length) matrix that resamples an axis; pixels outside are mirrored in."""
    scale = target / length
    stretch = min(scale, 1.0)
    centres = (np.array(rows) + 0.5) / scale - 0.5  # in pixels of the source
    reach = int(np.ceil(2 / stretch)) + 1
    taps = np.floor(centres)[:, None].astype(int) + np.arange(-reach, reach + 1)  # target taps
    weights = _cubic((centres[:, None] - taps) * stretch)
    weights /= weights.sum(axis=1, keepdims=True)
    mirrored = taps % (2 * length)
    mirrored = np.where(mirrored < length, mirrored, 2 * length - 1 - mirrored)
    matrix = np.zeros((len(rows), length))
    np.add.at(matrix, (np.arange(len(rows))[:, None], mirrored), weights)
    return matrix.astype(np.float32)


def _cubic(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Keys's cubic convolution kernel with a = -0.5."""
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))
