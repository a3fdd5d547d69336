"""Crop: a window of one blob, as large as another (Caffe's Crop layer)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from vggrepro.emit import Dims, GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError
from vggrepro.layers.base import (
    Array,
    Emitted,
    Gradients,
    Layer,
    Needed,
    Referenced,
    Shapes,
    exactly,
    register,
)
from vggrepro.layers.rules.axes import canonical_axis


class _Saved(NamedTuple):
    data: Value
    size: Value


@register
@dataclass(frozen=True)
class Crop(Layer[_Saved]):
    """Axes from ``axis`` (default 2) on are cut to the sizes of the second bottom.

    ``offset``: where the window begins, once for all cut axes or once for each; default 0. The
    second bottom gives its shape alone: no gradient flows to it.
    """

    type = "Crop"
    moves_values = True
    bottoms = exactly(2)

    axis: int = 2
    offset: tuple[int, ...] = ()

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Crop:
        return cls(param.crop_param.axis, tuple(param.crop_param.offset))

    def _offsets(self, dims: Dims) -> dict[int, int]:
        """The offset of each axis that is cut."""
        cut = range(canonical_axis(self.axis, dims, "Crop"), len(dims))
        if len(self.offset) > 1 and len(self.offset) != len(cut):
            raise ShapeError(
                "number of offset values specified must be equal to the number of dimensions"
                f" following axis. ({len(self.offset)} vs. {len(cut)})"
            )
        offsets = self.offset if len(self.offset) > 1 else (*self.offset, 0)[:1] * len(cut)
        return dict(zip(cut, offsets, strict=True))

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        data, size = bottoms
        shape = list(data)
        for axis, offset in self._offsets(data).items():
            shape[axis] = size[canonical_axis(axis, size, "Crop size blob")]
            if data[axis] - offset < shape[axis]:
                raise ShapeError(
                    f"the crop for dimension {axis} is out-of-bounds with size {shape[axis]}"
                    f" and offset {offset} ({data[axis]} are there)"
                )
        return (tuple(shape),)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        data, size = bottoms
        offsets = self._offsets(data.dims)
        starts, axes = list(offsets.values()), list(offsets)
        sizes = [size.dims[axis] for axis in axes]
        known = [s for s in sizes if s is not None]
        if len(known) == len(sizes):
            ends = g.ints([start + s for start, s in zip(starts, known, strict=True)])
        else:
            shape = g.op("Shape", size.name, start=axes[0], end=axes[-1] + 1)
            ends = g.op("Add", shape, g.ints(starts))
        top = g.op("Slice", data.name, g.ints(starts), ends, g.ints(axes))
        return Emitted((top,), saved=_Saved(data, size))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        data, size = saved
        (dy,) = d_tops
        assert dy is not None
        offsets = self._offsets(data.dims)
        before = [offsets.get(axis, 0) for axis in range(data.rank)]
        (shape,) = self.out_shapes([data.shape, size.shape])
        after = [whole - s - b for whole, s, b in zip(data.shape, shape, before, strict=True)]
        return Gradients((g.op("Pad", dy, g.ints([*before, *after])), None))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        data, size = bottoms
        offsets = self._offsets(data.shape)
        window = [
            slice(offsets[a], offsets[a] + size.shape[a]) if a in offsets else slice(None)
            for a in range(data.ndim)
        ]
        return Referenced((data[tuple(window)],))
