"""Upsample: maxima put back where pooling found them, or each value repeated (not from BVLC Caffe).

Two forks' layers of one name. With a mask it is SegNet's (alexgkendall/caffe-segnet), the inverse of a
max pooling by its second top; without one that of the YOLO forks (eric612/MobileNet-YOLO and others), the
nearest neighbour ``scale`` times in both directions. Field ``upsample_param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from vggrepro.emit import INT64, GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError
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
from vggrepro.layers.rules.places import emit_put, emit_taken, put

Pair = tuple[int, int]


class _Saved(NamedTuple):
    x: Value
    places: str | None
    """The mask as int64 (N, C, H * W); None without one."""


@register
@dataclass(frozen=True)
class Upsample(Layer[_Saved]):
    """Bottoms x (N, C, H, W) and, for SegNet's, the mask of the same shape: places in the top's planes.
    Top (N, C, H', W'): ``size`` if it is given, else ``scale`` times H and W, less ``pad_out``.

    DEVIATION: SegNet's layer keeps the size that it computes from its first input. Here every input has
    its own. Where several windows have the same maximum, the last one stays; CUDA does not promise that.
    """

    type = "Upsample"
    origin = "SegNet; YOLO forks"
    bottoms = Count(1, 2)

    scale: Pair
    size: Pair | None = None
    pad_out: Pair = (0, 0)
    plain: bool = True
    """Whether nothing but ``scale`` is set: all that the layer without a mask knows."""

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Upsample:
        p, masked = param.upsample_param, len(param.bottom) != 1
        given = {field.name for field, _ in p.ListFields()}
        if {"upsample_h", "upsample_w"} <= given:
            if p.upsample_h <= 1 or p.upsample_w <= 1:
                raise NetError(f"upsample_h and upsample_w must be above 1: {p.upsample_h}, {p.upsample_w}")
            return cls((1, 1), size=(p.upsample_h, p.upsample_w), plain=False)
        pair = given & {"scale_h", "scale_w"}
        if len(pair) == 1 or (pair and "scale" in given):
            raise NetError(
                "upsample_h & upsample_w are required, else (DEPRECATED) scale OR scale_h & scale_w are"
                " required."
            )
        unset = 2 if masked else 1  # SegNet's default, and that of the YOLO forks
        scale = (p.scale_h, p.scale_w) if pair else (p.scale if "scale" in given else unset,) * 2
        if min(scale) < (2 if masked else 1):
            raise NetError(f"upsample_param: the scale must be above {int(masked)}, got {scale}")
        for axis, padded, factor in zip("hw", (p.pad_out_h, p.pad_out_w), scale, strict=True):
            if padded and factor != 2:
                raise NetError(f"Output padding compensation requires scale_{axis} == 2, got {factor}")
        return cls(scale, None, (int(p.pad_out_h), int(p.pad_out_w)), plain=given <= {"scale"})

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        x, *mask = bottoms
        if len(x) != 4:
            raise ShapeError(f"Input must have 4 axes, corresponding to (num, channels, height, width): {x}")
        if mask and mask[0] != x:
            raise ShapeError(f"Input mask must have the input's shape {x}, got {mask[0]}")
        if not mask and not self.plain:
            raise NetError("upsample_param: without a mask as second bottom, only scale can be set")
        sizes = self.size or tuple(n * s - p for n, s, p in zip(x[2:], self.scale, self.pad_out, strict=True))
        return ((*x[:2], *sizes),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        x, *mask = bottoms
        if not mask:
            return Emitted((self._repeated(g, x),), saved=_Saved(x, None))
        places = g.op("Cast", g.op("Reshape", mask[0].name, g.ints([0, 0, -1])), to=INT64)
        top = emit_put(g, x, places, self._sizes(g, x))
        return Emitted((top,), saved=_Saved(x, places))

    def _sizes(self, g: GraphBuilder, x: Value) -> str:
        """Height and width of the top."""
        if self.size is not None:
            return g.ints(self.size)
        sizes = g.op("Mul", g.op("Shape", x.name, start=2, end=4), g.ints(self.scale))
        return g.op("Sub", sizes, g.ints(self.pad_out))

    def _repeated(self, g: GraphBuilder, x: Value) -> str:
        return g.op(
            "Resize",
            x.name,
            "",
            g.const([1, 1, *self.scale]),
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        """Each value gets the gradient of the places that it went to. The mask gets none."""
        x, places = saved
        dy = d_tops[0]
        nothing = (None,) * (len(needed.bottoms) - 1)
        if dy is None or not needed.bottoms[0]:
            return Gradients((None, *nothing))
        n, c, height, width = x.shape
        if places is None:
            blocks = g.op("Reshape", dy, g.ints([n, c, height, self.scale[0], width, self.scale[1]]))
            return Gradients((g.op("ReduceSum", blocks, g.ints([3, 5]), keepdims=0),))
        return Gradients((emit_taken(g, dy, x, places), *nothing))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x, *mask = bottoms
        (shape,) = self.out_shapes([b.shape for b in bottoms])
        if not mask:
            return Referenced((x.repeat(self.scale[0], 2).repeat(self.scale[1], 3),))
        return Referenced((put(x, mask[0], shape),))
