"""Products with learned rows in which the right class's angle counts several times: what SphereFace's and
L-Softmax's layers share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from vggrepro.caffe.messages import FillerParameter
from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError, UnsupportedError
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
    StateDef,
    exactly,
)
from vggrepro.layers.rules.allowed_labels import AllowedLabels
from vggrepro.layers.rules.loss import instance_labels, reference_instances, shaped_like
from vggrepro.layers.rules.pass_schedule import PassSchedule

COSINES: dict[int, tuple[float, ...]] = {
    2: (-1.0, 0.0, 2.0),
    3: (0.0, -3.0, 0.0, 4.0),
    4: (1.0, 0.0, -8.0, 0.0, 8.0),
}
"""``cos(m * angle)`` as a polynomial of the cosine: its coefficients, lowest first."""


class Folded(NamedTuple):
    """psi: ``cos(m a)`` of an angle a, made to fall from 1 for all angles up to pi."""

    value: str
    slope: str
    """By the cosine."""
    rest: str
    """``value - cosine * slope``."""


class Turn(NamedTuple):
    """Of each instance and its own class, (N, 1) each: the direction of the margin's gradient."""

    labels: str
    """int64."""
    toward_weight: str
    toward_x: str
    """What multiplies the class's weight, and the input, in the gradient of the input."""
    toward_own_weight: str
    """What multiplies the class's weight in its own gradient; "" where nothing does."""


class SavedProduct(NamedTuple):
    x: Value
    rows: Value
    """(N, K)."""
    weight: str
    """(num_output, K), as it multiplies."""
    share: str
    """() : ``1 / (1 + lambda)``, the share of the margin."""
    turn: Turn | None
    """None for SINGLE."""


L = TypeVar("L", bound="MarginProduct")


@dataclass(frozen=True)
class MarginProduct(Layer[SavedProduct]):
    """Bottoms: inputs x (N, ...) of K numbers each, and N labels. Tops: (N, num_output), and lambda (1).

    The products are ``x w`` for each row w of the weight (num_output, K). For the row of an instance's label
    it is ``(lambda x w + |x| |w| psi) / (1 + lambda)``, where psi is ``cos(m a)`` of the angle a between
    both, made to fall from 1 for all angles up to pi; m is 1 to 4 for ``type`` SINGLE to QUADRUPLE. In pass
    n, counted from ``iteration + 1`` in TRAIN and in TEST, lambda is ``base * (1 + gamma * n) ** -power``,
    but at least ``lambda_min``.
    """

    bottoms = exactly(2)
    blind_bottoms = frozenset({1})

    num_output: int
    multiple: int = 1
    schedule: PassSchedule = field(default_factory=PassSchedule)
    gives_lambda: bool = True
    weight_filler: Any = field(default_factory=FillerParameter)

    @classmethod
    def read(cls: type[L], p: Any, tops: int, **more: Any) -> L:
        """The layer that the message ``p`` of its field describes; ``tops`` is the number of its tops."""
        if p.num_output < 1:
            raise NetError("num_output 0: must be > 0")
        if p.axis != 1:
            raise UnsupportedError(f"{cls.type}: axis {p.axis}, only 1 is implemented")
        schedule = PassSchedule(p.iteration + 1, p.base, p.gamma, -p.power, least=p.lambda_min)
        return cls(p.num_output, p.type + 1, schedule, tops > 1, p.weight_filler, **more)

    @property
    def moved(self) -> bool:
        """Whether the weight that multiplies replaces the learned one."""
        return False

    @abstractmethod
    def emit_weight(self, g: GraphBuilder, weight: str) -> str:
        """The weight that multiplies."""

    @abstractmethod
    def exact_weight(self, weight: Array) -> Array:
        """The same in float64."""

    @abstractmethod
    def own_lengths(self, g: GraphBuilder, weight: str, labels: str) -> str | None:
        """The length of each label's row, (N, 1); None where it is 1."""

    @abstractmethod
    def turn(self, g: GraphBuilder, psi: Folded, labels: str, length: str, own: str | None) -> Turn:
        """The direction of the gradient of ``|x| |w| psi``; ``length`` is |x| and ``own`` |w|."""

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
        return (ParamDef(shape, self.weight_filler, moved=self.moved),)

    def state_defs(self, bottoms: Shapes) -> tuple[StateDef, ...]:
        return (self.schedule.state_def(),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def macs(self, bottoms: Shapes) -> int:
        return prod(bottoms[0]) * self.num_output

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[SavedProduct]:
        x, passes = bottoms[0], states[0].name
        rows = Value(g.op("Flatten", x.name, axis=1), (x.dims[0], params[0].dims[1]))
        weight = self.emit_weight(g, params[0].name)
        lam = self.schedule.emit(g, passes)
        share = g.op("Reciprocal", g.op("Add", lam, g.const(1)))
        top, turn = g.op("Gemm", rows.name, weight, transB=1), None
        if self.multiple > 1:
            labels = instance_labels(g, rows, bottoms[1])
            plain = g.op("GatherElements", top, labels, axis=1)
            length = g.op("Sqrt", g.op("ReduceSumSquare", rows.name, g.ints([1])))
            own = self.own_lengths(g, weight, labels)
            size = length if own is None else g.op("Mul", length, own)
            psi = folded_cosine(g, g.op("Div", plain, size), self.multiple)
            turn = self.turn(g, psi, labels, length, own)
            kept = g.op("Mul", plain, g.op("Sub", g.const(1), share))
            mixed = g.op("Add", kept, g.op("Mul", g.op("Mul", size, psi.value), share))
            top = g.op("ScatterElements", top, labels, mixed, axis=1)
        tops = (top, g.op("Reshape", lam, g.ints([1])))[: 1 + self.gives_lambda]
        saved = SavedProduct(x, rows, weight, share, turn)
        return Emitted(tops, saved, {0: weight} if self.moved else {}, (self.schedule.following(g, passes),))

    def grad(
        self, g: GraphBuilder, saved: SavedProduct, d_tops: Sequence[str | None], needed: Needed
    ) -> Gradients:
        dy, turn = d_tops[0], saved.turn
        if dy is None:
            return Gradients((None, None), (None,))
        if turn is None:
            factors, along = dy, None
        else:
            own = g.op("GatherElements", dy, turn.labels, axis=1)
            along = g.op("Mul", own, saved.share)
            toward = g.op("Add", g.op("Sub", own, along), g.op("Mul", along, turn.toward_weight))
            factors = g.op("ScatterElements", dy, turn.labels, toward, axis=1)
        d_weight = self._weight_gradient(g, saved, dy, factors, along) if needed.params[0] else None
        if not needed.bottoms[0]:
            return Gradients((None, None), (d_weight,))
        d_rows = g.op("MatMul", factors, saved.weight)
        if turn is not None and along is not None:
            d_rows = g.op("Add", d_rows, g.op("Mul", saved.rows.name, g.op("Mul", along, turn.toward_x)))
        d_x = shaped_like(g, Value(d_rows, saved.rows.dims), saved.x)
        return Gradients((d_x, None), (d_weight,))

    def _weight_gradient(
        self, g: GraphBuilder, saved: SavedProduct, dy: str, factors: str, along: str | None
    ) -> str:
        """Where nothing is turned toward its own weight, that of the plain product."""
        if saved.turn is None or along is None or not saved.turn.toward_own_weight:
            return g.op("Gemm", dy, saved.rows.name, transA=1)
        zeros = g.op("Mul", dy, g.const(0))
        amounts = g.op("Mul", along, saved.turn.toward_own_weight)
        spread = g.op("ScatterElements", zeros, saved.turn.labels, amounts, axis=1)
        total = g.op("Reshape", g.op("ReduceSum", spread, g.ints([0])), g.ints([self.num_output, 1]))
        plain = g.op("Gemm", factors, saved.rows.name, transA=1)
        return g.op("Add", plain, g.op("Mul", saved.weight, total))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[npt.NDArray[Any]]
    ) -> Referenced:
        rows, labels = reference_instances(*bottoms)
        weight, lam = self.exact_weight(params[0]), self.schedule.at(states[0])
        top = rows @ weight.T
        if self.multiple > 1:
            at = np.arange(len(rows)), labels
            size = np.sqrt((rows**2).sum(1)) * np.sqrt((weight**2).sum(1))[labels]
            angle = np.arccos((top[at] / size).clip(-1, 1)) * self.multiple
            turns = np.floor(angle / np.pi)
            psi = (-1) ** turns * np.cos(angle) - 2 * turns
            top[at] = (lam * top[at] + size * psi) / (1 + lam)
        tops = (top, np.array([lam]))[: 1 + self.gives_lambda]
        return Referenced(tops, {0: weight} if self.moved else {}, (states[0] + 1,))


