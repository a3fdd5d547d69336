"""How Scale and Bias lay their second operand over the first: which axes it covers."""

from __future__ import annotations

from dataclasses import dataclass

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Array
from vggrepro.layers.rules.axes import canonical_axis
from vggrepro.layers.rules.reduce import reduced


@dataclass(frozen=True)
class Broadcast:
    """The second operand covers ``num_axes`` axes of ``bottom[0]`` from ``axis`` on (-1: all that
    follow) if it is learned, and as many as it has if it is ``bottom[1]``.

    ``kind`` is the word for it in Caffe's messages: scale or bias.
    """

    kind: str
    axis: int
    num_axes: int

    def learned_shape(self, bottom: Shape) -> Shape:
        """The shape of a learned operand. Raises NetError or ShapeError as Caffe's ``LayerSetUp``."""
        first = canonical_axis(self.axis, bottom, f"{self.kind}_param")
        if self.num_axes < -1:
            raise NetError(
                f"{self.kind}_param: num_axes must be non-negative, or -1 to extend to the end of bottom[0]"
                f" (got {self.num_axes})"
            )
        last = len(bottom) if self.num_axes == -1 else first + self.num_axes
        self._check_end(len(bottom), first, last)
        return bottom[first:last]

    def check(self, bottom: Shape, operand: Shape) -> None:
        """Raises ShapeError where an operand of this shape does not fit, as Caffe's ``Reshape``."""
        if operand:
            canonical_axis(self.axis, bottom, f"{self.kind}_param")
        covered = self.covered(len(bottom), len(operand))
        self._check_end(len(bottom), covered.start, covered.stop)
        for index, axis in enumerate(covered):
            if bottom[axis] != operand[index]:
                raise ShapeError(
                    f"dimension mismatch between bottom[0]->shape({axis}) and {self.kind}->shape({index})"
                    f" ({bottom[axis]} vs. {operand[index]})"
                )

    def _check_end(self, rank: int, first: int, last: int) -> None:
        if last > rank:
            raise ShapeError(
                f"{self.kind} blob's shape extends past bottom[0]'s shape when applied starting with"
                f" bottom[0] axis = {first} ({rank} axes vs. {last})"
            )

    def covered(self, rank: int, operand_rank: int) -> range:
        """The axes of ``bottom[0]`` that the operand covers. A scalar covers none, whatever ``axis`` says."""
        if operand_rank == 0:
            return range(0)
        first = canonical_axis(self.axis, rank, f"{self.kind}_param")
        return range(first, first + operand_rank)

    def aligned(self, g: GraphBuilder, operand: Value, bottom: Value) -> str:
        """The operand with trailing axes of 1, so that it broadcasts against ``bottom[0]``.

        Raises FixedShapeError where it covers a symbolic size and has a fixed one itself."""
        covered = self.covered(bottom.rank, operand.rank)
        if any(bottom.dims[axis] != size for axis, size in zip(covered, operand.dims, strict=True)):
            _ = bottom.shape
        missing = bottom.rank - covered.stop
        if operand.rank == 0 or missing == 0:
            return operand.name
        return g.op("Unsqueeze", operand.name, g.ints(list(range(operand.rank, operand.rank + missing))))

    def aligned_array(self, operand: Array, rank: int) -> Array:
        missing = rank - self.covered(rank, operand.ndim).stop
        return operand.reshape(operand.shape + (1,) * missing)

    def summed(self, g: GraphBuilder, d: str, rank: int, operand_rank: int) -> str:
        """A gradient of the shape of ``bottom[0]``, summed over the axes that the operand lacks."""
        covered = self.covered(rank, operand_rank)
        axes = [axis for axis in range(rank) if axis not in covered]
        return reduced(g, "ReduceSum", d, rank, axes, keepdims=0) if axes else d
