"""Numbers of few bits, as Ristretto simulates them in float32: as nodes and in NumPy.

Source: pmgysel/caffe, ``base_ristretto_layer.cu``, whose rounding to the nearest number takes the even one of
two. DEVIATION: on a CPU the fork takes the one away from 0, and stops at the first 0 of a blob of minifloats.
``shares``, where given, are random numbers from 0 to 1: a number is rounded up with the probability of what
it exceeds the one below by.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Any, Protocol

import numpy as np

from vggrepro.emit import FLOAT, INT64, GraphBuilder
from vggrepro.errors import NetError, UnsupportedError
from vggrepro.layers.base import Array

LOWEST, HIGHEST = -126, 127
"""Exponents of float32 numbers that are not denormal."""


class NumberFormat(Protocol):
    """The numbers that a blob may hold."""

    def emit(self, g: GraphBuilder, x: str, shares: str | None = None) -> str:
        """A tensor's values in this format."""
        ...

    def reference(self, x: Array, shares: Array | None = None) -> Array:
        """The same in NumPy."""
        ...


@dataclass(frozen=True)
class FixedPoint:
    """Whole multiples of ``2 ** -fraction`` that fit into so many bits, the sign among them."""

    bits: int
    fraction: int

    @property
    def _ends(self) -> tuple[float, float]:
        step = 2.0**-self.fraction
        return -(2.0 ** (self.bits - 1)) * step, (2.0 ** (self.bits - 1) - 1) * step

    def emit(self, g: GraphBuilder, x: str, shares: str | None = None) -> str:
        inside = g.op("Clip", x, *(g.const(end) for end in self._ends))
        whole = _emit_rounded(g, g.op("Mul", inside, g.const(2.0**self.fraction)), shares)
        return g.op("Mul", whole, g.const(2.0**-self.fraction))

    def reference(self, x: Array, shares: Array | None = None) -> Array:
        low, high = (float(np.float32(end)) for end in self._ends)
        return _rounded(np.clip(x, low, high) * 2.0**self.fraction, shares) * 2.0**-self.fraction


@dataclass(frozen=True)
class MiniFloat:
    """Floating-point numbers of so many bits, without denormal ones, infinities and NaN."""

    mantissa: int
    exponent: int

    @property
    def _bias(self) -> int:
        return (1 << self.exponent - 1) - 1

    @property
    def _last(self) -> int:
        """The largest exponent."""
        return (1 << self.exponent) - 1 - self._bias

    @property
    def _least(self) -> int:
        return max(-self._bias, LOWEST)

    def emit(self, g: GraphBuilder, x: str, shares: str | None = None) -> str:
        size = g.op("Abs", x)
        power = _emit_power_below(g, size)
        parts = g.op("Mul", g.op("Div", size, power), g.const(2.0**self.mantissa))
        near = g.op("Mul", g.op("Mul", _emit_rounded(g, parts, shares), g.const(2.0**-self.mantissa)), power)
        if self._last < HIGHEST:
            above = g.op("GreaterOrEqual", size, g.const(2.0 ** (self._last + 1)))
            near = g.op("Where", above, g.const(self._largest), near)
        below = g.op("Less", size, g.const(2.0**self._least))
        return g.op("Mul", g.op("Sign", x), g.op("Where", below, g.const(0), near))

    @property
    def _largest(self) -> float:
        return (2 - 2.0**-self.mantissa) * 2.0**self._last

    def reference(self, x: Array, shares: Array | None = None) -> Array:
        x = x.astype(np.float32).astype(np.float64)
        _, exponents = np.frexp(np.abs(x))
        powers = 2.0 ** (exponents - 1)
        near = _rounded(np.abs(x) / powers * 2.0**self.mantissa, shares) * 2.0**-self.mantissa * powers
        near = np.where(exponents - 1 > self._last, self._largest, near)
        values: Array = np.sign(x) * np.where(np.abs(x) < 2.0**self._least, 0, near)
        return values


