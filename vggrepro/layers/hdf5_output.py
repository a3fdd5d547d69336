"""HDF5Output: writes two blobs to a file (Caffe's HDF5Output layer)."""

from __future__ import annotations

from dataclasses import dataclass

from vggrepro.emit import Shape
from vggrepro.errors import ShapeError
from vggrepro.layers.base import Shapes, exactly, register
from vggrepro.layers.file_writer import FileWriter


@register
@dataclass(frozen=True)
class HDF5Output(FileWriter):
    """Data and label (the same number of items), which Caffe writes to ``hdf5_output_param.file_name``."""

    type = "HDF5Output"
    bottoms = exactly(2)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        data, label = bottoms
        if data[:1] != label[:1]:
            raise ShapeError(f"bottom[0]->num() == bottom[1]->num() expected, got shapes {data} and {label}")
        return ()
