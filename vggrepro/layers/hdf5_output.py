"""HDF5Output: writes two blobs to a file (Caffe's HDF5Output layer)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vggrepro.emit import GraphBuilder, Shape, Value
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


@register
@dataclass(frozen=True)
class HDF5Output(Layer[None]):
    """Consumes data and label (the same number of items), without tops or gradients.

    DEVIATION: Caffe writes both to ``hdf5_output_param.file_name``; a graph writes no files, so
    here the blobs are consumed and nothing is written.
    """

    type = "HDF5Output"
    bottoms = exactly(2)
    tops = exactly(0)

    @classmethod
    def from_param(cls, param: Any, phase: int) -> HDF5Output:
        return cls()

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        data, label = bottoms
        if data[:1] != label[:1]:
            raise ShapeError(f"bottom[0]->num() == bottom[1]->num() expected, got shapes {data} and {label}")
        return ()

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        return Emitted((), None)

    def grad(self, g: GraphBuilder, saved: None, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        return Gradients((None, None))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        return Referenced(())
