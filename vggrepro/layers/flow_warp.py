"""FlowWarp: an image seen through a flow (FlowNet 2's layer; not from BVLC Caffe).

Source: lmb-freiburg/flownet2, field ``flow_warp_param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError
from vggrepro.layers.base import (
    Array,
    Emitted,
    Gradients,
    Layer,
    Needed,
    Reach,
    Referenced,
    Shapes,
    exactly,
    register,
)
from vggrepro.layers.rules.image_points import (
    ImagePoints,
    emit_image_gradient,
    emit_point_gradient,
    emit_points,
)


class _Saved(NamedTuple):
    inside: str
    """Bool (N, H, W, 1)."""
    points: ImagePoints


@register
@dataclass(frozen=True)
class FlowWarp(Layer[_Saved]):
    """Bottoms: images (N, C, H, W) and flows (N, 2, H, W), in x and y. Top (N, C, H, W): at each place the
    value of the image where the flow leads to, interpolated linearly; ``fill`` where that is outside.
    """

    type = "FlowWarp"
    origin = "FlowNet"
    bottoms = exactly(2)

    fill: float = 0.0

    @classmethod
    def from_param(cls, param: Any, phase: int) -> FlowWarp:
        p = param.flow_warp_param
        return cls(0.0 if p.fill_value == p.ZERO else nan)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        image, flow = bottoms
        if len(image) != 4 or tuple(flow) != (image[0], 2, *image[2:]):
            raise ShapeError(
                f"FlowWarp needs images (N, C, H, W) and flows (N, 2, H, W), got shapes {image} and {flow}"
            )
        return (tuple(image),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        image, flow = bottoms
        _, _, h, w = image.shape
        across, down = g.ops(
            "Split", g.op("Transpose", flow.name, perm=[0, 2, 3, 1]), outputs=2, axis=3, num_outputs=2
        )
        x = g.op("Add", across, g.const(np.arange(w).reshape(1, 1, w, 1)))
        y = g.op("Add", down, g.const(np.arange(h).reshape(1, h, 1, 1)))
        inside = g.op("And", _within(g, x, w), _within(g, y, h))
        seen, points = emit_points(g, image, x, y)
        top = g.op("Transpose", g.op("Where", inside, seen, g.const(self.fill)), perm=[0, 3, 1, 2])
        return Emitted((top,), _Saved(inside, points))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        if d_tops[0] is None:
            return Gradients((None, None))
        dy = g.op("Transpose", d_tops[0], perm=[0, 2, 3, 1])
        dy = g.op("Where", saved.inside, dy, g.const(0))
        d_image = emit_image_gradient(g, saved.points, dy) if needed.bottoms[0] else None
        return Gradients((d_image, emit_point_gradient(g, saved.points, dy) if needed.bottoms[1] else None))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        image, flow = bottoms
        _, _, h, w = image.shape
        x, y = flow[:, 0] + np.arange(w), flow[:, 1] + np.arange(h)[:, None]
        inside = (x >= 0) & (x < w) & (y >= 0) & (y < h)
        x, y = np.where(inside, x, 0), np.where(inside, y, 0)
        batch = np.arange(len(image))[:, None, None]
        images = np.moveaxis(image, 1, 3)
        warped = np.zeros((*inside.shape, image.shape[1]))
        for row, vertical in _shares(y, h):
            for column, horizontal in _shares(x, w):
                warped += images[batch, row, column] * (vertical * horizontal)[..., None]
        return Referenced((np.moveaxis(np.where(inside[..., None], warped, self.fill), 3, 1),))


def _shares(at: Array, size: int) -> list[tuple[npt.NDArray[np.int64], Array]]:
    """The places before and behind points of an axis, and their shares in the points' values."""
    before = np.floor(at).astype(np.int64)
    return [(before, 1 - (at - before)), (np.minimum(before + 1, size - 1), at - before)]


def _within(g: GraphBuilder, at: str, size: int) -> str:
    return g.op("And", g.op("GreaterOrEqual", at, g.const(0)), g.op("Less", at, g.const(size)))
