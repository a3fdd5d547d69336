"""DummyData: blobs made by fillers (Caffe's DummyData layer)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value, tensor
from vggrepro.errors import NetError
from vggrepro.layers.base import Array, Emitted, Referenced, Shapes, at_least, register
from vggrepro.layers.rules.source import SourceLayer


@register
@dataclass(frozen=True)
class DummyData(SourceLayer):
    """Tops whose values the caller draws: what Caffe refills at random in every pass.

    A layer whose fillers are all constant is a :class:`ConstantData` instead. Shapes and fillers
    are given once for each top or once for all; without fillers the tops are zeros. The legacy
    fields num, channels, height and width stand for four-dimensional shapes.
    """

    type = "DummyData"
    tops = at_least(1)

    shapes: tuple[Shape, ...]

    @classmethod
    def from_param(cls, param: Any, phase: int) -> DummyData:
        p = param.dummy_data_param
        tops = len(param.top)
        shapes = _shapes(p, tops)
        if len(p.data_filler) not in (0, 1, tops):
            raise NetError(
                "Number of data fillers must be 0, 1 or equal to the number of"
                f" tops: {tops}; you specified {len(p.data_filler)} data fillers."
            )
        if any(filler.type != "constant" for filler in p.data_filler):
            return DummyData(shapes)
        values = tuple(filler.value for filler in p.data_filler) or (0.0,)
        return ConstantData(shapes, values if len(values) == tops else values * tops)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        return self.shapes


@dataclass(frozen=True)
class ConstantData(DummyData):
    """A DummyData layer with constant fillers alone: its tops are part of the graph."""

    source = False

    values: tuple[float, ...]

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        tops = (
            g.op("ConstantOfShape", g.ints(shape), value=tensor("value", np.array([value], np.float32)))
            for shape, value in zip(self.shapes, self.values, strict=True)
        )
        return Emitted(tuple(tops), None)

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        pairs = zip(self.shapes, self.values, strict=True)
        return Referenced(tuple(np.full(shape, value, np.float64) for shape, value in pairs))


_LEGACY = ("num", "channels", "height", "width")


def _shapes(p: Any, tops: int) -> tuple[Shape, ...]:
    """A shape for each top, from ``shape`` or the legacy fields."""
    legacy = {name: tuple(getattr(p, name)) for name in _LEGACY}
    if not any(legacy.values()):
        _check_number("shape", len(p.shape), tops)
        shapes = tuple(tuple(int(d) for d in shape.dim) for shape in p.shape)
        return shapes if len(shapes) == tops else shapes * tops
    if p.shape:
        raise NetError("Both shape and legacy fields were specified")
    for name, sizes in legacy.items():
        _check_number(name, len(sizes), tops)
    columns = [sizes if len(sizes) == tops else sizes * tops for sizes in legacy.values()]
    return tuple(zip(*columns, strict=True))


def _check_number(field: str, number: int, tops: int) -> None:
    if number not in (1, tops):
        raise NetError(f"Must specify '{field}' once, or once per top blob ({tops}); specified {number}.")
