"""Local: a convolution whose filters differ from place to place (forks' layer; not from BVLC Caffe).

Sources: BVLC's pull request 1271, happynear/caffe-windows, jhauswald/caffe (DjiNN and Tonic) and others that
agree, field ``local_param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import (
    Array,
    Emitted,
    Gradients,
    Layer,
    Needed,
    ParamDef,
    Reach,
    Referenced,
    Shapes,
    register,
)
from vggrepro.layers.rules.folded import emit_folded
from vggrepro.layers.rules.unfold import offset_slices, pad_widths, unfold
from vggrepro.layers.rules.window import Windows


class _Saved(NamedTuple):
    shape: Shape
    columns: str
    """What every window sees, (N, 1, K, windows)."""
    weight: str
    """(1, M, K, windows)."""


@register
@dataclass(frozen=True)
class Local(Layer[_Saved]):
    """Bottom (N, C, H, W), top (N, M, H', W'). Weights (M, 1, C * kernel^2, H' * W') and, with ``bias_term``,
    biases (1, 1, M, H' * W'): each window has filters and biases of its own.
    """

    type = "Local"
    origin = "PR 1271 forks"

    num_output: int
    kernel: int
    stride: int
    pad: int
    bias: bool
    filler: tuple[Any, Any]
    """Of weights and biases."""

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Local:
        p = param.local_param
        if min(p.num_output, p.kernel_size, p.stride) < 1:
            raise NetError(
                "local_param: num_output, kernel_size and stride must be above 0, got"
                f" {p.num_output}, {p.kernel_size} and {p.stride}"
            )
        fillers = (p.weight_filler, p.bias_filler)
        return cls(p.num_output, p.kernel_size, p.stride, p.pad, p.bias_term, fillers)

    @classmethod
    def fillers(cls, definition: Any) -> tuple[Any, Any] | None:
        return definition.local_param.weight_filler, definition.local_param.bias_filler

    @property
    def _windows(self) -> Windows:
        return Windows((self.kernel,) * 2, (self.stride,) * 2, (self.pad,) * 2, (1, 1))

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        (shape,) = bottoms
        if len(shape) != 4 or min(shape[2:]) < self.kernel:
            raise ShapeError(
                f"Local: bottom[0] must be (N, C, H, W), H and W at least {self.kernel}, got shape {shape}"
            )
        sizes = ((size + 2 * self.pad - self.kernel) // self.stride + 1 for size in shape[2:])
        return ((shape[0], self.num_output, *sizes),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def param_defs(self, bottoms: Shapes) -> tuple[ParamDef, ...]:
        (top,) = self.out_shapes(bottoms)
        windows = prod(top[2:])
        weights = ParamDef((self.num_output, 1, bottoms[0][1] * self.kernel**2, windows), self.filler[0])
        biases = ParamDef((1, 1, self.num_output, windows), self.filler[1])
        return (weights, biases) if self.bias else (weights,)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        x = bottoms[0]
        (top,) = self.out_shapes([x.shape])
        windows = prod(top[2:])
        seen = unfold(g, x.name, x.dims, self._windows)  # (N, C, kernel^2, H', W')
        columns = g.op("Reshape", seen, g.ints([top[0], 1, -1, windows]))
        weight = g.op("Reshape", params[0].name, g.ints([1, self.num_output, -1, windows]))
        y = g.op("ReduceSum", g.op("Mul", columns, weight), g.ints([2]), keepdims=0)  # (N, M, windows)
        if self.bias:
            y = g.op("Add", y, g.op("Reshape", params[1].name, g.ints([1, self.num_output, windows])))
        return Emitted((g.op("Reshape", y, g.ints(top)),), _Saved(x.shape, columns, weight))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        if d_tops[0] is None:
            return Gradients((None,), (None,) * len(needed.params))
        (top,) = self.out_shapes([saved.shape])
        windows = prod(top[2:])
        dy = g.op("Reshape", d_tops[0], g.ints([top[0], self.num_output, 1, windows]))
        d_params = [
            self._weight_gradient(g, saved, dy, windows) if needed.params[0] else None,
            g.op("ReduceSum", g.op("Reshape", dy, g.ints([top[0], 1, -1, windows])), g.ints([0]))
            if self.bias and needed.params[1]
            else None,
        ]
        d_params = d_params[: len(needed.params)]
        if not needed.bottoms[0]:
            return Gradients((None,), tuple(d_params))
        d_columns = g.op("ReduceSum", g.op("Mul", dy, saved.weight), g.ints([1]), keepdims=0)
        size = saved.shape[1] * self.kernel**2
        d_columns = g.op("Reshape", d_columns, g.ints([top[0], size, *top[2:]]))
        return Gradients((emit_folded(g, d_columns, saved.shape, top, self._windows),), tuple(d_params))

    def _weight_gradient(self, g: GraphBuilder, saved: _Saved, dy: str, windows: int) -> str:
        products = g.op("ReduceSum", g.op("Mul", dy, saved.columns), g.ints([0]))  # (1, M, K, windows)
        return g.op("Reshape", products, g.ints([self.num_output, 1, -1, windows]))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        (x,) = bottoms
        (top,) = self.out_shapes([x.shape])
        padded = np.pad(x, pad_widths(x.shape, self._windows))
        weights = params[0].reshape(self.num_output, x.shape[1], self.kernel, self.kernel, *top[2:])
        y = np.zeros(top)
        for offset in np.ndindex(self.kernel, self.kernel):
            seen = padded[offset_slices(offset, top[2:], self._windows)]
            y += np.einsum("nchw,mchw->nmhw", seen, weights[:, :, offset[0], offset[1]])
        return Referenced((y + params[1].reshape(1, *top[1:]) if self.bias else y,))
