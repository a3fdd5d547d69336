"""What LSTM and RNN share (Caffe's RecurrentLayer): a net unrolled over time in one graph.

The input is projected for all steps by one matrix product before the loop, and its gradients and
those of all weights are taken by one product each after the loop; a step holds only what depends
on the step before.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

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
    at_least,
)
from vggrepro.layers.rules.axes import shape_string


@dataclass(frozen=True)
class Sequences:
    """The unrolled inputs of T steps over N streams: tensors of the graph."""

    steps: tuple[str, ...]
    """For each step W x + b (+ W_static x_static), (N, gates * num_output)."""
    cont: tuple[str, ...]
    """For each step 1 where the sequence goes on, 0 where a new one begins, (N, 1)."""
    initial: tuple[str, ...]
    """The states before the first step, (N, num_output) each."""
    rows: str
    """x as (T * N, inputs)."""
    static_rows: str | None
    """x_static as (N, inputs)."""
    bottoms: tuple[Value, ...]
    params: tuple[str, ...]

    @property
    def sizes(self) -> tuple[int, int]:
        """How many steps T and streams N there are."""
        steps, streams = self.bottoms[0].shape[:2]
        return steps, streams

    def split(self, g: GraphBuilder, rows: str) -> tuple[str, ...]:
        """(T * N, ...) cut into T tensors (N, ...)."""
        return split_steps(g, rows, *self.sizes)


@dataclass(frozen=True)
class Unrolled:
    """The tensors of all steps, for the gradient: each layer adds its own."""

    inputs: Sequences
    conted: tuple[str, ...]
    """For each step the h of the step before, times ``cont``, (N, num_output)."""


U = TypeVar("U", bound=Unrolled)


@dataclass(frozen=True)
class Recurrent(Layer[U]):
    """Bottoms x (T, N, ...), cont (T, N), optionally x_static (N, ...); top (T, N, num_output).

    cont is 0 where a sequence begins: there the state before counts as 0. The last state goes on
    into the next call. With ``expose_hidden`` it does not: the initial states are further bottoms
    and the last ones further tops, (1, N, num_output) each, and as in Caffe no gradient passes
    through either.
    """

    bottoms = at_least(2)
    tops = Count(1, 3)
    blind_bottoms = frozenset({1})

    gates: ClassVar[int]
    """How many vectors of ``num_output`` a step's input has."""
    states: ClassVar[tuple[str, ...]]
    """Names of what goes from step to step; h comes first."""

    num_output: int
    weight_filler: Any
    bias_filler: Any
    expose_hidden: bool = False

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Recurrent[U]:
        p = param.recurrent_param
        if p.num_output == 0:
            raise NetError("num_output must be positive")
        layer = cls(p.num_output, p.weight_filler, p.bias_filler, p.expose_hidden)
        if len(param.top) != 1 + layer._exposed:
            raise NetError(
                f"{cls.type} Layer produces {1 + layer._exposed} top blob(s) as"
                f" output. (got {len(param.top)}; expose_hidden: {p.expose_hidden})"
            )
        return layer

    @property
    def _exposed(self) -> int:
        return len(self.states) if self.expose_hidden else 0

    def _has_static(self, bottoms: Sequence[Any]) -> bool:
        return len(bottoms) == 3 + self._exposed

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        allowed = Count(2 + self._exposed, 3 + self._exposed)
        if len(bottoms) not in allowed:
            raise NetError(
                f"{self.type} Layer takes {allowed.limit(len(bottoms))} bottom blob(s) as input."
                f" (got {len(bottoms)}; expose_hidden: {self.expose_hidden})"
            )
        x, cont = bottoms[:2]
        if len(x) < 3:  # Caffe asks for 2 here, but its InnerProduct then needs one more
            raise ShapeError(
                "bottom[0] must have at least 2 axes -- (#timesteps, #streams, ...) -- and one of"
                f" inputs; got shape {x}"
            )
        if len(cont) != 2:
            raise ShapeError(
                f"bottom[1] must have exactly 2 axes -- (#timesteps, #streams); got shape {cont}"
            )
        for axis, (name, size) in enumerate(zip(("T_", "N_"), x, strict=False)):
            if cont[axis] != size:
                raise ShapeError(f"{name} == bottom[1]->shape({axis}) ({size} vs. {cont[axis]})")
        if self._has_static(bottoms) and (len(bottoms[2]) < 2 or bottoms[2][0] != x[1]):
            raise ShapeError(
                f"N_ == bottom[2]->shape(0) ({x[1]} vs. {bottoms[2][0] if bottoms[2] else 'none'}): the"
                f" static input must have shape ({x[1]}, inputs...); got {bottoms[2]}"
            )
        state = (1, x[1], self.num_output)
        for index in range(len(bottoms) - self._exposed, len(bottoms)):
            if bottoms[index] != state:
                raise ShapeError(
                    f"bottom[{index}] shape must match hidden state input shape: {shape_string(state)}"
                    f" (got {shape_string(bottoms[index])})"
                )
        return ((*x[:2], self.num_output), *[state] * self._exposed)

    def param_defs(self, bottoms: Shapes) -> tuple[ParamDef, ...]:
        """W_x, b, [W_x_static,] W_h; RNN has more."""
        width = self.gates * self.num_output
        shapes: list[Shape] = [(width, math.prod(bottoms[0][2:])), (width,)]
        if self._has_static(bottoms):
            shapes.append((width, math.prod(bottoms[2][1:])))
        shapes.append((width, self.num_output))
        return tuple(self._define(shape) for shape in shapes)

    def _define(self, shape: Shape) -> ParamDef:
        return ParamDef(shape, self.bias_filler if len(shape) == 1 else self.weight_filler)

    def state_defs(self, bottoms: Shapes) -> tuple[StateDef, ...]:
        if self.expose_hidden:
            return ()
        zeros = np.zeros((1, bottoms[0][1], self.num_output), np.float32)
        return tuple(StateDef(name, zeros) for name in self.states)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[U]:
        inputs = self._unroll_inputs(g, bottoms, params, states)
        top, last, saved = self.unroll(g, inputs)  # (T * N, num_output), (N, num_output) each
        steps, streams = bottoms[0].shape[:2]
        sequence = g.op("Reshape", top, g.ints([steps, streams, self.num_output]))
        ends = tuple(g.op("Unsqueeze", end, g.ints([0])) for end in last)
        if self.expose_hidden:
            return Emitted((sequence, *ends), saved=saved)
        return Emitted((sequence,), saved=saved, next_states=ends)

    def _unroll_inputs(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Sequences:
        steps, streams = bottoms[0].shape[:2]
        names = tuple(p.name for p in params)
        rows = g.op("Reshape", bottoms[0].name, g.ints([steps * streams, *params[0].shape[1:]]))
        projected = g.op("Gemm", rows, *names[:2], transB=1)  # (T * N, gates * num_output)
        static_rows = None
        if self._has_static(bottoms):
            static_rows = g.op("Reshape", bottoms[2].name, g.ints([streams, *params[2].shape[1:]]))
            static = g.op("Gemm", static_rows, names[2], transB=1)  # (N, gates * num_output)
            projected = g.op("Add", projected, g.op("Tile", static, g.ints([steps, 1])))
        cont = g.op("Reshape", bottoms[1].name, g.ints([steps * streams, 1]))
        before = list(bottoms)[len(bottoms) - self._exposed :] if self.expose_hidden else states
        return Sequences(
            steps=split_steps(g, projected, steps, streams),
            cont=split_steps(g, cont, steps, streams),
            initial=tuple(g.op("Squeeze", s.name, g.ints([0])) for s in before),
            rows=rows,
            static_rows=static_rows,
            bottoms=tuple(bottoms),
            params=names,
        )

    @abstractmethod
    def unroll(self, g: GraphBuilder, inputs: Sequences) -> tuple[str, tuple[str, ...], U]:
        """The top as (T * N, num_output), the last states, and what the gradient needs."""

    def hidden_weight(self, inputs: Sequences) -> str:
        """W_h: (gates * num_output, num_output)."""
        return inputs.params[2 + self._has_static(inputs.bottoms)]

    def grad(self, g: GraphBuilder, saved: U, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        """Through time within the call; Caffe passes no gradient between calls, nor through exposed
        states."""
        inputs = saved.inputs
        if d_tops[0] is None:
            return Gradients()
        steps, streams = inputs.sizes
        dy = g.op("Reshape", d_tops[0], g.ints([steps * streams, self.num_output]))
        d_steps, others = self.unroll_gradient(g, saved, dy, needed)
        d_rows = g.op("Concat", *d_steps, axis=0)  # (T * N, gates * num_output)
        d_static = None
        if inputs.static_rows is not None:
            stacked = g.op("Reshape", d_rows, g.ints([steps, streams, self.gates * self.num_output]))
            d_static = g.op("ReduceSum", stacked, g.ints([0]), keepdims=0)
        return Gradients(
            _bottom_gradients(g, inputs, {0: d_rows, 2: d_static}, needed),
            (*_weight_gradients(g, saved, d_rows, d_static, needed), *others),
        )

    @abstractmethod
    def unroll_gradient(
        self, g: GraphBuilder, unrolled: U, dy: str, needed: Needed
    ) -> tuple[list[str], tuple[str | None, ...]]:
        """From the top's gradient (T * N, num_output): those of ``Sequences.steps``, and those of the
        parameters that the layer has beyond W_h."""

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x, cont = bottoms[:2]
        weight, bias, *others = params
        projected = x.reshape(*x.shape[:2], -1) @ weight.T + bias
        if self._has_static(bottoms):
            projected = projected + bottoms[2].reshape(x.shape[1], -1) @ others.pop(0).T
        before = bottoms[len(bottoms) - self._exposed :] if self.expose_hidden else states
        state = tuple(np.asarray(s, np.float64)[0] for s in before)
        tops = []
        for step, going_on in zip(projected, cont[..., None], strict=True):
            top, state = self.reference_step(step, going_on, state, others)
            tops.append(top)
        ends = tuple(s[None] for s in state)
        if self.expose_hidden:
            return Referenced((np.stack(tops), *ends))
        return Referenced((np.stack(tops),), next_states=ends)

    @abstractmethod
    def reference_step(
        self, step: Array, cont: Array, state: tuple[Array, ...], weights: Sequence[Array]
    ) -> tuple[Array, tuple[Array, ...]]:
        """The top and the states of one step; ``weights`` are W_h and what follows it."""

    def macs(self, bottoms: Shapes) -> int:
        steps, streams = bottoms[0][:2]
        matrices = [d.shape for d in self.param_defs(bottoms) if len(d.shape) == 2]
        once = math.prod(matrices.pop(1)) if self._has_static(bottoms) else 0
        return streams * (once + steps * sum(math.prod(m) for m in matrices))


def split_steps(g: GraphBuilder, rows: str, steps: int, streams: int) -> tuple[str, ...]:
    return g.ops("Split", rows, g.ints([streams] * steps), outputs=steps, axis=0)


def _bottom_gradients(
    g: GraphBuilder, inputs: Sequences, projected: Mapping[int, str | None], needed: Needed
) -> tuple[str | None, ...]:
    """``projected``: gradients of the projections of x and x_static, by bottom. The weights of both
    have the number of their bottom."""
    gradients: list[str | None] = [None] * len(inputs.bottoms)
    for index, d in projected.items():
        if d is not None and needed.bottoms[index]:
            rows = g.op("Gemm", d, inputs.params[index])
            gradients[index] = g.op("Reshape", rows, g.ints(inputs.bottoms[index].shape))
    return tuple(gradients)


def _weight_gradients(
    g: GraphBuilder, unrolled: Unrolled, d_rows: str, d_static: str | None, needed: Needed
) -> list[str | None]:
    """Of W_x, b, [W_x_static,] W_h."""
    before = g.op("Concat", *unrolled.conted, axis=0)  # (T * N, num_output)
    pairs = [(d_rows, unrolled.inputs.rows), (d_rows, None), (d_rows, before)]
    if d_static is not None:
        pairs.insert(2, (d_static, unrolled.inputs.static_rows))
    return [
        weight_gradient(g, d, x) if wanted else None
        for (d, x), wanted in zip(pairs, needed.params, strict=False)
    ]


def weight_gradient(g: GraphBuilder, d: str, x: str | None) -> str:
    """The gradient of W in ``x W^T``, over all rows; without x, that of a bias."""
    if x is None:
        return g.op("ReduceSum", d, g.ints([0]), keepdims=0)
    return g.op("Gemm", d, x, transA=1)
