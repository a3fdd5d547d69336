"""MATLAB's ``imresize``, with which the authors' published demo rescales images.

matcaffe_demo_vgg_mean_pix.m makes an image single and calls ``imresize(im, [256 NaN])``, or ``[NaN 256]``
where it is not wider than high: bicubic, the kernel widened when shrinking ("Antialiasing"), the other side
rounded up, and the scale of the given side for both axes. A single stays a single, so that fractions and
values beyond 0 to 255 are kept; a uint8 stays a uint8, rounded and cut off after each of the two passes.
Beyond its borders the image goes on as its mirror image. That is MATLAB since about 2016; earlier releases
repeated the outermost pixel, which tells within two pixels (of the larger of both images) of a border.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

Value = TypeVar("Value", np.uint8, np.float32)
"""MATLAB's uint8 and single."""

_BLOCK = 32
"""Rows that are computed at a time: few need few rows of the source, and a small matrix of weights."""


def imresize(
    pixels: npt.NDArray[Value], height: int, width: int, scale: float | None = None
) -> npt.NDArray[Value]:
    """Resize (H, W, C), uint8 or float32, to ``height`` x ``width`` by cubic convolution (a = -0.5).

    ``scale`` is output pixels by input pixels on both axes; without it each axis has the ratio of its sizes.
    The axis of the smaller scale is resized first, the height where they are equal.
    """
    scales = [height / pixels.shape[0], width / pixels.shape[1]] if scale is None else [scale, scale]
    for axis in sorted((0, 1), key=scales.__getitem__):
        turned = pixels if axis == 0 else pixels.transpose(1, 0, 2)
        resized = _resampled(turned, (height, width)[axis], scales[axis])
        pixels = resized if axis == 0 else resized.transpose(1, 0, 2)
    return np.ascontiguousarray(pixels)


def _resampled(array: npt.NDArray[Value], target: int, scale: float) -> npt.NDArray[Value]:
    """The first axis of ``array`` resampled to ``target`` values, in float64, then of the array's dtype."""
    result = np.empty((target, *array.shape[1:]), array.dtype)
    for first in range(0, target, _BLOCK):
        rows = range(first, min(first + _BLOCK, target))
        taps, weights = _taps(len(array), rows, scale)
        low, high = int(taps.min()), int(taps.max()) + 1
        matrix = np.zeros((len(rows), high - low))
        np.add.at(matrix, (np.arange(len(rows))[:, None], taps - low), weights)
        exact = np.tensordot(matrix, array[low:high].astype(np.float64), axes=(1, 0))
        if array.dtype == np.uint8:
            exact = np.clip(np.floor(exact + 0.5), 0, 255)
        result[first : first + len(rows)] = exact
    return result


def _taps(length: int, rows: range, scale: float) -> tuple[npt.NDArray[np.int_], npt.NDArray[np.float64]]:
    """For some ``rows`` of the result, the pixels of ``length`` that each is made of, and their weights, both
    (rows, taps). Pixels outside are mirrored in."""
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
