"""The arithmetic of one step of the LSTM's cells, which LSTM, LSTMUnit and ConvLSTM share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vggrepro.emit import GraphBuilder
from vggrepro.layers.base import Array


@dataclass(frozen=True)
class Step:
    """The tensors of one step, with the hidden units along ``axis``: gates, new cells and outputs, and what
    they came from."""

    c_prev: str
    i: str
    f: str
    """The forget gate times ``cont``."""
    o: str
    g: str
    c: str
    tanh_c: str
    h: str
    axis: int = -1


def emit_step(g: GraphBuilder, c_prev: str, gates: str, cont: str, hidden: int, axis: int = -1) -> Step:
    """``gates`` holds i, f, o, g before their nonlinearities, 4 * hidden along ``axis``, where ``cont`` has
    the size 1."""
    three, last = g.ops("Split", gates, g.ints([3 * hidden, hidden]), outputs=2, axis=axis)
    i, forget, o = g.ops("Split", g.op("Sigmoid", three), g.ints([hidden] * 3), outputs=3, axis=axis)
    candidate = g.op("Tanh", last)
    f = g.op("Mul", forget, cont)
    c = g.op("Add", g.op("Mul", f, c_prev), g.op("Mul", i, candidate))
    tanh_c = g.op("Tanh", c)
    return Step(c_prev, i, f, o, candidate, c, tanh_c, g.op("Mul", o, tanh_c), axis)


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
    return total, g.op("Concat", di, df, do, dg, axis=step.axis)


def _sum(g: GraphBuilder, a: str | None, b: str | None) -> str:
    if a is not None and b is not None:
        return g.op("Add", a, b)
    only = a if a is not None else b
    assert only is not None
    return only


def reference_step(c_prev: Array, gates: Array, cont: Array, axis: int = -1) -> tuple[Array, Array]:
    """New cells and outputs in float64; the arguments are as in :func:`emit_step`."""
    i, f, o, g = np.split(gates, 4, axis=axis)
    c = cont * _sigmoid(f) * c_prev + _sigmoid(i) * np.tanh(g)
    return c, _sigmoid(o) * np.tanh(c)


def _sigmoid(x: Array) -> Array:
    return 0.5 * (1 + np.tanh(0.5 * x))
