"""Eltwise: product, weighted sum or maximum of blobs of one shape (Caffe's Eltwise layer)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from vggrepro.caffe.messages import LayerParameter
from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import (
    Array,
    Emitted,
    Gradients,
    Layer,
    Needed,
    Referenced,
    Shapes,
    at_least,
    register,
)
from vggrepro.layers.rules.axes import shape_string
from vggrepro.layers.rules.neuron import indicator, times

_OPERATIONS = LayerParameter().eltwise_param
PROD, SUM, MAX = _OPERATIONS.PROD, _OPERATIONS.SUM, _OPERATIONS.MAX


@dataclass(frozen=True)
class _Saved:
    """``partial[i]`` is the result over the bottoms ``0 .. i``; the last one is the top."""

    bottoms: tuple[str, ...]
    partial: tuple[str, ...]


@register
@dataclass(frozen=True)
class Eltwise(Layer[_Saved]):
    """``coeffs`` weigh the bottoms of SUM, one for each; empty means all 1.

    DEVIATION: a single bottom with its coefficient is scaled, as in FlowNet's Caffe; BVLC's refuses it.
    """

    type = "Eltwise"
    bottoms = at_least(1)
    in_place = True

    operation: int = SUM
    coeffs: tuple[float, ...] = ()
    stable_prod_grad: bool = True

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Eltwise:
        p = param.eltwise_param
        if len(param.bottom) == 1 and not (p.operation == SUM and p.coeff):
            raise NetError("Eltwise Layer takes at least 2 bottom blob(s) as input. (got 1)")
        if len(p.coeff) not in (0, len(param.bottom)):
            raise NetError(
                "Eltwise Layer takes one coefficient per bottom blob."
                f" ({len(p.coeff)} coefficients, {len(param.bottom)} bottoms)"
            )
        if p.operation == PROD and p.coeff:
            raise NetError("Eltwise layer only takes coefficients for summation.")
        if p.operation != PROD and list(param.top[:1]) == list(param.bottom[:1]):
            # DEVIATION: Caffe clears the top before it reads the bottoms, so its result lacks this one.
            operation = p.EltwiseOp.Name(p.operation)
            raise NetError(f"Eltwise {operation} cannot work in place (blob {param.top[0]!r})")
        return cls(p.operation, tuple(p.coeff), p.stable_prod_grad)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        for index, shape in enumerate(bottoms):
            if shape != bottoms[0]:
                raise ShapeError(
                    f"bottom[0]: {shape_string(bottoms[0])}, bottom[{index}]: {shape_string(shape)}"
                    " (all must have one shape)"
                )
        return (bottoms[0],)

    def _coeff(self, index: int) -> float:
        return self.coeffs[index] if self.coeffs else 1.0

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        names = tuple(b.name for b in bottoms)
        op_type = {PROD: "Mul", SUM: "Add", MAX: "Max"}[self.operation]
        terms = names
        if self.operation == SUM:
            terms = tuple(times(g, name, self._coeff(index)) for index, name in enumerate(names))
        partial = [terms[0]]
        for term in terms[1:]:
            partial.append(g.op(op_type, partial[-1], term))
        return Emitted((partial[-1],), saved=_Saved(names, tuple(partial)))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        dy = d_tops[0]
        if dy is None:
            return Gradients((None,) * len(needed.bottoms))
        if self.operation == MAX:
            return Gradients(self._shares(g, saved, dy, needed.bottoms))
        return Gradients(
            tuple(
                self._bottom_diff(g, saved, dy, index) if wanted else None
                for index, wanted in enumerate(needed.bottoms)
            )
        )

    def _bottom_diff(self, g: GraphBuilder, saved: _Saved, dy: str, index: int) -> str:
        if self.operation == SUM:
            return times(g, dy, self._coeff(index))
        if self.stable_prod_grad:
            others = [name for i, name in enumerate(saved.bottoms) if i != index]
            return g.op("Mul", reduce(lambda a, b: g.op("Mul", a, b), others), dy)
        # Caffe's cheaper form, which is not a number where the bottom is 0.
        return g.op("Mul", g.op("Div", saved.partial[-1], saved.bottoms[index]), dy)

    def reread(self, saved: _Saved, bottoms: Sequence[str], tops: Sequence[str]) -> _Saved:
        """PROD may divide its top. DEVIATION: in place, Caffe's PROD loses the top's gradient, because the
        first bottom's is written over it; here it has the gradient that Caffe computes out of place."""
        if self.operation != PROD or bottoms[0] == tops[0]:
            return saved
        return _Saved(saved.bottoms, (*saved.partial[:-1], tops[0]))

    @staticmethod
    def _shares(g: GraphBuilder, saved: _Saved, dy: str, wanted: Sequence[bool]) -> tuple[str | None, ...]:
        """MAX gives the whole gradient to one bottom: of the first two to the second unless the first
        is greater, to a later one only if it is greater than all before it. Going backwards, each
        bottom takes what it won and leaves the rest."""
        shares: list[str | None] = [None] * len(wanted)
        rest = dy
        for index in range(len(wanted) - 1, 1, -1):
            if not any(wanted[: index + 1]):
                return tuple(shares)
            won = indicator(g, g.op("Greater", saved.bottoms[index], saved.partial[index - 1]))
            share = g.op("Mul", rest, won)
            shares[index] = share if wanted[index] else None
            rest = g.op("Sub", rest, share)
        if any(wanted[:2]):
            won = indicator(g, g.op("Greater", saved.bottoms[0], saved.bottoms[1]))
            share = g.op("Mul", rest, won)
            shares[0] = share if wanted[0] else None
            shares[1] = g.op("Sub", rest, share) if wanted[1] else None
        return tuple(shares)

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        stacked = np.stack(bottoms)
        if self.operation == PROD:
            return Referenced((stacked.prod(0),))
        if self.operation == MAX:
            return Referenced((stacked.max(0),))
        coeffs = np.array([self._coeff(index) for index in range(len(bottoms))])
        return Referenced((np.tensordot(coeffs, stacked, 1),))
