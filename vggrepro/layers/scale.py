"""Scale: ``bottom[0]`` times a blob that covers some of its axes (Caffe's Scale layer)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
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
    x: Value
    scale: Value
    aligned: str


@register
@dataclass(frozen=True)
class Scale(Layer[_Saved]):
    """The scale is ``bottom[1]``, or with a single bottom the first parameter, which a filler sets
    to 1 unless the definition says otherwise. With ``bias_term`` the last parameter is a bias of the
    scale's shape, added afterwards."""

    type = "Scale"
    bottoms = Count(1, 2)
    in_place = True

    broadcast: Broadcast
    filler: Any = field(default_factory=lambda: FillerParameter(type="constant", value=1))
    bias_term: bool = False
    bias_filler: Any = field(default_factory=FillerParameter)

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Scale:
        p = param.scale_param
        unit = FillerParameter(type="constant", value=1)
        return cls(
            broadcast=Broadcast("scale", p.axis, p.num_axes),
            filler=p.filler if p.HasField("filler") else unit,
            bias_term=p.bias_term,
            bias_filler=p.bias_filler,
        )

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        self.broadcast.check(bottoms[0], self._scale_shape(bottoms))
        return (bottoms[0],)

    def param_defs(self, bottoms: Shapes) -> tuple[ParamDef, ...]:
        shape = self._scale_shape(bottoms)
        learned = (ParamDef(shape, self.filler),) if len(bottoms) == 1 else ()
        return learned + ((ParamDef(shape, self.bias_filler),) if self.bias_term else ())

    def _scale_shape(self, bottoms: Shapes) -> Shape:
        return bottoms[1] if len(bottoms) > 1 else self.broadcast.learned_shape(bottoms[0])

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        x, scale, *bias = [*bottoms, *params]
        aligned = self.broadcast.aligned(g, scale, x)
        y = g.op("Mul", x.name, aligned)
        for b in bias:
            y = g.op("Add", y, self._bias_broadcast.aligned(g, b, x))
        return Emitted((y,), saved=_Saved(x, scale, aligned))

    @property
    def _bias_broadcast(self) -> Broadcast:
        return replace(self.broadcast, kind="bias")

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        dy = d_tops[0]
        wanted = [*needed.bottoms, *needed.params]
        found: list[str | None] = [None] * len(wanted)
        if dy is not None:
            x, scale = saved.x, saved.scale
            if wanted[0]:
                found[0] = g.op("Mul", dy, saved.aligned)
            if wanted[1]:
                found[1] = self.broadcast.summed(g, g.op("Mul", dy, x.name), x.rank, scale.rank)
            if self.bias_term and wanted[2]:
                found[2] = self.broadcast.summed(g, dy, x.rank, scale.rank)
        return Gradients(tuple(found[: len(needed.bottoms)]), tuple(found[len(needed.bottoms) :]))

    def affine(self, params: Sequence[npt.NDArray[Any]], rank: int, axis: int) -> Affine | None:
        if not params or self.broadcast.covered(rank, params[0].ndim) != range(axis, axis + 1):
            return None
        scale, *bias = (np.asarray(blob, np.float64) for blob in params)
        return scale, bias[0] if bias else 0

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x, scale, *bias = [*bottoms, *params]
        y = x * self.broadcast.aligned_array(scale, x.ndim)
        for b in bias:
            y = y + self.broadcast.aligned_array(b, x.ndim)
        return Referenced((y,))
