"""Reading learned parameters from .caffemodel files of every format, and from Caffe's HDF5 files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from os import PathLike

from vggrepro.caffe.binary import open_net
from vggrepro.caffe.blob import SavedBlob
from vggrepro.caffe.hdf5 import is_hdf5, read_layers
from vggrepro.caffe.upgrade import upgrade_net_report
from vggrepro.errors import WeightsError
from vggrepro.system.caller_warning import warn_caller


@dataclass(frozen=True)
class SavedLayer:
    """A layer of a weight file: its name, its type and its blobs."""

    name: str
    type: str
    """Today's name of the type; empty in HDF5 files, which do not tell it."""
    blobs: tuple[SavedBlob, ...]
    indices: tuple[int, ...] | None = None
    """In HDF5 files, where shared parameters are saved by their owner only: which these blobs are."""

    def by_index(self, owned: Sequence[bool]) -> dict[int, SavedBlob]:
        """The blobs for a layer with ``len(owned)`` parameters, by index.

        ``owned[i]`` is False for a parameter that belongs to another layer, by a shared name; only
        such a one may be absent, and only from an HDF5 file. Raises WeightsError.
        """
        indices = range(len(self.blobs)) if self.indices is None else self.indices
        absent = set(range(len(owned))) - set(indices)
        if not set(indices) <= set(range(len(owned))) or any(
            owned[index] or self.indices is None for index in absent
        ):
            raise WeightsError(
                f"Incompatible number of blobs for layer {self.name}: "
                f"the file has {len(self.blobs)}, the net {len(owned)}"
            )
        return dict(zip(indices, self.blobs, strict=True))


def read_weights(path: str | PathLike[str]) -> tuple[SavedLayer, ...]:
    """The layers of a .caffemodel (V0, V1 or today's) or .h5 file, in the file's order.

    The arrays of a .caffemodel are views of the mapped file, which must not change while they are in
    use. DEVIATION: every blob is checked, not only those of layers that a net turns out to have.
    Raises ParseError, UpgradeError or WeightsError.
    """
    if is_hdf5(path):
        return tuple(
            SavedLayer(name, "", tuple(map(SavedBlob, blobs.values())), tuple(blobs))
            for name, blobs in read_layers(path)
        )
    file = open_net(path)
    upgraded = upgrade_net_report(file.message, str(path))
    for problem in upgraded.problems:  # of no concern to weights
        warn_caller(f"{path}: {problem}")
    layers = upgraded.message.layer
    blobs = iter(
        file.decode_all(
            (blob, f"layer {layer.name!r}, blob {index}")
            for layer in layers
            for index, blob in enumerate(layer.blobs)
        )
    )
    return tuple(
        SavedLayer(layer.name, layer.type, tuple(islice(blobs, len(layer.blobs)))) for layer in layers
    )
