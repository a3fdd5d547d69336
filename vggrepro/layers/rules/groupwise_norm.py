"""Pieces of each image brought to mean 0 and variance 1: what GroupNorm, InstanceNorm and LayerNorm share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from vggrepro.caffe.messages import FillerParameter
from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.layers.base import Array, Emitted, Gradients, Layer, Needed, ParamDef, Reach, Referenced, Shapes
from vggrepro.layers.rules.loss import shaped_like


class NormalizedPieces(NamedTuple):
    x: Value
    unit: str
    """In the shape of x."""
    pieces: str
    """The same as (N, pieces, K)."""
    deviation: str
    """(N, pieces, 1)."""
    scale: str | None
    """In a shape that broadcasts against x."""


class GroupwiseNorm(Layer[NormalizedPieces]):
    """Bottom and top (N, C, ...). Each image is cut into pieces of equal size along its memory, and each
    piece becomes ``(x - mean) / sqrt(variance + eps)``; then it may be scaled and shifted. The gradient is
    calculus."""

    in_place = True
    by_element: ClassVar[bool] = False
    """Whether scale and shift have one number for each element of an image, and not for each channel."""

    eps: float

    @abstractmethod
    def pieces(self, bottom: Shape) -> int:
        """How many pieces an image has. Raises ShapeError for shapes that cannot be cut so."""

    def affine_shape(self, bottom: Shape) -> Shape | None:
        """The shape of scale and shift; None for a layer without."""
        return None

    @property
    def affine_fillers(self) -> tuple[Any, Any]:
        return FillerParameter(type="constant", value=1), FillerParameter()

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        self.pieces(bottoms[0])
        return (bottoms[0],)

    def param_defs(self, bottoms: Shapes) -> tuple[ParamDef, ...]:
        shape = self.affine_shape(bottoms[0])
        return () if shape is None else tuple(ParamDef(shape, filler) for filler in self.affine_fillers)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[NormalizedPieces]:
        x = bottoms[0]
        number = self.pieces((1, *Value(x.name, x.dims[1:2]).shape, *(d or 1 for d in x.dims[2:])))
        cut = g.op("Reshape", x.name, g.ints([0, number, -1]))
        centred = g.op("Sub", cut, g.op("ReduceMean", cut, g.ints([2])))
        variance = g.op("ReduceMean", g.op("Mul", centred, centred), g.ints([2]))
        deviation = g.op("Sqrt", g.op("Add", variance, g.const(self.eps)))
        pieces = g.op("Div", centred, deviation)
        unit = top = shaped_like(g, Value(pieces, (None,) * 3), x)
        scale = None
        if params:
            scale, shift = (self._aligned(g, p, x.rank) for p in params)
            top = g.op("Add", g.op("Mul", unit, scale), shift)
        return Emitted((top,), NormalizedPieces(x, unit, pieces, deviation, scale))

    def _aligned(self, g: GraphBuilder, blob: Value, rank: int) -> str:
        """A blob in a shape that broadcasts against (N, C, ...) of ``rank`` axes."""
        if self.by_element:
            return blob.name
        return g.op("Reshape", blob.name, g.ints([1, -1, *[1] * (rank - 2)]))

    def grad(
        self, g: GraphBuilder, saved: NormalizedPieces, d_tops: Sequence[str | None], needed: Needed
    ) -> Gradients:
        dy = d_tops[0]
        params: list[str | None] = [None] * len(needed.params)
        if dy is None:
            return Gradients((None,), tuple(params))
        for index, terms in enumerate((g.op("Mul", dy, saved.unit), dy)[: len(params)]):
            if needed.params[index]:
                params[index] = self._summed(g, terms, saved.x)
        if not needed.bottoms[0]:
            return Gradients((None,), tuple(params))
        d = dy if saved.scale is None else g.op("Mul", dy, saved.scale)
        d = g.op("Reshape", d, g.op("Shape", saved.pieces))
        along = g.op("Mul", saved.pieces, g.op("ReduceMean", g.op("Mul", d, saved.pieces), g.ints([2])))
        d = g.op("Sub", g.op("Sub", d, g.op("ReduceMean", d, g.ints([2]))), along)
        d = g.op("Div", d, saved.deviation)
        return Gradients((shaped_like(g, Value(d, (None,) * 3), saved.x),), tuple(params))

    def _summed(self, g: GraphBuilder, terms: str, x: Value) -> str:
        shape = self.affine_shape(x.shape)
        assert shape is not None
        axes = [0] if self.by_element else [axis for axis in range(x.rank) if axis != 1]
        return g.op("Reshape", g.op("ReduceSum", terms, g.ints(axes)), g.ints(shape))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x = bottoms[0]
        y = np.empty_like(x)
        number = self.pieces(x.shape)
        for image, normal in zip(x, y, strict=True):
            rows = image.reshape(number, -1)
            mean, variance = rows.mean(1, keepdims=True), rows.var(1, keepdims=True)
            normal[...] = ((rows - mean) / np.sqrt(variance + self.eps)).reshape(image.shape)
        if params:
            column = x.shape[1:] if self.by_element else (-1,) + (1,) * (x.ndim - 2)
            y = y * params[0].reshape(column) + params[1].reshape(column)
        return Referenced((y,))
