"""Caffe's channel axis may stand anywhere: the axes before it count as one batch, those behind it
are spatial. ONNX wants (N, C, spatial...), with at least one spatial axis."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from vggrepro.emit import Dims, GraphBuilder, Shape, Value
from vggrepro.layers.rules.axes import canonical_axis


@dataclass(frozen=True)
class ChannelLayout:
    """A blob of ``rank`` axes with its channels at ``axis``."""

    axis: int
    rank: int

    @classmethod
    def of(cls, axis: int, rank: int, what: str) -> ChannelLayout:
        """Raises NetError for an axis out of range, in Caffe's manner."""
        return cls(canonical_axis(axis, rank, what), rank)

    @property
    def spatial(self) -> int:
        """Number of spatial axes of the blob; 0 if the channels come last."""
        return self.rank - self.axis - 1

    @property
    def is_standard(self) -> bool:
        """True if the blob is (N, C, spatial...) as it stands."""
        return self.axis == 1 and self.spatial > 0

    def sizes(self, dims: Dims) -> Dims:
        """The spatial sizes of a blob; (1,) where it has no spatial axis."""
        return dims[self.axis + 1 :] or (1,)

    def standard_dims(self, dims: Dims) -> Dims:
        """(N, C, spatial...) for a blob of ``dims``."""
        before = tuple(d for d in dims[: self.axis] if d is not None)
        batch = prod(before) if len(before) == self.axis else None
        return (batch, dims[self.axis], *self.sizes(dims))

    def to_standard(self, g: GraphBuilder, x: Value) -> Value:
        """The blob as a tensor (N, C, spatial...)."""
        if self.is_standard:
            return x
        dims = self.standard_dims(x.dims)
        return Value(g.op("Reshape", x.name, self._target(g, x, dims)), dims)

    def _target(self, g: GraphBuilder, x: Value, dims: Dims) -> str:
        if None not in dims[1:]:
            return g.ints([-1, *(d for d in dims[1:] if d is not None)])
        behind = g.op("Shape", x.name, start=self.axis)  # the size of a missing spatial axis is known
        return g.op("Concat", g.ints([-1]), behind, axis=0)

    def from_standard(self, g: GraphBuilder, y: Value, like: Value) -> str:
        """A tensor (N, C', spatial...) as a blob with the leading axes of ``like``."""
        if self.is_standard:
            return y.name
        behind = y.dims[1:] if self.spatial else y.dims[1:2]
        dims = (*like.dims[: self.axis], *behind)
        if dims.count(None) < 2:
            shape = g.ints([-1 if d is None else d for d in dims])
        else:
            before = [g.op("Shape", like.name, start=0, end=self.axis)] if self.axis else []
            shape = g.op("Concat", *before, g.op("Shape", y.name, start=1, end=1 + len(behind)), axis=0)
        return g.op("Reshape", y.name, shape)

    def to_standard_fixed(self, g: GraphBuilder, x: str, dims: Shape) -> str:
        """A blob as the tensor of shape ``dims``, all of whose sizes are known."""
        return x if self.is_standard else g.op("Reshape", x, g.ints(dims))

    def from_standard_fixed(self, g: GraphBuilder, y: str, dims: Dims) -> str:
        """A tensor as the blob of shape ``dims``, all of whose sizes are known."""
        return y if self.is_standard else g.op("Reshape", y, g.ints(Value(y, dims).shape))
