"""The bilinear map under convolution and deconvolution, and its two gradients.

y[n, k, o] = sum of w[k, c, t] * x[n, c, o * stride + t * dilation - pad] over c and kernel offsets t. A
convolution computes y from x; a deconvolution computes x from y. Every rule here holds for any number of
spatial axes, stride, padding, dilation and group, at fixed sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from vggrepro.emit import GraphBuilder, RuleSet, Shape, Value
from vggrepro.layers.rules import winograd, winograd_forward, winograd_gradients
from vggrepro.layers.rules.batch_pieces import split_images, sum_of
from vggrepro.layers.rules.phases import PhasedWeight
from vggrepro.layers.rules.turned import pays, turned_by_product, turned_filters
from vggrepro.layers.rules.unfold import gather_unfolded, unfold
from vggrepro.layers.rules.window import Windows
from vggrepro.layers.rules.winograd_gradients import Tiling

CHUNK: Mapping[RuleSet, int] = {"cpu": 2**25, "cuda": 2**26}
"""Elements of unfolded input (128 and 256 MiB) that the weight's gradient holds at a time."""

INDICES = 2**22
"""Most elements (16 MiB) of the constant with which a Gather unfolds a piece of the batch."""

Product = Callable[[GraphBuilder, int, str, str], str]
"""From a number of images, their x and their dy to (group, K / group, C / group * kernel elements)."""


def conv_attributes(windows: Windows, beyond: Sequence[int] | None = None) -> dict[str, Any]:
    """Attributes of a Conv or ConvTranspose node; ``beyond``: padding at the end besides ``pad``."""
    ends = [p + b for p, b in zip(windows.pad, beyond or [0] * len(windows.pad), strict=True)]
    return {
        "kernel_shape": windows.kernel,
        "strides": windows.stride,
        "dilations": windows.dilation,
        "pads": [*windows.pad, *ends],
    }


