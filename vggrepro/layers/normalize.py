"""Normalize: vectors brought to length 1, then scaled (SSD's Normalize layer; not from BVLC Caffe).

Source: weiliu89/caffe, branch ssd, field ``norm_param``. Other forks have other layers of this name; of these
happynear's (:mod:`vggrepro.layers.length_normalize`), which has the field ``normalize_param``, is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vggrepro.caffe.messages import FillerParameter
from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError, UnsupportedError
from vggrepro.layers.base import (
    AnyLayer,
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
from vggrepro.layers.length_normalize import LengthNormalize


@dataclass(frozen=True)
class _Saved:
    x: Value
    norm: str
    unit: str
    scale: str


@register
@dataclass(frozen=True)
class Normalize(Layer[_Saved]):
    """Bottom and top (N, C), (N, C, W) or (N, C, H, W): ``scale * x / sqrt(sum(x^2) + eps)``.

    The sum runs over the channels at each place, or with ``across_spatial`` over a whole image. The
    learned scale is one number, or without ``channel_shared`` one for each channel, at first 1.
    """

    type = "Normalize"
    origin = "SSD; happynear"

    across_spatial: bool = True
    channel_shared: bool = True
    eps: float = 1e-10
    filler: Any = field(default_factory=lambda: FillerParameter(type="constant", value=1))

    @classmethod
    def from_param(cls, param: Any, phase: int) -> AnyLayer:
        """SSD's layer has ``norm_param`` and a learned blob, of which ``param`` may speak; happynear's has
        ``normalize_param`` and no blob. Without any of these it is not known whose it is."""
        if param.HasField("normalize_param") and not param.HasField("norm_param"):
            return LengthNormalize.from_param(param, phase)
        if not (param.HasField("norm_param") or param.param or param.blobs):
            raise UnsupportedError(
                "Normalize without norm_param (SSD's) and normalize_param (happynear's):"
                " name the fork: ssd, happynear"
            )
        p = param.norm_param
        given = {"filler": p.scale_filler} if p.HasField("scale_filler") else {}
        return cls(p.across_spatial, p.channel_shared, p.eps, **given)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        (shape,) = bottoms
        if len(shape) < 2:
            raise ShapeError(f"Number of axes of bottom blob must be >=2. (shape {shape})")
        if len(shape) > 4:
            raise ShapeError(
                f"Check failed: num_axes() <= 4 ({len(shape)} vs. 4)"
                " Cannot use legacy accessors on Blobs with > 4 axes."
            )
        return (shape,)

    def param_defs(self, bottoms: Shapes) -> tuple[ParamDef, ...]:
        return (ParamDef(() if self.channel_shared else bottoms[0][1:2], self.filler),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None if self.across_spatial else super().reach(bottom)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        (x,), (learned,) = bottoms, params
        squares = g.op("ReduceSum", g.op("Mul", x.name, x.name), g.ints(self._summed(x.rank)))
        norm = g.op("Sqrt", g.op("Add", squares, g.const(self.eps)))
        unit = g.op("Div", x.name, norm)
        scale = learned.name
        if not self.channel_shared and x.rank > 2:
            scale = g.op("Unsqueeze", scale, g.ints(range(1, x.rank - 1)))
        return Emitted((g.op("Mul", unit, scale),), saved=_Saved(x, norm, unit, scale))

    def _summed(self, rank: int) -> Sequence[int]:
        return range(1, rank if self.across_spatial else 2)

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        """SSD's own rule for the bottom: ``scale * (dy - unit * sum(unit * dy)) / norm``. The scale is
        outside of the sum, which is calculus only where all channels have the same.

        DEVIATION: for the scale SSD divides the top by it, which is no number where it is 0.
        """
        dy = d_tops[0]
        if dy is None:
            return Gradients((None,), (None,))
        rank = saved.x.rank
        products = g.op("Mul", dy, saved.unit)
        dx = d_scale = None
        if needed.bottoms[0]:
            along = g.op("Mul", saved.unit, g.op("ReduceSum", products, g.ints(self._summed(rank))))
            dx = g.op("Div", g.op("Mul", g.op("Sub", dy, along), saved.scale), saved.norm)
        if needed.params[0]:
            axes = [axis for axis in range(rank) if self.channel_shared or axis != 1]
            d_scale = g.op("ReduceSum", products, g.ints(axes), keepdims=0)
        return Gradients((dx,), (d_scale,))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        (x,), (scale,) = bottoms, params
        y = np.empty_like(x)
        for image, normalized in zip(x, y, strict=True):
            squares = (image**2).sum() if self.across_spatial else (image**2).sum(0)
            normalized[...] = image / np.sqrt(squares + self.eps)
        return Referenced((y * scale.reshape(scale.shape + (1,) * (x.ndim - 2 if scale.ndim else 0)),))
