"""ConvLSTM: long short-term memory of images over time (a fork's layer; not from BVLC Caffe).

Source: agethen/ConvLSTM-for-Caffe, whose fields ``lstm_conv_param`` and ``lstm_debug_param`` the nets of
PDB-ConvLSTM and DAVSOD have. "Convolutional LSTM Network: A Machine Learning Approach for Precipitation
Nowcasting", section 3.1, for what it is for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from vggrepro.caffe.messages import ConvolutionParameter
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
    Referenced,
    Shapes,
    StateDef,
    register,
)
from vggrepro.layers.convolution import Convolution
from vggrepro.layers.rules.axes import shape_string
from vggrepro.layers.rules.base_convolution import Pair
from vggrepro.layers.rules.batch_pieces import sum_of
from vggrepro.layers.rules.lstm_step import Step, emit_step, emit_step_gradient, reference_step
from vggrepro.layers.rules.peepholes import AXES, CHANNELS, Peepholes
from vggrepro.layers.rules.window import WindowParam

GATES = 4


@dataclass(frozen=True)
class _Saved:
    """The tensors of all steps, for the gradient."""

    x: tuple[Pair, ...]
    """Of the convolution of all x."""
    hidden: tuple[tuple[Pair, ...], ...]
    """Of the convolution of each step's h."""
    steps: tuple[Step, ...]
    cont: tuple[str, ...]
    """For each step 1 where the sequence goes on, 0 where a new one begins, (N, 1, 1, 1)."""
    peepholes: tuple[str, ...]
    """The weights of i, f and o, with the axes of a step's blob."""
    cells: Shape
    bottoms: int


