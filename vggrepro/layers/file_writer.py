"""MatWrite, FLOWriter: layers of forks that write blobs to files (not from BVLC Caffe).

Sources: DeepLab for MatWrite (MATLAB files, field ``mat_write_param``), lmb-freiburg/flownet2 for FLOWriter
(flow files, field ``writer_param``).
"""

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


@dataclass(frozen=True)
class FileWriter(Layer[None]):
    """Consumes its bottoms, without tops or gradients.

    DEVIATION: in Caffe and its forks such a layer writes files; a graph writes none, so here the blobs are
    consumed and nothing is written. (The Python module writes the files of HDF5Output and MatWrite.)
    """

    bottoms = at_least(1)
    tops = exactly(0)

    @classmethod
    def from_param(cls, param: Any, phase: int) -> FileWriter:
        return cls()

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        return ()

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        return Emitted((), None)

    def grad(self, g: GraphBuilder, saved: None, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        return Gradients((None,) * len(needed.bottoms))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        return Referenced(())


@register
@dataclass(frozen=True)
class MatWrite(FileWriter):
    """Each item of each bottom, in a file of its own. Its fields say where; they are not looked at."""

    type = "MatWrite"
    origin = "DeepLab"
    own_fields = True


@register
@dataclass(frozen=True)
class FLOWriter(FileWriter):
    """Flows (N, 2, H, W), each in a file of its own. Its fields are not looked at."""

    type = "FLOWriter"
    origin = "FlowNet"
    own_fields = True
    bottoms = exactly(1)
