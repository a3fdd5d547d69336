"""LSTM: long short-term memory over time (Caffe's LSTM layer)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vggrepro.emit import GraphBuilder
from vggrepro.layers.base import Array, Needed, register
from vggrepro.layers.rules.lstm_step import Step, emit_step, emit_step_gradient, reference_step
from vggrepro.layers.rules.recurrent import Recurrent, Sequences, Unrolled


@dataclass(frozen=True)
class UnrolledLSTM(Unrolled):
    steps: tuple[Step, ...]


@register
@dataclass(frozen=True)
class LSTM(Recurrent[UnrolledLSTM]):
    """gates_t = W_xc x_t + b_c (+ W_xc_static x_static) + W_hc (cont_t h_{t-1}), in the order i, f,
    o, g; one step of :class:`LSTMUnit`. The top is h.

    Parameters: W_xc (4 D, inputs), b_c (4 D), [W_xc_static (4 D, static inputs)], W_hc (4 D, D).
    States, and exposed blobs: h, then c.
    """

    type = "LSTM"
    gates = 4
    states = ("h", "c")

    def unroll(self, g: GraphBuilder, inputs: Sequences) -> tuple[str, tuple[str, ...], UnrolledLSTM]:
        weight = self.hidden_weight(inputs)
        h, c = inputs.initial
        conted, steps = [], []
        for projected, cont in zip(inputs.steps, inputs.cont, strict=True):
            conted.append(g.op("Mul", h, cont))
            gates = g.op("Gemm", conted[-1], weight, projected, transB=1)  # (N, 4 D)
            steps.append(emit_step(g, c, gates, cont, self.num_output))
            h, c = steps[-1].h, steps[-1].c
        top = g.op("Concat", *(step.h for step in steps), axis=0)
        return top, (h, c), UnrolledLSTM(inputs, tuple(conted), tuple(steps))

    def unroll_gradient(
        self, g: GraphBuilder, unrolled: UnrolledLSTM, dy: str, needed: Needed
    ) -> tuple[list[str], tuple[str | None, ...]]:
        weight = self.hidden_weight(unrolled.inputs)
        d_tops = unrolled.inputs.split(g, dy)
        d_steps: list[str] = []
        dh: str | None = None
        dc: str | None = None
        for t in reversed(range(len(d_tops))):
            total = d_tops[t] if dh is None else g.op("Add", d_tops[t], dh)
            d_cells, d_gates = emit_step_gradient(g, unrolled.steps[t], total, dc)
            d_gates = self.bounded(g, d_gates)
            d_steps.insert(0, d_gates)
            if t > 0:
                dc = g.op("Mul", d_cells, unrolled.steps[t].f)
                dh = g.op("Mul", g.op("Gemm", d_gates, weight), unrolled.inputs.cont[t])
        return d_steps, ()

    def bounded(self, g: GraphBuilder, d_gates: str) -> str:
        """The gradient of a step's gates as it goes on, before their nonlinearities."""
        return d_gates

    def reference_step(
        self, step: Array, cont: Array, state: tuple[Array, ...], weights: Sequence[Array]
    ) -> tuple[Array, tuple[Array, ...]]:
        h, c = state
        c, h = reference_step(c, step + (cont * h) @ weights[0].T, cont)
        return h, (h, c)
