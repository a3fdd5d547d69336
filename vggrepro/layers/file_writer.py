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
    """Consumes its bottoms, without tops or gradients. Its own fields say where files go; they are not looked
    at.

    DEVIATION: the forks write files; a graph writes none, so here the blobs are consumed and nothing is
    written.
    """

    bottoms = at_least(1)
    tops = exactly(0)
    own_fields = True

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
    """Each item of each bottom, in a file of its own."""

    type = "MatWrite"
    origin = "DeepLab"


@register
@dataclass(frozen=True)
class FLOWriter(FileWriter):
    """Flows (N, 2, H, W), each in a file of its own."""

    type = "FLOWriter"
    origin = "FlowNet"
    bottoms = exactly(1)
