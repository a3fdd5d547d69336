"""Anchors of region proposal networks: boxes of some scales and aspect ratios around each place.

A box is (x1, y1, x2, y2), its last pixels included: its width is ``x2 - x1 + 1``. Sources: py-faster-rcnn's
``generate_anchors`` and the C++ layers made after it, which round in other ways.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from vggrepro.emit import FLOAT, GraphBuilder, Shape
from vggrepro.layers.base import Array
from vggrepro.layers.rules.element_count import axis_places

Anchors = tuple[tuple[float, ...], ...]


def python_anchors(base: int, ratios: Iterable[float], scales: Iterable[float]) -> Anchors:
    """Ratio by ratio, and for each all scales; sides are rounded half to even."""
    widths = [(ratio, float(np.round(np.sqrt(base * base / ratio)))) for ratio in ratios]
    return _scaled(base, [(width, float(np.round(width * ratio))) for ratio, width in widths], scales)


def cpp_anchors(base: int, ratios: Iterable[float], scales: Iterable[float]) -> Anchors:
    """The same with sides rounded half up, in float32."""
    area, half = np.float32(base * base), np.float32(0.5)
    sides = []
    for ratio in ratios:
        width = np.floor(np.sqrt(area / np.float32(ratio)) + half)
        sides.append((float(width), float(np.floor(width * np.float32(ratio) + half))))
    return _scaled(base, sides, scales)


def _scaled(base: int, sides: Iterable[tuple[float, float]], scales: Iterable[float]) -> Anchors:
    centre = (base - 1) / 2
    scales = tuple(scales)
    half = [((w * scale - 1) / 2, (h * scale - 1) / 2) for w, h in sides for scale in scales]
    return tuple((centre - x, centre - y, centre + x, centre + y) for x, y in half)


def grid(g: GraphBuilder, features: str, anchors: Anchors, stride: float) -> tuple[str, str]:
    """Centres and sides (A * H * W, 2), x and y, of the anchors at each place of ``features`` (N, C, H,
    W): row by row, and at each place in their order. A centre is half a side behind the first corner."""
    sides, middles = _parts(anchors)
    shifts = []
    for axis, shape in ((3, [1, -1, 1, 1]), (2, [-1, 1, 1, 1])):
        steps = g.op("Cast", axis_places(g, features, axis), to=FLOAT)
        shifts.append(g.op("Reshape", g.op("Mul", steps, g.const(stride)), g.ints(shape)))
    x, y = (g.op("Add", s, g.const(m.reshape(1, 1, -1, 1))) for s, m in zip(shifts, middles.T, strict=True))
    zero = g.op("Mul", g.op("Add", *shifts), g.const(0))  # (H, W, 1, 1), to make all of them as large
    centres = g.op("Concat", g.op("Add", x, zero), g.op("Add", y, zero), axis=3)
    spread = g.op("Add", zero, g.const(sides.reshape(1, 1, -1, 2)))
    return g.op("Reshape", centres, g.ints([-1, 2])), g.op("Reshape", spread, g.ints([-1, 2]))


def reference_grid(size: Shape, anchors: Anchors, stride: float) -> tuple[Array, Array]:
    """The same in NumPy, for a map of ``size`` (H, W)."""
    sides, middles = _parts(anchors)
    y, x = np.meshgrid(*(np.arange(n) * stride for n in size), indexing="ij")
    centres = np.stack([x, y], axis=-1)[:, :, None] + middles
    return centres.reshape(-1, 2), np.broadcast_to(sides, centres.shape).reshape(-1, 2)


def _parts(anchors: Sequence[Sequence[float]]) -> tuple[Array, Array]:
    """Sides and centres (A, 2) of anchors at the origin."""
    boxes = np.array(anchors, np.float64)
    sides = boxes[:, 2:] - boxes[:, :2] + 1
    return sides, boxes[:, :2] + sides / 2
