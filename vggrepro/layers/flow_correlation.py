"""Correlation, Correlation1D: how alike places of one blob and displaced places of another are (FlowNet's and
DispNet's layers; not from BVLC Caffe).

Sources: lmb-freiburg/flownet2, field ``correlation_param``; yangguorun/SegStereo agrees. "FlowNet: Learning
Optical Flow with Convolutional Networks", section 3, equation 1. "A Large Dataset to Train Convolutional
Networks for Disparity, Optical Flow, and Scene Flow Estimation", section 5.
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
        if param.correlation_param.single_direction:
            raise UnsupportedError(
                "correlation_param: single_direction is implemented for Correlation1D alone"
            )
        return cls(*cls._fields(param.correlation_param))

    @staticmethod
    def _fields(p: Any) -> tuple[int, int, int, int, int, bool]:
        """What both layers read of ``correlation_param``, in the order of the attributes."""
        if not p.HasField("kernel_size") or not p.HasField("max_displacement"):
            raise NetError("correlation_param: kernel_size and max_displacement are required")
        if p.kernel_size % 2 == 0:
            raise NetError(f"Odd kernel size required (got {p.kernel_size})")
        if min(p.stride_1, p.stride_2) < 1:
            raise NetError("correlation_param: stride_1 and stride_2 must be positive")
        if p.do_abs:
            raise UnsupportedError("correlation_param: do_abs is not implemented")
        subtracts = p.correlation_type == p.SUBTRACT
        return p.kernel_size, p.max_displacement, p.pad, p.stride_1, p.stride_2, subtracts

    @property
    def displacements(self) -> list[tuple[int, int]]:
        """By how many rows and columns the second blob is displaced, row by row."""
        radius = self.most // self.step
        steps = [self.step * number for number in range(-radius, radius + 1)]
        return [(row, column) for row in steps for column in steps]

    @property
    def pads(self) -> tuple[int, int]:
        """Rows and columns of zeros around both blobs."""
        return self.pad, self.pad

    @property
    def insets(self) -> tuple[int, int]:
        """By how many rows and columns the first window lies inside the padded blob."""
        return self.most, self.most

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        a, b = bottoms
        if len(a) != 4 or a != b:
            raise ShapeError(f"Both bottom blobs must have 4 axes and the same shape, got shapes {a} and {b}")
        windows = [size - self.kernel + 1 for size in self._inner_sizes(a)]
        sizes = [-(-number // self.stride) for number in windows]
        if min(sizes) < 1:
            raise ShapeError(
                f"{self.type} cannot be done with current settings. Neighborhood and kernel don't fit in blob"
                f" of shape {a}"
            )
        return ((a[0], len(self.displacements), *sizes),)

    def _inner_sizes(self, bottom: Shape) -> list[int]:
        """Height and width of what of a padded blob is compared without a displacement."""
        each = zip(bottom[2:], self.pads, self.insets, strict=True)
        return [size + 2 * (pad - inset) for size, pad, inset in each]

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        names = [value.name for value in bottoms]
        if self.pad:
            edges = g.ints([0, 0, *self.pads] * 2)
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
        """What lies inside the ``insets``, displaced."""
        begins = [inset + shift for inset, shift in zip(self.insets, by, strict=True)]
        ends = [shift - inset or END for inset, shift in zip(self.insets, by, strict=True)]
        return g.op("Slice", padded, g.ints(begins), g.ints(ends), g.ints([2, 3]))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        if self.subtracts:
            raise GradientError(f"{self.type} has no gradient with SUBTRACT")
        if d_tops[0] is None:
            return Gradients((None, None))
        shape = saved.bottoms[0].shape
        slopes = self._spread(g, d_tops[0], self._inner_sizes(shape))
        slopes = g.op("Mul", slopes, g.const(1 / shape[1]))
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
        before = [inset + shift for inset, shift in zip(self.insets, by, strict=True)]
        after = [inset - shift for inset, shift in zip(self.insets, by, strict=True)]
        whole = g.op("Pad", slopes, g.ints([0, 0, *before, 0, 0, *after]))
        if not self.pad:
            return whole
        ends = [-pad or END for pad in self.pads]
        return g.op("Slice", whole, g.ints(self.pads), g.ints(ends), g.ints([2, 3]))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        (shape,) = self.out_shapes([b.shape for b in bottoms])
        edges = ((0, 0), (0, 0), *((pad, pad) for pad in self.pads))
        a, b = (np.pad(bottom, edges) for bottom in bottoms)
        top = np.zeros(shape)
        for channel, by in enumerate(self.displacements):
            for row, column in np.ndindex(*shape[2:]):
                places = zip(self.insets, (row, column), strict=True)
                y, x = (inset + place * self.stride for inset, place in places)
                one = a[:, :, y : y + self.kernel, x : x + self.kernel]
                y, x = y + by[0], x + by[1]
                other = b[:, :, y : y + self.kernel, x : x + self.kernel]
                each = np.abs(one - other) if self.subtracts else one * other
                top[:, channel, row, column] = each.mean((1, 2, 3))
        return Referenced((top,))


@register
@dataclass(frozen=True)
class Correlation1D(FlowCorrelation):
    """As Correlation, with displacements along the rows alone: only columns are padded and displaced, and the
    top has D channels. ``direction`` 1 has the displacements 0 and above; -1 has as many, the last of which
    is one step to the left.

    With -1 the first displacement may leave the padded blob. The layer then reads what stands before the row
    in memory: zeros of the row above if ``pad`` is wide enough; a narrower one is refused.

    DEVIATION: before the first row of the first image these are zeros too; the layer reads memory of others.
    """

    type = "Correlation1D"

    direction: int = 0

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Correlation1D:
        p = param.correlation_param
        if p.single_direction not in (-1, 0, 1):
            raise NetError(
                "single_direction must be -1 (left), 0 (off), or 1 (right)"
                f" (correlation_param: got {p.single_direction})"
            )
        layer = cls(*cls._fields(p), p.single_direction)
        if layer.overhang > layer.pad:
            raise UnsupportedError(
                f"correlation_param: single_direction -1 looks {layer.overhang} column(s) beyond the padding,"
                f" so pad must be at least as many: got {p.pad}"
            )
        return layer

    @property
    def displacements(self) -> list[tuple[int, int]]:
        """Of rows, always 0, and of columns."""
        radius = self.most // self.step
        first, last = {-1: (-radius - 1, -1), 0: (-radius, radius), 1: (0, radius)}[self.direction]
        return [(0, self.step * number) for number in range(first, last + 1)]

    @property
    def overhang(self) -> int:
        """How many columns before the padding the first displacement reads."""
        return max(0, -self.most - self.displacements[0][1])

    @property
    def pads(self) -> tuple[int, int]:
        return 0, self.pad + self.overhang

    @property
    def insets(self) -> tuple[int, int]:
        return 0, self.most + self.overhang
