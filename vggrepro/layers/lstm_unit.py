"""LSTMUnit: one step of the LSTM's cells (Caffe's LSTMUnit layer), and the arithmetic of that step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

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


@dataclass(frozen=True)
class Step:
    """The tensors of one step, all (..., hidden): gates, new cells and outputs, and what they came from."""

    c_prev: str
    i: str
    f: str
    """The forget gate times ``cont``."""
    o: str
    g: str
    c: str
    tanh_c: str
    h: str


def emit_step(g: GraphBuilder, c_prev: str, gates: str, cont: str, hidden: int) -> Step:
    """``gates`` (..., 4 * hidden) holds i, f, o, g before their nonlinearities; ``cont`` is (..., 1)."""
    three, last = g.ops("Split", gates, g.ints([3 * hidden, hidden]), outputs=2, axis=-1)
    i, forget, o = g.ops("Split", g.op("Sigmoid", three), g.ints([hidden] * 3), outputs=3, axis=-1)
    candidate = g.op("Tanh", last)
    f = g.op("Mul", forget, cont)
    c = g.op("Add", g.op("Mul", f, c_prev), g.op("Mul", i, candidate))
    tanh_c = g.op("Tanh", c)
    return Step(c_prev, i, f, o, candidate, c, tanh_c, g.op("Mul", o, tanh_c))


def emit_step_gradient(g: GraphBuilder, step: Step, dh: str | None, dc: str | None) -> tuple[str, str]:
    """From the gradients of ``h`` and ``c`` (not both None): that of the new cells on both ways, which
    times f is that of ``c_prev``, and that of ``gates``.

    As in Caffe, ``cont`` counts as part of the forget gate in its slope f (1 - f): no other than
    the derivative where ``cont`` is 0 or 1.
    """
    one = g.const(1)
    through_h = None
    if dh is not None:
        slope = g.op("Sub", one, g.op("Mul", step.tanh_c, step.tanh_c))
        through_h = g.op("Mul", g.op("Mul", dh, step.o), slope)
    total = _sum(g, dc, through_h)

    def through(d: str, factor: str, gate: str) -> str:
        return g.op("Mul", g.op("Mul", g.op("Mul", d, factor), gate), g.op("Sub", one, gate))

    di = through(total, step.g, step.i)
    df = through(total, step.c_prev, step.f)
    do = g.op("ConstantOfShape", g.op("Shape", step.o)) if dh is None else through(dh, step.tanh_c, step.o)
    dg = g.op("Mul", g.op("Mul", total, step.i), g.op("Sub", one, g.op("Mul", step.g, step.g)))
    return total, g.op("Concat", di, df, do, dg, axis=-1)


def _sum(g: GraphBuilder, a: str | None, b: str | None) -> str:
    if a is not None and b is not None:
        return g.op("Add", a, b)
    only = a if a is not None else b
    assert only is not None
    return only


def reference_step(c_prev: Array, gates: Array, cont: Array) -> tuple[Array, Array]:
    """New cells and outputs in float64; the arguments are as in :func:`emit_step`."""
    i, f, o, g = np.split(gates, 4, axis=-1)
    c = cont * _sigmoid(f) * c_prev + _sigmoid(i) * np.tanh(g)
    return c, _sigmoid(o) * np.tanh(c)


def _sigmoid(x: Array) -> Array:
    return 0.5 * (1 + np.tanh(0.5 * x))


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
