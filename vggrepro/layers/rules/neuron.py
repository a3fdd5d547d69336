"""What Caffe's neuron layers share: one bottom, one top of the same shape, each element by itself.

A neuron layer states its formula three times: as nodes, as the gradient that Caffe's ``Backward``
computes, and in float64. Everything else is here.

Caffe's backward reads bottom and top again, whatever they hold by then. So BNLL, Clip, and ReLU and ELU
with a negative slope get another gradient in place than out of place, and Sigmoid, TanH, ELU, Exp, Power
and Swish another one where the next layer works in place on their top. It is the same here.

DEVIATION: Log and Power in place lose the top's gradient in Caffe, because the bottom's is written over it
too early. Here they have the gradient that Caffe computes out of place.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

from vggrepro.emit import FLOAT, GraphBuilder, Shape, Value
from vggrepro.errors import NetError, UnsupportedError
from vggrepro.layers.base import Array, Emitted, Gradients, Layer, Needed, Referenced, Shapes


class BottomAndTop(NamedTuple):
    """The tensors of a neuron layer's bottom and top."""

    bottom: str
    top: str


class Neuron(Layer[BottomAndTop]):
    """An elementwise layer without parameters (Caffe's NeuronLayer)."""

    in_place = True

    @abstractmethod
    def forward(self, g: GraphBuilder, x: str) -> str:
        """Add ``y = f(x)`` and return the name of ``y``, which is ``x`` where f is the identity."""

    def backward(self, g: GraphBuilder, x: str, y: str, dy: str) -> str:
        """Add Caffe's ``dx`` from bottom, top and the top's gradient, and return its name."""
        raise UnsupportedError(f"layer type {self.type}: no gradient rule")

    @abstractmethod
    def exact(self, x: Array) -> Array:
        """``f(x)`` in float64."""

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        return (bottoms[0],)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[BottomAndTop]:
        x = bottoms[0].name
        y = self.forward(g, x)
        return Emitted((y,), saved=BottomAndTop(x, y))

    def grad(
        self, g: GraphBuilder, saved: BottomAndTop, d_tops: Sequence[str | None], needed: Needed
    ) -> Gradients:
        x, y = saved
        dy = d_tops[0]
        if dy is None or not needed.bottoms[0]:
            return Gradients((None,))
        return Gradients((self.backward(g, x, y, dy),))

    def reread(self, saved: BottomAndTop, bottoms: Sequence[str], tops: Sequence[str]) -> BottomAndTop:
        return BottomAndTop(bottoms[0], tops[0])

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        return Referenced((self.exact(bottoms[0]),))


def affine(g: GraphBuilder, x: str, scale: float, shift: float) -> str:
    """``scale * x + shift``; a factor of 1 and a summand of 0 cost nothing."""
    if scale != 1:
        x = g.op("Mul", x, g.const(scale))
    if shift != 0:
        x = g.op("Add", x, g.const(shift))
    return x


def times(g: GraphBuilder, x: str, factor: float) -> str:
    """``factor * x``; a factor of 1 costs nothing."""
    return affine(g, x, factor, 0)


def logistic(g: GraphBuilder, x: str) -> str:
    """``1 / (1 + exp(-x))``, to the last bits for every x.

    ONNX Runtime's Sigmoid on the CPU is right to 2e-7 of 1, which is 1% of the value at -10 or so."""
    return g.op("Reciprocal", g.op("Add", g.op("Exp", g.op("Neg", x)), g.const(1)))


def filled_like(g: GraphBuilder, x: str, value: float) -> str:
    """A tensor of the shape of ``x``, whatever that is when the graph runs, full of ``value``."""
    return g.op("Expand", g.const(value), g.op("Shape", x))


def indicator(g: GraphBuilder, condition: str) -> str:
    """1 where the condition holds and 0 elsewhere, in float32.

    Multiplying by it was measured at half the time of ONNX Runtime's Where."""
    return g.op("Cast", condition, to=FLOAT)


NATURAL = -1.0
"""Caffe's default ``base``, which stands for e."""


def log_of_base(base: float) -> float:
    """The natural logarithm of a ``base`` of Exp or Log. Raises NetError where Caffe refuses it."""
    if base == NATURAL:
        return 1.0
    if not base > 0:
        raise NetError(f"base must be strictly positive. (got {base})")
    if math.isinf(base):
        raise NetError(f"Inf result: log(base) = log({base}) = {base}")
    return math.log(base)
