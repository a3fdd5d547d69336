"""ResizeBilinear: linear resizing by one of four rules of where places lie (Synopsys' layer; not from BVLC
Caffe).

Source: foss-for-synopsys-dwc-arc-processors/synopsys-caffe, field ``resize_bilinear_param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Array, Emitted, Layer, Reach, Referenced, Shapes, register
from vggrepro.layers.rules.resizing import without_transposes

RESIZED = {"NHWC": (1, 2), "NCHW": (2, 3), "NCHWD": (2, 3, 4)}
"""The axes that change, by ``data_format``."""


@register
@dataclass(frozen=True)
class ResizeBilinear(Layer[None]):
    """Bottom and top (N, C, H, W), or as ``data_format`` says, (N, H, W, C) or (N, C, H, W, D). Sizes are
    ``output_height``, ``output_width`` and ``output_depth``, or multiples of the bottom's, rounded down.

    Element i of an axis of n lies at ``i * m / n`` of the m of the bottom; with ``align_corners`` at ``i * (m
    - 1) / (n - 1)``, with ``half_pixel_centers`` and ``pytorch_half_pixel`` at ``(i + 0.5) * m / n - 0.5``,
    and with the latter at 0 if n is 1. Beyond its ends a blob goes on as it ends.

    The defaults of the fork are not known: ``data_format``, and what says where places lie, must be given.
    The fork has no backward pass, and what is for integers is refused.
    """

    type = "ResizeBilinear"
    origin = "Synopsys"
    has_gradient = False

    layout: str
    mode: str
    """As ONNX calls where places lie."""
    sizes: tuple[int, ...]
    """0 where a factor tells it."""
    factors: tuple[float, ...]

    @classmethod
    def from_param(cls, param: Any, phase: int) -> ResizeBilinear:
        p = param.resize_bilinear_param
        kinds = {
            "align_corners": p.align_corners,
            "half_pixel": p.half_pixel_centers,
            "pytorch_half_pixel": p.pytorch_half_pixel,
        }
        chosen = [mode for mode, on in kinds.items() if on]
        if p.data_format not in RESIZED or not (chosen or p.HasField("align_corners")):
            raise UnsupportedError(
                f"resize_bilinear_param: data_format must be one of {', '.join(RESIZED)}, and align_corners,"
                " half_pixel_centers or pytorch_half_pixel be given"
            )
        if len(chosen) > 1:
            raise NetError("If half_pixel_centers is True, align_corners must be False.")
        names = ("height", "width", "depth")[: len(RESIZED[p.data_format])]
        for name in names:
            given = (
                getattr(p, f"output_{name}") if p.HasField(f"output_{name}") else getattr(p, f"scale_{name}")
            )
            if given <= 0:
                raise NetError(f"resize_bilinear_param: output_{name} or scale_{name} must be above 0")
        return cls(
            p.data_format,
            chosen[0] if chosen else "asymmetric",
            tuple(getattr(p, f"output_{name}") for name in names),
            tuple(getattr(p, f"scale_{name}") for name in names),
        )

    @property
    def axes(self) -> tuple[int, ...]:
        return RESIZED[self.layout]

    def fixed_axes(self, bottoms: Shapes) -> frozenset[int]:
        return frozenset(self.axes)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        top = list(bottoms[0])
        if len(top) != len(self.layout):
            raise ShapeError(f"bottom[0] must be {', '.join(self.layout)}, got shape {bottoms[0]}")
        for axis, size, factor in zip(self.axes, self.sizes, self.factors, strict=True):
            top[axis] = size or int(np.float32(top[axis]) * np.float32(factor))
        if min(top[axis] for axis in self.axes) < 1:
            raise ShapeError(f"resize_bilinear_param: nothing is left of shape {bottoms[0]}")
        return (tuple(top),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        x = bottoms[0]
        known = tuple(d if axis in self.axes else 1 for axis, d in enumerate(x.dims))
        (top,) = self.out_shapes([Value(x.name, known).shape])
        last = self.layout == "NHWC"
        own = without_transposes(g, x)
        planes = g.op("Transpose", own, perm=[0, 3, 1, 2]) if last else own
        # all sizes, not those of some axes: ONNX Runtime cannot move a Transpose behind a Resize with axes
        sizes = g.op(
            "Concat", g.op("Shape", planes, end=2), g.ints([top[axis] for axis in self.axes]), axis=0
        )
        resized = g.op(
            "Resize", planes, "", "", sizes, mode="linear", coordinate_transformation_mode=self.mode
        )
        return Emitted((g.op("Transpose", resized, perm=[0, 2, 3, 1]) if last else resized,), None)

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x = bottoms[0]
        (shape,) = self.out_shapes([x.shape])
        for axis in self.axes:
            m, n = x.shape[axis], shape[axis]
            at = self._places(m, n).clip(0, m - 1)
            low = np.floor(at).astype(int)
            share = (at - low).reshape((-1,) + (1,) * (x.ndim - 1 - axis))
            x = x.take(low, axis) * (1 - share) + x.take(np.minimum(low + 1, m - 1), axis) * share
        return Referenced((x,))

    def _places(self, m: int, n: int) -> Array:
        index = np.arange(n, dtype=np.float64)
        if self.mode == "asymmetric" or (n == 1 and self.mode != "half_pixel"):
            return index * (m / n)
        if self.mode == "align_corners":
            return index * ((m - 1) / (n - 1))
        return (index + 0.5) * (m / n) - 0.5