@register
@dataclass(frozen=True)
class ConvLSTM(Layer[_Saved]):
    """Bottoms x (T, N, C, H, W), cont (T, N); top (T, N, D, H, W), as LSTM with images for vectors:

    gates_t = W_x * x_t + W_h * (cont_t h_{t-1}) + b + (w_i c_{t-1}, w_f c_{t-1}, w_o c_{t-1}, 0), with ``*``
    for a convolution, in the order i, f, o, g; one step of :class:`LSTMUnit`. The w multiply the cells along
    ``num_axes_hadamard`` axes from ``axis_hadamard`` on, and see those before a new sequence too;
    ``disable_hadamard``: there are none.

    cont is 0 where a sequence begins. The last states, h and c, go on into the next call. With
    ``expose_hidden`` they do not: the first states are further bottoms and the last ones further tops, (1, N,
    D, H, W) each, and no gradient passes through either. ``ignore_x``: the gates do not see x. Of
    ``recurrent_param`` nothing else has an effect: ``lstm_conv_param`` has the outputs and fillers.

    Parameters: W_x (D, C, kernel) of each gate; W_h (D, D, kernel) and b (D), again of each gate; w_i, w_f
    and w_o. A version of the fork has others: its weight files are refused by their number.
    """

    type = "ConvLSTM"
    origin = "agethen"
    bottoms = Count(2, 4)
    tops = Count(1, 3)
    blind_bottoms = frozenset({1})

    num_output: int
    x: Convolution | None
    """Of all gates at once; None with ``ignore_x``."""
    hidden: Convolution
    peepholes: Peepholes | None = None
    expose_hidden: bool = False

    @classmethod
    def from_param(cls, param: Any, phase: int) -> ConvLSTM:
        debug, exposes = param.lstm_debug_param, param.recurrent_param.expose_hidden
        if not 1 <= len(param.lstm_conv_param) <= 2:
            raise UnsupportedError(
                "ConvLSTM of agethen needs lstm_conv_param, once or twice (those of other forks are not"
                " implemented)"
            )
        if debug.expose:
            raise UnsupportedError("lstm_debug_param: expose is not supported")
        if len(param.top) != 1 + 2 * exposes:
            raise NetError(
                f"ConvLSTM Layer produces {1 + 2 * exposes} top blob(s) as output. (got {len(param.top)};"
                f" expose_hidden: {exposes})"
            )
        numbers = {p.num_output for p in param.lstm_conv_param}
        if len(numbers) != 1 or 0 in numbers:
            raise NetError(f"lstm_conv_param: num_output must be one number above 0, got {sorted(numbers)}")
        of_x = None if debug.ignore_x else _convolution(_of_kind(param, not_of="hidden"), 2, bias=False)
        hidden = _convolution(_of_kind(param, not_of="input"), CHANNELS, bias=True)
        seen = None if debug.disable_hadamard else Peepholes(debug.axis_hadamard, debug.num_axes_hadamard)
        return cls(numbers.pop(), of_x, hidden, seen, exposes)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        number = 2 + 2 * self.expose_hidden
        if len(bottoms) != number:
            raise NetError(f"ConvLSTM Layer takes {number} bottom blob(s) as input. (got {len(bottoms)})")
        x, cont = bottoms[:2]
        if len(x) != AXES or cont != x[:2]:
            raise ShapeError(
                f"ConvLSTM: bottoms must be (T, N, C, H, W) and (T, N), got {shape_string(x)} and"
                f" {shape_string(cont)}"
            )
        state = self._state(x)
        for index, shape in enumerate(bottoms[2:], 2):
            if shape != state:
                raise ShapeError(
                    f"bottom[{index}] shape must match hidden state input shape: {shape_string(state)}"
                    f" (got {shape_string(shape)})"
                )
        for name, convolution, shape in (("x", self.x, x), ("h", self.hidden, state[1:])):
            if convolution is not None and convolution.out_shapes([shape])[0][-2:] != x[-2:]:
                raise ShapeError(f"lstm_conv_param: the convolution of {name} must keep height and width")
        if self.peepholes is not None:
            self.peepholes.shape(state)
        ends = [state] * 2 if self.expose_hidden else []
        return ((x[0], *state[1:]), *ends)

    def _state(self, x: Shape) -> Shape:
        return (1, x[1], self.num_output, *x[3:])

    def param_defs(self, bottoms: Shapes) -> tuple[ParamDef, ...]:
        state = self._state(bottoms[0])
        of_x = () if self.x is None else self.x.param_defs(bottoms[:1])
        each = [_of_one_gate(d) for d in self.hidden.param_defs([state[1:]])]
        of_x = tuple(map(_of_one_gate, of_x)) * GATES
        seen = () if self.peepholes is None else self.peepholes.param_defs(state)
        return (*of_x, *each * GATES, *seen)

    def state_defs(self, bottoms: Shapes) -> tuple[StateDef, ...]:
        if self.expose_hidden:
            return ()
        zeros = np.zeros(self._state(bottoms[0]), np.float32)
        return tuple(StateDef(name, zeros) for name in ("h", "c"))

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        x, cont = bottoms[:2]
        length, streams = x.shape[:2]
        state = self._state(x.shape)
        of_x, weights, biases, others = self._sorted([p.name for p in params])
        of_all: str | None = None
        pairs: tuple[Pair, ...] = ()
        if self.x is not None:
            stacked = _stacked(g, of_x, params[0].shape)
            emitted = self.x.emit(g, [x], [stacked], ())
            of_all, pairs = emitted.tops[0], emitted.saved
        first = params[len(of_x)].shape
        of_hidden = [_stacked(g, weights, first), _stacked(g, biases, first[:1])]
        peepholes: tuple[str, ...] = ()
        if self.peepholes is not None:
            peepholes = self.peepholes.weights(g, others, state)
        marks = _each_step(g, g.op("Reshape", cont.name, g.ints([length, streams, 1, 1, 1])), length)
        h, c = (g.op("Squeeze", s.name, g.ints([0])) for s in (bottoms[2:] or states))
        projected = [""] * length if of_all is None else _each_step(g, of_all, length)
        hidden, steps = [], []
        for step, mark in zip(projected, marks, strict=True):
            conted = Value(g.op("Mul", h, mark), state[1:])
            emitted = self.hidden.emit(g, [conted], of_hidden, ())
            hidden.append(emitted.saved)
            gates = g.op("Add", emitted.tops[0], step) if step else emitted.tops[0]
            if self.peepholes is not None:
                gates = self.peepholes.add(g, gates, c, peepholes)
            steps.append(emit_step(g, c, gates, mark, self.num_output, CHANNELS))
            h, c = steps[-1].h, steps[-1].c
        top = g.op("Concat", *(g.op("Unsqueeze", step.h, g.ints([0])) for step in steps), axis=0)
        ends = tuple(g.op("Unsqueeze", end, g.ints([0])) for end in (h, c))
        saved = _Saved(pairs, tuple(hidden), tuple(steps), tuple(marks), peepholes, state, len(bottoms))
        if self.expose_hidden:
            return Emitted((top, *ends), saved)
        return Emitted((top,), saved, next_states=ends)

    def _sorted(self, params: Sequence[Any]) -> tuple[Sequence[Any], ...]:
        """W_x, W_h, b and w of all gates."""
        of_x = 0 if self.x is None else GATES
        hidden = params[of_x : of_x + 2 * GATES]
        return params[:of_x], hidden[::2], hidden[1::2], params[of_x + 2 * GATES :]

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        """Through time within the call; none passes between calls, nor through exposed states."""
        if d_tops[0] is None:
            return Gradients()
        length = len(saved.steps)
        d_each = _each_step(g, d_tops[0], length)
        d_gates: list[str] = []
        d_peepholes: list[list[str]] = []
        dh: str | None = None
        dc: str | None = None
        for t in reversed(range(length)):
            step = saved.steps[t]
            total = d_each[t] if dh is None else g.op("Add", d_each[t], dh)
            d_cells, d_step = emit_step_gradient(g, step, total, dc)
            d_gates.insert(0, d_step)
            ways: list[str] = []
            if self.peepholes is not None:
                products, ways = self.peepholes.backward(g, d_step, step.c_prev, saved.peepholes)
                d_peepholes.append(products)
            if t > 0:
                dc = sum_of(g, [g.op("Mul", d_cells, step.f), *ways])
                through = self.hidden.grad(g, saved.hidden[t], [d_step], Needed((True,), (False, False)))
                conted = through.bottoms[0]
                assert conted is not None
                dh = g.op("Mul", conted, saved.cont[t])
        d_x, of_x = self._x_gradients(g, saved, d_gates, needed)
        others = self._hidden_gradients(g, saved, d_gates)
        if self.peepholes is not None:
            others += self.peepholes.gradients(g, d_peepholes, saved.cells)
        wanted = zip((*of_x, *others), needed.params, strict=True)
        return Gradients((d_x, *[None] * (saved.bottoms - 1)), tuple(d if w else None for d, w in wanted))

    def _x_gradients(
        self, g: GraphBuilder, saved: _Saved, d_gates: Sequence[str], needed: Needed
    ) -> tuple[str | None, Sequence[str]]:
        if self.x is None:
            return None, ()
        d_all = g.op("Concat", *(g.op("Unsqueeze", d, g.ints([0])) for d in d_gates), axis=0)
        got = self.x.grad(g, saved.x, [d_all], Needed(needed.bottoms[:1], (True,)))
        return got.bottoms[0], self._each_gate(g, got.params[0])

    def _hidden_gradients(self, g: GraphBuilder, saved: _Saved, d_gates: Sequence[str]) -> list[str]:
        pairs = tuple(pair for (pair,) in saved.hidden)
        got = self.hidden.grad(g, pairs, d_gates, Needed((False,) * len(pairs), (True, True)))
        weights, biases = (self._each_gate(g, d) for d in got.params)
        return [d for both in zip(weights, biases, strict=True) for d in both]

    def _each_gate(self, g: GraphBuilder, d: str | None) -> Sequence[str]:
        assert d is not None
        return g.ops("Split", d, g.ints([self.num_output] * GATES), outputs=GATES, axis=0)

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x, cont = bottoms[:2]
        of_x, weights, biases, others = self._sorted(params)
        stacked, bias = np.concatenate(weights), np.concatenate(biases)
        projected = np.zeros(len(x))
        if self.x is not None:
            (projected,) = self.x.reference([x], [np.concatenate(of_x)], ()).tops
        h, c = (np.asarray(s, np.float64)[0] for s in (bottoms[2:] or states))
        tops = []
        for step, mark in zip(projected, cont[..., None, None, None], strict=True):
            gates = self.hidden.reference([mark * h], [stacked, bias], ()).tops[0] + step
            if self.peepholes is not None:
                gates = gates + self.peepholes.reference(c, others)
            c, h = reference_step(c, gates, mark, CHANNELS)
            tops.append(h)
        ends = (h[None], c[None])
        if self.expose_hidden:
            return Referenced((np.stack(tops), *ends))
        return Referenced((np.stack(tops),), next_states=ends)

    def macs(self, bottoms: Shapes) -> int:
        state = self._state(bottoms[0])
        of_x = 0 if self.x is None else self.x.macs(bottoms[:1])
        seen = 0 if self.peepholes is None else (GATES - 1) * prod(state)
        return of_x + bottoms[0][0] * (self.hidden.macs([state[1:]]) + seen)