def folded_cosine(g: GraphBuilder, cosine: str, multiple: int) -> Folded:
    """psi of a cosine."""
    polynomial = COSINES[multiple]
    sign, shift = _sign_and_shift(g, cosine, multiple)
    value = _polynomial(g, cosine, polynomial)
    steep = _polynomial(g, cosine, [k * c for k, c in enumerate(polynomial)][1:])
    along = g.op("Mul", sign, g.op("Sub", g.op("Mul", cosine, steep), value))
    psi = g.op("Add", g.op("Mul", sign, value), shift)
    return Folded(psi, g.op("Mul", sign, steep), g.op("Sub", shift, along))


def _sign_and_shift(g: GraphBuilder, cosine: str, multiple: int) -> tuple[str, str]:
    """psi is ``sign * cos(m a) + shift``."""
    sign, one = g.op("Sign", cosine), g.const(1)
    if multiple == 2:
        return sign, g.op("Sub", sign, one)
    if multiple == 3:
        outer = g.op("Sign", g.op("Sub", g.op("Abs", cosine), g.const(0.5)))
        return outer, g.op("Sub", g.op("Mul", sign, g.op("Add", outer, one)), g.const(2))
    square = g.op("Mul", cosine, cosine)
    both = g.op("Mul", sign, g.op("Sign", g.op("Sub", square, g.const(0.5))))
    twice = g.op("Add", g.op("Add", sign, sign), both)
    return both, g.op("Sub", twice, g.const(3))


def _polynomial(g: GraphBuilder, x: str, coefficients: Sequence[float]) -> str:
    """A polynomial of x with these coefficients, lowest first."""
    value = g.const(coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value = g.op("Mul", value, x)
        if coefficient:
            value = g.op("Add", value, g.const(coefficient))
    return value
