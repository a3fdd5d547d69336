"""Running graphs: the only room that imports onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from vggrepro.errors import DeviceError, NetError
from vggrepro.graph.model import Graph
from vggrepro.runtime.device import Device, parse_device, prepare

Arrays = Mapping[str, npt.NDArray[Any]]


class Session:
    """One graph on one device. Feeds and results go through buffers bound on the device, also where
    the device is the CPU: the same code runs everywhere.

    ``device`` is ``cpu``, ``cuda`` or ``cuda:N``; ``threads`` bounds the CPU threads (0: all cores);
    ``training`` is for a graph that must give the same bits in every run, with little memory.
    Raises DeviceError if the device does not work: there is no fallback.
    """

    def __init__(
        self,
        graph: Graph,
        device: str = "cpu",
        *,
        threads: int = 0,
        tf32: bool = False,
        training: bool = False,
    ) -> None:
        self.device: Device = parse_device(device)
        prepare(self.device)
        options = session_options(threads, training=training)
        self._weights: list[Any] = []
        for name, array in graph.weights.items():
            self._weights.append(onnxruntime.OrtValue.ortvalue_from_numpy(_owned(array)))
            options.add_external_initializers([name], self._weights[-1:])
        providers = self.device.providers(tf32, repeatable=training)
        self.raw = onnxruntime.InferenceSession(
            graph.skeleton.SerializeToString(), options, providers=providers
        )
        if self.device.kind == "cuda" and "CUDAExecutionProvider" not in self.raw.get_providers():
            raise DeviceError(
                f"device {self.device}: ONNX Runtime could not start CUDA there (is there such a GPU?)"
            )
        self.inputs = {i.name for i in self.raw.get_inputs()} | {
            i.name for i in self.raw.get_overridable_initializers()
        }
        self.outputs = [o.name for o in self.raw.get_outputs()]

    def run(self, feeds: Arrays, outputs: Sequence[str] | None = None) -> dict[str, npt.NDArray[Any]]:
        """Feed arrays by name, get arrays by name (default: every output).

        Raises NetError for a name the graph does not have.
        """
        names = list(self.outputs if outputs is None else outputs)
        binding = self.raw.io_binding()
        held = []
        for name, array in feeds.items():
            if name not in self.inputs:
                raise NetError(f"the graph has no input {name!r}; it takes {sorted(self.inputs)}")
            value = self.to_device(array)
            held.append(value)
            binding.bind_ortvalue_input(name, value)
        for name in names:
            binding.bind_output(name, self.device.kind, self.device.index)
        self.raw.run_with_iobinding(binding)
        return dict(zip(names, binding.copy_outputs_to_cpu(), strict=True))

    def to_device(self, array: npt.NDArray[Any]) -> Any:
        """An OrtValue in the device's memory; on the CPU it shares the array's."""
        contiguous = np.ascontiguousarray(array).reshape(np.shape(array))
        return onnxruntime.OrtValue.ortvalue_from_numpy(contiguous, self.device.kind, self.device.index)


def session_options(threads: int, *, training: bool = False) -> Any:
    """Options that every session has: quiet, and with ``threads`` CPU threads (0: all cores).

    For ``training`` without ORT's memory pattern: from the second run on it has all of a run in one block,
    beside what the first run took in pieces (VGG-A's step with 8 images: 3.2 GB against 2.5 GB).
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    if training:
        options.enable_mem_pattern = False
        options.use_deterministic_compute = True
    return options


def _owned(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """An aligned array, as ONNX Runtime needs it: a view of a mapped file may lie at any byte."""
    if array.flags.c_contiguous and array.ctypes.data % array.itemsize == 0:
        return array
    return np.array(array, order="C")
