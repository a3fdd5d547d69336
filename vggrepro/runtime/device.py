"""Devices by name, and the execution providers behind them."""

from __future__ import annotations

import ctypes
import io
import os
import re
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime

from vggrepro.emit import DeviceKind
from vggrepro.errors import DeviceError, DeviceMemoryError
from vggrepro.runtime import cuda_state

INSTALL_CUDA = 'install the CUDA libraries with: pip install "vggrepro[cuda]"'


_NO_MEMORY = ("Failed to allocate memory", "bad_alloc", "bad allocation")
"""What ONNX Runtime says where the host has no memory left; it has no exception of its own for that."""

_NO_GPU_MEMORY = ("Failed to allocate memory", "out of memory", "ALLOC_FAILED")
"""What ONNX Runtime and CUDA's libraries say where a GPU's memory is full."""

_NOTHING_TO_REDUCE = "Can't reduce on dim with value of 0"
"""What ONNX Runtime says on CUDA where a sum has no terms, as behind a Filter that selects nothing."""

_NO_ALGORITHM = "Failed to initialize CUDNN Frontend"
"""What ONNX Runtime says where cuDNN cannot compute a convolution."""

_ERRORS = 3
"""ONNX Runtime's severity from which on it writes to stderr."""


@dataclass(frozen=True)
class Device:
    """``kind`` is ONNX Runtime's name of the memory (cpu, cuda), ``index`` the number of the GPU."""

    kind: DeviceKind
    index: int = 0

    def __str__(self) -> str:
        return self.kind if self.kind == "cpu" else f"{self.kind}:{self.index}"

    def providers(self, tf32: bool, *, repeatable: bool = False, frugal: bool = False) -> list[Any]:
        """Execution providers for a session on this device. TF32 rounds products to ten bits: off
        unless asked for. ``repeatable`` sessions choose cuDNN's algorithms by rule and not by timing,
        which begins anew for each input size and can end differently each time. ``frugal`` ones take
        memory as it is needed, not in powers of two."""
        if self.kind == "cpu":
            return ["CPUExecutionProvider"]
        options = {"device_id": str(self.index), "use_tf32": str(int(tf32))}
        if repeatable:
            options["cudnn_conv_algo_search"] = "HEURISTIC"
        if frugal:
            options["arena_extend_strategy"] = "kSameAsRequested"
        return [("CUDAExecutionProvider", options), "CPUExecutionProvider"]

    def explain(self, error: Exception) -> None:
        """Raise DeviceError where a GPU's driver or memory may be the reason, MemoryError where the host's
        memory is; another failure on the CPU is a bug."""
        lines = str(error).strip().splitlines() or [type(error).__name__]
        if self.kind != "cpu" and any(words in str(error) for words in _NO_GPU_MEMORY):
            raise DeviceMemoryError(f"device {self}: out of memory{self._free_memory()}") from error
        if self.kind != "cpu" and _NOTHING_TO_REDUCE in str(error):
            raise DeviceError(
                f"device {self}: a sum over no items, which ONNX Runtime refuses there: a Filter has selected"
                " none; on the cpu the sum is 0"
            ) from error
        if self.kind != "cpu" and _NO_ALGORITHM in str(error):
            found = re.search(r"Name:'([^']+)'", str(error))
            node = found.group(1) if found else "?"
            raise DeviceError(
                f"device {self}: cuDNN has no algorithm for node {node} in this size and precision:"
                " try another --precision"
            ) from error
        if self.kind != "cpu":
            raise DeviceError(f"device {self}: ONNX Runtime failed: {lines[0]}") from error
        if any(words in str(error) for words in _NO_MEMORY):
            raise MemoryError(f"ONNX Runtime: {lines[0]}") from error

    def cuda_library(self) -> Any:
        """What CUDA's own functions are called through; None for a CPU, and where nothing loads."""
        if self.kind == "cpu":
            return None
        try:
            return _load_provider()
        except OSError:
            return None

    def memory(self) -> cuda_state.Memory | None:
        """The GPU's memory; None for a CPU, and where it cannot be told."""
        return cuda_state.memory(self.cuda_library(), self.index)

    def _free_memory(self) -> str:
        found = self.memory()
        return (
            "" if found is None else f" ({found.free / 2**30:.1f} of {found.total / 2**30:.1f} GiB are free)"
        )


def parse_device(text: str) -> Device:
    """``cpu``, ``cuda`` or ``cuda:N``. Raises DeviceError for anything else."""
    match = re.fullmatch(r"(cpu)|cuda(?::(\d+))?", text)
    if match is None:
        raise DeviceError(f"device must be cpu, cuda or cuda:N, got {text!r}")
    return Device("cpu") if match.group(1) else Device("cuda", int(match.group(2) or 0))


def as_device(device: Device | str) -> Device:
    """A Device, also of its name. Raises DeviceError for a name that is none."""
    return device if isinstance(device, Device) else parse_device(device)


def require(device: Device) -> None:
    """Load what the device needs. Raises DeviceError that says why it does not work.

    A provider that is listed is not yet one that loads: onnxruntime-gpu lists CUDA on every machine.
    """
    if device.kind == "cpu":
        return
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise DeviceError(
            f"device {device}: this onnxruntime {onnxruntime.__version__} has no CUDA provider;"
            " uninstall onnxruntime, then: pip install onnxruntime-gpu"
        )
    with redirect_stdout(io.StringIO()):  # it prints what it misses; the error below says it
        onnxruntime.preload_dlls(directory="")
    try:
        provider = _load_provider()
    except OSError as error:
        raise DeviceError(f"device {device}: CUDA does not load: {error}; {INSTALL_CUDA}") from error
    reason = cuda_state.problem(provider, device.index)
    if reason:
        raise DeviceError(f"device {device}: {reason}")
    onnxruntime.set_default_logger_severity(_ERRORS)  # it warns that CUDA is no plugin, in every session


def _load_provider() -> Any:
    """The CUDA provider's library. Raises OSError that names what is missing."""
    folder = Path(onnxruntime.__file__).parent / "capi"
    form = "{}.dll" if os.name == "nt" else "lib{}.so"
    names = ("onnxruntime_providers_shared", "onnxruntime_providers_cuda")
    return [ctypes.CDLL(str(folder / form.format(name)), mode=ctypes.RTLD_GLOBAL) for name in names][-1]
