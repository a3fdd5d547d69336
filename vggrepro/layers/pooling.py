"""Pooling: the maximum, the average or a drawn element of each window (Caffe's Pooling layer)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from vggrepro.caffe.messages import TRAIN
from vggrepro.emit import Dims, GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import (
    Array,
    Count,
    Emitted,
    Gradients,
    Layer,
    Needed,
    Reach,
    Referenced,
    Shapes,
    register,
)
from vggrepro.layers.rules.plane_pieces import of_planes
from vggrepro.layers.rules.pooled_windows import first_index, pooled
from vggrepro.layers.rules.pooling_nodes import (
    LOWEST,
    SPATIAL,
    AxisWindows,
    average_pool,
    max_pool,
    max_pool_by_planes,
    weighted_average,
)
from vggrepro.layers.rules.window import Span, edge_pads, pool_end_pad, pool_size, pool_spans, refuse_temporal
from vggrepro.layers.rules.window_positions import WindowPositions


class PoolingSaved(NamedTuple):
    x: Value
    y: str


@register
@dataclass(frozen=True)
class Pooling(Layer[PoolingSaved]):
    """Bottom (N, C, H, W), top (N, C, H', W').

    MAX pooling may have a second top of the same shape: the index in the H x W plane of each maximum,
    the first one in scan order if there are several, -1 where Caffe finds none.

    STOCHASTIC pooling draws an element of each window in TRAIN, with the elements as weights; that is not
    implemented. In TEST it gives what a draw gives on average, as Caffe does on a GPU (on a CPU it has none).

    DEVIATION: in Caffe a NaN never is the maximum, and a window of nothing but -inf gives -FLT_MAX. Here
    such windows give what the runtime makes of them, NaN or -inf in most.
    """

    type = "Pooling"
    tops = Count(1, 2)

    method: str
    """MAX, AVE or STOCHASTIC."""
    kernel: tuple[int, int] | None
    """Height and width; None: global pooling."""
    stride: tuple[int, int] = (1, 1)
    pad: tuple[int, int] = (0, 0)
    """Before the first row and column."""
    behind: tuple[int, int] | None = None
    """Behind the last ones, where it is not ``pad`` (synopsys-caffe)."""
    round_up: bool = True
    masked: bool = False
    image_only: bool = False
    """Whether an average divides by the elements of the image in its window alone (Intel Caffe's
    ``avg_include_pad: false``)."""

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Pooling:
        p = param.pooling_param
        refuse_temporal(p)
        if p.pool == p.STOCHASTIC and phase == TRAIN:
            raise UnsupportedError("pooling_param: pool STOCHASTIC is implemented for TEST alone")
        pad = _pair(p, "pad", "pad is pad OR pad_h and pad_w are required.")
        edges = edge_pads(p)
        return cls.checked(
            method=p.PoolMethod.Name(p.pool),
            kernel=_kernel(p),
            stride=_pair(p, "stride", "Stride is stride OR stride_h and stride_w are required."),
            pad=pad if edges is None else edges[0],
            round_up=rounds_up(p),
            tops=len(param.top),
            behind=None if edges is None else edges[1],
            image_only=not p.avg_include_pad,
        )

    @classmethod
    def checked(
        cls,
        method: str,
        kernel: tuple[int, int] | None,
        stride: tuple[int, int],
        pad: tuple[int, int],
        round_up: bool = True,
        tops: int = 1,
        behind: tuple[int, int] | None = None,
        image_only: bool = False,
    ) -> Pooling:
        """A layer with the checks of Caffe's ``LayerSetUp``."""
        if method == "STOCHASTIC" and any((*pad, *(behind or ()))):
            raise NetError("Padding implemented only for average and max pooling.")
        if tops > 1 and method != "MAX":
            raise NetError(f"Pooling Layer produces at most 1 top blob(s) as output. ({method}, {tops} tops)")
        if kernel is None and (pad != (0, 0) or behind not in (None, (0, 0)) or stride != (1, 1)):
            raise NetError("With Global_pooling: true; only pad = 0 and stride = 1")
        if 0 in stride:
            raise NetError(f"pooling_param: stride must be positive, got {stride}")
        for pads in (pad, behind or (0, 0)):
            for axis, p, k in zip("hw", pads, kernel or (), strict=False) if any(pads) else ():
                if p >= k:
                    raise NetError(f"Check failed: pad_{axis}_ < kernel_{axis}_ ({p} vs. {k})")
        return cls(method, kernel, stride, pad, behind, round_up, tops > 1, image_only)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        """DEVIATION: where no window fits, Caffe goes on with an empty blob; here it is an error."""
        (shape,) = bottoms
        if len(shape) != 4:
            raise ShapeError(
                f"Check failed: 4 == bottom[0]->num_axes() (4 vs. {len(shape)})"
                " Input must have 4 axes, corresponding to (num, channels, height, width)"
            )
        sizes = tuple(self._counts(shape))
        if min(sizes) < 1:
            raise ShapeError(f"no window of {self.kernel} fits in {shape[2:]}: the top would be {sizes}")
        return ((*shape[:2], *sizes),) * (2 if self.masked else 1)

    def _counts(self, shape: Shape) -> list[int]:
        if self.kernel is None:
            return [1, 1]
        return [
            pool_size(shape[axis], k, s, p, round_up=self.round_up, clip=self._clips, behind=b)
            for axis, k, s, p, b in self._axes(self.kernel)
        ]

    @property
    def _clips(self) -> bool:
        """Whether a window that starts behind the image is dropped: as soon as there is any padding."""
        return any((*self.pad, *(self.behind or ())))

    def _axes(self, kernel: tuple[int, int]) -> Iterator[tuple[int, int, int, int, int]]:
        """Axis, kernel, stride and padding before and behind, of height and width."""
        return zip(SPATIAL, kernel, self.stride, self.pad, self.behind or self.pad, strict=True)

    def windows(self, dims: Dims) -> tuple[AxisWindows, ...]:
        """The windows along height and width of a bottom, whose sizes may be None."""
        if self.kernel is None:
            height, width = Value("global pooling", dims[2:]).shape
            return AxisWindows(height, 1, 0, 0), AxisWindows(width, 1, 0, 0)
        rule = {"round_up": self.round_up, "clip": self._clips}
        return tuple(
            AxisWindows(k, s, p, pool_end_pad(dims[axis], k, s, p, **rule, behind=b), b, self.image_only)
            for axis, k, s, p, b in self._axes(self.kernel)
        )

    def reach(self, bottom: Shape) -> Reach | None:
        height, width = self.windows(bottom)
        return Reach((height.kernel, width.kernel), (height.stride, width.stride))

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[PoolingSaved]:
        (x,) = bottoms
        if self.method == "MAX":
            y = g.op("GlobalMaxPool", x.name) if self.kernel is None else self.maxima(g, x)
        elif self.method == "AVE":
            y = self._averages(g, x.name, x.dims)
        else:
            squares = g.op("Mul", x.name, x.name)
            y = weighted_average(g, *(self._averages(g, name, x.dims) for name in (x.name, squares)))
        tops = (y, self._mask(g, x, y)) if self.masked else (y,)
        return Emitted(tops, saved=PoolingSaved(x, y))

    def maxima(self, g: GraphBuilder, x: Value) -> str:
        """The maxima of all windows."""
        return max_pool(g, x.name, self.windows(x.dims))

    def _averages(self, g: GraphBuilder, x: str, dims: Dims) -> str:
        if self.kernel is None:
            return g.op("GlobalAveragePool", x)
        return average_pool(g, x, self.windows(dims))

    def grad(
        self, g: GraphBuilder, saved: PoolingSaved, d_tops: Sequence[str | None], needed: Needed
    ) -> Gradients:
        """MAX: all of it to the first maximum. AVE: equal shares, of what the average divided by."""
        x, y = saved
        dy = d_tops[0]
        if dy is None or not needed.bottoms[0]:
            return Gradients((None,))
        if self.method == "STOCHASTIC":
            raise UnsupportedError("pooling_param: pool STOCHASTIC has no gradient in TEST")
        if self.method == "MAX":
            pooled = self._positions(x)[0].pooled[2:]
            tops = [Value(name, (*x.dims[:2], *pooled)) for name in (y, dy)]
            return Gradients((of_planes(g, [x, *tops], self._to_first_maxima),))
        rows, columns = self._positions(x)
        share = g.op("Div", dy, g.const(self._divisors(x.shape)))
        d_rows = rows.put_back(g, [rows.by_window(g, share)] * rows.kernel)
        shares = [columns.by_window(g, d_rows)] * columns.kernel
        return Gradients((columns.put_back(g, shares),))

    def _to_first_maxima(self, g: GraphBuilder, tensors: Sequence[Value]) -> str:
        """The gradient of x from x, its maxima y and their gradient dy."""
        x, y, dy = tensors
        rows, columns = self._positions(x)
        row_best = self._row_maxima(g, x)
        shares = rows.first_maximum(g, row_best, rows.by_window(g, y.name), rows.by_window(g, dy.name))
        d_rows = columns.by_window(g, rows.put_back(g, shares))
        shares = columns.first_maximum(g, x.name, columns.by_window(g, row_best), d_rows)
        return columns.put_back(g, shares)

    def _positions(self, x: Value) -> tuple[WindowPositions, WindowPositions]:
        """The windows of rows, over the maxima of the windows of columns, which come second."""
        shape = (-1, *Value(x.name, x.dims[1:]).shape)
        height, width = self.windows(shape)
        counts = self._counts(shape)
        columns = WindowPositions(shape, 3, width.kernel, width.stride, width.pad, counts[1])
        return WindowPositions(
            columns.pooled, 2, height.kernel, height.stride, height.pad, counts[0]
        ), columns

    def _row_maxima(self, g: GraphBuilder, x: Value) -> str:
        """The maxima of each row's windows, (N, C, H, W').

        The first maximum of a window in scan order is the first one in the first row that has one.
        """
        windows = (AxisWindows(1, 1, 0, 0), self.windows(x.dims)[1])
        return max_pool_by_planes(g, x, windows, self._positions(x)[1].pooled)

    def _mask(self, g: GraphBuilder, x: Value, y: str) -> str:
        """The index of each maximum, from the same search as the gradient's: MaxPool's own indices
        prefer the first column to the first row on CUDA. Needs a fixed height and width."""
        rows, columns = self._positions(x)
        row_best = self._row_maxima(g, x)
        column = columns.from_windows(g, columns.places(g, columns.found(g, x.name, row_best)))
        found = rows.found(g, row_best, y)
        inside = rows.elements(g, column, rows.kernel)
        chosen = g.sum_in_order([g.op("Mul", f, i) for f, i in zip(found, inside, strict=True)])
        begins = g.op("Mul", rows.places(g, found), g.const(columns.shape[3]))
        index = rows.from_windows(g, g.op("Add", begins, chosen))
        return g.op("Where", g.op("Greater", y, g.const(LOWEST)), index, g.const(-1))

    def _divisors(self, shape: Shape) -> Array:
        """What each window's sum is divided by, (H', W'); infinite where a window has no element."""
        heights, widths = self._spans(shape)
        rows, columns = ([self._counted(s) for s in spans] for spans in (heights, widths))
        counted = np.outer(rows, columns).astype(np.float64)
        empty = np.logical_or.outer([s.end <= s.begin for s in heights], [s.end <= s.begin for s in widths])
        return np.where(empty, np.inf, counted)

    def _counted(self, span: Span) -> int:
        """The elements along an axis by which a window's average divides."""
        return span.end - span.begin if self.image_only else span.padded

    def _spans(self, shape: Shape) -> list[list[Span]]:
        return [
            pool_spans(shape[axis], w.kernel, w.stride, w.pad, count, w.counted)
            for axis, w, count in zip(SPATIAL, self.windows(shape), self._counts(shape), strict=True)
        ]

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        (x,) = bottoms
        tops = [np.empty(shape) for shape in self.out_shapes([x.shape])]
        rows, columns = self._spans(x.shape)
        for i, row in enumerate(rows):
            for j, column in enumerate(columns):
                window = x[:, :, row.begin : row.end, column.begin : column.end]
                counted = self._counted(row) * self._counted(column)
                tops[0][:, :, i, j] = pooled(self.method, window, counted)
                if self.masked:
                    tops[1][:, :, i, j] = first_index(window, row, column, x.shape[3])
        return Referenced(tuple(tops))


