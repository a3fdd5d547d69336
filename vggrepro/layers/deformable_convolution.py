"""DeformableConvolution: a convolution whose windows bend as another blob says (layer of Deformable ConvNets'
ports to Caffe; not from BVLC Caffe).

Sources: unsky/Deformable-ConvNets-caffe and its descendants (troyliu0105/caffe), lzx1413/caffe, field
``deformable_convolution_param``; "Deformable Convolutional Networks", section 2.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np

from vggrepro.caffe.messages import LayerParameter
from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import (
    Array,
    Emitted,
    Gradients,
    Needed,
    ParamDef,
    Reach,
    Referenced,
    Shapes,
    exactly,
    register,
)
from vggrepro.layers.convolution import Convolution
from vggrepro.layers.rules.batch_statistics import channel_sums
from vggrepro.layers.rules.image_points import (
    ImagePoints,
    emit_image_gradient,
    emit_point_gradient,
    emit_points,
)
from vggrepro.layers.rules.product import ProductLayer


class _Sizes(NamedTuple):
    """D: deformable groups, each with offsets of its own. K: places of a window."""

    x: Shape
    """(N, C, H, W)."""
    offsets: Shape
    """(N, D * K * 2, H', W')."""
    deformable_group: int
    taps: int

    @property
    def points(self) -> Shape:
        """(N * D, K * H', W', 1)."""
        n, _, height, width = self.offsets
        return (n * self.deformable_group, self.taps * height, width, 1)

    @property
    def images(self) -> Shape:
        """(N * D, C / D, H, W)."""
        n, c, h, w = self.x
        return (n * self.deformable_group, c // self.deformable_group, h, w)

    @property
    def columns(self) -> Shape:
        """(N, D, K, H' * W', C / D)."""
        n, _, height, width = self.offsets
        return (n, self.deformable_group, self.taps, height * width, self.images[1])


class _Saved(NamedTuple):
    sizes: _Sizes
    inside: str
    """Which points lie in the image, bool, as ``sizes.points``."""
    points: ImagePoints
    columns: str
    """(N, group, C / group * K, H' * W')."""
    weight: str
    """(group, num_output / group, C / group * K)."""


@register
@dataclass(frozen=True)
class DeformableConvolution(ProductLayer[_Saved]):
    """Bottoms: x (N, C, H, W), and for each place of each window how far it is moved, down and to the right:
    (N, deformable_group * kernel_h * kernel_w * 2, H', W'). Top (N, num_output, H', W'): Convolution's sum
    over the values of x at the moved places, interpolated linearly.

    At places above row 0, below row H or beside the columns there is 0; between the last row and H the last
    row counts, and so for columns. Channels of one deformable group are moved alike. Without
    ``deformable_group``, whose default differs from fork to fork, the second bottom tells it.

    DEVIATION: an early version of unsky's divides the height, not the channels, by the deformable groups, so
    that most channels read behind the offsets. That is not repeated.
    """

    type = "DeformableConvolution"
    origin = "Deformable ConvNets"
    bottoms = exactly(2)

    inner: Convolution
    deformable_group: int | None = None

    @classmethod
    def from_param(cls, param: Any, phase: int) -> DeformableConvolution:
        p = cls.own(param)
        plain = LayerParameter()
        plain.convolution_param.MergeFromString(p.SerializeToString())  # the fields have BVLC's numbers
        if p.axis != 1:
            raise NetError(f"deformable_convolution_param: axis must be 1, got {p.axis}")
        if p.HasField("deformable_group") and p.deformable_group == 0:
            raise NetError("deformable_convolution_param: deformable_group must be above 0, got 0")
        return cls(Convolution.from_param(plain, phase), p.deformable_group or None)

    @classmethod
    def own(cls, definition: Any) -> Any:
        return definition.deformable_convolution_param

    def output_axis(self, rank: int) -> int:
        return self.inner.output_axis(rank)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        x, offsets = bottoms
        if len(x) != 4 or len(offsets) != 4:
            raise ShapeError(f"bottoms must have 4 axes, got shapes {tuple(x)} and {tuple(offsets)}")
        tops = self.inner.out_shapes([x])
        taps = prod(self.inner.windows(4)[1].kernel)
        groups = self.deformable_group or max(offsets[1] // (2 * taps), 1)
        wanted = (x[0], 2 * taps * groups, *tops[0][2:])
        if tuple(offsets) != wanted:
            raise ShapeError(
                f"bottom[1] must hold two offsets for each of {taps} places of a window in {groups}"
                f" deformable groups: expected shape {wanted}, got {tuple(offsets)}"
            )
        if x[1] % groups:
            raise ShapeError(f"{x[1]} channels are no multiple of {groups} deformable groups")
        return tops

    def param_defs(self, bottoms: Shapes) -> tuple[ParamDef, ...]:
        return self.inner.param_defs(bottoms[:1])

    def macs(self, bottoms: Shapes) -> int:
        return self.inner.macs(bottoms[:1])

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def _sizes(self, x: Shape, offsets: Shape) -> _Sizes:
        taps = prod(self.inner.windows(4)[1].kernel)
        return _Sizes(x, offsets, offsets[1] // (2 * taps), taps)

    def _unmoved(self, sizes: _Sizes) -> tuple[Array, Array]:
        """Rows and columns that windows see where nothing is moved, each (1, K * H', W', 1)."""
        windows = self.inner.windows(4)[1]
        axes = zip(
            sizes.offsets[2:], windows.kernel, windows.stride, windows.pad, windows.dilation, strict=True
        )
        # (kernel, windows) of each axis
        rows, columns = (np.arange(k)[:, None] * d + np.arange(n) * s - p for n, k, s, p, d in axes)
        shape = (len(rows), len(columns), rows.shape[1], columns.shape[1])
        whole = rows[:, None, :, None], columns[None, :, None, :]
        row, column = (np.broadcast_to(each, shape).reshape(1, *sizes.points[1:]) for each in whole)
        return row.astype(np.float64), column.astype(np.float64)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        x, offsets = bottoms
        sizes = self._sizes(x.shape, offsets.shape)
        n, d, k, area, _ = sizes.columns
        apart = g.op("Reshape", offsets.name, g.ints([n * d, k, 2, *offsets.shape[2:]]))
        at, inside = [], []
        moves = g.ops("Split", apart, outputs=2, axis=2, num_outputs=2)
        for move, unmoved, size in zip(moves, self._unmoved(sizes), x.shape[2:], strict=True):
            place = g.op("Add", g.op("Reshape", move, g.ints(sizes.points)), g.const(unmoved))
            inside += [g.op("GreaterOrEqual", place, g.const(0)), g.op("Less", place, g.const(size))]
            at.append(g.op("Clip", place, g.const(0), g.const(size)))
        counts = g.op("And", g.op("And", *inside[:2]), g.op("And", *inside[2:]))
        images = Value(g.op("Reshape", x.name, g.ints(sizes.images)), sizes.images)
        seen, points = emit_points(g, images, at[1], at[0])
        seen = g.op("Where", counts, seen, g.const(0))
        columns = g.op("Transpose", g.op("Reshape", seen, g.ints(sizes.columns)), perm=[0, 1, 4, 2, 3])
        columns = g.op("Reshape", columns, g.ints([n, self.inner.group, -1, area]))
        weight = g.op(
            "Reshape",
            params[0].name,
            g.ints([self.inner.group, self.inner.num_output // self.inner.group, -1]),
        )
        top = g.op(
            "Reshape", g.op("MatMul", weight, columns), g.ints(self.out_shapes([x.shape, offsets.shape])[0])
        )
        for bias in params[1:]:
            top = g.op("Add", top, g.op("Reshape", bias.name, g.ints([-1, 1, 1])))
        return Emitted((top,), _Saved(sizes, counts, points, columns, weight))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        (dy,) = d_tops
        if dy is None:
            return Gradients((None, None), (None,) * len(needed.params))
        n, *_, area, _ = saved.sizes.columns
        group = self.inner.group
        grouped = g.op("Reshape", dy, g.ints([n, group, -1, area]))
        d_params: list[str | None] = [None] * len(needed.params)
        if needed.params[0]:
            products = g.op("MatMul", grouped, g.op("Transpose", saved.columns, perm=[0, 1, 3, 2]))
            shape = self.inner.param_defs([saved.sizes.x])[0].shape
            d_params[0] = g.op("Reshape", g.op("ReduceSum", products, g.ints([0]), keepdims=0), g.ints(shape))
        if len(needed.params) > 1 and needed.params[1]:
            d_params[1] = channel_sums(g, dy, 4)
        if not any(needed.bottoms):
            return Gradients((None, None), tuple(d_params))
        d_columns = g.op("MatMul", g.op("Transpose", saved.weight, perm=[0, 2, 1]), grouped)
        return Gradients(self._d_bottoms(g, saved, d_columns, needed), tuple(d_params))

    def _d_bottoms(
        self, g: GraphBuilder, saved: _Saved, d_columns: str, needed: Needed
    ) -> tuple[str | None, str | None]:
        sizes = saved.sizes
        n, d, k, area, channels = sizes.columns
        d_seen = g.op("Reshape", d_columns, g.ints([n, d, channels, k, area]))
        d_seen = g.op("Transpose", d_seen, perm=[0, 1, 3, 4, 2])
        d_seen = g.op("Reshape", d_seen, g.ints([*sizes.points[:3], channels]))
        d_seen = g.op("Where", saved.inside, d_seen, g.const(0))
        d_x = d_offsets = None
        if needed.bottoms[0]:
            d_x = g.op("Reshape", emit_image_gradient(g, saved.points, d_seen), g.ints(sizes.x))
        if needed.bottoms[1]:
            d_places = emit_point_gradient(g, saved.points, d_seen)  # of columns, then of rows
            apart = g.op("Reshape", d_places, g.ints([n * d, 2, k, *sizes.offsets[2:]]))
            apart = g.op("Gather", apart, g.ints([1, 0]), axis=1)
            d_offsets = g.op("Transpose", apart, perm=[0, 2, 1, 3, 4])
            d_offsets = g.op("Reshape", d_offsets, g.ints(sizes.offsets))
        return d_x, d_offsets

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x, offsets = bottoms
        sizes = self._sizes(x.shape, offsets.shape)
        n, d, k, area, _ = sizes.columns
        moves = offsets.reshape(n * d, k, 2, *offsets.shape[2:])
        row, column = (
            (unmoved + moves[:, :, i].reshape(sizes.points))[..., 0]
            for i, unmoved in enumerate(self._unmoved(sizes))
        )
        _, _, h, w = x.shape
        inside = (row >= 0) & (row < h) & (column >= 0) & (column < w)
        row, column = np.clip(row, 0, h - 1), np.clip(column, 0, w - 1)
        images = np.moveaxis(x.reshape(sizes.images), 1, 3)
        item = np.arange(n * d)[:, None, None]
        seen = np.zeros((*sizes.points[:3], sizes.images[1]))
        for down, right in np.ndindex(2, 2):
            at_row = np.minimum(np.floor(row).astype(int) + down, h - 1)
            at_column = np.minimum(np.floor(column).astype(int) + right, w - 1)
            share = np.where(down, row % 1, 1 - row % 1) * np.where(right, column % 1, 1 - column % 1)
            seen += images[item, at_row, at_column] * (share * inside)[..., None]
        columns = np.moveaxis(seen.reshape(sizes.columns), 4, 2).reshape(n, self.inner.group, -1, area)
        weight, *bias = params
        filters = weight.reshape(self.inner.group, -1, columns.shape[2])
        top = (filters @ columns).reshape(n, self.inner.num_output, *offsets.shape[2:])
        return Referenced((top + sum(b[:, None, None] for b in bias),))