def _of_kind(param: Any, not_of: str) -> Any:
    """The first lstm_conv_param, or the second one where the first is for the other convolution."""
    first = param.lstm_conv_param[0]
    if first.type != not_of:
        return first
    if len(param.lstm_conv_param) == 1:
        raise NetError(f'lstm_conv_param: one of type: "{not_of}" alone leaves the other convolution open')
    return param.lstm_conv_param[1]


def _convolution(p: Any, axis: int, bias: bool) -> Convolution:
    """All gates in one. Fields that choose among Caffe's implementations, and ``axis``, count for nothing."""
    if p.group != 1:
        raise UnsupportedError(f"lstm_conv_param: group {p.group} is not supported")
    if bias and not p.bias_term:
        raise NetError("lstm_conv_param: the fork names a bias's param, so that bias_term must be true")
    windows = ConvolutionParameter(kernel_size=p.kernel_size, pad=p.pad, stride=p.stride, dilation=p.dilation)
    window = WindowParam.from_param(windows)
    return Convolution(GATES * p.num_output, window, bias, 1, axis, p.weight_filler, p.bias_filler)


def _of_one_gate(definition: ParamDef) -> ParamDef:
    outputs, *rest = definition.shape
    return replace(definition, shape=(outputs // GATES, *rest))


def _stacked(g: GraphBuilder, names: Sequence[str], shape: Shape) -> Value:
    """The parameters of all gates as one."""
    return Value(g.op("Concat", *names, axis=0), (GATES * shape[0], *shape[1:]))


def _each_step(g: GraphBuilder, stacked: str, length: int) -> list[str]:
    """(T, ...) cut into T tensors (...)."""
    steps = g.ops("Split", stacked, g.ints([1] * length), outputs=length, axis=0)
    return [g.op("Squeeze", step, g.ints([0])) for step in steps]
