"""Resizing as scikit-image and SciPy do it, which Caffe's module resizes with."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]

TRUNCATE = 4.0
"""A Gaussian ends after this many standard deviations."""


def resize_smoothly(image: npt.NDArray[Any], sizes: tuple[int, int], order: int, smooth: bool) -> Matrix:
    """``skimage.transform.resize(image, sizes, order, mode="constant")`` of (H, W, K): pixels are areas, and
    what is outside counts as 0. ``smooth``: where the image shrinks, a Gaussian goes before (anti-aliasing).
    """
    rows, columns = (
        _sampling(size, new, order) @ (_gaussian(size, new) if smooth and order > 0 else np.eye(size))
        for size, new in zip(image.shape[:2], sizes, strict=True)
    )
    return _apply(rows, columns, image)


def zoom_corners(image: npt.NDArray[Any], sizes: tuple[int, int], order: int) -> Matrix:
    """``scipy.ndimage.zoom`` of (H, W, K) to ``sizes``: pixels are points, and the corners stay corners."""
    rows, columns = (
        _weights(np.linspace(0, size - 1, new) if new > 1 else np.zeros(1), size, order)
        for size, new in zip(image.shape[:2], sizes, strict=True)
    )
    return _apply(rows, columns, image)


def _apply(rows: Matrix, columns: Matrix, image: npt.NDArray[Any]) -> Matrix:
    height, width, channels = image.shape
    tall = rows @ image.astype(np.float64).reshape(height, width * channels)  # (h, W * K)
    wide: Matrix = np.einsum("xw,hwk->hxk", columns, tall.reshape(-1, width, channels), optimize=True)
    return wide  # (h, w, K)


def _sampling(size: int, new: int, order: int) -> Matrix:
    """(new, size): the weights of the old pixels in each new one, whose centres are in proportion."""
    return _weights((np.arange(new) + 0.5) * size / new - 0.5, size, order)


def _weights(places: npt.NDArray[Any], size: int, order: int) -> Matrix:
    """(places, size): nearest (order 0) or linear (1) interpolation; pixels outside are 0."""
    matrix = np.zeros((len(places), size))
    first = np.floor(places + 0.5 if order == 0 else places).astype(int)
    fraction = np.zeros(len(places)) if order == 0 else places - first
    for pixel, weight in ((first, 1 - fraction), (first + 1, fraction)):
        inside = (pixel >= 0) & (pixel < size)
        matrix[np.flatnonzero(inside), pixel[inside]] += weight[inside]
    return matrix


def _gaussian(size: int, new: int) -> Matrix:
    """(size, size): a Gaussian as wide as the pixels that become one; the identity where none do."""
    sigma = max(0.0, (size / new - 1) / 2)
    if sigma == 0:
        return np.eye(size)
    radius = int(TRUNCATE * sigma + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    distance = np.arange(size)[None, :] - np.arange(size)[:, None]
    near = np.abs(distance) <= radius
    matrix: Matrix = np.where(near, kernel[np.clip(distance, -radius, radius) + radius], 0.0)
    return matrix
