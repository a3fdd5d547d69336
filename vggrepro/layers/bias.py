"""Bias: ``bottom[0]`` plus a blob that covers some of its axes (Caffe's Bias layer)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.caffe.messages import FillerParameter
from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.layers.base import (
    Affine,
    Array,
    Count,
    Emitted,
    Gradients,
    Layer,
    Needed,
    ParamDef,
    Referenced,
    Shapes,
    register,
)
from vggrepro.layers.rules.broadcast import Broadcast


@dataclass(frozen=True)
class _Saved:
    rank: int
    operand_rank: int


@register
@dataclass(frozen=True)
class Bias(Layer[_Saved]):
    """The bias is ``bottom[1]``, or with a single bottom the layer's only parameter."""

    type = "Bias"
    bottoms = Count(1, 2)
    in_place = True

    broadcast: Broadcast
    filler: Any = field(default_factory=FillerParameter)

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Bias:
        p = param.bias_param
        return cls(Broadcast("bias", p.axis, p.num_axes), p.filler)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        bias = bottoms[1] if len(bottoms) > 1 else self.broadcast.learned_shape(bottoms[0])
        self.broadcast.check(bottoms[0], bias)
        return (bottoms[0],)

    def param_defs(self, bottoms: Shapes) -> tuple[ParamDef, ...]:
        if len(bottoms) > 1:
            return ()
        return (ParamDef(self.broadcast.learned_shape(bottoms[0]), self.filler),)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        x, bias = [*bottoms, *params]
        y = g.op("Add", x.name, self.broadcast.aligned(g, bias, x))
        return Emitted((y,), saved=_Saved(x.rank, bias.rank))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        wants_bottom, wants_bias = [*needed.bottoms, *needed.params]
        dy = d_tops[0]
        d_bias = None
        if dy is not None and wants_bias:
            d_bias = self.broadcast.summed(g, dy, saved.rank, saved.operand_rank)
        found = (dy if wants_bottom else None, d_bias)
        return Gradients(found[: len(needed.bottoms)], found[len(needed.bottoms) :])

    def affine(self, params: Sequence[npt.NDArray[Any]], rank: int, axis: int) -> Affine | None:
        if not params or self.broadcast.covered(rank, params[0].ndim) != range(axis, axis + 1):
            return None
        return 1, np.asarray(params[0], np.float64)

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x, bias = [*bottoms, *params]
        return Referenced((x + self.broadcast.aligned_array(bias, x.ndim),))
