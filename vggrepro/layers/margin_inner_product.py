"""MarginInnerProduct: products with weights of length 1, in which the right class's angle counts several
times (SphereFace's layer; not from BVLC Caffe).

Source: wy1iu/sphereface, field ``margin_inner_product_param``. "SphereFace: Deep Hypersphere Embedding for
Face Recognition", section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vggrepro.caffe.messages import TRAIN, FillerParameter
from vggrepro.emit import GraphBuilder, Shape, Value
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
    StateDef,
    exactly,
    register,
)
from vggrepro.layers.rules.allowed_labels import AllowedLabels
from vggrepro.layers.rules.loss import instance_labels, reference_instances, shaped_like
from vggrepro.layers.rules.pass_schedule import PassSchedule
from vggrepro.layers.rules.unit_rows import emit_unit_rows, unit_rows

COSINES: dict[int, tuple[float, ...]] = {
    2: (-1.0, 0.0, 2.0),
    3: (0.0, -3.0, 0.0, 4.0),
    4: (1.0, 0.0, -8.0, 0.0, 8.0),
}
"""``cos(m * angle)`` as a polynomial of the cosine: its coefficients, lowest first."""


class _Margin(NamedTuple):
    """Of each instance and its own class, (N, 1) each."""

    labels: str
    """int64."""
    toward_weight: str
    toward_x: str
    """The direction of the gradient: what multiplies the class's weight, and the input."""


class _Saved(NamedTuple):
    x: Value
    rows: Value
    """(N, K)."""
    weight: str
    """(num_output, K), with rows of length 1."""
    share: str
    """() : ``1 / (1 + lambda)``, the share of the margin."""
    margin: _Margin | None
    """None for SINGLE."""


