"""Layers that are no part of a graph: those that read data, and the few that ONNX cannot hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from vggrepro.caffe.hdf5 import hdf5_file
from vggrepro.data.feeds import Feed
from vggrepro.emit import Shape
from vggrepro.errors import PycaffeError
from vggrepro.layers.roi_pooling import ROIPooling
from vggrepro.net.fillers import fill
from vggrepro.pycaffe.site import Site
from vggrepro.system.atomic import replacing_path

Floats = npt.NDArray[np.float32]


class NoBackward:
    """A layer without bottoms, or one whose backward pass does nothing."""

    def backward(self, site: Site) -> None:
        pass


@dataclass
class InputHost(NoBackward):
    """Input: what the script has written is there already, and so are the shapes of ``shapeless`` tops."""

    shapeless: Sequence[str] = ()

    def reshape(self, site: Site) -> None:
        pass

    def forward(self, site: Site) -> None:
        for top in site.tops:
            if top.name in self.shapeless and not top.dims:
                raise PycaffeError(f"input {top.name!r} has no shape: reshape it before the first pass")


@dataclass
class DummyHost(NoBackward):
    """DummyData: a top of constants is filled when the net is made; the others are 0 then, and filled anew by
    each pass."""

    shapes: tuple[Shape, ...]
    rng: np.random.Generator
    is_first: bool = True

    def reshape(self, site: Site) -> None:
        pass

    def forward(self, site: Site) -> None:
        fillers = list(site.message.dummy_data_param.data_filler)
        for index, top in enumerate(site.tops):
            filler = fillers[index if len(fillers) > 1 else 0] if fillers else None
            if filler is not None and self.is_first == (filler.type == "constant"):
                top.net_data[...] = fill(top.dims, filler, self.rng)
        self.is_first = False


@dataclass
class FeedHost(NoBackward):
    """Data, ImageData, HDF5Data, WindowData: the next batch of the data room's feed."""

    feed: Feed
    iteration: int = 0

    def reshape(self, site: Site) -> None:
        pass

    def forward(self, site: Site) -> None:
        batch = self.feed.batch(self.iteration)
        self.iteration += 1
        for top in site.tops:
            array = batch[top.name]
            if array.size != top.count or array.shape[:1] != top.dims[:1] or array.ndim > len(top.dims):
                top.reshape(*array.shape)
            top.net_data[...] = array.reshape(top.dims)


class FilterHost:
    """Filter: how many items pass is known only when the data is there."""

    def reshape(self, site: Site) -> None:
        """The first guess is that every item passes, as in Caffe."""
        for top, shape in zip(site.tops, site.layer.out_shapes([b.dims for b in site.bottoms]), strict=True):
            top.reshape(*shape)

    def forward(self, site: Site) -> None:
        passed = _marks(site)
        for top, bottom in zip(site.tops, site.bottoms, strict=False):
            kept = bottom.net_data[passed]
            top.reshape(*kept.shape)
            top.net_data[...] = kept

    def backward(self, site: Site) -> None:
        passed = _marks(site)
        for index, (top, bottom) in enumerate(zip(site.tops, site.bottoms, strict=False)):
            if site.needed.bottoms[index]:
                d = bottom.net_diff
                d[...] = 0
                d[passed] = top.net_diff


@dataclass
class RoiPoolingHost:
    """ROIPooling in a net that learns: it keeps the place of every maximum for backward."""

    places: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """Of each element of the top, where its maximum is in the features of an image and channel, seen as one
    row; -1 for an empty cell."""

    def reshape(self, site: Site) -> None:
        (shape,) = site.layer.out_shapes([blob.dims for blob in site.bottoms])
        site.tops[0].reshape(*shape)

    def forward(self, site: Site) -> None:
        layer = site.layer
        assert isinstance(layer, ROIPooling)
        features, regions = (blob.net_data for blob in site.bottoms)
        top = site.tops[0].net_data  # (R, C, pooled_h, pooled_w)
        top[...] = 0
        self.places = np.full(top.shape, -1, np.int64)
        channels, height, width = features.shape[1:]
        for number, region in enumerate(regions.reshape(-1, 5)):
            if not 0 <= region[0] < len(features):
                raise PycaffeError(
                    f"region {number} is of image {region[0]:g}, the batch has {len(features)}"
                )
            image = features[int(region[0])]
            rows, columns = layer.cells(region, height, width)
            for i, (above, below) in enumerate(rows):
                for j, (left, right) in enumerate(columns):
                    cell = image[:, above:below, left:right]
                    if cell.size:
                        row, column = np.divmod(cell.reshape(channels, -1).argmax(1), right - left)
                        top[number, :, i, j] = cell[np.arange(channels), row, column]
                        self.places[number, :, i, j] = (above + row) * width + left + column

    def backward(self, site: Site) -> None:
        if not site.needed.bottoms[0]:
            return
        features, regions = site.bottoms
        d = features.net_diff
        d[...] = 0
        flat = d.reshape(d.shape[0], d.shape[1], -1)  # (N, C, HW)
        images = regions.net_data.reshape(-1, 5)[:, 0].astype(int)
        region, channel, i, j = np.nonzero(self.places >= 0)
        gradients = site.tops[0].net_diff[region, channel, i, j]
        np.add.at(flat, (images[region], channel, self.places[region, channel, i, j]), gradients)


def _marks(site: Site) -> npt.NDArray[np.bool_]:
    selector = site.bottoms[-1]
    return np.asarray(selector.net_data.reshape(-1) != 0)


@dataclass
class HDF5OutputHost(NoBackward):
    """HDF5Output: writes its bottoms as ``data`` and ``label`` in the first pass: a file has them once."""

    path: str
    is_written: bool = False

    def reshape(self, site: Site) -> None:
        site.layer.out_shapes([bottom.dims for bottom in site.bottoms])

    def forward(self, site: Site) -> None:
        if self.is_written:
            raise PycaffeError(
                f"{self.path}: Failed to make float dataset data: HDF5Output writes"
                " its file once, in the first pass"
            )
        with replacing_path(self.path) as path, hdf5_file(path, self.path) as file:
            for name, blob in zip(("data", "label"), site.bottoms, strict=True):
                file.create_dataset(name, data=blob.net_data)
        self.is_written = True
