"""Lstm: long short-term memory whose gradients have a bound (junhyukoh's and CTPN's Lstm layer; not from BVLC
Caffe).

Sources: junhyukoh/caffe-lstm and tianzhi0549/CTPN, which took it from there; field ``lstm_param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import (
    Array,
    Count,
    Emitted,
    Gradients,
    Layer,
    Needed,
    ParamDef,
    Referenced,
    Shapes,
    StateDef,
    register,
)
from vggrepro.layers.lstm import LSTM, UnrolledLSTM


@dataclass(frozen=True)
class _BoundedLSTM(LSTM):
    bound: float = 0.0

    def bounded(self, g: GraphBuilder, d_gates: str) -> str:
        return g.op("Clip", d_gates, g.const(-self.bound), g.const(self.bound)) if self.bound > 0 else d_gates


class _Saved(NamedTuple):
    bottoms: tuple[Value, ...]
    unrolled: UnrolledLSTM


@register
@dataclass(frozen=True)
class Lstm(Layer[_Saved]):
    """Bottoms: x, (T, N, I) as in CTPN, or (T * N, I...) with N the ``batch_size``; optionally T * N numbers
    that are 0 where a sequence begins, and else 1. Top (T, N, D) or (T * N, D).

    One step is that of Caffe's LSTM, whose ``cont`` the second bottom is; without it every call begins a
    sequence, and nothing goes on into the next call. Blobs: W_x (4 D, I), W_h (4 D, D), b (4 D), the gates in
    the order i, f, o, g. In the backward pass the gradient of what goes into the gates is cut to
    ``clipping_threshold``, if that is above 0.

    Which layer is meant: with ``batch_size``, or without exactly three axes, junhyukoh's; else CTPN's.
    DEVIATION: the gradient of W_h is that of the steps at which a sequence goes on, where junhyukoh's takes
    in some at which one begins.
    """

    type = "Lstm"
    origin = "junhyukoh, CTPN"
    bottoms = Count(1, 2)
    blind_bottoms = frozenset({1})

    inner: _BoundedLSTM
    streams: int | None = None
    """N of a bottom (T * N, I...); None: it is read from the bottom."""

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Lstm:
        p = param.lstm_param
        if p.num_output == 0:
            raise NetError("lstm_param: num_output must be positive")
        if p.batch_size == 0:
            raise NetError("lstm_param: batch_size must be positive")
        inner = _BoundedLSTM(p.num_output, p.weight_filler, p.bias_filler, bound=p.clipping_threshold)
        return cls(inner, p.batch_size if p.HasField("batch_size") else None)

    def _sizes(self, x: Shape) -> tuple[int, int, int]:
        """T, N and I."""
        if self.streams is None and len(x) == 3:
            return x
        streams = self.streams or 1
        return x[0] // streams, streams, prod(x[1:])

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        x, *cont = bottoms
        if len(x) < 2:
            raise ShapeError(f"bottom[0] must be (T, N, I) or (T * N, I...), got shape {x}")
        if self.streams is not None and x[0] % self.streams:
            raise ShapeError(
                f"Input size should be multiple of batch size ({x[0]} rows, batch_size {self.streams})"
            )
        steps, streams, _ = self._sizes(x)
        if cont and prod(cont[0]) != steps * streams:
            raise ShapeError(f"bottom[1] must hold {steps * streams} numbers, got shape {cont[0]}")
        if self.streams is None and len(x) == 3:
            return ((steps, streams, self.inner.num_output),)
        return ((x[0], self.inner.num_output),)

    def param_defs(self, bottoms: Shapes) -> tuple[ParamDef, ...]:
        weight, bias, hidden = self.inner.param_defs(self._inner_shapes(bottoms[0]))
        return weight, hidden, bias

    def _inner_shapes(self, x: Shape) -> list[Shape]:
        sizes = self._sizes(x)
        return [sizes, sizes[:2]]

    def state_defs(self, bottoms: Shapes) -> tuple[StateDef, ...]:
        return self.inner.state_defs(self._inner_shapes(bottoms[0])) if len(bottoms) > 1 else ()

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        x = bottoms[0]
        (top,) = self.out_shapes([b.shape for b in bottoms])
        sizes, cont_sizes = self._inner_shapes(x.shape)
        inputs = [Value(g.op("Reshape", x.name, g.ints(sizes)), sizes)]
        if len(bottoms) > 1:
            inputs.append(Value(g.op("Reshape", bottoms[1].name, g.ints(cont_sizes)), cont_sizes))
        else:
            inputs.append(Value(g.const(_begun(cont_sizes)), cont_sizes))
            begin = (1, sizes[1], self.inner.num_output)
            states = [Value(g.const(np.zeros(begin)), begin)] * 2
        weight, hidden, bias = params
        emitted = self.inner.emit(g, inputs, [weight, bias, hidden], states)
        tops = (g.op("Reshape", emitted.tops[0], g.ints(top)),)
        saved = _Saved(tuple(bottoms), emitted.saved)
        return Emitted(tops, saved, next_states=emitted.next_states if len(bottoms) > 1 else ())

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        if d_tops[0] is None:
            return Gradients()
        weight, hidden, bias = needed.params
        inner = Needed((needed.bottoms[0], False), (weight, bias, hidden))
        found = self.inner.grad(g, saved.unrolled, d_tops, inner)
        dx, d_weight, d_bias, d_hidden = found.bottoms[0], *found.params
        if dx is not None:
            dx = g.op("Reshape", dx, g.ints(saved.bottoms[0].shape))
        return Gradients((dx, *[None] * (len(saved.bottoms) - 1)), (d_weight, d_hidden, d_bias))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        (top,) = self.out_shapes([b.shape for b in bottoms])
        sizes, cont_sizes = self._inner_shapes(bottoms[0].shape)
        cont = bottoms[1].reshape(cont_sizes) if len(bottoms) > 1 else _begun(cont_sizes)
        before = states or [np.zeros((1, sizes[1], self.inner.num_output))] * 2
        weight, hidden, bias = params
        found = self.inner.reference([bottoms[0].reshape(sizes), cont], [weight, bias, hidden], before)
        return Referenced((found.tops[0].reshape(top),), next_states=found.next_states if states else ())

    def macs(self, bottoms: Shapes) -> int:
        return self.inner.macs(self._inner_shapes(bottoms[0]))


def _begun(sizes: Shape) -> Array:
    """For each step and stream 1, but 0 in the first step."""
    cont = np.ones(sizes)
    cont[0] = 0
    return cont
