"""What Reshape and Flatten share: some axes of a blob give way to others of the same product."""

from __future__ import annotations

from dataclasses import dataclass

from vggrepro.emit import GraphBuilder, Value

COPY, INFER = 0, -1
"""What ``dim: 0`` and ``dim: -1`` ask for. ONNX's Reshape reads its shape the same way."""


@dataclass(frozen=True)
class ReplacedAxes:
    """A blob whose axes ``start`` to ``end`` (excluded) give way to the sizes ``new``, which may hold
    COPY (the size of the bottom's axis in that place) and one INFER."""

    bottom: Value
    start: int
    end: int
    new: tuple[int, ...]

    def emit(self, g: GraphBuilder) -> str:
        return g.op("Reshape", self.bottom.name, g.ints(self._request()))

    def _request(self) -> list[int]:
        """The shape for ONNX's Reshape: what stays in its place is copied, so that it may be free."""
        places = range(self.start, self.end)
        copied = {self.start + i for i, size in enumerate(self.new) if size == COPY}
        lost = any(self.bottom.dims[axis] is None and axis not in copied for axis in places)
        tail = self.bottom.dims[self.end :]
        shifted = len(self.new) != self.end - self.start
        unknown = [*self.new].count(INFER) + (shifted and list(tail).count(None))
        if (lost and INFER not in self.new) or unknown > 1:
            tail = self.bottom.shape[self.end :]
        rest = [INFER if size is None else size for size in tail] if shifted else [COPY] * len(tail)
        return [*[COPY] * self.start, *self.new, *rest]

    def gradient(self, g: GraphBuilder, dy: str) -> str:
        """``dy`` in the bottom's shape. Leading axes that stay are copied: behind a Filter, axis 0
        may be shorter than its declared size."""
        replaced = next((i for i, size in enumerate(self.new) if size != COPY), len(self.new))
        kept = self.start + replaced
        return g.op("Reshape", dy, g.ints([*[COPY] * kept, *self.bottom.shape[kept:]]))
