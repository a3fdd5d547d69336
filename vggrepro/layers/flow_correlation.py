"""Correlation: how alike places of one blob and displaced places of another are (FlowNet's layer; not from
BVLC Caffe).

Source: lmb-freiburg/flownet2, field ``correlation_param``. "FlowNet: Learning Optical Flow with Convolutional
Networks", section 3, equation 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import GradientError, NetError, ShapeError, UnsupportedError
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

END = int(np.iinfo(np.int64).max)


class _Saved(NamedTuple):
    bottoms: tuple[Value, Value]
    inner: str
    """The places of the first blob that are compared, (N, C, h, w)."""
    displaced: tuple[str, ...]
    """Those of the second, of the same shape, for each displacement."""


@register
@dataclass(frozen=True)
class FlowCorrelation(Layer[_Saved]):
    """Bottoms: a and b (N, C, H, W), both padded with ``pad`` zeros. Top (N, D^2, h, w): for each of D x D
    displacements, up to ``max_displacement`` in steps of ``stride_2``, rows first, the mean over channels and
    a window of ``kernel_size`` of the products of a and the displaced b (MULTIPLY), or of the absolute
    differences (SUBTRACT). Windows are ``stride_1`` apart, the first so that every displacement stays inside.

    No gradient with SUBTRACT.
    """

    type = "Correlation"
    origin = "FlowNet"
    bottoms = exactly(2)

    kernel: int
    most: int
    """The largest displacement."""
    pad: int = 0
    stride: int = 1
    step: int = 1
    """From one displacement to the next."""
    subtracts: bool = False

    @classmethod
    def from_param(cls, param: Any, phase: int) -> FlowCorrelation:
        p = param.correlation_param
        if not p.HasField("kernel_size") or not p.HasField("max_displacement"):
            raise NetError("correlation_param: kernel_size and max_displacement are required")
        if p.kernel_size % 2 == 0:
            raise NetError(f"Odd kernel size required (got {p.kernel_size})")
        if min(p.stride_1, p.stride_2) < 1:
            raise NetError("correlation_param: stride_1 and stride_2 must be positive")
        if p.do_abs or p.single_direction:
            raise UnsupportedError("correlation_param: do_abs and single_direction are not implemented")
        subtracts = p.correlation_type == p.SUBTRACT
        return cls(p.kernel_size, p.max_displacement, p.pad, p.stride_1, p.stride_2, subtracts)

    @property
    def displacements(self) -> list[tuple[int, int]]:
        """By how many rows and columns the second blob is displaced, row by row."""
        radius = self.most // self.step
        steps = [self.step * number for number in range(-radius, radius + 1)]
        return [(row, column) for row in steps for column in steps]

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        a, b = bottoms
        if len(a) != 4 or a != b:
            raise ShapeError(f"Both bottom blobs must have 4 axes and the same shape, got shapes {a} and {b}")
        border = 2 * self.most + self.kernel - 1
        sizes = [-((border - size - 2 * self.pad) // self.stride) for size in a[2:]]
        if min(sizes) < 1:
            raise ShapeError(
                "Correlation cannot be done with current settings. Neighborhood and kernel don't fit in blob"
                f" of shape {a}"
            )
        return ((a[0], len(self.displacements), *sizes),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        names = [value.name for value in bottoms]
        if self.pad:
            edges = g.ints([0, 0, self.pad, self.pad] * 2)
            names = [g.op("Pad", name, edges) for name in names]
        inner = self._window(g, names[0], (0, 0))
        displaced = tuple(self._window(g, names[1], by) for by in self.displacements)
        means = []
        for part in displaced:
            each = g.op("Abs", g.op("Sub", inner, part)) if self.subtracts else g.op("Mul", inner, part)
            means.append(g.op("ReduceMean", each, g.ints([1])))
        top = g.op("Concat", *means, axis=1) if len(means) > 1 else means[0]
        if self.kernel > 1 or self.stride > 1:
            top = g.op("AveragePool", top, kernel_shape=[self.kernel] * 2, strides=[self.stride] * 2)
        return Emitted((top,), _Saved((bottoms[0], bottoms[1]), inner, displaced))

    def _window(self, g: GraphBuilder, padded: str, by: tuple[int, int]) -> str:
        """What lies ``most`` places from the edges, displaced."""
        begins = [self.most + shift for shift in by]
        ends = [shift - self.most or END for shift in by]
        return g.op("Slice", padded, g.ints(begins), g.ints(ends), g.ints([2, 3]))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        if self.subtracts:
            raise GradientError("Correlation has no gradient with SUBTRACT")
        if d_tops[0] is None:
            return Gradients((None, None))
        _, channels, height, width = saved.bottoms[0].shape
        sizes = [size + 2 * (self.pad - self.most) for size in (height, width)]
        slopes = g.op("Mul", self._spread(g, d_tops[0], sizes), g.const(1 / channels))
        number = len(self.displacements)
        parts = g.ops("Split", slopes, outputs=number, axis=1, num_outputs=number) if number > 1 else [slopes]
        d_a = d_b = None
        if needed.bottoms[0]:
            terms = [g.op("Mul", part, other) for part, other in zip(parts, saved.displaced, strict=True)]
            d_a = self._placed(g, g.sum_in_order(terms), (0, 0))
        if needed.bottoms[1]:
            terms = [
                self._placed(g, g.op("Mul", part, saved.inner), by)
                for part, by in zip(parts, self.displacements, strict=True)
            ]
            d_b = g.sum_in_order(terms)
        return Gradients((d_a, d_b))

    def _spread(self, g: GraphBuilder, dy: str, sizes: Sequence[int]) -> str:
        """The top's gradient at every place of the windows, (N, D^2, h, w)."""
        if self.kernel == 1 and self.stride == 1:
            return dy
        number = len(self.displacements)
        return g.op(
            "ConvTranspose",
            dy,
            g.const(np.full((number, 1, self.kernel, self.kernel), 1 / self.kernel**2)),
            group=number,
            kernel_shape=[self.kernel] * 2,
            strides=[self.stride] * 2,
            output_padding=[(size - self.kernel) % self.stride for size in sizes],
        )

    def _placed(self, g: GraphBuilder, slopes: str, by: tuple[int, int]) -> str:
        """A window's gradient as that of the blob: undoes padding and window."""
        before = [self.most + shift for shift in by]
        after = [self.most - shift for shift in by]
        whole = g.op("Pad", slopes, g.ints([0, 0, *before, 0, 0, *after]))
        if not self.pad:
            return whole
        return g.op("Slice", whole, g.ints([self.pad] * 2), g.ints([-self.pad] * 2), g.ints([2, 3]))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        (shape,) = self.out_shapes([b.shape for b in bottoms])
        edges = ((0, 0), (0, 0), (self.pad, self.pad), (self.pad, self.pad))
        a, b = (np.pad(bottom, edges) for bottom in bottoms)
        top = np.zeros(shape)
        for channel, by in enumerate(self.displacements):
            for row, column in np.ndindex(*shape[2:]):
                y, x = (self.most + place * self.stride for place in (row, column))
                one = a[:, :, y : y + self.kernel, x : x + self.kernel]
                y, x = y + by[0], x + by[1]
                other = b[:, :, y : y + self.kernel, x : x + self.kernel]
                each = np.abs(one - other) if self.subtracts else one * other
                top[:, channel, row, column] = each.mean((1, 2, 3))
        return Referenced((top,))