@register
@dataclass(frozen=True)
class MarginInnerProduct(Layer[_Saved]):
    """Bottoms: inputs x (N, ...) of K numbers each, and N labels. Tops: (N, num_output), and lambda (1).

    The products are ``x w / |w|`` for each row w of the weight (num_output, K). For the row of an instance's
    label it is ``(lambda x w / |w| + |x| psi) / (1 + lambda)``, where psi is ``cos(m a)`` of the angle a
    between both, made to fall from 1 for all angles up to pi; m is 1 to 4 for ``type`` SINGLE to QUADRUPLE.
    In pass n, counted from ``iteration + 1`` in TRAIN and in TEST, lambda is ``base * (1 + gamma * n) **
    -power``, but at least ``lambda_min``.

    The gradient is the layer's own: the margin's part is brought to length 1, by ``sqrt(cw^2 + cx^2)`` of its
    factors cw of the weight and cx of the input, and the weight's gradient is that of the plain product. In
    TRAIN the rows of length 1 replace the weight's own before the solver moves them.
    """

    type = "MarginInnerProduct"
    origin = "SphereFace"
    bottoms = exactly(2)
    tops = Count(1, 2)
    blind_bottoms = frozenset({1})

    num_output: int
    multiple: int = 1
    schedule: PassSchedule = field(default_factory=PassSchedule)
    train: bool = False
    gives_lambda: bool = True
    weight_filler: Any = field(default_factory=FillerParameter)

    @classmethod
    def from_param(cls, param: Any, phase: int) -> MarginInnerProduct:
        p = param.margin_inner_product_param
        if p.num_output < 1:
            raise NetError("num_output 0: must be > 0")
        if p.axis != 1:
            raise UnsupportedError(f"margin_inner_product_param: axis {p.axis}, only 1 is implemented")
        schedule = PassSchedule(p.iteration + 1, p.base, p.gamma, -p.power, least=p.lambda_min)
        return cls(p.num_output, p.type + 1, schedule, phase == TRAIN, len(param.top) > 1, p.weight_filler)

    def allowed_labels(self, bottoms: Shapes) -> AllowedLabels:
        return AllowedLabels(1, self.num_output)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        x, labels = bottoms
        if labels[:1] != x[:1] or prod(labels) != x[0]:
            raise ShapeError(
                "Number of labels must match number of output: one for each input,"
                f" got shapes {x} and {labels}"
            )
        return ((x[0], self.num_output), (1,))[: 1 + self.gives_lambda]

    def param_defs(self, bottoms: Shapes) -> tuple[ParamDef, ...]:
        shape = (self.num_output, prod(bottoms[0][1:]))
        return (ParamDef(shape, self.weight_filler, moved=self.train),)

    def state_defs(self, bottoms: Shapes) -> tuple[StateDef, ...]:
        return (self.schedule.state_def(),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def macs(self, bottoms: Shapes) -> int:
        return prod(bottoms[0]) * self.num_output

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        x, passes = bottoms[0], states[0].name
        rows = Value(g.op("Flatten", x.name, axis=1), (x.dims[0], params[0].dims[1]))
        weight = emit_unit_rows(g, params[0].name, 0)
        lam = self.schedule.emit(g, passes)
        share = g.op("Reciprocal", g.op("Add", lam, g.const(1)))
        top, margin = g.op("Gemm", rows.name, weight, transB=1), None
        if self.multiple > 1:
            labels = instance_labels(g, rows, bottoms[1])
            plain = g.op("GatherElements", top, labels, axis=1)
            length = g.op("Sqrt", g.op("ReduceSumSquare", rows.name, g.ints([1])))
            psi, margin = self._margin(g, g.op("Div", plain, length), length, labels)
            kept = g.op("Mul", plain, g.op("Sub", g.const(1), share))
            own = g.op("Add", kept, g.op("Mul", g.op("Mul", length, psi), share))
            top = g.op("ScatterElements", top, labels, own, axis=1)
        tops = (top, g.op("Reshape", lam, g.ints([1])))[: 1 + self.gives_lambda]
        moved = {0: weight} if self.train else {}
        return Emitted(
            tops, _Saved(x, rows, weight, share, margin), moved, (self.schedule.following(g, passes),)
        )

    def _margin(self, g: GraphBuilder, cosine: str, length: str, labels: str) -> tuple[str, _Margin]:
        """psi, and the direction of the gradient of ``|x| psi``."""
        polynomial = COSINES[self.multiple]
        sign, shift = self._sign_and_shift(g, cosine)
        value = _polynomial(g, cosine, polynomial)
        steep = _polynomial(g, cosine, [k * c for k, c in enumerate(polynomial)][1:])
        psi = g.op("Add", g.op("Mul", sign, value), shift)
        toward_weight = g.op("Mul", sign, steep)
        along = g.op("Mul", sign, g.op("Sub", g.op("Mul", cosine, steep), value))
        toward_x = g.op("Div", g.op("Sub", shift, along), length)
        size = g.op("Sqrt", g.op("Add", *(g.op("Mul", c, c) for c in (toward_weight, toward_x))))
        return psi, _Margin(labels, g.op("Div", toward_weight, size), g.op("Div", toward_x, size))

    def _sign_and_shift(self, g: GraphBuilder, cosine: str) -> tuple[str, str]:
        """psi is ``sign * cos(m a) + shift``."""
        sign, one = g.op("Sign", cosine), g.const(1)
        if self.multiple == 2:
            return sign, g.op("Sub", sign, one)
        if self.multiple == 3:
            outer = g.op("Sign", g.op("Sub", g.op("Abs", cosine), g.const(0.5)))
            return outer, g.op("Sub", g.op("Mul", sign, g.op("Add", outer, one)), g.const(2))
        square = g.op("Mul", cosine, cosine)
        both = g.op("Mul", sign, g.op("Sign", g.op("Sub", square, g.const(0.5))))
        twice = g.op("Add", g.op("Add", sign, sign), both)
        return both, g.op("Sub", twice, g.const(3))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        dy, margin = d_tops[0], saved.margin
        if dy is None:
            return Gradients((None, None), (None,))
        d_weight = g.op("Gemm", dy, saved.rows.name, transA=1) if needed.params[0] else None
        if not needed.bottoms[0]:
            return Gradients((None, None), (d_weight,))
        if margin is None:
            d_rows = g.op("MatMul", dy, saved.weight)
        else:
            own = g.op("GatherElements", dy, margin.labels, axis=1)
            shared = g.op("Mul", own, saved.share)
            toward = g.op("Add", g.op("Sub", own, shared), g.op("Mul", shared, margin.toward_weight))
            factors = g.op("ScatterElements", dy, margin.labels, toward, axis=1)
            along = g.op("Mul", saved.rows.name, g.op("Mul", shared, margin.toward_x))
            d_rows = g.op("Add", g.op("MatMul", factors, saved.weight), along)
        d_x = shaped_like(g, Value(d_rows, saved.rows.dims), saved.x)
        return Gradients((d_x, None), (d_weight,))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[npt.NDArray[Any]]
    ) -> Referenced:
        rows, labels = reference_instances(*bottoms)
        weight, lam = unit_rows(params[0], 0), self.schedule.at(states[0])
        top = rows @ weight.T
        if self.multiple > 1:
            at = np.arange(len(rows)), labels
            length = np.sqrt((rows**2).sum(1))
            angle = np.arccos((top[at] / length).clip(-1, 1)) * self.multiple
            turns = np.floor(angle / np.pi)
            psi = (-1) ** turns * np.cos(angle) - 2 * turns
            top[at] = (lam * top[at] + length * psi) / (1 + lam)
        tops = (top, np.array([lam]))[: 1 + self.gives_lambda]
        return Referenced(tops, {0: weight} if self.train else {}, (states[0] + 1,))


def _polynomial(g: GraphBuilder, x: str, coefficients: Sequence[float]) -> str:
    """A polynomial of x with these coefficients, lowest first."""
    value = g.const(coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value = g.op("Mul", value, x)
        if coefficient:
            value = g.op("Add", value, g.const(coefficient))
    return value
