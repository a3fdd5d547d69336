"""RNN: a plain recurrent net over time (Caffe's RNN layer)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vggrepro.emit import GraphBuilder
from vggrepro.layers.base import Array, Needed, ParamDef, Shapes, register
from vggrepro.layers.rules.recurrent import Recurrent, Sequences, Unrolled, weight_gradient


@dataclass(frozen=True)
class UnrolledRNN(Unrolled):
    hidden: tuple[str, ...]
    """h of each step, (N, num_output)."""
    hidden_rows: str
    """All of them, (T * N, num_output)."""
    top: str


@register
@dataclass(frozen=True)
class RNN(Recurrent[UnrolledRNN]):
    """h_t = tanh(W_xh x_t + b_h (+ W_xh_static x_static) + W_hh (cont_t h_{t-1})), and the top
    o_t = tanh(W_ho h_t + b_o).

    Parameters, D = num_output: W_xh (D, inputs), b_h (D), [W_xh_static (D, static inputs)],
    W_hh (D, D), W_ho (D, D), b_o (D). State, and exposed blob: h.
    """

    type = "RNN"
    gates = 1
    states = ("h",)

    def param_defs(self, bottoms: Shapes) -> tuple[ParamDef, ...]:
        size = self.num_output
        return (*super().param_defs(bottoms), self._define((size, size)), self._define((size,)))

    def unroll(self, g: GraphBuilder, inputs: Sequences) -> tuple[str, tuple[str, ...], UnrolledRNN]:
        weight = self.hidden_weight(inputs)
        (h,) = inputs.initial
        conted, hidden = [], []
        for projected, cont in zip(inputs.steps, inputs.cont, strict=True):
            conted.append(g.op("Mul", h, cont))
            h = g.op("Tanh", g.op("Gemm", conted[-1], weight, projected, transB=1))
            hidden.append(h)
        rows = g.op("Concat", *hidden, axis=0)
        top = g.op("Tanh", g.op("Gemm", rows, *inputs.params[-2:], transB=1))
        return top, (h,), UnrolledRNN(inputs, tuple(conted), tuple(hidden), rows, top)

    def unroll_gradient(
        self, g: GraphBuilder, unrolled: UnrolledRNN, dy: str, needed: Needed
    ) -> tuple[list[str], tuple[str | None, ...]]:
        weight, output_weight = self.hidden_weight(unrolled.inputs), unrolled.inputs.params[-2]
        d_output = tanh_gradient(g, dy, unrolled.top)
        d_hidden = unrolled.inputs.split(g, g.op("Gemm", d_output, output_weight))
        d_steps: list[str] = []
        dh: str | None = None
        for t in reversed(range(len(d_hidden))):
            total = d_hidden[t] if dh is None else g.op("Add", d_hidden[t], dh)
            d_steps.insert(0, tanh_gradient(g, total, unrolled.hidden[t]))
            if t > 0:
                dh = g.op("Mul", g.op("Gemm", d_steps[0], weight), unrolled.inputs.cont[t])
        sources = (unrolled.hidden_rows, None)
        return d_steps, tuple(
            weight_gradient(g, d_output, x) if wanted else None
            for x, wanted in zip(sources, needed.params[-2:], strict=True)
        )

    def reference_step(
        self, step: Array, cont: Array, state: tuple[Array, ...], weights: Sequence[Array]
    ) -> tuple[Array, tuple[Array, ...]]:
        hidden, output, bias = weights
        h = np.tanh(step + (cont * state[0]) @ hidden.T)
        return np.tanh(h @ output.T + bias), (h,)


def tanh_gradient(g: GraphBuilder, dy: str, y: str) -> str:
    return g.op("Mul", dy, g.op("Sub", g.const(1), g.op("Mul", y, y)))
