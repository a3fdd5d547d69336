"""Flat arrays in a device's memory, views of them, and the layout of several arrays in one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from vggrepro.runtime.device import Device

ALIGNMENT = 16
"""Arrays begin at multiples of this many floats: 64 bytes, a cache line."""


@dataclass(frozen=True)
class DeviceView:
    """A stretch of a device array, from element ``offset`` on, seen as an array of ``shape``."""

    array: DeviceArray
    offset: int
    shape: tuple[int, ...]

    @property
    def address(self) -> int:
        return self.array.address + 4 * self.offset

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    def read(self) -> npt.NDArray[np.float32]:
        """The contents, in this shape: on the CPU the memory itself, elsewhere a copy."""
        return self.array.read()[self.offset : self.offset + self.size].reshape(self.shape)

    def shaped(self, shape: tuple[int, ...]) -> DeviceView:
        """The same elements in another shape."""
        return DeviceView(self.array, self.offset, shape)

    def part(self, start: int, count: int) -> DeviceView:
        """``count`` elements from ``start`` on, as a flat array."""
        return DeviceView(self.array, self.offset + start, (count,))


class DeviceArray:
    """A flat float32 array on a device, zero at first. On the CPU the memory is a NumPy array's, and is not
    copied."""

    def __init__(self, size: int, device: Device) -> None:
        self.device = device
        # Over-allocate: NumPy aligns to 16 bytes, vectors want 64.
        memory = np.zeros(max(size, 1) + ALIGNMENT, np.float32)
        start = -(memory.ctypes.data // 4) % ALIGNMENT
        self._host = memory[start : start + size]
        self._value: Any = None
        if device.kind != "cpu":
            try:
                self._value = onnxruntime.OrtValue.ortvalue_from_numpy(self._host, device.kind, device.index)
            except RuntimeError as error:
                device.explain(error)
                raise
            self._host = np.empty(0, np.float32)
        self.address = int(self._value.data_ptr() if self._value is not None else self._host.ctypes.data)
        self.size = size

    def read(self) -> npt.NDArray[np.float32]:
        """The contents: on the CPU the memory itself, elsewhere a copy."""
        return self._host if self._value is None else np.asarray(self._value.numpy())

    def write(self, array: npt.NDArray[np.float32]) -> None:
        """Replace the contents with a flat array of the same size."""
        if self._value is None:
            if array is not self._host:
                self._host[:] = array
        else:
            self._value.update_inplace(np.ascontiguousarray(array, np.float32))

    def clear(self) -> None:
        """Set every element to zero."""
        if self._value is None:
            self._host[:] = 0
        else:
            self._value.update_inplace(np.zeros(self.size, np.float32))


class Layout:
    """Where each named array lies in a device array: one after another, each at a multiple of ALIGNMENT."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.shapes = dict(shapes)
        self.offsets: dict[str, int] = {}
        end = 0
        for name, shape in shapes.items():
            self.offsets[name] = end
            end += -(-int(np.prod(shape, dtype=np.int64)) // ALIGNMENT) * ALIGNMENT
        self.size = end

    def on_device(self, array: DeviceArray, name: str) -> DeviceView:
        """The array called ``name`` within a device array of this layout."""
        return DeviceView(array, self.offsets[name], self.shapes[name])

    def within(self, array: DeviceArray, start: int) -> dict[str, DeviceView]:
        """All arrays, laid out in a device array from its element ``start`` on, a multiple of ALIGNMENT."""
        return {n: DeviceView(array, start + self.offsets[n], shape) for n, shape in self.shapes.items()}

    def view(self, flat: npt.NDArray[np.float32], name: str) -> npt.NDArray[np.float32]:
        """The array called ``name`` in the contents of a device array, without a copy."""
        size = int(np.prod(self.shapes[name], dtype=np.int64))
        start = self.offsets[name]
        return flat[start : start + size].reshape(self.shapes[name])


class DeviceScalar:
    """One float32 on a device, zero at first: bound into many runs and changed between them. Only a number
    that is another one is sent to the device."""

    def __init__(self, device: Device) -> None:
        self.value = onnxruntime.OrtValue.ortvalue_from_numpy(
            np.zeros((), np.float32), device.kind, device.index
        )
        self.number = np.zeros((), np.float32)

    def set(self, number: float) -> None:
        new = np.array(number, np.float32)
        if new.tobytes() != self.number.tobytes():
            self.value.update_inplace(new)
            self.number = new


@dataclass(frozen=True)
class DeviceValue:
    """What a session has left of an output on the device, of any dtype and shape."""

    value: Any
