"""What the layers of face recognition share that change the score of each instance's own class.

They stand before a softmax loss, and make its task harder: an angle must be smaller by a margin.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError
from vggrepro.layers.base import (
    Array,
    Count,
    Emitted,
    Gradients,
    Layer,
    Needed,
    Referenced,
    Shapes,
    StateDef,
    exactly,
)
from vggrepro.layers.rules.allowed_labels import AllowedLabels
from vggrepro.layers.rules.loss import instance_labels, instances, reference_instances, shaped_like
from vggrepro.layers.rules.pass_schedule import PassSchedule

Amount: TypeAlias = "float | PassSchedule"
"""How much a score is changed: always the same, or as a schedule says."""


class OwnScores(NamedTuple):
    """The scores of the instances' own classes, and how steeply the changed ones depend on them."""

    x: Value
    labels: str
    """(N, 1), int64."""
    slope: str | None
    """(N, 1); None for a slope of 1."""


class LabelMargin(Layer[OwnScores | None]):
    """Bottoms: scores (N, ...) and N labels, each an index into the scores of an instance. Top: the scores,
    with those of the labels changed. Second top (1): the amount."""

    bottoms = exactly(2)
    tops = Count(1, 2)
    blind_bottoms = frozenset({1})

    gives_amount: bool
    """Whether there is a second top."""

    @property
    @abstractmethod
    def amount(self) -> Amount:
        """How much the scores are changed."""

    @property
    @abstractmethod
    def acts(self) -> bool:
        """False where scores stay as they are, in TEST for most types."""

    @property
    def others(self) -> float:
        """What all other scores are multiplied by."""
        return 1.0

    @abstractmethod
    def change(self, g: GraphBuilder, own: str, amount: str) -> tuple[str, str | None]:
        """The new scores of the labels' classes, and their slope as in :class:`OwnScores`; both (N, 1)."""

    @abstractmethod
    def exact_change(self, own: Array, amount: float) -> Array:
        """The new scores in float64, (N)."""

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        x, labels = bottoms
        if len(x) < 2 or prod(labels) != x[0]:
            raise ShapeError(f"bottom[1] must hold one label for each instance, got shapes {x} and {labels}")
        return (x, (1,)) if self.gives_amount else (x,)

    def allowed_labels(self, bottoms: Shapes) -> AllowedLabels | None:
        return AllowedLabels(1, prod(bottoms[0][1:])) if self.acts else None

    def state_defs(self, bottoms: Shapes) -> tuple[StateDef, ...]:
        return (self.amount.state_def(),) if isinstance(self.amount, PassSchedule) else ()

    def emit_amount(self, g: GraphBuilder, params: Sequence[Value], states: Sequence[Value]) -> str:
        """The amount in this pass, float32 ()."""
        if isinstance(self.amount, PassSchedule):
            return self.amount.emit(g, states[0].name)
        return g.const(self.amount)

    def exact_amount(self, params: Sequence[Array], states: Sequence[npt.NDArray[Any]]) -> float:
        """The same in float64."""
        return self.amount.at(states[0]) if isinstance(self.amount, PassSchedule) else self.amount

    @property
    def keeps_amount(self) -> bool:
        """Whether the amount becomes the layer's blob (1)."""
        return False

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[OwnScores | None]:
        x = bottoms[0]
        amount = self.emit_amount(g, params, states)
        following = (
            (self.amount.following(g, states[0].name),) if isinstance(self.amount, PassSchedule) else ()
        )
        row = g.op("Reshape", amount, g.ints([1])) if self.gives_amount or self.keeps_amount else ""
        tops, moved = (row,) * self.gives_amount, {0: row} if self.keeps_amount else {}
        if not self.acts:
            return Emitted((x.name, *tops), None, moved, following)
        rows = instances(g, x)
        labels = instance_labels(g, rows, bottoms[1])
        new, slope = self.change(g, g.op("GatherElements", rows.name, labels, axis=1), amount)
        top = self._changed(g, x, rows, labels, new)
        return Emitted((top, *tops), OwnScores(x, labels, slope), moved, following)

    def _changed(self, g: GraphBuilder, x: Value, rows: Value, labels: str, new: str) -> str:
        """``rows`` in the shape of x with other numbers at the labels, the rest multiplied by ``others``."""
        kept = rows.name if self.others == 1 else g.op("Mul", rows.name, g.const(self.others))
        changed = Value(g.op("ScatterElements", kept, labels, new, axis=1), rows.dims)
        return shaped_like(g, changed, x)

    def grad(
        self, g: GraphBuilder, saved: OwnScores | None, d_tops: Sequence[str | None], needed: Needed
    ) -> Gradients:
        dy = d_tops[0]
        if dy is None or not needed.bottoms[0]:
            return Gradients((None, None))
        if saved is None or (saved.slope is None and self.others == 1):
            return Gradients((dy, None))
        x, labels, slope = saved
        rows = instances(g, Value(dy, x.dims))
        own = g.op("GatherElements", rows.name, labels, axis=1)
        new = own if slope is None else g.op("Mul", own, slope)
        return Gradients((self._changed(g, x, rows, labels, new), None))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[npt.NDArray[Any]]
    ) -> Referenced:
        x, label = bottoms
        amount = self.exact_amount(params, states)
        following = tuple(passes + 1 for passes in states)
        row = np.array([amount])
        tops, moved = (row,) * self.gives_amount, {0: row} if self.keeps_amount else {}
        if not self.acts:
            return Referenced((x, *tops), moved, following)
        rows, labels = reference_instances(x, label)
        at = np.arange(len(rows)), labels
        changed = rows * self.others
        changed[at] = self.exact_change(rows[at], amount)
        return Referenced((changed.reshape(x.shape), *tops), moved, following)
