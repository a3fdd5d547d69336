"""What the driver tells, from a driver that is not there and one that is made up."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from vggrepro.errors import DeviceError
from vggrepro.runtime import gpu_properties as module


class Driver:
    """Two GPUs; an attribute's value is a hundred times its number."""

    def cuInit(self, flags: int) -> int:
        return 0

    def cuDeviceGetCount(self, count: Any) -> int:
        count._obj.value = 2
        return 0

    def cuDeviceGet(self, device: Any, index: int) -> int:
        device._obj.value = 10 + index
        return 0

    def cuDeviceGetName(self, name: Any, size: int, device: Any) -> int:
        name.value = f"GPU {device.value}".encode()
        return 0

    def cuDeviceTotalMem_v2(self, memory: Any, device: Any) -> int:
        memory._obj.value = 1 << 34
        return 0

    def cuDeviceGetAttribute(self, value: Any, number: int, device: Any) -> int:
        value._obj.value = 100 * number
        return 0


def test_properties(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: Driver())
    assert module.gpu_count() == 2
    gpu = module.gpu_properties(1)
    assert (gpu.index, gpu.name, gpu.memory) == (1, "GPU 11", 1 << 34)
    assert (gpu.attributes["warp_size"], gpu.attributes["minor"]) == (1000, 7600)
    with pytest.raises(DeviceError, match="GPU 2: the driver sees 2 GPUs, counted from 0"):
        module.gpu_properties(2)


def test_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise OSError("no such library")

    monkeypatch.setattr(ctypes, "CDLL", absent)
    with pytest.raises(DeviceError, match="no NVIDIA driver: no such library"):
        module.gpu_count()
    refusing = Driver()
    monkeypatch.setattr(refusing, "cuInit", lambda _: 100)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: refusing)
    with pytest.raises(DeviceError, match="cuInit returns error 100"):
        module.gpu_count()
