"""Arrays in the host's memory that a GPU reads at full speed."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.runtime.device import Device


class PinnedArrays:
    """``count`` uint8 arrays in turn, in pages that the system leaves in their place, so that copies to a GPU
    need no detour. For a CPU, and where CUDA cannot be asked, they are plain arrays. The contents of one are
    valid until its turn comes again."""

    def __init__(self, device: Device, count: int) -> None:
        provider = device.cuda_library()
        self._device = device
        self._select = getattr(provider, "cudaSetDevice", None)
        self._allocate = getattr(provider, "cudaMallocHost", None)
        self._free = getattr(provider, "cudaFreeHost", None)
        self._arrays: list[npt.NDArray[np.uint8]] = [np.empty(0, np.uint8)] * count
        self._pointers: list[ctypes.c_void_p | None] = [None] * count
        self._turn = 0

    def next(self, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
        """The next array, in this shape; its contents are arbitrary. The calling thread works with this GPU
        from then on: by itself CUDA would start on the first one, and take memory there."""
        if self._select is not None:
            self._select(self._device.index)
        turn, size = self._turn, int(np.prod(shape, dtype=np.int64))
        self._turn = (turn + 1) % len(self._arrays)
        if self._arrays[turn].size < size:
            self._release(turn)
            self._arrays[turn] = self._allocated(turn, size)
        return self._arrays[turn][:size].reshape(shape)

    def _allocated(self, turn: int, size: int) -> npt.NDArray[np.uint8]:
        pointer = ctypes.c_void_p()
        if self._allocate is None or self._allocate(ctypes.byref(pointer), ctypes.c_size_t(size)):
            return np.empty(size, np.uint8)
        self._pointers[turn] = pointer
        bytes_there: Any = (ctypes.c_uint8 * size).from_address(pointer.value or 0)
        return np.ctypeslib.as_array(bytes_there)

    def _release(self, turn: int) -> None:
        pointer, self._pointers[turn] = self._pointers[turn], None
        self._arrays[turn] = np.empty(0, np.uint8)
        if pointer is not None and self._free is not None:
            self._free(pointer)

    def close(self) -> None:
        """Give the memory back; no array may be used any more."""
        for turn in range(len(self._arrays)):
            self._release(turn)
