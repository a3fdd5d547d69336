"""SSD's batch samplers: parts of images that are drawn until they fit the boxes (not from BVLC Caffe;
source: weiliu89/caffe, branch ssd, ``sampler.cpp``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.data.feeds.boxed_image import CORNERS, BoxedImage, Boxes, EmitConstraint, areas, crossings
from vggrepro.errors import DataError

Bounds = tuple[float, float]

ANY: Bounds = (-np.inf, np.inf)


@dataclass(frozen=True)
class SampleConstraint:
    """What must hold between a part and at least one of the boxes: bounds of their intersection over the
    area of the union, of the part and of the box."""

    jaccard: Bounds = ANY
    sample: Bounds = ANY
    object: Bounds = ANY

    @classmethod
    def from_param(cls, p: Any) -> SampleConstraint:
        def bounds(name: str) -> Bounds:
            low, high = f"min_{name}", f"max_{name}"
            return (
                getattr(p, low) if p.HasField(low) else -np.inf,
                getattr(p, high) if p.HasField(high) else np.inf,
            )

        return cls(bounds("jaccard_overlap"), bounds("sample_coverage"), bounds("object_coverage"))

    def fits(self, parts: Boxes, boxes: Boxes) -> npt.NDArray[np.bool_]:
        """For each of the parts (P, 4) whether it fits the boxes (B, 4); without bounds each does: (P)."""
        if (self.jaccard, self.sample, self.object) == (ANY, ANY, ANY):
            return np.ones(len(parts), np.bool_)
        common = crossings(parts, boxes)  # (P, B)
        part, box = areas(parts)[:, None], areas(boxes)[None]
        fits = np.ones(common.shape, np.bool_)
        for (low, high), whole in (
            (self.jaccard, part + box - common),
            (self.sample, part),
            (self.object, box),
        ):
            share = common / np.where(whole > 0, whole, 1)
            fits &= (share >= np.float32(low)) & (share <= np.float32(high))
        return np.asarray(fits.any(axis=1))


@dataclass(frozen=True)
class BatchSampler:
    """Draws ``trials`` parts, and takes the first ``most`` that fit.

    The area of a part is the square of a scale, its width over its height an aspect ratio; both are uniform
    within their bounds, as far as the part fits into the image, and so is its place.
    """

    scale: Bounds
    aspect: Bounds
    constraint: SampleConstraint
    most: int | None
    trials: int

    @classmethod
    def from_param(cls, p: Any) -> BatchSampler:
        """Raises DataError for bounds that SSD refuses."""
        s = p.sampler
        if not 0 < s.min_scale <= s.max_scale <= 1:
            raise DataError(
                f"sampler: expected 0 < min_scale <= max_scale <= 1, got {s.min_scale:g} and {s.max_scale:g}"
            )
        if not 0 < s.min_aspect_ratio <= s.max_aspect_ratio < np.inf:
            raise DataError(
                "sampler: expected 0 < min_aspect_ratio <= max_aspect_ratio, got"
                f" {s.min_aspect_ratio:g} and {s.max_aspect_ratio:g}"
            )
        return cls(
            (s.min_scale, s.max_scale),
            (s.min_aspect_ratio, s.max_aspect_ratio),
            SampleConstraint.from_param(p.sample_constraint),
            p.max_sample if p.HasField("max_sample") else None,
            p.max_trials,
        )

    def draw(self, boxes: Boxes, rng: np.random.Generator) -> Boxes:
        """The parts (P, 4) of an image with these boxes (B, 4). Raises DataError where no part of a drawn
        scale has an aspect ratio within the bounds."""
        scale, aspect, *place = rng.random((4, self.trials), np.float32)
        scale = _between(self.scale, scale)
        narrowest, flattest = np.maximum(self.aspect[0], scale**2), np.minimum(self.aspect[1], 1 / scale**2)
        if (narrowest > flattest).any():
            raise DataError(
                f"sampler: no part of scale {scale[narrowest > flattest][0]:.3g} has an aspect ratio within"
                f" {self.aspect[0]:g} and {self.aspect[1]:g}"
            )
        root = np.sqrt(_between((narrowest, flattest), aspect))
        size = np.stack([scale * root, scale / root], axis=1)
        first = np.stack(place, axis=1) * (1 - size).clip(0)
        parts = np.concatenate([first, first + size], axis=1).astype(np.float32)
        return parts[self.constraint.fits(parts, boxes)][: self.most]


def _between(bounds: tuple[Any, Any], drawn: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """What was drawn between 0 and 1, between bounds."""
    between: npt.NDArray[np.float32] = bounds[0] + (bounds[1] - bounds[0]) * drawn
    return between


@dataclass(frozen=True)
class PartSampling:
    """One of all parts that samplers have found, each as likely, stands for the image; without any, the image
    itself does."""

    samplers: Sequence[BatchSampler]
    emit: EmitConstraint | None

    @classmethod
    def from_param(cls, annotated: Any, transform: Any) -> PartSampling | None:
        """What an ``AnnotatedDataParameter`` says, or None. Samplers with ``use_original_image: false`` draw
        nothing, as in SSD."""
        used = [BatchSampler.from_param(p) for p in annotated.batch_sampler if p.use_original_image]
        return cls(used, EmitConstraint.from_param(transform)) if used else None

    def __call__(self, seen: BoxedImage, rng: np.random.Generator) -> BoxedImage:
        boxes = seen.rows[:, CORNERS]
        found = np.concatenate([sampler.draw(boxes, rng) for sampler in self.samplers])
        return seen.part(found[rng.integers(len(found))], self.emit) if len(found) else seen
