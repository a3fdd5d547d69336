"""NdPooling over any number of axes, whose windows are given as shapes (a layer of video-caffe; not from BVLC
Caffe).

Source: chuckcho/video-caffe, ``cudnn_ndpooling_layer.cpp``, after an early pull request to BVLC Caffe, with
``kernel_shape``, ``stride_shape`` and ``pad_shape`` in ``pooling_param``. video-caffe counts windows by
rounding up, the pull request by rounding down; neither reads ``round_mode``, which says here what is meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError, UnsupportedError
from vggrepro.layers.base import Array, Emitted, Gradients, Needed, Referenced, Shapes, register
from vggrepro.layers.pooling import rounds_up
from vggrepro.layers.pooling_of_axes import PoolingOfAxes, SavedBottom
from vggrepro.layers.rules.folded import emit_folded
from vggrepro.layers.rules.unfold import offset_slices
from vggrepro.layers.rules.window import shapes_param

READ = ("pool", "global_pooling", "engine", "round_mode", "ceil_mode")


@register
@dataclass(frozen=True)
class NdPooling(PoolingOfAxes):
    """Bottom (N, C, sizes...), top (N, C, windows...): the maximum or the average of each window.

    With ``whole`` one window covers all of the bottom. Without ``decided`` nothing says how windows are
    counted: sizes that they do not fit are refused then, and so are averages of windows that reach beyond the
    bottom. An axis of size 1 stays in the top, as in video-caffe.
    """

    type = "NdPooling"
    origin = "video-caffe"

    average: bool = False
    whole: bool = False
    decided: bool = False

    @classmethod
    def from_param(cls, param: Any, phase: int) -> NdPooling:
        p = param.pooling_param
        kernel, stride, pad = shapes_param(p, READ, cls.type)
        method = p.PoolMethod.Name(p.pool)
        if method not in ("MAX", "AVE") or len(param.top) > 1:
            raise UnsupportedError(f"NdPooling {method}: only MAX and AVE are implemented, with one top")
        decided = p.HasField("round_mode") or p.HasField("ceil_mode")
        return cls(
            kernel,
            stride,
            pad,
            round_up=rounds_up(p),
            average=method == "AVE",
            whole=p.global_pooling,
            decided=decided,
        )

    def _over(self, sizes: Sequence[int]) -> NdPooling:
        """The layer with its kernel, over a bottom of these sizes. Raises ShapeError, UnsupportedError."""
        if len(sizes) != len(self.kernel):
            raise ShapeError(f"Kernel shape {self.kernel} for a bottom with axes of sizes {tuple(sizes)}")
        layer = replace(self, kernel=tuple(sizes), whole=False) if self.whole else self
        axes = zip(sizes, layer.kernel, layer.stride, layer.pad, strict=True)
        fits = not any((size + 2 * p - k) % s for size, k, s, p in axes)
        if not fits and not self.decided:
            raise UnsupportedError(
                f"windows of {layer.kernel} with stride {layer.stride} do not fit sizes {tuple(sizes)}, where"
                " video-caffe counts them by rounding up and the pull request before it by rounding down; add"
                " round_mode: CEIL or round_mode: FLOOR to pooling_param, or name the fork: video-caffe"
            )
        if self.average and (any(layer.pad) or (self.round_up and not fits)):
            raise UnsupportedError(
                f"averages of windows of {layer.kernel} that reach beyond sizes {tuple(sizes)} are not"
                " implemented: expected windows without padding that fit"
            )
        return layer

    def fixed_axes(self, bottoms: Shapes) -> frozenset[int]:
        """All that are pooled, where more than the number of windows depends on their sizes."""
        free = self.decided and not self.whole and not (self.average and self.round_up)
        return frozenset() if free else frozenset(range(2, len(bottoms[0])))

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        return PoolingOfAxes.out_shapes(self._over(bottoms[0][2:]), bottoms)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[SavedBottom]:
        (x,) = bottoms
        layer = self if None in x.dims[2:] else self._over(Value("sizes", x.dims[2:]).shape)
        if not self.average:
            return PoolingOfAxes.emit(layer, g, bottoms, params, states)
        top = g.op("AveragePool", x.name, kernel_shape=layer.kernel, strides=layer.stride)
        return Emitted((top,), SavedBottom(x.name, x.dims))

    def grad(
        self, g: GraphBuilder, saved: SavedBottom, d_tops: Sequence[str | None], needed: Needed
    ) -> Gradients:
        shape = Value("", saved.bottom).shape
        layer = self._over(shape[2:])
        if not self.average:
            return PoolingOfAxes.grad(layer, g, saved, d_tops, needed)
        dy = d_tops[0]
        if dy is None or not needed.bottoms[0]:
            return Gradients((None,))
        (top,) = PoolingOfAxes.out_shapes(layer, [shape])
        elements = prod(layer.kernel)
        share = g.op("Unsqueeze", g.op("Div", dy, g.const(elements)), g.ints([2]))
        shares = g.op("Expand", share, g.ints([1, 1, elements, *[1] * len(layer.kernel)]))
        columns = g.op("Reshape", shares, g.ints([shape[0], shape[1] * elements, *top[2:]]))
        return Gradients((emit_folded(g, columns, shape, top, layer._windows(len(shape))),))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        (x,) = bottoms
        layer = self._over(x.shape[2:])
        if not self.average:
            return PoolingOfAxes.reference(layer, bottoms, params, states)
        (shape,) = self.out_shapes([x.shape])
        windows = layer._windows(x.ndim)
        seen = [x[offset_slices(at, shape[2:], windows)] for at in np.ndindex(*windows.kernel)]
        return Referenced((np.mean(seen, axis=0),))
