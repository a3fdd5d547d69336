"""SSD's ``distort_param``: colours that are drawn (not from BVLC Caffe; source: weiliu89/caffe, branch ssd,
``ApplyDistort``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.data.decode import Pixels
from vggrepro.data.feeds.boxed_image import BoxedImage
from vggrepro.data.opencv import opencv
from vggrepro.errors import DataError

Recolour = Callable[[Pixels, float], Pixels]


def stretched(pixels: Pixels, factor: float, shift: float = 0) -> Pixels:
    """``pixels * factor + shift``, rounded and kept within 0 and 255, as OpenCV's ``convertTo`` has it."""
    table = np.rint(np.arange(256, dtype=np.float32) * np.float32(factor) + np.float32(shift))
    changed: Pixels = table.clip(0, 255).astype(np.uint8)[pixels]
    return changed


def brightened(pixels: Pixels, shift: float) -> Pixels:
    return stretched(pixels, 1, shift)


def with_contrast(pixels: Pixels, factor: float) -> Pixels:
    return stretched(pixels, factor) if abs(factor - 1) > 1e-3 else pixels


def saturated(pixels: Pixels, factor: float) -> Pixels:
    return _in_hsv(pixels, 1, lambda channel: stretched(channel, factor))


def turned(pixels: Pixels, degrees: float) -> Pixels:
    """The hue moved by ``degrees`` of OpenCV's 180."""
    return _in_hsv(pixels, 0, lambda channel: stretched(channel, 1, degrees)) if degrees else pixels


def _in_hsv(pixels: Pixels, channel: int, change: Callable[[Pixels], Pixels]) -> Pixels:
    """BGR pixels with a change of hue (0), saturation (1) or value (2)."""
    cv2 = opencv()
    hsv = cv2.cvtColor(pixels, cv2.COLOR_BGR2HSV)
    hsv[:, :, channel] = change(hsv[:, :, channel])
    back: Pixels = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    return back


@dataclass(frozen=True)
class _Drawn:
    """A change that is made with probability ``prob``, by an amount between ``low`` and ``high``."""

    prob: float
    low: float
    high: float
    change: Recolour

    def __call__(self, pixels: Pixels, rng: np.random.Generator) -> Pixels:
        return self.change(pixels, rng.uniform(self.low, self.high)) if rng.random() < self.prob else pixels


@dataclass(frozen=True)
class Distortion:
    """Changes of brightness, contrast, saturation and hue, and another order of the channels, each with a
    probability of its own. Contrast comes second or, as often, fourth. An image that is stored without
    encoding stays as it is, as in SSD."""

    brightness: _Drawn
    contrast: _Drawn
    saturation: _Drawn
    hue: _Drawn
    order_prob: float

    @classmethod
    def from_param(cls, transform: Any) -> Distortion | None:
        """What a ``TransformationParameter`` says, or None. Raises DataError for ranges without a value."""
        if not transform.HasField("distort_param"):
            return None
        p = transform.distort_param
        for name in ("brightness", "hue"):
            delta = getattr(p, f"{name}_delta")
            if getattr(p, f"{name}_prob") > 0 and delta < 0:
                raise DataError(f"distort_param: {name}_delta must be non-negative, got {delta:g}")
        for name in ("contrast", "saturation"):
            low, high = getattr(p, f"{name}_lower"), getattr(p, f"{name}_upper")
            if getattr(p, f"{name}_prob") > 0 and not 0 <= low <= high:
                raise DataError(
                    f"distort_param: {name}_lower must be non-negative and at most {name}_upper, got {low:g}"
                    f" and {high:g}"
                )
        return cls(
            _Drawn(p.brightness_prob, -p.brightness_delta, p.brightness_delta, brightened),
            _Drawn(p.contrast_prob, p.contrast_lower, p.contrast_upper, with_contrast),
            _Drawn(p.saturation_prob, p.saturation_lower, p.saturation_upper, saturated),
            _Drawn(p.hue_prob, -p.hue_delta, p.hue_delta, turned),
            p.random_order_prob,
        )

    def __call__(self, seen: BoxedImage, rng: np.random.Generator) -> BoxedImage:
        if not seen.encoded:
            return seen
        pixels = seen.pixels()
        if pixels.shape[2] != 3:
            raise DataError(f"distort_param needs images of 3 channels, got {pixels.shape[2]}")
        steps = [self.brightness, self.saturation, self.hue]
        steps.insert(1 if rng.random() > 0.5 else 3, self.contrast)
        for step in steps:
            pixels = step(pixels, rng)
        if rng.random() < self.order_prob:
            order: npt.NDArray[np.int64] = rng.permutation(3)
            pixels = np.ascontiguousarray(pixels[:, :, order])
        return seen.changed(pixels, seen.rows)
