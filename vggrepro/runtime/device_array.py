"""Flat arrays in a device's memory, and runs whose inputs and outputs are bound there once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from vggrepro.runtime.device import Device

ALIGNMENT = 16
"""Floats between the starts of slices: 64 bytes, a cache line."""


@dataclass(frozen=True)
class Slice:
    """A stretch of a flat buffer, seen as an array of ``shape``."""

    buffer: FlatBuffer
    offset: int
    shape: tuple[int, ...]

    @property
    def address(self) -> int:
        return self.buffer.address + 4 * self.offset

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    def part(self, start: int, count: int) -> Slice:
        """``count`` elements from ``start`` on, as a flat array."""
        return Slice(self.buffer, self.offset + start, (count,))


class FlatBuffer:
    """float32 zeros on a device. On the CPU the memory is a NumPy array's, and is not copied."""

    def __init__(self, size: int, device: Device) -> None:
        self.device = device
        # Over-allocate: NumPy aligns to 16 bytes, vectors want 64.
        memory = np.zeros(max(size, 1) + ALIGNMENT, np.float32)
        start = -(memory.ctypes.data // 4) % ALIGNMENT
        self._host = memory[start : start + size]
        self._value: Any = None
        if device.kind != "cpu":
            self._value = onnxruntime.OrtValue.ortvalue_from_numpy(self._host, device.kind, device.index)
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
    """Where each named array lies in a flat buffer: one after another, each on a cache line."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.shapes = dict(shapes)
        self.offsets: dict[str, int] = {}
        end = 0
        for name, shape in shapes.items():
            self.offsets[name] = end
            end += -(-int(np.prod(shape, dtype=np.int64)) // ALIGNMENT) * ALIGNMENT
        self.size = end

    def slice(self, buffer: FlatBuffer, name: str) -> Slice:
        return Slice(buffer, self.offsets[name], self.shapes[name])

    def view(self, flat: npt.NDArray[np.float32], name: str) -> npt.NDArray[np.float32]:
        """The array called ``name`` in the contents of a buffer, without a copy."""
        size = int(np.prod(self.shapes[name], dtype=np.int64))
        start = self.offsets[name]
        return flat[start : start + size].reshape(self.shapes[name])


class Scalar:
    """One float32 on a device, bound into many runs and changed between them."""

    def __init__(self, device: Device) -> None:
        self.value = onnxruntime.OrtValue.ortvalue_from_numpy(
            np.zeros((), np.float32), device.kind, device.index
        )

    def set(self, number: float) -> None:
        self.value.update_inplace(np.array(number, np.float32))


class BoundRun:
    """A session's run with arrays bound in place: slices of flat buffers as inputs and outputs."""

    def __init__(self, session: Any, device: Device) -> None:
        self._session = session
        self._device = device
        self._binding = session.io_binding()
        self._held: dict[str, Any] = {}
        self._outputs: list[str] = []
        self._returned: list[str] = []

    def bind_input(self, name: str, place: Slice) -> None:
        self._binding.bind_input(name, *self._at(place))
        self._held[name] = place.buffer  # the binding knows only its address

    def bind_output(self, name: str, place: Slice) -> None:
        self._binding.bind_output(name, *self._at(place))
        self._held[name] = place.buffer
        self._outputs.append(name)

    def return_output(self, name: str) -> None:
        """Let the session allocate this output, in the host's memory; :meth:`run` returns it."""
        self._binding.bind_output(name, "cpu")
        self._outputs.append(name)
        self._returned.append(name)

    def feed(self, name: str, array: npt.NDArray[Any]) -> None:
        """Give an input for the coming runs: copied to the device, on the CPU shared."""
        contiguous = np.ascontiguousarray(array).reshape(np.shape(array))
        value = onnxruntime.OrtValue.ortvalue_from_numpy(contiguous, self._device.kind, self._device.index)
        self._held[name] = value
        self._binding.bind_ortvalue_input(name, value)

    def bind_scalar(self, name: str, scalar: Scalar) -> None:
        self._held[name] = scalar
        self._binding.bind_ortvalue_input(name, scalar.value)

    def run(self) -> dict[str, npt.NDArray[Any]]:
        """Run, and return the outputs of :meth:`return_output` by name. Raises DeviceError if a GPU fails."""
        try:
            self._session.run_with_iobinding(self._binding)
        except RuntimeError as error:
            self._device.explain(error)
            raise
        if not self._returned:
            return {}
        values = dict(zip(self._outputs, self._binding.get_outputs(), strict=True))
        return {name: np.array(values[name].numpy()) for name in self._returned}

    def _at(self, place: Slice) -> tuple[Any, ...]:
        return self._device.kind, self._device.index, np.float32, place.shape, place.address
