"""MemoryData: the layer that reads arrays of a script, and the names by which a net is given them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from vggrepro.emit import Shape
from vggrepro.errors import PycaffeError
from vggrepro.layers.data import MemoryData
from vggrepro.pycaffe.blob import Floats
from vggrepro.pycaffe.hosts import NoBackward
from vggrepro.pycaffe.native_layer import NativeLayer
from vggrepro.pycaffe.site import Site


@dataclass
class MemoryHost(NoBackward):
    """The arrays of ``Net.set_input_arrays``, batch by batch, and from the start again."""

    arrays: tuple[Floats, ...] = ()
    position: int = 0

    def reset(self, site: Site, data: Floats, labels: Floats | None) -> None:
        """Begin at the start of other arrays. Raises PycaffeError for wrong ones, in Caffe's words."""
        assert isinstance(site.layer, MemoryData)
        shape = site.layer.shape
        _check_array(data, "data array", shape)
        if len(data) % shape[0]:
            raise PycaffeError(
                "first dimensions of input arrays must be a multiple of batch size"
                f" ({len(data)} for {shape[0]})"
            )
        self.arrays, self.position = (data,), 0
        if labels is None or not site.layer.labels:
            return
        if labels.ndim == 1:
            labels = np.ascontiguousarray(labels.reshape(-1, *(1 for _ in shape[1:])))
        _check_array(labels, "labels array", (shape[0], *(1 for _ in shape[1:])))
        if len(data) != len(labels):
            raise PycaffeError(
                f"data and labels must have the same first dimension ({len(data)} and {len(labels)})"
            )
        self.arrays = (data, labels)

    def reshape(self, site: Site) -> None:
        pass

    def forward(self, site: Site) -> None:
        if not self.arrays:
            raise PycaffeError("MemoryDataLayer needs to be initialized by calling set_input_arrays")
        assert isinstance(site.layer, MemoryData)
        size = site.layer.shape[0]
        for top, array in zip(site.tops, self.arrays, strict=False):
            batch = array[self.position : self.position + size]
            top.reshape(*batch.shape)  # labels have one axis until the first pass, and then four
            top.net_data[...] = batch.reshape(top.dims)
        self.position = (self.position + size) % len(self.arrays[0])


def _check_array(array: npt.NDArray[Any], name: str, shape: Shape) -> None:
    if not array.flags.c_contiguous:
        raise PycaffeError(f"{name} must be C contiguous")
    if array.ndim != len(shape):
        raise PycaffeError(f"{name} must be {len(shape)}-d")
    if array.dtype != np.float32:
        raise PycaffeError(f"{name} must be float32")
    sizes = ("number of channels", "height", "width") if len(shape) == 4 else ()
    for axis in range(1, len(shape)):
        if array.shape[axis] != shape[axis]:
            what = sizes[axis - 1] if sizes else f"size of axis {axis}"
            raise PycaffeError(f"{name} has wrong {what}: {array.shape[axis]}, expected {shape[axis]}")


class _Net(Protocol):
    _sites: Sequence[Site]


class MemoryDataNames:
    """How a net's MemoryData layers are given their arrays. ``set_layer_input_arrays`` is of naibaf7/caffe,
    whose nets have several of them."""

    def set_input_arrays(self: _Net, data: Any, labels: Any, layer: Any = 0) -> None:
        """What the net's MemoryData layer, which must be its first, reads: ``data`` (n, C, H, W) and n
        labels, float32 and contiguous, n a multiple of its batch size. The arrays are read where they are.
        Forks take the name or the number of another layer, behind them or in front. Raises RuntimeError for
        other arrays."""
        if isinstance(data, (int, str)):
            data, labels, layer = labels, layer, data
        _reset(_found(self._sites, layer), data, labels)

    def set_layer_input_arrays(self: _Net, layer: NativeLayer, data: Floats, labels: Floats | None) -> None:
        """What a layer of ``net.layers`` reads; ``labels`` may be None."""
        _reset(layer.site, data, labels)


def _found(sites: Sequence[Site], layer: str | int) -> Site:
    """The layer of a name or number."""
    for number, site in enumerate(sites):
        if layer in (site.name, number):
            return site
    raise PycaffeError(f"set_input_arrays: the net has no layer {layer!r}")


def _reset(site: Site, data: Floats, labels: Floats | None) -> None:
    if not isinstance(site.host, MemoryHost):
        raise PycaffeError(
            "set_input_arrays may only be called if the first layer is a MemoryDataLayer"
            f" (layer {site.name!r} is {site.type})"
        )
    site.host.reset(site, data, labels)
