"""Embed: rows of a table, picked by number (Caffe's Embed layer)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vggrepro.caffe.messages import FillerParameter
from vggrepro.emit import INT64, GraphBuilder, Shape, Value
from vggrepro.errors import NetError
from vggrepro.layers.base import (
    Array,
    Emitted,
    Gradients,
    Layer,
    Needed,
    ParamDef,
    Reach,
    Referenced,
    Shapes,
    register,
)
from vggrepro.layers.rules.allowed_labels import AllowedLabels


@register
@dataclass(frozen=True)
class Embed(Layer[str]):
    """Bottom (axes...) of whole numbers from 0 to input_dim - 1, top (axes..., num_output).

    The weight is (input_dim, num_output), the bias (num_output,). The numbers get no gradient.
    """

    type = "Embed"
    blind_bottoms = frozenset({0})

    num_output: int
    input_dim: int
    bias_term: bool = True
    weight_filler: Any = field(default_factory=FillerParameter)
    bias_filler: Any = field(default_factory=FillerParameter)

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Embed:
        p = param.embed_param
        for name in ("num_output", "input_dim"):
            if getattr(p, name) == 0:
                raise NetError(f"EmbedLayer {name} must be positive.")
        return cls(p.num_output, p.input_dim, p.bias_term, p.weight_filler, p.bias_filler)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        return ((*bottoms[0], self.num_output),)

    def allowed_labels(self, bottoms: Shapes) -> AllowedLabels:
        return AllowedLabels(0, self.input_dim)

    def param_defs(self, bottoms: Shapes) -> tuple[ParamDef, ...]:
        weight = ParamDef((self.input_dim, self.num_output), self.weight_filler)
        return (weight, ParamDef((self.num_output,), self.bias_filler)) if self.bias_term else (weight,)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[str]:
        weight, *bias = (p.name for p in params)
        rows = g.op("Cast", bottoms[0].name, to=INT64)
        y = g.op("Gather", weight, rows, axis=0)
        for b in bias:
            y = g.op("Add", y, b)
        return Emitted((y,), saved=rows)

    def grad(self, g: GraphBuilder, saved: str, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        """Every row of the table gets the sum over its uses. The sum runs in their order on the CPU;
        on CUDA its order, and so its rounding, is not fixed."""
        (d_top,) = d_tops
        d_weight = d_bias = None
        if d_top is not None:
            dy = g.op("Reshape", d_top, g.ints([-1, self.num_output]))  # (M, num_output)
            if needed.params[0]:
                rows = g.op("Reshape", saved, g.ints([-1, 1]))
                places = g.op("Expand", rows, g.op("Shape", dy))
                shape = g.ints([self.input_dim, self.num_output])
                nothing = g.op("Expand", g.const(0), shape)
                d_weight = g.op("ScatterElements", nothing, places, dy, axis=0, reduction="add")
            if self.bias_term and needed.params[1]:
                d_bias = g.op("ReduceSum", dy, g.ints([0]), keepdims=0)
        return Gradients((None,), (d_weight, d_bias)[: 1 + self.bias_term])

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        weight, *bias = params
        rows = bottoms[0].astype(np.int64)
        if rows.min(initial=0) < 0 or rows.max(initial=0) >= self.input_dim:
            raise NetError(f"Embed: a number outside of 0 to {self.input_dim - 1}")
        y = weight[rows]
        for b in bias:
            y = y + b
        return Referenced((y,))

    def macs(self, bottoms: Shapes) -> int:
        return 0
