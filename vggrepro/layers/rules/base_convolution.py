"""What Convolution and Deconvolution share (Caffe's BaseConvolutionLayer)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, TypeVar

import numpy as np

from vggrepro.caffe.messages import FillerParameter
from vggrepro.emit import Dims, GraphBuilder, Shape, Value
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
    at_least,
)
from vggrepro.layers.rules.axes import canonical_axis, shape_string
from vggrepro.layers.rules.batch_pieces import sum_of
from vggrepro.layers.rules.batch_statistics import channel_sums
from vggrepro.layers.rules.channel_layout import ChannelLayout
from vggrepro.layers.rules.pooling_nodes import SPATIAL, pad
from vggrepro.layers.rules.product import ProductLayer
from vggrepro.layers.rules.window import EdgePads, WindowParam, Windows, edge_pads

B = TypeVar("B", bound="BaseConvolution")
D = TypeVar("D", Dims, Shape)


@dataclass(frozen=True)
class Pair:
    """What backward needs of one bottom and its top: both as (N, channels, sizes...), the weight,
    and ``bottom``, the dims of the bottom as the net has it."""

    bottom: Dims
    x: Value
    y: Value
    weight: str
    dy: str = ""
    """The gradient of y, once it is known."""


@dataclass(frozen=True)
class BaseConvolution(ProductLayer[tuple[Pair, ...]]):
    """Filters over the axes behind ``axis``, the same for every pair of bottom and top.

    Weight: (output channels, input channels / group, kernel...), for Deconvolution with the two
    exchanged; bias: (num_output,). The axes before ``axis`` count as one batch. Without an axis
    behind ``axis`` the layer is a matrix product over the channels.
    """

    bottoms = at_least(1)
    tops = at_least(1)

    num_output: int
    window: WindowParam
    bias_term: bool = True
    group: int = 1
    axis: int = 1
    weight_filler: Any = field(default_factory=FillerParameter)
    bias_filler: Any = field(default_factory=FillerParameter)
    edges: EdgePads | None = None
    """Padding before and behind height and width, where the two differ; the windows have none then."""

    @classmethod
    def from_param(cls: type[B], param: Any, phase: int) -> B:
        p = param.convolution_param
        if param.bottom and len(param.bottom) != len(param.top):
            raise NetError(
                f"{cls.type} Layer produces one top blob as output for each bottom blob"
                f" input ({len(param.bottom)} vs. {len(param.top)})."
            )
        if p.num_output == 0 or p.group == 0:
            raise NetError(f"num_output_ > 0 ({p.num_output} vs. 0), group {p.group}: both must be")
        if p.num_output % p.group:
            raise NetError(
                f"num_output {p.num_output}, group {p.group}: Number of output should be multiples of group."
            )
        edges = edge_pads(p)
        return cls(
            p.num_output,
            WindowParam.from_param(p),
            p.bias_term,
            p.group,
            p.axis,
            p.weight_filler,
            p.bias_filler,
            edges if edges is not None and edges[0] != edges[1] else None,
        )

    @classmethod
    def own(cls, definition: Any) -> Any:
        return definition.convolution_param

    def output_axis(self, rank: int) -> int:
        return canonical_axis(self.axis, rank, self.type)

    @abstractmethod
    def _top_sizes(self, windows: Windows, sizes: Dims) -> Dims:
        """Spatial sizes of a top, from those of its bottom."""

    @abstractmethod
    def _weight_axes(self, channels: int) -> tuple[int, int]:
        """The first two axes of the weight, over a bottom with ``channels`` channels."""

    @abstractmethod
    def _node(self, g: GraphBuilder, x: Value, params: Sequence[str], windows: Windows) -> str:
        """The layer's own operator on x (N, C, sizes...), weight and bias."""

    @abstractmethod
    def _gradients(
        self, g: GraphBuilder, pair: Pair, windows: Windows, bottom: bool, weight: bool
    ) -> tuple[str | None, str | None]:
        """The gradients of the bottom and of the weight, where they are wanted."""

    @abstractmethod
    def _convolve(self, x: Array, weight: Array, windows: Windows) -> Array:
        """The layer's own sum in NumPy, on x (N, C, sizes...)."""

    def windows(self, rank: int) -> tuple[ChannelLayout, Windows]:
        """The windows over a blob of ``rank`` axes. A blob without spatial axis gets one of size 1."""
        layout = ChannelLayout.of(self.axis, rank, self.type)
        windows = self.window.resolve(layout.spatial)
        return layout, windows if layout.spatial else Windows((1,), (1,), (0,), (1,))

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        """DEVIATION: a top without elements is refused. Caffe goes on with an empty blob where the
        kernel exceeds the padded bottom by one stride exactly, and stops where it exceeds it by more.
        """
        layout, windows = self._checked(bottoms)
        out = self._top_sizes(windows, self._padded(layout.sizes(bottoms[0])))
        sizes = Value("top", out).shape[: layout.spatial]
        if any(size < 1 for size in sizes):
            raise ShapeError(
                f"kernel {windows.kernel}, stride {windows.stride}, pad {windows.pad}, dilation"
                f" {windows.dilation} over a bottom of shape {tuple(bottoms[0])} leave a top of size {sizes}"
            )
        return tuple((*b[: layout.axis], self.num_output, *sizes) for b in bottoms)

    def _padded(self, sizes: D) -> D:
        """Spatial sizes with the padding of ``edges``."""
        if self.edges is None:
            return sizes
        pads = map(sum, zip(*self.edges, strict=True))
        return tuple(None if s is None else s + p for s, p in zip(sizes, pads, strict=True))

    def _checked(self, bottoms: Shapes) -> tuple[ChannelLayout, Windows]:
        """Raises ShapeError as Caffe's ``LayerSetUp`` and ``Reshape``."""
        first, *others = bottoms
        canonical_axis(self.axis, first, self.type)
        layout, windows = self.windows(len(first))
        if self.edges is not None and layout.spatial != 2:
            raise ShapeError("pad_l, pad_r, pad_t and pad_b can only be used for 2D convolution.")
        channels = first[layout.axis]
        if channels % self.group:
            raise ShapeError(
                f"{channels} channels in {self.group} groups: channels_ % group_ == 0"
                f" ({channels % self.group} vs. 0)"
            )
        for index, shape in enumerate(others, 1):
            if tuple(shape) != tuple(first):
                raise ShapeError(
                    f"shape mismatch - bottom[0]: {shape_string(first)}"
                    f" vs. bottom[{index}]: {shape_string(shape)}"
                )
        return layout, windows

    def param_defs(self, bottoms: Shapes) -> tuple[ParamDef, ...]:
        layout, windows = self._checked(bottoms)
        shape = (*self._weight_axes(bottoms[0][layout.axis]), *windows.kernel[: layout.spatial])
        weight = ParamDef(shape, self.weight_filler)
        return (weight, ParamDef((self.num_output,), self.bias_filler)) if self.bias_term else (weight,)

    def reach(self, bottom: Shape) -> Reach | None:
        layout, windows = self.windows(len(bottom))
        if layout.spatial != 2:
            return None
        (height, width), (down, right) = windows.extents, windows.stride
        return Reach((height, width), (down, right))

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[tuple[Pair, ...]]:
        layout, windows = self.windows(bottoms[0].rank)
        weight, *bias = (p.name for p in params)
        if not layout.spatial:
            weight = g.op("Unsqueeze", weight, g.ints([2]))
        tops, pairs = [], []
        for bottom in bottoms:
            x = self._with_edges(g, layout.to_standard(g, bottom))
            sizes = self._top_sizes(windows, x.dims[2:])
            y = Value(self._node(g, x, [weight, *bias], windows), (x.dims[0], self.num_output, *sizes))
            tops.append(layout.from_standard(g, y, bottom))
            pairs.append(Pair(bottom.dims, x, y, weight))
        return Emitted(tuple(tops), tuple(pairs))

    def _with_edges(self, g: GraphBuilder, x: Value) -> Value:
        if self.edges is None:
            return x
        name = x.name
        for axis, before, behind in zip(SPATIAL, *self.edges, strict=True):
            name = pad(g, name, axis, before, behind)
        return Value(name, (*x.dims[:2], *self._padded(x.dims[2:])))

    def _without_edges(self, g: GraphBuilder, x: str, shape: Shape) -> str:
        if self.edges is None:
            return x
        before, behind = self.edges
        ends = [size - p for size, p in zip(shape[2:], behind, strict=True)]
        return g.op("Slice", x, g.ints(before), g.ints(ends), g.ints(SPATIAL))

    def grad(
        self, g: GraphBuilder, saved: tuple[Pair, ...], d_tops: Sequence[str | None], needed: Needed
    ) -> Gradients:
        """All pairs share the parameters, whose gradients are sums over the pairs."""
        layout, windows = self.windows(len(saved[0].bottom))
        d_bottoms: list[str | None] = []
        d_weights, d_biases = [], []
        for pair, d_top, wanted in zip(saved, d_tops, needed.bottoms, strict=True):
            if d_top is None:
                d_bottoms.append(None)
                continue
            pair = replace(pair, dy=layout.to_standard_fixed(g, d_top, pair.y.shape))
            d_x, d_weight = self._gradients(g, pair, windows, wanted, needed.params[0])
            if d_x is not None:
                inside = self._without_edges(g, d_x, pair.x.shape)
                d_x = layout.from_standard_fixed(g, inside, pair.bottom)
            d_bottoms.append(d_x)
            d_weights += [] if d_weight is None else [d_weight]
            if self.bias_term and needed.params[1]:
                d_biases.append(channel_sums(g, pair.dy, pair.y.rank))
        d_weight = sum_of(g, d_weights) if d_weights else None
        if d_weight is not None and not layout.spatial:
            d_weight = g.op("Squeeze", d_weight, g.ints([2]))
        d_bias = sum_of(g, d_biases) if d_biases else None
        return Gradients(tuple(d_bottoms), (d_weight, d_bias)[: 1 + self.bias_term])

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        layout, windows = self.windows(bottoms[0].ndim)
        weight, *bias = params
        weight = weight.reshape(*weight.shape[:2], *windows.kernel)
        tops = []
        for bottom in bottoms:
            leading = bottom.shape[: layout.axis]
            x = bottom.reshape(prod(leading), -1, *(bottom.shape[layout.axis + 1 :] or (1,)))
            if self.edges is not None:
                x = np.pad(x, [(0, 0), (0, 0), *zip(*self.edges, strict=True)])
            y = self._convolve(x, weight, windows)
            for b in bias:
                y = y + b.reshape(-1, *[1] * len(windows.kernel))
            tops.append(y.reshape(*leading, *y.shape[1 : 2 + layout.spatial]))
        return Referenced(tuple(tops))
