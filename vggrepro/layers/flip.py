"""Flip, Reverse: an axis from its end to its beginning (forks' layers; not from BVLC Caffe).

Sources: happynear/caffe-windows for Flip with ``flip_width`` and ``flip_height``, shihengcan/caffe-2017 for
Flip with ``axis``, both in the field ``flip_param``; tianzhi0549/CTPN for Reverse, field ``reverse_param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import (
    Array,
    Emitted,
    Gradients,
    Layer,
    Needed,
    Reach,
    Referenced,
    Shapes,
    register,
)

BEFORE_ALL = np.iinfo(np.int64).min
"""An end for Slice that lies before the first element."""


@dataclass(frozen=True)
class _Reversal(Layer[None]):
    axes: tuple[int, ...]

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        (shape,) = bottoms
        if any(not 0 <= axis < len(shape) for axis in self.axes):
            raise ShapeError(
                f"axis must be less than bottom's dimension. (axes {self.axes}, bottom[0] has shape {shape})"
            )
        return (shape,)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def _reversed(self, g: GraphBuilder, x: str) -> str:
        number = len(self.axes)
        if not number:
            return x
        ends = [g.ints([value] * number) for value in (-1, int(BEFORE_ALL))]
        return g.op("Slice", x, *ends, g.ints(self.axes), g.ints([-1] * number))

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        return Emitted((self._reversed(g, bottoms[0].name),), None)

    def grad(self, g: GraphBuilder, saved: None, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        dy = d_tops[0]
        if dy is None or not needed.bottoms[0]:
            return Gradients((None,))
        return Gradients((self._reversed(g, dy),))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        return Referenced((np.flip(bottoms[0], self.axes),))


@register
@dataclass(frozen=True)
class Flip(_Reversal):
    """Bottom and top (N, C, H, W): height, width, or the one ``axis`` reversed."""

    type = "Flip"
    origin = "happynear; shihengcan"

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Flip:
        p = param.flip_param
        given = {field.name for field, _ in p.ListFields()}
        if given == {"axis"}:
            return cls((p.axis,))
        if given != {"flip_width", "flip_height"}:
            raise UnsupportedError(
                "flip_param: expected axis, or flip_width and flip_height, since forks differ in what is"
                " flipped by default, or name the fork: happynear;"
                f" got {', '.join(sorted(given)) or 'nothing'}"
            )
        return cls(tuple(axis for axis, flag in ((2, p.flip_height), (3, p.flip_width)) if flag))

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        if len(bottoms[0]) != 4:
            raise ShapeError(f"Flip: bottom[0] must be (N, C, H, W), got shape {bottoms[0]}")
        return super().out_shapes(bottoms)


@register
@dataclass(frozen=True)
class Reverse(_Reversal):
    """Bottom and top of any shape, with the axes that ``axis`` names reversed: 0 where it names none."""

    type = "Reverse"
    origin = "CTPN"

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Reverse:
        axes = tuple(param.reverse_param.axis) or (0,)
        if min(axes) < 0 or len(set(axes)) < len(axes):
            raise NetError(f"reverse_param: expected axis, each once and at least 0, got {axes}")
        return cls(axes)
