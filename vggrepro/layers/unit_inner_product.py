"""InnerProduct with ``normalize``: products with weights of length 1 (happynear's variant; not from BVLC
Caffe).

Source: happynear/caffe-windows, whose InnerProduct layer has the field ``normalize``, as NormFace, AMSoftmax
and ArcFace use it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple

from vggrepro.caffe.messages import TRAIN, FillerParameter
from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import NetError, UnsupportedError
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
)
from vggrepro.layers.rules.loss import shaped_like
from vggrepro.layers.rules.unit_rows import HAPPYNEAR_EPSILON, emit_unit_rows, unit_rows


class _Saved(NamedTuple):
    x: Value
    matrix: str
    """(N, K)."""
    weight: str
    """(num_output, K), with rows of length 1."""


@dataclass(frozen=True)
class UnitInnerProduct(Layer[_Saved]):
    """Bottom (N, ...) of K numbers each, top (N, num_output): ``x w / sqrt(sum(w^2) + 1e-6)`` for each row w
    of the weight (num_output, K), plus a bias (num_output) if there is one.

    In TRAIN the rows of length 1 replace the weight's own before the solver moves them. The weight's gradient
    is that of the product with them, as if they were not normalised.
    """

    type = "InnerProduct"
    origin = "happynear"

    num_output: int
    bias_term: bool = True
    train: bool = False
    weight_filler: Any = field(default_factory=FillerParameter)
    bias_filler: Any = field(default_factory=FillerParameter)

    @classmethod
    def from_param(cls, param: Any, phase: int) -> UnitInnerProduct:
        p = param.inner_product_param
        if p.num_output == 0:
            raise NetError("num_output 0: must be > 0")
        if p.axis != 1 or p.transpose:
            raise UnsupportedError(
                "inner_product_param: normalize is implemented for axis: 1 and transpose: false"
            )
        return cls(p.num_output, p.bias_term, phase == TRAIN, p.weight_filler, p.bias_filler)

    @classmethod
    def fillers(cls, definition: Any) -> tuple[Any, Any]:
        own = definition.inner_product_param
        return own.weight_filler, own.bias_filler

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        return ((bottoms[0][0], self.num_output),)

    def param_defs(self, bottoms: Shapes) -> tuple[ParamDef, ...]:
        shape = (self.num_output, prod(bottoms[0][1:]))
        weight = ParamDef(shape, self.weight_filler, moved=self.train)
        return (weight, ParamDef((self.num_output,), self.bias_filler)) if self.bias_term else (weight,)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def macs(self, bottoms: Shapes) -> int:
        return prod(bottoms[0]) * self.num_output

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        x = bottoms[0]
        matrix = g.op("Flatten", x.name, axis=1)
        weight = emit_unit_rows(g, params[0].name, HAPPYNEAR_EPSILON)
        top = g.op("Gemm", matrix, weight, *(p.name for p in params[1:]), transB=1)
        return Emitted((top,), _Saved(x, matrix, weight), {0: weight} if self.train else {})

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        dy = d_tops[0]
        params: list[str | None] = [None] * (1 + self.bias_term)
        if dy is None:
            return Gradients((None,), tuple(params))
        if needed.params[0]:
            params[0] = g.op("Gemm", dy, saved.matrix, transA=1)
        if self.bias_term and needed.params[1]:
            params[1] = g.op("ReduceSum", dy, g.ints([0]), keepdims=0)
        if not needed.bottoms[0]:
            return Gradients((None,), tuple(params))
        inputs = prod(Value("inputs", saved.x.dims[1:]).shape)
        d_matrix = Value(g.op("MatMul", dy, saved.weight), (saved.x.dims[0], inputs))
        return Gradients((shaped_like(g, d_matrix, saved.x),), tuple(params))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        weight = unit_rows(params[0], HAPPYNEAR_EPSILON)
        y = bottoms[0].reshape(len(bottoms[0]), -1) @ weight.T
        for bias in params[1:]:
            y = y + bias
        return Referenced((y,), {0: weight} if self.train else {})
