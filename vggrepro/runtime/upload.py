"""Pictures on their way to a device: bytes go there, and become a net's input on it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vggrepro.graph.crops_to_blob import BLOB, IMAGES, SHIFTS, crops_to_blob_graph
from vggrepro.runtime.device import Device
from vggrepro.runtime.device_array import DeviceArray, DeviceView
from vggrepro.runtime.session import Session


class CropsToBlob:
    """Brings uint8 crops to a device as a net's input: cast, transposed and shifted there.

    ``most`` is the usual number of crops of ``side`` x ``side`` pixels at a time; with a side of None they
    may have any size. The result stays valid until the next call.
    """

    def __init__(self, device: Device, most: int, side: int | None, threads: int, channels: int = 3) -> None:
        self._session = Session(crops_to_blob_graph(channels, side), device, threads=threads)
        self._device = device
        self._blob = DeviceArray(most * channels * (side or 1) ** 2, device)

    def __call__(self, crops: npt.NDArray[np.uint8], shifts: npt.NDArray[np.float32]) -> DeviceView:
        """The blob (n, C, h, w) of ``crops`` (n, h, w, C) and ``shifts`` (n, C)."""
        images, height, width, channels = crops.shape
        if crops.size > self._blob.size:
            self._blob = DeviceArray(crops.size, self._device)
        place = DeviceView(self._blob, 0, (images, channels, height, width))
        run = self._session.bind()
        run.feed(IMAGES, crops)
        run.feed(SHIFTS, shifts)
        run.bind_output(BLOB, place)
        run.run()
        return place
