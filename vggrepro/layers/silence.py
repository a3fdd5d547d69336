"""Silence: consumes blobs, so that they are no outputs of the net (Caffe's Silence layer)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.layers.base import (
    Array,
    Emitted,
    Gradients,
    Layer,
    Needed,
    Referenced,
    Shapes,
    at_least,
    exactly,
    register,
)


@register
@dataclass(frozen=True)
class Silence(Layer[tuple[str, ...]]):
    """No tops; the bottoms get gradients of zeros."""

    type = "Silence"
    bottoms = at_least(1)
    tops = exactly(0)
    silences = True

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Silence:
        return cls()

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        return ()

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[tuple[str, ...]]:
        return Emitted((), saved=tuple(b.name for b in bottoms))

    def grad(
        self, g: GraphBuilder, saved: tuple[str, ...], d_tops: Sequence[str | None], needed: Needed
    ) -> Gradients:
        zeros = (
            g.op("ConstantOfShape", g.op("Shape", name)) if wanted else None
            for name, wanted in zip(saved, needed.bottoms, strict=True)
        )
        return Gradients(tuple(zeros))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        return Referenced(())