def _kernel(p: Any) -> tuple[int, int] | None:
    square, pair = p.HasField("kernel_size"), p.HasField("kernel_h") and p.HasField("kernel_w")
    if p.global_pooling:
        if square or p.HasField("kernel_h") or p.HasField("kernel_w"):
            raise NetError("With Global_pooling: true Filter size cannot specified")
        return None
    if square == pair:
        raise NetError("Filter size is kernel_size OR kernel_h and kernel_w; not both")
    kernel = (p.kernel_size, p.kernel_size) if square else (p.kernel_h, p.kernel_w)
    if 0 in kernel:
        raise NetError("Filter dimensions cannot be zero.")
    return kernel


def _pair(p: Any, name: str, refusal: str) -> tuple[int, int]:
    """``name``, or ``name_h`` and ``name_w``."""
    pair = [p.HasField(f"{name}_h"), p.HasField(f"{name}_w")]
    if any(pair) and (not all(pair) or p.HasField(name)):
        raise NetError(refusal)
    if any(pair):
        return getattr(p, f"{name}_h"), getattr(p, f"{name}_w")
    return getattr(p, name), getattr(p, name)


def rounds_up(p: Any) -> bool:
    """``round_mode``, or ``ceil_mode`` of BVLC's pull request 3057, which says the same."""
    if p.HasField("ceil_mode") and p.HasField("round_mode") and p.ceil_mode != (p.round_mode == p.CEIL):
        raise NetError(f"pooling_param: ceil_mode {p.ceil_mode} contradicts round_mode")
    return bool(p.ceil_mode and p.round_mode == p.CEIL)
