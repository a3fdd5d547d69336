"""Mul: the product of two blobs, of which one may be smaller (Synopsys' layer; not from BVLC Caffe).

Source: foss-for-synopsys-dwc-arc-processors/synopsys-caffe, field ``mul_param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import (
    Array,
    Count,
    Emitted,
    Layer,
    ParamDef,
    Reach,
    Referenced,
    Shapes,
    register,
)


@register
@dataclass(frozen=True)
class Mul(Layer[None]):
    """Bottoms: two blobs, or one, and a blob of the layer's own of the shape ``mul_shape``. Their last axes
    are laid one upon the other, each of the same size, or of size 1 in one of them, which repeats. Top: the
    product, as large as both.

    The fork has no backward pass.
    """

    type = "Mul"
    origin = "Synopsys"
    bottoms = Count(1, 2)
    has_gradient = False

    shape: tuple[int, ...] = ()

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Mul:
        shape = tuple(param.mul_param.mul_shape)
        if any(size < 1 for size in shape):
            raise NetError(f"mul_param: mul_shape must be of positive sizes, got {list(shape)}")
        return cls(shape)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        a, b = (*bottoms, self.shape)[:2]
        pairs = list(zip_longest(reversed(a), reversed(b), fillvalue=1))
        if any(1 not in pair and pair[0] != pair[1] for pair in pairs):
            raise ShapeError(f"Dimensions must be equal or 1 in the bottoms! (shapes {a} and {b})")
        return (tuple(max(pair) for pair in reversed(pairs)),)

    def param_defs(self, bottoms: Shapes) -> tuple[ParamDef, ...]:
        return () if len(bottoms) > 1 else (ParamDef(self.shape),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        a, b = (*bottoms, *params)[:2]
        return Emitted((g.op("Mul", a.name, b.name),), None)

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        a, b = (*bottoms, *params)[:2]
        return Referenced((a * b,))