@dataclass(frozen=True)
class Correlation:
    """``x`` (N, C, sizes...), ``y`` (N, K, sizes...), weight (K, C / group, kernel...)."""

    x: Shape
    y: Shape
    windows: Windows
    group: int

    def forward(self, g: GraphBuilder, x: str, weight: str) -> str:
        """The tensor y that a convolution makes of ``x``."""
        beyond = self.windows.shortfall(self.x[2:])
        return g.op("Conv", x, weight, group=self.group, **conv_attributes(self.windows, beyond))

    def input_gradient(self, g: GraphBuilder, dy: str, weight: str) -> str:
        """The gradient of x, by the first of the graph's rules that holds here."""
        return next(filter(None, (rule(self, g, dy, weight) for rule in RULES[g.rules].input)))

    def weight_gradient(self, g: GraphBuilder, x: str, dy: str) -> str:
        """The gradient of the weight, by the first of the graph's rules that holds here."""
        return next(filter(None, (rule(self, g, x, dy) for rule in RULES[g.rules].weight)))

    def forward_input(self, g: GraphBuilder, dy: str, weight: str) -> str | None:
        """As a forward pass by minimal filtering, with turned filters, where that saves time."""
        channels, outputs, sizes = self.y[1], self.x[1], self.x[2:]
        if not winograd.holds(self.windows, self.group):
            return None
        if not winograd_forward.saves_time(channels, outputs, sizes) or not self._larger_tiles_fit():
            return None
        filters = turned_by_product(g, weight, channels, outputs, self.windows.kernel)
        return winograd_forward.forward(g, Value(dy, self.y), [filters], outputs, self._back)

    def minimal_input(self, g: GraphBuilder, dy: str, weight: str) -> str | None:
        """By minimal filtering, where that saves time."""
        if not self._minimal(self.x[2:], winograd_gradients.FOR_INPUT, winograd.LEAST_FOR_INPUT):
            return None
        return winograd_gradients.input_gradient(g, dy, weight, self.x, self.y, self.windows.pad)

    def turned_input(self, g: GraphBuilder, dy: str, weight: str) -> str | None:
        """By a Conv with turned filters, where the stride is 1. On a CPU it is faster than ConvTranspose
        (121 ms against 146 for VGG-A's conv3_2, one thread)."""
        w = self.windows
        if not all(s == 1 and p < e for s, p, e in zip(w.stride, w.pad, w.extents, strict=True)):
            return None
        return g.op("Conv", dy, self._turned(g, weight), group=self.group, **conv_attributes(self._back))

    def spared_input(self, g: GraphBuilder, dy: str, weight: str) -> str | None:
        """By a ConvTranspose, where cuDNN has a faster algorithm for it."""
        if not pays(self.windows, self.group, (self.x[1], self.y[1]), self.x[2:]):
            return None
        return self.transposed_input(g, dy, weight)

    def transposed_input(self, g: GraphBuilder, dy: str, weight: str) -> str:
        """By a ConvTranspose with the same padding at both ends, which the CUDA kernel asks for; what Caffe
        reads beyond the end of a short input is cut off behind it."""
        w = self.windows
        beyond = w.shortfall(self.x[2:])
        sizes = zip(self.x[2:], w.pad, w.extents, w.stride, beyond, strict=True)
        unread = [(size + 2 * p + b - e) % s for size, p, e, s, b in sizes]
        attributes = {"output_padding": unread, **conv_attributes(w)}
        dx = g.op("ConvTranspose", dy, weight, group=self.group, **attributes)
        if not any(beyond):
            return dx
        axes = range(2, len(self.x))
        return g.op("Slice", dx, g.ints([0] * len(axes)), g.ints(self.x[2:]), g.ints(axes))

    def minimal_weight(self, g: GraphBuilder, x: str, dy: str) -> str | None:
        """By minimal filtering, where that saves time."""
        least = winograd.LEAST_FOR_WEIGHT_ON_CUDA if g.on_cuda else winograd.LEAST_FOR_WEIGHT
        if not self._minimal(self.y[2:], winograd_gradients.for_weight(on_cuda=g.on_cuda), least):
            return None
        return winograd_gradients.weight_gradient(g, x, dy, self.x, self.y, self.windows.pad)

    def phased_weight(self, g: GraphBuilder, x: str, dy: str) -> str | None:
        """By products of every second row and column, where that saves time."""
        phased = PhasedWeight(self.x, self.y, self.windows)
        return phased.emit(g, x, dy) if phased.pays(self.group) else None

    def sliced_weight(self, g: GraphBuilder, x: str, dy: str) -> str:
        """The product of dy and x, unfolded by slices, over images and positions."""
        most = CHUNK["cpu"] // (self.x[1] * self._window_elements)
        return self._weight(g, x, dy, most, self._sliced_product)

    def gathered_weight(self, g: GraphBuilder, x: str, dy: str) -> str:
        """The product of dy and x, unfolded by one Gather, over images and positions."""
        each = max(self.x[1] * self._window_elements, CHUNK["cuda"] // INDICES * self._window_elements)
        return self._weight(g, x, dy, CHUNK["cuda"] // each, self._gathered_product)

    @property
    def _back(self) -> Windows:
        """The windows of the way back, where the stride is 1."""
        w = self.windows
        pad = tuple(e - 1 - p for p, e in zip(w.pad, w.extents, strict=True))
        return Windows(w.kernel, w.stride, pad, w.dilation)

    @property
    def _window_elements(self) -> int:
        """Elements of all windows over one channel of one image."""
        return prod(self.windows.kernel) * prod(self.y[2:])

    def _minimal(self, tiled: Shape, tiling: Tiling, least: int) -> bool:
        return winograd.holds(self.windows, self.group) and winograd.saves_time(
            self.x[1], self.y[1], tiling.products(tiled), prod(tiled), least
        )

    def _larger_tiles_fit(self) -> bool:
        """Whether tiles of 4 x 4 need at least a fifth fewer products than those of 4 x 2: so it is unless
        many stand over the edges of x. They are less exact (docs/performance-findings.md)."""
        large, small = (
            winograd_forward.products(self.x[2:]),
            winograd_gradients.FOR_INPUT.products(self.x[2:]),
        )
        return 5 * large <= 4 * small

    def _turned(self, g: GraphBuilder, weight: str) -> str:
        """The filters for the way back."""
        return turned_filters(g, weight, self.y[1], self.x[1], self.group, self.windows.kernel)

    def _weight(self, g: GraphBuilder, x: str, dy: str, most: int, product: Product) -> str:
        """The sum of a product over pieces of at most ``most`` images, but at least one."""
        parts = split_images(g, [x, dy], self.x[0], max(most, 1))
        total = sum_of(g, [product(g, images, xs, dys) for images, (xs, dys) in parts])
        return g.op("Reshape", total, g.ints([self.y[1], self.x[1] // self.group, *self.windows.kernel]))

    def _sliced_product(self, g: GraphBuilder, images: int, x: str, dy: str) -> str:
        positions, groups = prod(self.y[2:]), self.group
        columns = unfold(g, x, (images, *self.x[1:]), self.windows)
        rows = [self.y[1] // groups, self.x[1] // groups * prod(self.windows.kernel)]
        if prod(rows) <= sum(rows) * positions:  # a product for each image is smaller than what it is made of
            shapes = [g.ints([images, groups, count, positions]) for count in rows]
            left, right = (g.op("Reshape", *pair) for pair in zip((dy, columns), shapes, strict=True))
            each = g.op("MatMul", left, g.op("Transpose", right, perm=[0, 1, 3, 2]))
            return g.op("ReduceSum", each, g.ints([0]), keepdims=0)
        left, right = (
            self._matrix(g, t, images, count, positions) for t, count in zip((dy, columns), rows, strict=True)
        )
        return g.op("MatMul", left, g.op("Transpose", right, perm=[0, 2, 1]))

    def _gathered_product(self, g: GraphBuilder, images: int, x: str, dy: str) -> str:
        positions, columns = prod(self.y[2:]), self.x[1] // self.group * prod(self.windows.kernel)
        right = gather_unfolded(g, x, (images, *self.x[1:]), self.windows)  # (C, kernel, images * positions)
        left = self._matrix(g, dy, images, self.y[1] // self.group, positions)
        if self.group == 1:
            rows = [g.op("Reshape", t, g.ints([n, -1])) for t, n in ((left, self.y[1]), (right, columns))]
            return g.op("Gemm", *rows, transB=1)
        right = g.op("Reshape", right, g.ints([self.group, columns, -1]))
        return g.op("MatMul", left, g.op("Transpose", right, perm=[0, 2, 1]))

    def _matrix(self, g: GraphBuilder, t: str, images: int, rows: int, positions: int) -> str:
        """(images, group * rows, positions) as (group, rows, images * positions)."""
        split = g.op("Reshape", t, g.ints([images, self.group, rows, positions]))
        moved = g.op("Transpose", split, perm=[1, 2, 0, 3])
        return g.op("Reshape", moved, g.ints([self.group, rows, images * positions]))


Rule = Callable[[Correlation, GraphBuilder, str, str], str | None]
"""One way to a gradient; None where it does not hold or does not pay."""


@dataclass(frozen=True)
class GradientRules:
    """The ways to the two gradients, the best one first; the last one holds everywhere."""

    input: tuple[Rule, ...]
    weight: tuple[Rule, ...]


RULES: Mapping[RuleSet | None, GradientRules] = {
    None: GradientRules(
        (Correlation.turned_input, Correlation.transposed_input), (Correlation.sliced_weight,)
    ),
    "cpu": GradientRules(
        (
            Correlation.forward_input,
            Correlation.minimal_input,
            Correlation.turned_input,
            Correlation.transposed_input,
        ),
        (Correlation.minimal_weight, Correlation.sliced_weight),
    ),
    "cuda": GradientRules(
        (Correlation.spared_input, Correlation.turned_input, Correlation.transposed_input),
        (Correlation.minimal_weight, Correlation.gathered_weight),
    ),
    "cuda-tf32": GradientRules(
        (Correlation.turned_input, Correlation.transposed_input),
        (Correlation.phased_weight, Correlation.gathered_weight),
    ),
}
"""The rules for each kind of device. CPU cores, and a GPU without its tensor cores, are bound by
multiplications, of which minimal filtering spares two in three. With tensor cores a GPU is bound by its
memory (docs/performance-findings.md)."""
