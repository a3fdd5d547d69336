"""LSTMUnit: one step of the LSTM's cells (Caffe's LSTMUnit layer)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError
from vggrepro.layers.base import (
    Array,
    Emitted,
    Gradients,
    Layer,
    Needed,
    Referenced,
    Shapes,
    exactly,
    register,
)
from vggrepro.layers.rules.lstm_step import Step, emit_step, emit_step_gradient, reference_step


def _require(condition: str, expected: int, got: int) -> None:
    if expected != got:
        raise ShapeError(
            f"{condition} ({expected} vs. {got}): LSTMUnit takes shapes (1, N, D), (1, N, 4 * D) and (1, N)"
        )


@register
@dataclass(frozen=True)
class LSTMUnit(Layer[Step]):
    """Bottoms: cells (1, N, D), gate inputs (1, N, 4 D) in the order i, f, o, g, ``cont`` (1, N).
    Tops: new cells and outputs, both (1, N, D).

    c = cont * sigmoid(f) * c_prev + sigmoid(i) * tanh(g);  h = sigmoid(o) * tanh(c)
    """

    type = "LSTMUnit"
    bottoms = exactly(3)
    tops = exactly(2)
    blind_bottoms = frozenset({2})

    @classmethod
    def from_param(cls, param: Any, phase: int) -> LSTMUnit:
        return cls()

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        cells = bottoms[0]
        for index, shape in enumerate(bottoms):
            place = f"bottom[{index}]"
            axes = 2 if index == 2 else 3
            _require(f"{axes} == {place}->num_axes()", axes, len(shape))
            _require(f"1 == {place}->shape(0)", 1, shape[0])
            _require(f"num_instances == {place}->shape(1)", cells[1], shape[1])
        _require("4 * hidden_dim_ == bottom[1]->shape(2)", 4 * cells[2], bottoms[1][2])
        return (cells, cells)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[Step]:
        cells, gates, cont = bottoms
        hidden = cells.dims[2]
        column = g.op("Unsqueeze", cont.name, g.ints([2]))  # (1, N, 1)
        step = emit_step(g, cells.name, gates.name, column, cells.shape[2] if hidden is None else hidden)
        return Emitted((step.c, step.h), saved=step)

    def grad(self, g: GraphBuilder, saved: Step, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        dc, dh = d_tops
        if dc is None and dh is None:
            return Gradients((None, None, None))
        total, d_gates = emit_step_gradient(g, saved, dh, dc)
        return Gradients((g.op("Mul", total, saved.f) if needed.bottoms[0] else None, d_gates, None))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        cells, gates, cont = bottoms
        return Referenced(reference_step(cells, gates, cont[..., None]))
