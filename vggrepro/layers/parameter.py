"""Parameter: a learned blob as a top (Caffe's Parameter layer)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.layers.base import (
    Array,
    Emitted,
    Gradients,
    Layer,
    Needed,
    ParamDef,
    Referenced,
    Shapes,
    exactly,
    register,
)


@register
@dataclass(frozen=True)
class Parameter(Layer[None]):
    """The top is the parameter itself, of ``parameter_param.shape``; it begins as zeros.

    DEVIATION: with ``iter_size`` above 1 Caffe keeps the last pass's gradient alone, because each
    pass overwrites the top's; here the passes are summed, as for every other parameter.
    """

    type = "Parameter"
    bottoms = exactly(0)

    shape: Shape

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Parameter:
        return cls(tuple(int(d) for d in param.parameter_param.shape.dim))

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        return (self.shape,)

    def param_defs(self, bottoms: Shapes) -> tuple[ParamDef, ...]:
        return (ParamDef(self.shape),)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        return Emitted((params[0].name,), None)

    def grad(self, g: GraphBuilder, saved: None, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        return Gradients((), (d_tops[0],))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        return Referenced((params[0],))
