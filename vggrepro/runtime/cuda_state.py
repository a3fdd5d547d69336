"""What CUDA's own libraries say of drivers and GPUs, so that a failure is named before anything runs.

They are asked through the ``provider``, the loaded library of ONNX Runtime's CUDA provider, which is linked
with the right ones. Where it does not lead to them (on Windows) nothing is known, and nothing is said.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any, NamedTuple

import onnxruntime

_CUDNN = "cudnn64_9.dll" if os.name == "nt" else "libcudnn.so.9"
_DRIVERS = {12: 525, 13: 580}
"""The oldest driver for each version of CUDA, as NVIDIA's table of CUDA compatibility has it."""

_INSUFFICIENT_DRIVER, _NO_DEVICE = 35, 100
"""Errors of cudaGetDeviceCount."""


class Memory(NamedTuple):
    """A GPU's memory, in bytes."""

    free: int
    total: int


def problem(provider: Any, index: int) -> str:
    """Why GPU ``index`` cannot be used, and what to do; empty if nothing speaks against it."""
    if not hasattr(provider, "cudaGetDeviceCount"):
        return ""
    driver, runtime, count = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    error = provider.cudaGetDeviceCount(ctypes.byref(count))
    provider.cudaDriverGetVersion(ctypes.byref(driver))
    provider.cudaRuntimeGetVersion(ctypes.byref(runtime))
    if driver.value == 0:
        return "no NVIDIA driver is loaded (nvidia-smi would show it): install one, or compute on the cpu"
    if error == _INSUFFICIENT_DRIVER or driver.value // 1000 < runtime.value // 1000:
        major = runtime.value // 1000
        oldest = f" {_DRIVERS[major]} or newer" if major in _DRIVERS else ""
        return (
            f"the NVIDIA driver is for CUDA {_version(driver.value)}, onnxruntime {onnxruntime.__version__}"
            f" for CUDA {_version(runtime.value)}: install driver{oldest}, or an older onnxruntime-gpu"
        )
    if error or count.value == 0:
        return _no_device(error)
    if index >= count.value:
        there = "cuda:0" if count.value == 1 else f"cuda:0 to cuda:{count.value - 1}"
        return f"no such GPU: this machine has {there}{_visible()}"
    return _no_cudnn()


def memory(provider: Any, index: int) -> Memory | None:
    """The memory of GPU ``index``; None where it cannot be told."""
    if not hasattr(provider, "cudaMemGetInfo") or provider.cudaSetDevice(index):
        return None
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    if provider.cudaMemGetInfo(ctypes.byref(free), ctypes.byref(total)):
        return None
    return Memory(free.value, total.value)


def _no_device(error: int) -> str:
    if error in (0, _NO_DEVICE):
        return f"the driver shows no GPU{_visible()}: see nvidia-smi"
    return f"CUDA fails with error {error} (cudaGetDeviceCount): see nvidia-smi, or restart the driver"


def _visible() -> str:
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    return "" if chosen is None else f" (CUDA_VISIBLE_DEVICES={chosen})"


def _no_cudnn() -> str:
    """ONNX Runtime itself looks for cuDNN at the first convolution."""
    try:
        ctypes.CDLL(_CUDNN)
    except OSError as error:
        return f'cuDNN does not load: {error}; install it with: pip install "vggrepro[cuda]"'
    return ""


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"
