"""InnerDistance: how far inputs are from learned centres (happynear's layer; not from BVLC Caffe).

Source: happynear/caffe-windows, field ``inner_distance_param``. "NormFace: L2 Hypersphere Embedding for Face
Verification" uses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple

import numpy as np

from vggrepro.caffe.messages import TRAIN, FillerParameter
from vggrepro.emit import FLOAT, INT64, Dims, GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import (
    Array,
    Count,
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
from vggrepro.layers.rules.axes import canonical_axis
from vggrepro.layers.rules.element_count import axis_places
from vggrepro.layers.rules.unit_rows import HAPPYNEAR_EPSILON, emit_unit_rows, unit_rows


class _Saved(NamedTuple):
    bottoms: tuple[Value, ...]
    x: str
    """(M, K)."""
    centres: str
    """(N, K)."""


@register
@dataclass(frozen=True)
class InnerDistance(Layer[_Saved]):
    """Bottoms: inputs, of which the axes from ``axis`` on are M vectors of K numbers; optionally N centres
    (N, ...) of K numbers, else they are learned, (num_output, K); with ``update_center_only`` M labels too.
    Top (leading axes..., N): the sum of the squares (L2) or of the absolute values (L1) of the differences.

    With ``normalize``, learned centres are divided by their lengths, in TRAIN for good. With
    ``update_center_only`` a centre's gradient is that of the vectors with its label alone.

    L1's gradient is the fork's: of a difference above 0 it is the top's, below 0 it is -1, whatever the
    top's. An older version of the layer has a bias; a net with learned centres must say that it has none,
    ``bias_term: false``.
    """

    type = "InnerDistance"
    origin = "happynear"
    bottoms = Count(1, 3)

    num_output: int
    axis: int = 1
    squares: bool = True
    normalize: bool = False
    by_label: bool = False
    train: bool = False
    weight_filler: Any = field(default_factory=FillerParameter)

    @classmethod
    def from_param(cls, param: Any, phase: int) -> InnerDistance:
        p = param.inner_distance_param
        given = len(param.bottom) > 1
        if p.distance_type not in ("L1", "L2"):
            raise UnsupportedError(
                f"inner_distance_param: distance_type {p.distance_type!r}; expected 'L1' or 'L2'"
            )
        if p.transpose or (p.bias_term and not given):
            raise UnsupportedError(
                "inner_distance_param: only transpose: false and bias_term: false are implemented"
            )
        if p.update_center_only != (len(param.bottom) == 3):
            raise UnsupportedError(
                "inner_distance_param: update_center_only takes centres and labels as bottoms"
            )
        if not given and p.num_output < 1:
            raise NetError("num_output 0: must be > 0")
        return cls(
            p.num_output,
            p.axis,
            p.distance_type == "L2",
            p.normalize and not given,
            p.update_center_only,
            phase == TRAIN,
            p.weight_filler,
        )

    @property
    def blind_bottoms(self) -> frozenset[int]:
        return frozenset({2}) if self.by_label else frozenset()

    def allowed_labels(self, bottoms: Shapes) -> AllowedLabels | None:
        return AllowedLabels(2, bottoms[1][0]) if self.by_label else None

    def _axis(self, dims: Dims) -> int:
        return canonical_axis(self.axis, dims, self.type)

    def _inputs(self, dims: Dims) -> int:
        return prod(Value("inputs", dims[self._axis(dims) :]).shape)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        x, *given = bottoms
        leading, inputs = tuple(x[: self._axis(x)]), self._inputs(x)
        if not given:
            return ((*leading, self.num_output),)
        if not given[0] or prod(given[0][1:]) != inputs:
            raise ShapeError(f"bottom[1] must be centres of {inputs} numbers each, got shape {given[0]}")
        if self.by_label and prod(given[1]) != prod(leading):
            raise ShapeError(f"bottom[2] must be {prod(leading)} labels, got shape {given[1]}")
        return ((*leading, given[0][0]),)

    def param_defs(self, bottoms: Shapes) -> tuple[ParamDef, ...]:
        if len(bottoms) > 1:
            return ()
        shape = (self.num_output, self._inputs(bottoms[0]))
        return (ParamDef(shape, self.weight_filler, moved=self._moves),)

    @property
    def _moves(self) -> bool:
        return self.normalize and self.train

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def macs(self, bottoms: Shapes) -> int:
        return prod(bottoms[0]) * (bottoms[1][0] if len(bottoms) > 1 else self.num_output)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        x = bottoms[0]
        axis, inputs = self._axis(x.dims), self._inputs(x.dims)
        rows, centres = (
            g.op("Reshape", v.name, g.ints([-1, inputs])) for v in (x, [*bottoms[1:2], *params][0])
        )
        if self.normalize:
            centres = emit_unit_rows(g, centres, HAPPYNEAR_EPSILON)
        if self.squares:
            y = self._squared(g, rows, centres)
        else:
            y = g.op("ReduceL1", self._differences(g, rows, centres), g.ints([2]), keepdims=0)
        if axis != 1:
            sizes = g.op("Concat", g.op("Shape", x.name, end=axis), g.op("Shape", centres, end=1), axis=0)
            y = g.op("Reshape", y, sizes)
        return Emitted((y,), _Saved(tuple(bottoms), rows, centres), {0: centres} if self._moves else {})

    def _squared(self, g: GraphBuilder, rows: str, centres: str) -> str:
        """``|x|^2 + |c|^2 - 2 x c``, (M, N): without a tensor of M x N x K numbers."""
        lengths = [g.op("ReduceSumSquare", part, g.ints([1])) for part in (rows, centres)]
        both = g.op("Add", lengths[0], g.op("Transpose", lengths[1], perm=[1, 0]))
        return g.op("Max", g.op("Gemm", rows, centres, both, alpha=-2.0, transB=1), g.const(0))

    def _differences(self, g: GraphBuilder, rows: str, centres: str) -> str:
        """(M, N, K)."""
        return g.op("Sub", g.op("Unsqueeze", rows, g.ints([1])), centres)

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        bottoms, learned = saved.bottoms, len(saved.bottoms) == 1
        if d_tops[0] is None:
            return Gradients((None,) * len(bottoms), (None,) * learned)
        dy = g.op(
            "Reshape", d_tops[0], g.op("Concat", g.ints([-1]), g.op("Shape", saved.centres, end=1), axis=0)
        )
        own = None
        if self.by_label:
            labels = g.op("Cast", g.op("Reshape", bottoms[2].name, g.ints([-1, 1])), to=INT64)
            own = g.op("Cast", g.op("Equal", labels, axis_places(g, saved.centres, 0)), to=FLOAT)
        slopes = self._slopes_of_squares if self.squares else self._slopes_of_sizes
        d_x, d_centres = slopes(g, saved, dy, own)
        found: list[str | None] = [
            g.op("Reshape", d_x, g.op("Shape", bottoms[0].name)) if needed.bottoms[0] else None
        ]
        if learned:
            return Gradients((found[0],), (d_centres if needed.params[0] else None,))
        shaped = g.op("Reshape", d_centres, g.op("Shape", bottoms[1].name))
        found += [shaped if needed.bottoms[1] else None, None]
        return Gradients(tuple(found[: len(bottoms)]))

    def _slopes_of_squares(self, g: GraphBuilder, saved: _Saved, dy: str, own: str | None) -> tuple[str, str]:
        twice = g.op("Mul", dy, g.const(2))
        away = g.op("Mul", saved.x, g.op("ReduceSum", twice, g.ints([1])))
        d_x = g.op("Sub", away, g.op("MatMul", twice, saved.centres))
        counted = g.op("Transpose", twice if own is None else g.op("Mul", twice, own), perm=[1, 0])  # (N, M)
        toward = g.op("Mul", saved.centres, g.op("ReduceSum", counted, g.ints([1])))
        return d_x, g.op("Sub", toward, g.op("MatMul", counted, saved.x))

    def _slopes_of_sizes(self, g: GraphBuilder, saved: _Saved, dy: str, own: str | None) -> tuple[str, str]:
        difference = self._differences(g, saved.x, saved.centres)
        above = g.op("Cast", g.op("Greater", difference, g.const(0)), to=FLOAT)
        below = g.op("Cast", g.op("Less", difference, g.const(0)), to=FLOAT)
        column = g.op("Unsqueeze", dy, g.ints([2]))
        d_x = g.op("Sub", g.op("Mul", above, column), below)
        d_centres = g.op("Sub", g.op("Mul", below, column), above)
        if own is not None:
            d_centres = g.op("Mul", d_centres, g.op("Unsqueeze", own, g.ints([2])))
        return (
            g.op("ReduceSum", d_x, g.ints([1]), keepdims=0),
            g.op("ReduceSum", d_centres, g.ints([0]), keepdims=0),
        )

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x = bottoms[0]
        (shape,) = self.out_shapes([b.shape for b in bottoms])
        rows, centres = (v.reshape(-1, self._inputs(x.shape)) for v in (x, [*bottoms[1:2], *params][0]))
        if self.normalize:
            centres = unit_rows(centres, HAPPYNEAR_EPSILON)
        difference = rows[:, None] - centres
        distance = (difference**2 if self.squares else np.abs(difference)).sum(2)
        return Referenced((distance.reshape(shape),), {0: centres} if self._moves else {})
