"""PriorBox: the default boxes of a feature map (SSD's PriorBox layer; not from BVLC Caffe).

Sources: weiliu89/caffe, branch ssd, field ``prior_box_param``; section 2.2 of "SSD: Single Shot MultiBox
Detector" for what they are for. MhLiao/TextBoxes_plusplus for ``denser_prior_boxes``; sfzhang15/FaceBoxes for
its layer of the same name and fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, NamedTuple

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import (
    Array,
    Count,
    Emitted,
    Gradients,
    Layer,
    Needed,
    Reach,
    Referenced,
    Shapes,
    register,
)

ALIKE = 1e-6
"""Aspect ratios that differ by less are one."""


class Box(NamedTuple):
    """A box of those that each place of the feature map has."""

    sides: tuple[float, float]
    """Width and height in pixels."""
    shift: tuple[float, float] = (0, 0)
    """Of its centre to the right and down, in pixels."""
    steps: float = 0
    """Of its centre down, in steps."""


@register
@dataclass(frozen=True)
class PriorBox(Layer[None]):
    """Bottoms: feature map (N, C, H, W) and image (N, C', H', W'), of which only the sizes matter; the image
    may be missing where ``image`` is given. Top (1, 2, H * W * boxes * 4): corners (xmin, ymin, xmax, ymax)
    in units of the image, row by row, and the variance of each.

    At each place and for each ``min_sizes``: a square, a square of side sqrt(min * max) if there are
    ``max_sizes``, and a box for each of the ``ratios``. No gradient flows to the bottoms.

    With ``denser_prior_boxes`` each box comes twice, the second time half a step lower (in TextBoxes always).
    FaceBoxes' squares are a pixel smaller; of side 32 there are 16, 8 pixels apart, and of side 64 four, 16
    pixels apart.
    """

    type = "PriorBox"
    origin = "SSD; TextBoxes, FaceBoxes"
    bottoms = Count(1, 2)

    min_sizes: tuple[int, ...]
    max_sizes: tuple[int, ...] = ()
    ratios: tuple[float, ...] = ()
    """Aspect ratios other than 1."""
    variances: tuple[float, float, float, float] = (0.1, 0.1, 0.1, 0.1)
    image: tuple[int, int] | None = None
    """Height and width of the image."""
    step: tuple[float, float] | None = None
    """Distance of neighbouring boxes down and across, in pixels."""
    offset: float = 0.5
    clip: bool = False
    denser: bool = False
    faceboxes: bool = False

    @classmethod
    def from_param(cls, param: Any, phase: int) -> PriorBox:
        p = param.prior_box_param
        if p.width or p.height:
            raise UnsupportedError(
                "prior_box_param: width and height are PriorBoxClustered's, not PriorBox's"
            )
        return cls(
            *_sizes(p),
            ratios=_ratios(p),
            variances=variances(p),
            image=pair(p, "img_h", "img_w", "img_size"),
            step=pair(p, "step_h", "step_w", "step"),
            offset=p.offset,
            clip=p.clip,
            denser=p.denser_prior_boxes,
            faceboxes=p.faceboxes,
        )

    @property
    def boxes(self) -> int:
        """How many there are at each place."""
        return len(self._boxes())

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        for index, shape in enumerate(bottoms):
            if len(shape) != 4:
                raise ShapeError(f"bottom[{index}] must have 4 axes, got shape {shape}")
        if self.image is None and len(bottoms) == 1:
            raise NetError("PriorBox needs the image as second bottom, or img_size")
        count = bottoms[0][2] * bottoms[0][3] * self.boxes * 4
        if count < 1:
            raise ShapeError(f"Check failed: top_shape[2] > 0 (bottom[0] has shape {bottoms[0]})")
        return ((1, 2, count),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        """A constant: it needs height and width of both bottoms, but no batch."""
        fixed = [Value(b.name, (1, 1, *b.dims[2:])) for b in (bottoms if self.image is None else bottoms[:1])]
        (image, step), (height, width) = self._geometry([v.shape for v in fixed]), fixed[0].shape[2:]
        y, x = ((np.arange(n) + self.offset) * s for n, s in zip((height, width), step, strict=True))
        sides, pixels, steps = (np.array(values) for values in zip(*self._boxes(), strict=True))
        centres = np.stack(np.meshgrid(x, y), axis=-1)[:, :, None]  # (H, W, 1, 2)
        centres = centres + pixels + np.stack([steps * 0, steps * step[0]], axis=-1)
        corners = np.concatenate([centres - sides / 2, centres + sides / 2], axis=-1)
        corners = corners / np.array([image[1], image[0]] * 2)
        if self.clip:
            corners = corners.clip(0, 1)
        variances = np.broadcast_to(self.variances, corners.shape)
        return Emitted((g.const(np.stack([corners, variances]).reshape(1, 2, -1)),), None)

    def _geometry(self, shapes: Shapes) -> tuple[tuple[int, int], tuple[float, float]]:
        """Height and width of the image, and the steps."""
        image = self.image or (shapes[1][2], shapes[1][3])
        return image, self.step or (image[0] / shapes[0][2], image[1] / shapes[0][3])

    def _boxes(self) -> list[Box]:
        """The boxes at one place, in the forks' order."""
        boxes: list[Box] = []
        for index, least in enumerate(self.min_sizes):
            if self.faceboxes:
                boxes += _face_boxes(least)
            else:
                boxes.append(Box((least, least)))
            if self.max_sizes:
                boxes.append(Box((sqrt(least * self.max_sizes[index]),) * 2))
            boxes += [Box((least * sqrt(ratio), least / sqrt(ratio))) for ratio in self.ratios]
        if not self.denser:
            return boxes
        return [half for box in boxes for half in (box, box._replace(steps=1 - self.offset))]

    def grad(self, g: GraphBuilder, saved: None, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        """SSD's backward pass does nothing."""
        return Gradients((None,) * len(needed.bottoms))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        (image_height, image_width), (down, across) = self._geometry([b.shape for b in bottoms])
        corners: list[float] = []
        for row in range(bottoms[0].shape[2]):
            for column in range(bottoms[0].shape[3]):
                for (width, height), (right, lower), steps in self._boxes():
                    x = (column + self.offset) * across + right
                    y = (row + self.offset + steps) * down + lower
                    corners += [(x - width / 2) / image_width, (y - height / 2) / image_height]
                    corners += [(x + width / 2) / image_width, (y + height / 2) / image_height]
        if self.clip:
            corners = [min(max(corner, 0.0), 1.0) for corner in corners]
        return Referenced((np.array([[corners, list(self.variances) * (len(corners) // 4)]]),))


def _face_boxes(side: int) -> list[Box]:
    """FaceBoxes' squares of one size, row by row."""
    many, apart = {32: (4, 8), 64: (2, 16)}.get(side, (1, 0))
    shifts = [(index - many // 2) * apart for index in range(many)]
    return [Box((side - 1, side - 1), (right, down)) for down in shifts for right in shifts]


def _sizes(p: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """``min_size`` and ``max_size``: SSD takes them into integers before it computes."""
    least, most = list(p.min_size), list(p.max_size)
    if not least:
        raise NetError("must provide min_size.")
    if min(least) <= 0:
        raise NetError(f"min_size must be positive. ({min(least)})")
    if most and len(most) != len(least):
        raise NetError(f"Check failed: min_size_size() == max_size_size() ({len(least)} vs. {len(most)})")
    for small, large in zip(least, most, strict=False):
        if large <= small:
            raise NetError(f"max_size must be greater than min_size. ({large} vs. {small})")
    return tuple(map(int, least)), tuple(map(int, most))


def _ratios(p: Any) -> tuple[float, ...]:
    """The aspect ratios but 1, with ``flip`` each and its inverse; none twice."""
    ratios = [1.0]
    for ratio in p.aspect_ratio:
        if ratio <= 0:
            raise NetError(f"prior_box_param: aspect_ratio must be positive, got {ratio}")
        if all(abs(ratio - known) >= ALIKE for known in ratios):
            ratios += [ratio, 1 / ratio] if p.flip else [ratio]
    return tuple(ratios[1:])


def variances(p: Any) -> tuple[float, float, float, float]:
    """The four of ``variance``, or the one for all."""
    given = list(p.variance) or [0.1]
    if len(given) not in (1, 4):
        raise NetError(f"Must and only provide 4 variance. (got {len(given)})")
    if min(given) <= 0:
        raise NetError(f"Check failed: variance > 0 ({min(given)})")
    a, b, c, d = given * (4 // len(given))
    return a, b, c, d


def pair(p: Any, down: str, across: str, both: str) -> Any:
    """The two values, or the one for both; None if none is set."""
    if p.HasField(down) or p.HasField(across):
        if p.HasField(both):
            raise NetError(f"Either {both} or {down}/{across} should be specified; not both.")
        values = (getattr(p, down), getattr(p, across))
    elif p.HasField(both):
        values = (getattr(p, both),) * 2
    else:
        return None
    for name, value in zip((down, across), values, strict=True):
        if value <= 0:
            raise NetError(f"{name} should be larger than 0. (got {value})")
    return values