@dataclass(frozen=True)
class PowerOfTwo:
    """Powers of two from ``2 ** low`` to ``2 ** high``, with a sign; 0 becomes the least."""

    low: int
    high: int

    def emit(self, g: GraphBuilder, x: str, shares: str | None = None) -> str:
        exponent = g.op("Mul", g.op("Log", g.op("Abs", x)), g.const(1 / log(2)))
        exponent = g.op("Max", exponent, g.const(self.low - 2))
        exponent = g.op("Clip", _emit_rounded(g, exponent, shares), g.const(self.low), g.const(self.high))
        index = g.op("Cast", g.op("Sub", exponent, g.const(self.low)), to=INT64)
        power = g.op("Gather", g.const(2.0 ** np.arange(self.low, self.high + 1)), index)
        return g.op("Where", g.op("Less", x, g.const(0)), g.op("Neg", power), power)

    def reference(self, x: Array, shares: Array | None = None) -> Array:
        exponents = np.log2(np.maximum(np.abs(x), 2.0 ** (self.low - 2)))
        powers = 2.0 ** np.clip(_rounded(exponents, shares), self.low, self.high)
        values: Array = np.where(x < 0, -powers, powers)
        return values


@dataclass(frozen=True)
class Quantization:
    """The formats of a layer's blobs; None: they stay as they are."""

    inputs: NumberFormat | None = None
    outputs: NumberFormat | None = None
    weight: NumberFormat | None = None
    bias: NumberFormat | None = None

    @classmethod
    def from_param(cls, p: Any, train: bool) -> Quantization:
        """``p``: a QuantizationParameter. In TRAIN inputs and outputs are not rounded.

        Raises UnsupportedError for random rounding in TEST: what the fork gives there nobody can repeat.
        NetError for numbers of bits that are none."""
        if p.rounding_scheme == p.STOCHASTIC and not train:
            raise UnsupportedError("quantization_param: rounding_scheme STOCHASTIC is for TRAIN alone")
        if p.precision == p.MINIFLOAT:
            if not (1 <= p.exp_bits <= 8 and p.mant_bits <= 23):
                raise NetError(
                    f"quantization_param: {p.mant_bits} mant_bits and {p.exp_bits} exp_bits are no float32's"
                )
            every = MiniFloat(p.mant_bits, p.exp_bits)
            ends = None if train else every
            return cls(ends, ends, every, every)
        if min(p.bw_layer_in, p.bw_layer_out, p.bw_params) < 1:
            raise NetError("quantization_param: bw_layer_in, bw_layer_out and bw_params must be positive")
        inputs = None if train else FixedPoint(p.bw_layer_in, p.fl_layer_in)
        outputs = None if train else FixedPoint(p.bw_layer_out, p.fl_layer_out)
        if p.precision == p.DYNAMIC_FIXED_POINT:
            params = FixedPoint(p.bw_params, p.fl_params)
            return cls(inputs, outputs, params, params)
        if not LOWEST <= p.exp_min <= p.exp_max <= HIGHEST:
            raise NetError(f"quantization_param: exp_min {p.exp_min} and exp_max {p.exp_max}")
        return cls(inputs, outputs, PowerOfTwo(p.exp_min, p.exp_max))


def _emit_rounded(g: GraphBuilder, x: str, shares: str | None) -> str:
    return g.op("Round", x) if shares is None else g.op("Floor", g.op("Add", x, shares))


def _rounded(x: Array, shares: Array | None) -> Array:
    values: Array = np.rint(x) if shares is None else np.floor(x + shares)
    return values


def _emit_power_below(g: GraphBuilder, size: str) -> str:
    """The largest power of two that no number of a tensor is less than; of smaller ones than 2^-126 that."""
    powers = g.const(2.0 ** np.arange(LOWEST, HIGHEST + 1))
    guess = g.op(
        "Floor", g.op("Mul", g.op("Log", g.op("Max", size, g.const(2.0**LOWEST))), g.const(1 / log(2)))
    )
    guess = g.op("Clip", guess, g.const(LOWEST), g.const(HIGHEST))
    power = g.op("Gather", powers, _index(g, guess))
    high = g.op("Cast", g.op("Less", size, power), to=FLOAT)  # logarithms may be wrong in the last bit
    low = g.op("Cast", g.op("GreaterOrEqual", g.op("Mul", size, g.const(0.5)), power), to=FLOAT)
    right = g.op("Clip", g.op("Add", g.op("Sub", guess, high), low), g.const(LOWEST), g.const(HIGHEST))
    return g.op("Gather", powers, _index(g, right))


def _index(g: GraphBuilder, exponent: str) -> str:
    return g.op("Cast", g.op("Sub", exponent, g.const(LOWEST)), to=INT64)
