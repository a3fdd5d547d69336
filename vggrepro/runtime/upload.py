"""Inputs on their way to a device: pictures go there as bytes and become a net's input on it, arrays of
floats go as they are."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import numpy.typing as npt

from vggrepro.graph.crops_to_blob import BLOB, IMAGES, SHIFTS, crops_to_blob_graph
from vggrepro.runtime.device import Device
from vggrepro.runtime.device_array import DeviceArray, DeviceView
from vggrepro.runtime.pinned import PinnedArrays
from vggrepro.runtime.session import Session

Floats = npt.NDArray[np.float32]


class CropsToBlob:
    """Brings uint8 crops to a device as a net's input: cast, transposed and shifted there.

    ``most`` is the usual number of crops of ``side`` x ``side`` pixels at a time; with a side of None they
    may have any size. The result stays valid until the next call. With ``double_buffered`` it stays valid
    until the call after that, and crops go through pinned memory, so that they can be brought to a GPU while
    it computes with those before.
    """

    def __init__(
        self,
        device: Device,
        most: int,
        side: int | None,
        threads: int,
        channels: int = 3,
        double_buffered: bool = False,
    ) -> None:
        self.double_buffered = double_buffered
        self._session = Session(crops_to_blob_graph(channels, side), device, threads=threads)
        self._device = device
        usual = most * channels * (side or 1) ** 2
        self._blobs = [DeviceArray(usual, device) for _ in range(1 + double_buffered)]
        self._pinned = PinnedArrays(device, 1)

    def __call__(self, crops: npt.NDArray[np.uint8], shifts: Floats) -> DeviceView:
        """The blob (n, C, h, w) of ``crops`` (n, h, w, C) and ``shifts`` (n, C)."""
        images, height, width, channels = crops.shape
        blob = self._blobs.pop(0)
        if crops.size > blob.size:
            blob = DeviceArray(crops.size, self._device)
        self._blobs.append(blob)
        place = DeviceView(blob, 0, (images, channels, height, width))
        run = self._session.bind()
        run.feed(IMAGES, self._in_pinned_memory(crops) if self.double_buffered else crops)
        run.feed(SHIFTS, shifts)
        run.bind_output(BLOB, place)
        run.run()
        return place

    def _in_pinned_memory(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        there = self._pinned.next(crops.shape)
        np.copyto(there, crops)
        return there

    def close(self) -> None:
        """Give pinned memory back. Another call takes it again."""
        self._pinned.close()


class ArraysToDevice:
    """Brings float arrays to a GPU through pinned memory, while it computes with those before: what a call
    returns stays valid until the call after the next. Arrays called ``in_host`` stay in the host's memory,
    and on a CPU all do."""

    def __init__(self, device: Device, in_host: Collection[str] = ()) -> None:
        self._device, self._in_host = device, in_host
        self._pinned = PinnedArrays(device, 1)
        self._places: tuple[dict[str, DeviceArray], ...] = ({}, {})

    def __call__(self, arrays: Mapping[str, Floats]) -> Mapping[str, Floats | DeviceView]:
        if self._device.kind == "cpu":
            return arrays
        self._places = self._places[::-1]
        return {name: a if name in self._in_host else self._uploaded(name, a) for name, a in arrays.items()}

    def _uploaded(self, name: str, array: Floats) -> DeviceView:
        there = self._pinned.next((array.nbytes,)).view(np.float32)
        np.copyto(there, array.ravel())
        places = self._places[0]
        if name not in places or places[name].size != array.size:
            places[name] = DeviceArray(array.size, self._device)
        places[name].write(there)
        return DeviceView(places[name], 0, array.shape)

    def close(self) -> None:
        """Give pinned memory back. Another call takes it again."""
        self._pinned.close()
