"""MIL: the score of a bag of instances, from the largest one or from all (a layer of multiple instance
learning; not from BVLC Caffe).

Sources: s-gupta/caffe (``mil_param { type }``: the places of a map), gkioxari/RstarCNN
(``mil_param { context_per_roi }``: neighbouring items).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from vggrepro.emit import FLOAT, GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Array, Emitted, Gradients, Layer, Needed, Referenced, Shapes, register


class _Saved(NamedTuple):
    bottom: Value
    bags: str
    """(B, R, C), or the maps (N, C, H, W)."""
    top: str
    """(B, 1, C), or (N, C, 1, 1)."""


@register
@dataclass(frozen=True)
class MIL(Layer[_Saved]):
    """With ``context_per_roi`` R: bottom (R B, C) or (R B, C, 1, 1), top (B, C, 1, 1), the maxima of R items.
    With ``type``: bottom (N, C, H, W), top (N, C, 1, 1). MAX gives the maxima over the places; NOR, of
    probabilities p, that of at least one place, ``max(1 - prod(1 - p), max(p))``.

    Every instance that equals the maximum gets its whole gradient; for NOR each gets
    ``dy min(1, (1 - y) / (1 - p))``.
    """

    type = "MIL"
    origin = "visual concepts; R*CNN"

    items: int = 0
    """Neighbouring items of a bag; 0 where the places of a map are one."""
    any_place: bool = False
    """Whether the type is NOR."""

    @classmethod
    def from_param(cls, param: Any, phase: int) -> MIL:
        p = param.mil_param
        if p.HasField("type") == p.HasField("context_per_roi"):
            raise NetError("mil_param: expected either type (visual concepts) or context_per_roi (R*CNN)")
        if p.HasField("type"):
            return cls(any_place=p.type == p.NOR)
        if p.context_per_roi < 1:
            raise NetError(f"mil_param: context_per_roi must be positive, got {p.context_per_roi}")
        return cls(items=p.context_per_roi)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        (shape,) = bottoms
        if not self.items:
            if len(shape) != 4:
                raise ShapeError(f"MIL: bottom[0] must be (N, C, H, W), got shape {shape}")
            return ((*shape[:2], 1, 1),)
        if len(shape) < 2 or shape[2:] not in ((), (1, 1)) or shape[0] % self.items:
            raise ShapeError(
                f"MIL: bottom[0] must be (bags * {self.items}, C), with context_per_roi {self.items}, got"
                f" shape {shape}"
            )
        return ((shape[0] // self.items, shape[1], 1, 1),)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        x, axes = bottoms[0], g.ints([1] if self.items else [2, 3])
        channels = Value(x.name, x.dims[1:2]).shape[0]
        bags = g.op("Reshape", x.name, g.ints([-1, self.items, channels])) if self.items else x.name
        top = g.op("ReduceMax", bags, axes)
        if self.any_place:
            none = g.op("ReduceProd", g.op("Sub", g.const(1), bags), axes)
            top = g.op("Max", g.op("Sub", g.const(1), none), top)
        shaped = g.op("Reshape", top, g.ints([-1, channels, 1, 1])) if self.items else top
        return Emitted((shaped,), _Saved(x, bags, top))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        if d_tops[0] is None or not needed.bottoms[0]:
            return Gradients((None,))
        x, bags, top = saved
        dy = g.op("Unsqueeze", g.op("Flatten", d_tops[0]), g.ints([1])) if self.items else d_tops[0]
        if self.any_place:
            one = g.const(1)
            share = g.op("Min", one, g.op("Div", g.op("Sub", one, top), g.op("Sub", one, bags)))
        else:
            share = g.op("Cast", g.op("Equal", bags, top), to=FLOAT)
        dx = g.op("Mul", share, dy)
        return Gradients((g.op("Reshape", dx, g.ints(x.shape)) if self.items else dx,))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x = bottoms[0]
        (shape,) = self.out_shapes([x.shape])
        bags = x.reshape(-1, self.items, shape[1]) if self.items else x.reshape(*shape[:2], -1).swapaxes(1, 2)
        top = bags.max(1)
        if self.any_place:
            top = np.maximum(1 - (1 - bags).prod(1), top)
        return Referenced((top.reshape(shape),))
