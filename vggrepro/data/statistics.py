"""Mean pixel and principal colour components of a training set, in one pass.

Two weightings: by image (the default), where each picture counts the same whatever its size, which
is what a mean over Caffe's equally large images is; or by pixel, the literal mean over all pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.data.augment import ColourPCA
from vggrepro.data.decode import Pixels
from vggrepro.errors import DataError

Float64 = npt.NDArray[np.float64]

_BLOCK = 1 << 20
"""Pixels that are held in float64 at a time."""


@dataclass(frozen=True)
class Moments:
    """Sums over the pixels of one image, B, G, R, grey levels 0-255."""

    pixels: int
    first: Float64
    """(3,): sums of the channels."""
    second: Float64
    """(3, 3): sums of products of channels."""


def moments(pixels: Pixels) -> Moments:
    """The sums of uint8 (H, W, 3). They are whole numbers below 2^53, so float64 adds them exactly."""
    flat = pixels.reshape(-1, 3)  # HW 3
    first, second = np.zeros(3), np.zeros((3, 3))
    for start in range(0, len(flat), _BLOCK):
        values = flat[start : start + _BLOCK].astype(np.float64)
        first += values.sum(axis=0)
        second += values.T @ values
    return Moments(len(flat), first, second)


@dataclass(frozen=True)
class Statistics:
    """Mean (B, G, R, grey levels) and covariance (B, G, R, squared grey levels) of a set of images."""

    images: int
    pixels: int
    weighting: str
    mean_bgr: Float64
    covariance_bgr: Float64

    @property
    def pca(self) -> ColourPCA:
        """Components in the order of decreasing variance, on values in [0, 1]. A vector's sign means
        nothing; here its largest element is positive."""
        rgb = self.covariance_bgr[::-1, ::-1] / 255**2
        values, vectors = np.linalg.eigh(rgb)
        values, vectors = values[::-1].clip(min=0), vectors[:, ::-1]
        largest = np.abs(vectors).argmax(axis=0)
        vectors = vectors * np.sign(vectors[largest, range(3)])
        return ColourPCA(tuple(values.tolist()), tuple(map(tuple, vectors.tolist())))

    def as_json(self) -> dict[str, Any]:
        """The result file: also what :func:`from_json` reads."""
        pca = self.pca
        return {
            "images": self.images,
            "pixels": self.pixels,
            "weighting": self.weighting,
            "mean_bgr": self.mean_bgr.tolist(),
            "std_bgr": np.sqrt(np.diag(self.covariance_bgr)).tolist(),
            "pca": {
                "note": "of RGB values in [0, 1]; a column of vectors_rgb is a component",
                "eigenvalues": list(pca.eigenvalues),
                "vectors_rgb": [list(row) for row in pca.vectors],
            },
        }


def collect(images: Iterable[Moments], *, per_pixel: bool = False) -> Statistics:
    """Add up the images' moments, in order. Raises DataError if there are none."""
    count, pixels, weight = 0, 0, 0.0
    first, second = np.zeros(3), np.zeros((3, 3))
    for image in images:
        share = 1.0 if per_pixel else 1.0 / image.pixels
        count += 1
        pixels += image.pixels
        weight += share * image.pixels
        first += share * image.first
        second += share * image.second
    if not count:
        raise DataError("no readable images: there is nothing to take the mean of")
    mean = first / weight
    covariance = second / weight - np.outer(mean, mean)
    return Statistics(count, pixels, "pixel" if per_pixel else "image", mean, covariance)


def from_json(content: Any, where: str) -> tuple[tuple[float, float, float], ColourPCA]:
    """Mean pixel (B, G, R) and components from a result file's content. Raises DataError."""
    try:
        mean = _three(content["mean_bgr"])
        values = _three(content["pca"]["eigenvalues"])
        rows = content["pca"]["vectors_rgb"]
        vectors = (_three(rows[0]), _three(rows[1]), _three(rows[2]))
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise DataError(f"{where}: not a result of compute_statistics: {error!r}") from error
    return mean, ColourPCA(values, vectors)


def _three(values: Any) -> tuple[float, float, float]:
    first, second, third = map(float, values)
    if not all(map(math.isfinite, (first, second, third))):
        raise ValueError(f"expected finite numbers, got {[first, second, third]}")
    return first, second, third


class MeanImageSum:
    """The mean of images of one size, pixel by pixel, as Caffe's compute_image_mean takes it.

    DEVIATION: sums are exact; Caffe adds float32, which rounds beyond 65,793 images.
    """

    def __init__(self) -> None:
        self._sum: npt.NDArray[np.uint64] | None = None
        self._images = 0

    def add(self, pixels: Pixels, name: str) -> None:
        """Count an image, uint8 (H, W, 3). Raises DataError, with its ``name``, for one of another size."""
        if self._sum is None:
            self._sum = np.zeros(pixels.shape, np.uint64)
        if pixels.shape != self._sum.shape:
            raise DataError(
                f"{name}: an image of {_by(pixels.shape)}, the first has {_by(self._sum.shape)}: a mean"
                " image needs images of one size (a mean pixel of images of any size: -o FILE.json)"
            )
        self._sum += pixels
        self._images += 1

    def blob(self) -> npt.NDArray[np.float32]:
        """The mean (1, 3, H, W), B, G, R. Raises DataError without an image."""
        if self._sum is None:
            raise DataError("no readable images: there is nothing to take the mean of")
        mean = (self._sum / self._images).astype(np.float32)  # (H, W, 3)
        return np.ascontiguousarray(mean.transpose(2, 0, 1)[None])  # (1, 3, H, W)


def _by(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} x {shape[1]} pixels"
