"""PriorBox: the default boxes of a feature map (SSD's PriorBox layer; not from BVLC Caffe).

Sources: weiliu89/caffe, branch ssd, field ``prior_box_param``; section 2.2 of "SSD: Single Shot MultiBox
Detector" for what they are for. MhLiao/TextBoxes_plusplus for ``denser_prior_boxes``; sfzhang15/FaceBoxes for
its layer of the same name and fields; OpenCV's importer for ``offset_h``, ``offset_w``, ``width`` and others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, NamedTuple

import numpy as np

from vggrepro.emit import FLOAT, GraphBuilder, Shape, Value
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
from vggrepro.layers.rules.element_count import axis_places

ALIKE = 1e-6
"""Aspect ratios that differ by less are one."""


class Box(NamedTuple):
    """A box of those that each place of the feature map has."""

    sides: tuple[float, float]
    """Width and height in pixels."""
    offset: tuple[float, float]
    """Of its centre from the place's upper left corner, down and across, in steps."""
    shift: tuple[float, float] = (0, 0)
    """Of its centre to the right and down, in pixels."""


@register
@dataclass(frozen=True)
class PriorBox(Layer[None]):
    """Bottoms: feature map (N, C, H, W) and image (N, C', H', W'), of which only the sizes matter; the image
    may be missing where ``image`` is given. Top (1, 2, H * W * boxes * 4): corners (xmin, ymin, xmax, ymax)
    in units of the image, row by row, and the variance of each.

    At each place and for each ``min_sizes``: a square, a square of side sqrt(min * max) if there are
    ``max_sizes``, and a box for each of the ``ratios``. No gradient flows to the bottoms.

    Each box comes once for each pair of ``offset_h`` and ``offset_w``. With ``denser_prior_boxes`` it comes
    twice, the second time at the place's lower edge (in TextBoxes always). FaceBoxes' squares are a pixel
    smaller; of side 32 there are 16, 8 pixels apart, and of side 64 four, 16 pixels apart.
    """

    type = "PriorBox"
    origin = "SSD; TextBoxes, FaceBoxes"
    bottoms = Count(1, 2)

    boxes: tuple[Box, ...]
    """Those of one place, in the forks' order."""
    variances: tuple[float, float, float, float] = (0.1, 0.1, 0.1, 0.1)
    image: tuple[int, int] | None = None
    """Height and width of the image."""
    step: tuple[float, float] | None = None
    """Distance of neighbouring boxes down and across, in pixels."""
    clip: bool = False

    @classmethod
    def from_param(cls, param: Any, phase: int) -> PriorBox:
        p = param.prior_box_param
        return cls(
            tuple(cls.place(p)),
            variances=_variances(p),
            image=_pair(p, "img_h", "img_w", "img_size"),
            step=_pair(p, "step_h", "step_w", "step"),
            clip=p.clip,
        )

    @classmethod
    def place(cls, p: Any) -> list[Box]:
        """The boxes of one place, in the forks' order."""
        if not (p.width or p.height):
            return _boxes(p)
        if p.min_size or p.max_size or p.aspect_ratio:
            raise NetError("prior_box_param: either width and height or min_size, max_size and aspect_ratio")
        return clustered(p)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        for index, shape in enumerate(bottoms):
            if len(shape) != 4:
                raise ShapeError(f"bottom[{index}] must have 4 axes, got shape {shape}")
        if self.image is None and len(bottoms) == 1:
            raise NetError("PriorBox needs the image as second bottom, or img_size")
        count = bottoms[0][2] * bottoms[0][3] * len(self.boxes) * 4
        if count < 1:
            raise ShapeError(f"Check failed: top_shape[2] > 0 (bottom[0] has shape {bottoms[0]})")
        return ((1, 2, count),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        """A constant where height and width of both bottoms are known; it never needs the batch."""
        read = bottoms if self.image is None else bottoms[:1]
        if any(None in bottom.dims[2:] for bottom in read):
            return Emitted((self._emit_free(g, read),), None)
        (height, width), *more = (Value(bottom.name, bottom.dims[2:]).shape for bottom in read)
        image = np.tile(self.image or more[0], 2)[::-1]  # across, down, across, down
        step = image / [width, height, width, height] if self.step is None else np.tile(self.step, 2)[::-1]
        places = np.stack(np.meshgrid(np.arange(width), np.arange(height)) * 2, axis=-1)[:, :, None]
        offsets, shifts = self._offsets()
        corners = ((places + offsets) * step + shifts) / image  # (H, W, boxes, 4)
        if self.clip:
            corners = corners.clip(0, 1)
        variances = np.broadcast_to(self.variances, corners.shape)
        return Emitted((g.const(np.stack([corners, variances]).reshape(1, 2, -1)),), None)

    def _emit_free(self, g: GraphBuilder, bottoms: Sequence[Value]) -> str:
        """The top where sizes are known only when the graph runs."""
        feature, *more = (_sides(g, bottom.name) for bottom in bottoms)
        image = g.const(np.tile(self.image, 2)[::-1]) if self.image else more[0]
        step = g.const(np.tile(self.step, 2)[::-1]) if self.step else g.op("Div", image, feature)
        rows, columns = (g.op("Cast", axis_places(g, bottoms[0].name, axis), to=FLOAT) for axis in (2, 3))
        across = g.op("Mul", g.op("Reshape", columns, g.ints([1, -1, 1, 1])), g.const([1, 0, 1, 0]))
        down = g.op("Mul", g.op("Reshape", rows, g.ints([-1, 1, 1, 1])), g.const([0, 1, 0, 1]))
        offsets, shifts = map(g.const, self._offsets())
        places = g.op("Add", g.op("Add", across, down), offsets)  # (H, W, boxes, 4)
        corners = g.op("Div", g.op("Add", g.op("Mul", places, step), shifts), image)
        if self.clip:
            corners = g.op("Clip", corners, g.const(0), g.const(1))
        variances = g.op("Expand", g.const(self.variances), g.op("Shape", corners))
        parts = (g.op("Reshape", part, g.ints([1, 1, -1])) for part in (corners, variances))
        return g.op("Concat", *parts, axis=1)

    def _offsets(self) -> tuple[Array, Array]:
        """From the number of a place to the corners of its boxes, (boxes, 4): in steps, and in pixels."""
        sides, offsets, shifts = (np.array(values, np.float64) for values in zip(*self.boxes, strict=True))
        pixels = np.concatenate([shifts - sides / 2, shifts + sides / 2], axis=1)
        return np.tile(offsets[:, ::-1], 2), pixels

    def _geometry(self, shapes: Shapes) -> tuple[tuple[int, int], tuple[float, float]]:
        """Height and width of the image, and the steps."""
        image = self.image or (shapes[1][2], shapes[1][3])
        return image, self.step or (image[0] / shapes[0][2], image[1] / shapes[0][3])

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
                for (width, height), (lower, further), (right, down_by) in self.boxes:
                    x = (column + further) * across + right
                    y = (row + lower) * down + down_by
                    corners += [(x - width / 2) / image_width, (y - height / 2) / image_height]
                    corners += [(x + width / 2) / image_width, (y + height / 2) / image_height]
        if self.clip:
            corners = [min(max(corner, 0.0), 1.0) for corner in corners]
        return Referenced((np.array([[corners, list(self.variances) * (len(corners) // 4)]]),))


def _sides(g: GraphBuilder, x: str) -> str:
    """Width, height, width and height of a blob, float32 (4,)."""
    return g.op("Cast", g.op("Gather", g.op("Shape", x), g.ints([3, 2, 3, 2]), axis=0), to=FLOAT)


def _boxes(p: Any) -> list[Box]:
    """SSD's boxes of one place, TextBoxes' and FaceBoxes'."""
    least, most = _sizes(p)
    ratios, boxes = _ratios(p), list[Box]()
    centred = (0.0, 0.0)
    for index, side in enumerate(least):
        kinds = _face_boxes(side) if p.faceboxes else [((side, side), centred)]
        sides = [(sqrt(side * most[index]),) * 2] if most else []
        sides += [(side * sqrt(ratio), side / sqrt(ratio)) for ratio in ratios]
        kinds += [(each, centred) for each in sides]
        boxes += [Box(each, offset, shift) for each, shift in kinds for offset in _offset_pairs(p)]
    return boxes


def clustered(p: Any) -> list[Box]:
    """The boxes of one place whose widths and heights are given."""
    if not p.width:
        raise NetError("must provide width.")
    if len(p.width) != len(p.height):
        raise NetError(f"Check failed: width_size() == height_size() ({len(p.width)} vs. {len(p.height)})")
    if min(*p.width, *p.height) <= 0:
        raise NetError("width and height must be positive.")
    offsets = _offset_pairs(p)
    return [Box(sides, offset) for sides in zip(p.width, p.height, strict=True) for offset in offsets]


def _offset_pairs(p: Any) -> list[tuple[float, float]]:
    """Where the centres of a place's boxes are, down and across, in steps."""
    if not (p.offset_h or p.offset_w):
        return [(p.offset, p.offset), (1.0, p.offset)] if p.denser_prior_boxes else [(p.offset, p.offset)]
    if p.HasField("offset") or p.denser_prior_boxes or p.faceboxes:
        raise NetError("Either offset or offset_h/offset_w should be specified; not both.")
    pairs = list(zip(p.offset_h, p.offset_w, strict=False))
    if not len(pairs) == len(p.offset_h) == len(p.offset_w):
        raise NetError(f"{len(p.offset_h)} of offset_h and {len(p.offset_w)} of offset_w, expected as many")
    if len(pairs) > 2:
        raise UnsupportedError(f"prior_box_param: {len(pairs)} of offset_h; OpenCV takes two at most")
    return pairs


def _face_boxes(side: float) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """Sides and shifts of FaceBoxes' squares of one size, row by row."""
    many, apart = {32: (4, 8), 64: (2, 16)}.get(int(side), (1, 0))
    shifts = [(index - many // 2) * apart for index in range(many)]
    return [((side - 1, side - 1), (right, down)) for down in shifts for right in shifts]


def _sizes(p: Any) -> tuple[list[float], list[float]]:
    """``min_size`` and ``max_size``: SSD takes them into integers before it computes, OpenCV, whose fields
    ``offset_h`` and ``offset_w`` are, does not."""
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
    return (least, most) if p.offset_h else ([*map(int, least)], [*map(int, most)])


def _ratios(p: Any) -> tuple[float, ...]:
    """The aspect ratios but 1, with ``flip`` each and its inverse; none twice."""
    ratios = [1.0]
    for ratio in p.aspect_ratio:
        if ratio <= 0:
            raise NetError(f"prior_box_param: aspect_ratio must be positive, got {ratio}")
        if all(abs(ratio - known) >= ALIKE for known in ratios):
            ratios += [ratio, 1 / ratio] if p.flip else [ratio]
    return tuple(ratios[1:])


def _variances(p: Any) -> tuple[float, float, float, float]:
    """The four of ``variance``, or the one for all."""
    given = list(p.variance) or [0.1]
    if len(given) not in (1, 4):
        raise NetError(f"Must and only provide 4 variance. (got {len(given)})")
    if min(given) <= 0:
        raise NetError(f"Check failed: variance > 0 ({min(given)})")
    a, b, c, d = given * (4 // len(given))
    return a, b, c, d


def _pair(p: Any, down: str, across: str, both: str) -> Any:
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
