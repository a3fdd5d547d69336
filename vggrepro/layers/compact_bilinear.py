"""CompactBilinear: products of all pairs of channels, summed at random into few numbers (not from BVLC
Caffe).

Source: gy20073/compact_bilinear_pooling; "Compact Bilinear Pooling" (Gao et al. 2016), algorithm 2, Tensor
Sketch. "Multimodal Compact Bilinear Pooling" (Fukui et al. 2016) uses it for questions about images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import (
    Array,
    Emitted,
    Gradients,
    Layer,
    Needed,
    Reach,
    Referenced,
    Shapes,
    exactly,
    register,
)
from vggrepro.layers.rules.c_random import c_random
from vggrepro.layers.rules.fourier import Complex, Fourier, multiply

LARGEST_FACTOR = 4096
"""A matrix of as many rows and columns takes 64 MB."""


class _Saved(NamedTuple):
    bottoms: tuple[Value, ...]
    frequencies: tuple[Complex, ...]
    """Of the bottoms' sketches, (N, H * W, p, q)."""


class _Sketch(NamedTuple):
    """Where each channel goes, (C,), and its sign, (C,)."""

    places: npt.NDArray[np.int64]
    signs: Array


@register
@dataclass(frozen=True)
class CompactBilinear(Layer[_Saved]):
    """Bottoms (N, C, H, W) and (N, C', H, W). Top (N, num_output, H, W), or with ``sum_pool`` the sum over
    all places, (N, num_output, 1, 1): ``num_output`` times the sums of the products of channels c and c',
    with the sign ``s(c) s'(c')``, at ``(h(c) + h'(c')) mod num_output``.

    The fork draws h and s from the C library, always the same ones, and leaves out the division that the
    inverse Fourier transform needs, so that the factor ``num_output`` remains.
    """

    type = "CompactBilinear"
    origin = "Compact bilinear pooling"
    bottoms = exactly(2)

    num_output: int
    sum_pool: bool = True

    @classmethod
    def from_param(cls, param: Any, phase: int) -> CompactBilinear:
        p = param.compact_bilinear_param
        if p.num_output < 1:
            raise NetError("num_output should be specified")
        if max(Fourier(p.num_output).factors) > LARGEST_FACTOR:
            raise UnsupportedError(
                f"compact_bilinear_param: num_output {p.num_output}: a product of two numbers up to"
                f" {LARGEST_FACTOR} is needed"
            )
        return cls(p.num_output, p.sum_pool)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        first, second = bottoms
        if len(first) != 4 or len(second) != 4:
            raise ShapeError(f"Bilinear layer only support 4 dim blobs. (shapes {first} and {second})")
        if (first[0], *first[2:]) != (second[0], *second[2:]):
            raise ShapeError(f"Two bottom blobs not compatible but for channels: {first} and {second}")
        return ((first[0], self.num_output, *((1, 1) if self.sum_pool else first[2:])),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def macs(self, bottoms: Shapes) -> int:
        batch, _, *places = bottoms[0]
        return 12 * batch * prod(places) * self.num_output * sum(Fourier(self.num_output).factors)

    def sketches(self, channels: Sequence[int]) -> tuple[_Sketch, ...]:
        """The tables of the bottoms, which have these numbers of channels: for each of them first all places,
        then all signs, from one sequence of random numbers."""
        numbers = np.split(c_random(2 * sum(channels)), np.cumsum(np.repeat(channels, 2))[:-1])
        pairs = zip(numbers[::2], numbers[1::2], strict=True)
        return tuple(_Sketch(h % self.num_output, (2 * (s % 2) - 1).astype(np.float64)) for h, s in pairs)

    def _sketches_of(self, bottoms: Sequence[Value]) -> tuple[_Sketch, ...]:
        return self.sketches([Value("channels", bottom.dims[1:2]).shape[0] for bottom in bottoms])

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        fourier = Fourier(self.num_output)
        sketches = self._sketches_of(bottoms)
        first, second = (
            fourier.forward(g, self._sketched(g, *pair)) for pair in zip(bottoms, sketches, strict=True)
        )
        product = multiply(g, first, second)
        if self.sum_pool:
            re, im = (g.op("ReduceSum", part, g.ints([1])) for part in product)
            product = re, im
        rows = fourier.backward(g, product)  # (N, H * W or 1, num_output)
        columns = g.op("Transpose", rows, perm=[0, 2, 1])
        sizes = g.ints([1, 1]) if self.sum_pool else g.op("Shape", bottoms[0].name, start=2)
        top = g.op("Reshape", columns, g.op("Concat", g.ints([0, 0]), sizes, axis=0))
        return Emitted((top,), _Saved(tuple(bottoms), (first, second)))

    def _sketched(self, g: GraphBuilder, bottom: Value, sketch: _Sketch) -> str:
        """The channels of each place, summed where they go, (N, H * W, num_output)."""
        signed = g.op("Mul", _rows(g, bottom.name), g.const(sketch.signs))
        padded = g.op("Pad", signed, g.ints([0, 0, 0, 0, 0, 1]), g.const(0))  # (N, H * W, C + 1)
        sources = g.const(_sources(sketch.places, self.num_output), np.int64)
        return g.op("ReduceSum", g.op("Gather", padded, sources, axis=2), g.ints([3]), keepdims=0)

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        if d_tops[0] is None:
            return Gradients((None, None))
        fourier, sketches = Fourier(self.num_output), self._sketches_of(saved.bottoms)
        dy = fourier.forward(g, _rows(g, d_tops[0]))  # (N, H * W or 1, p, q)
        found: list[str | None] = []
        for index, (bottom, sketch) in enumerate(zip(saved.bottoms, sketches, strict=True)):
            if not needed.bottoms[index]:
                found.append(None)
                continue
            rows = fourier.backward(g, multiply(g, dy, saved.frequencies[1 - index], conjugate=True))
            own = g.op("Gather", rows, g.ints(sketch.places.tolist()), axis=2)  # (N, H * W, C)
            columns = g.op("Transpose", g.op("Mul", own, g.const(sketch.signs)), perm=[0, 2, 1])
            found.append(g.op("Reshape", columns, g.op("Shape", bottom.name)))
        return Gradients(tuple(found))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        sketches = self.sketches([bottom.shape[1] for bottom in bottoms])
        product = np.ones(1, np.complex128)
        for bottom, sketch in zip(bottoms, sketches, strict=True):
            summed = np.zeros((self.num_output, *np.moveaxis(bottom, 1, 0).shape[1:]))
            np.add.at(summed, sketch.places, np.moveaxis(bottom, 1, 0) * sketch.signs[:, None, None, None])
            product = product * np.fft.fft(summed, axis=0)
        top = np.moveaxis(np.fft.ifft(product, axis=0).real, 0, 1) * self.num_output
        return Referenced((top.sum((2, 3), keepdims=True) if self.sum_pool else top,))


def _sources(places: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.int64]:
    """The channels that go to each place, (size, k) with the k of the fullest place; the number of channels
    stands where there are fewer."""
    order = np.argsort(places, kind="stable")
    counts = np.bincount(places, minlength=size)
    sources = np.full((size, counts.max()), len(places))
    sources[np.arange(counts.max()) < counts[:, None]] = order
    return sources


def _rows(g: GraphBuilder, x: str) -> str:
    """(N, C, H, W) as (N, H * W, C)."""
    return g.op("Transpose", g.op("Reshape", x, g.ints([0, 0, -1])), perm=[0, 2, 1])
