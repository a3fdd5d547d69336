"""ConvolutionRistretto, DeconvolutionRistretto, FcRistretto: products in numbers of few bits (Ristretto's
layers; not from BVLC Caffe).

Source: pmgysel/caffe, field ``quantization_param``; "Ristretto: Hardware-Oriented Approximation of
Convolutional Neural Networks". LRNRistretto is not implemented.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from vggrepro.caffe.messages import TRAIN
from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.layers.base import (
    AnyLayer,
    Array,
    Emitted,
    Gradients,
    Layer,
    Needed,
    ParamDef,
    Reach,
    Referenced,
    Shapes,
    StateDef,
    at_least,
    exactly,
    register,
)
from vggrepro.layers.convolution import Convolution
from vggrepro.layers.deconvolution import Deconvolution
from vggrepro.layers.inner_product import InnerProduct
from vggrepro.layers.rules.bernoulli import Bernoulli
from vggrepro.layers.rules.draw_state import draw_state, emit_next_state, next_state
from vggrepro.layers.rules.quantization import NumberFormat, Quantization


@dataclass(frozen=True)
class _Quantized(Layer[Any]):
    """A layer whose inputs, weights and outputs are rounded to numbers of few bits
    (:mod:`vggrepro.layers.rules.quantization`). In TRAIN the weights alone are, at random, and what is
    learned are the weights before. Gradients go through the rounding as if it were not there.

    DEVIATION: the fork rounds a bottom where it lies, so that other layers may read the rounded numbers too.
    """

    origin = "Ristretto"
    kind: ClassVar[type[AnyLayer]]

    inner: AnyLayer
    quantization: Quantization
    draws: tuple[Bernoulli, Bernoulli] | None = None
    """Of the rounding of weight and bias; None in TEST."""

    @classmethod
    def from_param(cls, param: Any, phase: int) -> _Quantized:
        train = phase == TRAIN
        weight, bias = (Bernoulli.named(0.5, f"{param.name}/{what}") for what in ("weight", "bias"))
        quantization = Quantization.from_param(param.quantization_param, train)
        return cls(cls.kind.from_param(param, phase), quantization, (weight, bias) if train else None)

    @classmethod
    def fillers(cls, definition: Any) -> tuple[Any, Any] | None:
        return cls.kind.fillers(definition)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        return self.inner.out_shapes(bottoms)

    def fixed_axes(self, bottoms: Shapes) -> frozenset[int]:
        return self.inner.fixed_axes(bottoms)

    def param_defs(self, bottoms: Shapes) -> tuple[ParamDef, ...]:
        return self.inner.param_defs(bottoms)

    def state_defs(self, bottoms: Shapes) -> tuple[StateDef, ...]:
        return () if self.draws is None else (draw_state(),)

    def reach(self, bottom: Shape) -> Reach | None:
        return self.inner.reach(bottom)

    def macs(self, bottoms: Shapes) -> int:
        return self.inner.macs(bottoms)

    @property
    def _formats(self) -> tuple[NumberFormat | None, NumberFormat | None]:
        return self.quantization.weight, self.quantization.bias

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[Any]:
        rounded = [Value(_emit(g, x.name, self.quantization.inputs), x.dims) for x in bottoms]
        seed = g.op("Mul", states[0].name, g.ints([1, 0])) if states else ""  # the same for all of a batch
        few = []
        for index, (param, number) in enumerate(zip(params, self._formats, strict=False)):
            shares = None
            if self.draws is not None and number is not None:
                shares = self.draws[index].emit_shares(g, param, seed)
                shares = g.op("Reshape", shares, g.ints(param.shape))
            few.append(Value(_emit(g, param.name, number, shares), param.dims))
        emitted = self.inner.emit(g, rounded, few, ())
        tops = tuple(_emit(g, top, self.quantization.outputs) for top in emitted.tops)
        news = (emit_next_state(g, states[0].name),) if states else ()
        return Emitted(tops, emitted.saved, next_states=news)

    def grad(self, g: GraphBuilder, saved: Any, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        return self.inner.grad(g, saved, d_tops, needed)

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        rounded = [_reference(x, self.quantization.inputs) for x in bottoms]
        few = []
        for index, (param, number) in enumerate(zip(params, self._formats, strict=False)):
            shares = None
            if self.draws is not None:
                seed = states[0] * np.array([1, 0])
                shares = self.draws[index].draw_shares(len(param), param.size // len(param), seed)
                shares = shares.reshape(param.shape)
            few.append(_reference(param, number, shares))
        tops = self.inner.reference(rounded, few, ()).tops
        news = () if self.draws is None else (next_state(states[0]),)
        return Referenced(tuple(_reference(t, self.quantization.outputs) for t in tops), next_states=news)


def _emit(g: GraphBuilder, x: str, number: NumberFormat | None, shares: str | None = None) -> str:
    return x if number is None else number.emit(g, x, shares)


def _reference(x: Array, number: NumberFormat | None, shares: Array | None = None) -> Array:
    return x if number is None else number.reference(x, shares)


@register
@dataclass(frozen=True)
class ConvolutionRistretto(_Quantized):
    """A Convolution."""

    type = "ConvolutionRistretto"
    kind = Convolution
    bottoms = at_least(1)
    tops = at_least(1)


@register
@dataclass(frozen=True)
class DeconvolutionRistretto(_Quantized):
    """A Deconvolution."""

    type = "DeconvolutionRistretto"
    kind = Deconvolution
    bottoms = at_least(1)
    tops = at_least(1)


@register
@dataclass(frozen=True)
class FcRistretto(_Quantized):
    """An InnerProduct."""

    type = "FcRistretto"
    kind = InnerProduct
    bottoms = exactly(1)
    tops = exactly(1)
