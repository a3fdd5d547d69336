"""``Site``: a layer in its place in a running net, with the blobs that it reads and writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from vggrepro.emit import Shape
from vggrepro.errors import ShapeError
from vggrepro.layers.base import AnyLayer, Needed, StateDef
from vggrepro.net.net_layer import place_of
from vggrepro.pycaffe.blob import Blob, BlobVec, Floats, Storage

SHARING = frozenset({"Split", "Reshape", "Flatten", "Parameter"})
"""Types whose tops are the memory of their bottoms (Parameter: of its blob): nothing is computed."""

SHARING_ALONE = frozenset({"Concat", "Slice"})
"""Types of which that is true where they have one bottom and one top."""

Version = tuple[Storage, int]
"""What a memory holds after the layer of this index has written it (-1: before any has)."""


class Host(Protocol):
    """What computes a layer that is no part of a graph: data layers, Python layers, ..."""

    def reshape(self, site: Site) -> None:
        """Give the tops their shapes."""

    def forward(self, site: Site) -> None:
        """Write the tops' data."""

    def backward(self, site: Site) -> None:
        """Write the bottoms' diffs, and add to those of the parameters."""


@dataclass(frozen=True)
class Place:
    """A memory seen as an array of ``shape``."""

    storage: Storage
    shape: Shape

    def array(self) -> Floats:
        return self.storage.array(self.shape)


@dataclass
class Cell:
    """The state that a layer carries from pass to pass: what the last pass read and what it left."""

    definition: StateDef
    used: npt.NDArray[Any]
    following: npt.NDArray[Any]

    @classmethod
    def of(cls, definition: StateDef, seed: int) -> Cell:
        first = np.array(definition.initial)
        if definition.random:  # a seed, and the number of the batch's first sample
            first = np.array([seed, 0], first.dtype)
        return cls(definition, first.copy(), first)

    def fits(self, definition: StateDef) -> bool:
        return self.definition.initial.shape == definition.initial.shape


@dataclass(eq=False)
class Site:
    """One layer of the net. ``message`` is its LayerParameter, ``layer`` its rules; ``host`` computes it
    where no graph does. ``needed`` says which gradients Caffe's backward pass computes; ``runs_backward``
    whether it visits the layer at all."""

    index: int
    name: str
    type: str
    message: Any
    layer: AnyLayer
    bottoms: BlobVec
    tops: BlobVec
    blobs: BlobVec
    loss_weights: tuple[float, ...]
    host: Host | None = None
    needed: Needed = field(default_factory=lambda: Needed((), ()))
    runs_backward: bool = False
    states: dict[str, Cell] = field(default_factory=dict)
    destroys: tuple[Version, ...] = ()
    """Contents that the layer overwrites, working in place."""
    seed: int = 0
    """What random states begin with."""

    @property
    def place(self) -> str:
        """What errors call the layer."""
        return place_of(self.message)

    @property
    def shares(self) -> bool:
        """Whether the tops are the memory of the bottoms, so that forward computes nothing."""
        alone = len(self.bottoms) == len(self.tops) == 1
        return self.type in SHARING or (alone and self.type in SHARING_ALONE)

    def reshape(self) -> None:
        """Give the tops the shapes that follow from the bottoms' (Caffe's ``Layer::Reshape``)."""
        if self.host is not None:
            self.host.reshape(self)
            return
        shapes = [blob.dims for blob in self.bottoms]
        for blob, definition in zip(self.blobs, self.layer.param_defs(shapes), strict=True):
            if blob.dims != definition.shape:
                raise self._misfit(blob, definition.shape)
        for top, shape in zip(self.tops, self.layer.out_shapes(shapes), strict=True):
            top.reshape(*shape)
        for state in self.layer.state_defs(shapes):
            cell = self.states.get(state.name)
            if cell is None or not cell.fits(state):
                self.states[state.name] = Cell.of(state, self.seed)

    def _misfit(self, blob: Blob, wanted: Shape) -> ShapeError:
        sizes = ", ".join(f"{b.name!r} {b.dims}" for b in self.bottoms)
        return ShapeError(
            f"its parameter {self.blobs.index(blob)} has shape {blob.dims}; bottoms {sizes} need {wanted}"
        )


def share_memory(site: Site) -> None:
    """Make the tops of a sharing layer the memory that they are in Caffe. All but Split share the diff too;
    Split adds up its tops' diffs."""
    source = site.blobs[0] if site.type == "Parameter" else site.bottoms[0]
    for top in site.tops:
        top.share(source, diff=site.type != "Split")


def find_destroyed(sites: Sequence[Site]) -> dict[Storage, int]:
    """Note at each site which contents it overwrites; return the last writer of each memory."""
    writer: dict[Storage, int] = {}
    for site in sites:
        if site.shares:
            continue
        read = {blob.data_storage for blob in site.bottoms}
        again = dict.fromkeys(
            t.data_storage for t in site.tops if t.data_storage in read or t.data_storage in writer
        )
        site.destroys = tuple((storage, writer.get(storage, -1)) for storage in again)
        writer.update((top.data_storage, site.index) for top in site.tops)
    return writer
