"""What NVIDIA's driver tells of its GPUs, without CUDA's other libraries."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

from vggrepro.errors import DeviceError

_ATTRIBUTES = {
    "max_threads_per_block": 1,
    "max_block_x": 2,
    "max_block_y": 3,
    "max_block_z": 4,
    "max_grid_x": 5,
    "max_grid_y": 6,
    "max_grid_z": 7,
    "shared_memory_per_block": 8,
    "constant_memory": 9,
    "warp_size": 10,
    "max_pitch": 11,
    "registers_per_block": 12,
    "clock_rate": 13,
    "texture_alignment": 14,
    "overlaps_copies": 15,
    "multiprocessors": 16,
    "kernel_timeout": 17,
    "major": 75,
    "minor": 76,
}
"""The driver's numbers of these attributes (``CUdevice_attribute`` in cuda.h)."""


@dataclass(frozen=True)
class GpuProperties:
    """One GPU: memory in bytes, ``attributes`` by the names above (the clock rate in kHz)."""

    index: int
    name: str
    memory: int
    attributes: dict[str, int]


def gpu_count() -> int:
    """How many GPUs the driver sees. Raises DeviceError where there is no driver."""
    return _count(_driver())


def gpu_properties(index: int) -> GpuProperties:
    """Raises DeviceError where there is no driver, or no GPU of this number."""
    driver = _driver()
    count = _count(driver)
    if not 0 <= index < count:
        raise DeviceError(f"GPU {index}: the driver sees {count} GPUs, counted from 0")
    device, memory = ctypes.c_int(), ctypes.c_size_t()
    name = ctypes.create_string_buffer(256)
    _check(driver.cuDeviceGet(ctypes.byref(device), index), "cuDeviceGet")
    _check(driver.cuDeviceGetName(name, len(name), device), "cuDeviceGetName")
    _check(driver.cuDeviceTotalMem_v2(ctypes.byref(memory), device), "cuDeviceTotalMem")
    attributes = {}
    for attribute, number in _ATTRIBUTES.items():
        value = ctypes.c_int()
        _check(driver.cuDeviceGetAttribute(ctypes.byref(value), number, device), "cuDeviceGetAttribute")
        attributes[attribute] = value.value
    return GpuProperties(index, name.value.decode(errors="replace"), memory.value, attributes)


def _driver() -> Any:
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise DeviceError(f"no NVIDIA driver: {error}") from error
    _check(driver.cuInit(0), "cuInit")
    return driver


def _count(driver: Any) -> int:
    count = ctypes.c_int()
    _check(driver.cuDeviceGetCount(ctypes.byref(count)), "cuDeviceGetCount")
    return count.value


def _check(code: int, call: str) -> None:
    if code:
        raise DeviceError(f"the NVIDIA driver refuses: {call} returns error {code}")
