"""Running graphs: the only room that imports onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from vggrepro.emit import DeviceKind, declared_dims
from vggrepro.errors import DeviceError, NetError, ShapeError, UnsupportedError
from vggrepro.graph.model import Graph
from vggrepro.graph.nodes import tensors_read
from vggrepro.runtime.bound_run import BoundRun
from vggrepro.runtime.device import Device, as_device, require
from vggrepro.system.freed_memory import give_back
from vggrepro.system.mapped import own_copy
from vggrepro.system.threads import default_threads, ordered_map

Arrays = Mapping[str, npt.NDArray[Any]]

_DTYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(uint8)": np.uint8}
"""ONNX Runtime's names of the dtypes that graphs take."""


class Session:
    """One graph on one device. Feeds and results go through memory that is bound on the device, also where
    the device is the CPU: the same code runs everywhere.

    ``device`` is a Device, or its name ``cpu``, ``cuda`` or ``cuda:N``; ``threads`` bounds the CPU threads
    (0: all cores); ``repeatable`` is for a graph that must give the same bits in every run, or sees many
    input sizes; ``training`` for one that must also do with little memory. ``batch`` is for a graph whose
    inputs and outputs have images along axis 0, in any number, each of which depends on no other: how many
    most runs take. On a CPU with at most half as many threads, each thread then computes two or more images
    from the first layer to the last, so that cores need not pass tensors to each other; a run on few images
    leaves threads idle.
    Raises DeviceError if the device does not work (there is no fallback), UnsupportedError for a graph
    with custom nodes.
    """

    def __init__(
        self,
        graph: Graph,
        device: Device | str = "cpu",
        *,
        threads: int = 0,
        tf32: bool = False,
        repeatable: bool = False,
        training: bool = False,
        batch: int = 0,
    ) -> None:
        self.device = as_device(device)
        require(self.device)
        count = threads or default_threads()
        by_image = 2 * count <= batch and self.device.kind == "cpu" and _takes_any_number(graph)
        self._side_by_side = count if by_image else 1
        options = session_options(1 if by_image else threads, training=training, kind=self.device.kind)
        self._weights: list[Any] = []
        for name, array in graph.weights.items():
            self._weights.append(onnxruntime.OrtValue.ortvalue_from_numpy(_owned(array)))
            options.add_external_initializers([name], self._weights[-1:])
            if self.device.kind == "cpu":
                # External initializers alone are copied once and for all; so they are read in place.
                options.add_initializer(name, self._weights[-1])
        providers = self.device.providers(tf32, repeatable=repeatable or training, frugal=training)
        self._raw = self._started(graph, options, providers)
        give_back()  # what ONNX Runtime needed to fold and lay out the weights
        self._label_checks = graph.label_checks
        declared = [*self._raw.get_inputs(), *self._raw.get_overridable_initializers()]
        self.inputs = {i.name for i in declared}
        self.outputs = [o.name for o in self._raw.get_outputs()]
        self._declared = {i.name: i for i in declared}
        read = set().union(*map(tensors_read, graph.skeleton.graph.node))
        self._required = [i.name for i in self._raw.get_inputs() if i.name in read]

    def _started(self, graph: Graph, options: Any, providers: list[Any]) -> Any:
        custom = sorted({f"{n.domain}::{n.op_type}" for n in graph.skeleton.graph.node if n.domain})
        if custom:
            raise UnsupportedError(f"custom nodes cannot be run: ONNX Runtime has no {', '.join(custom)}")
        skeleton = graph.skeleton.SerializeToString()
        try:
            raw = onnxruntime.InferenceSession(skeleton, options, providers=providers, enable_fallback=0)
        except (ValueError, RuntimeError) as error:
            self.device.explain(error)
            raise
        if self.device.kind == "cuda" and "CUDAExecutionProvider" not in raw.get_providers():
            raise DeviceError(
                f"device {self.device}: ONNX Runtime could not start CUDA there (is there such a GPU?)"
            )
        return raw

    def run(self, feeds: Arrays, outputs: Sequence[str] | None = None) -> dict[str, npt.NDArray[Any]]:
        """Feed arrays by name, get arrays by name (default: every output).

        Raises NetError for a name that the graph does not have, an input that is missing or of another
        dtype, ShapeError for one of another shape, or without elements where a layer needs some, LabelError
        for a label that is no class, DeviceError if a GPU fails.
        """
        names = list(self.outputs if outputs is None else outputs)
        feeds = {name: np.asarray(array) for name, array in feeds.items()}
        self._check(feeds, names)
        for check in self._label_checks:
            check(feeds)
        parts = self._parts(feeds)
        if len(parts) == 1:
            return self._computed(feeds, names)
        done = list(ordered_map(lambda part: self._computed(part, names), parts, threads=len(parts)))
        return {name: np.concatenate([found[name] for found in done]) for name in names}

    def _parts(self, feeds: Arrays) -> list[Arrays]:
        """The images that each thread computes: not one alone, whose products ONNX Runtime sums up in
        another order."""
        if self._side_by_side == 1:
            return [feeds]
        count = min([self._side_by_side, *(len(array) // 2 for array in feeds.values())])
        if count < 2:
            return [feeds]
        split = {name: np.array_split(array, count) for name, array in feeds.items()}
        return [{name: pieces[part] for name, pieces in split.items()} for part in range(count)]

    def _computed(self, feeds: Arrays, names: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
        """One run of ONNX Runtime."""
        binding = self._raw.io_binding()
        held = {name: self._to_device(array) for name, array in feeds.items()}
        for name, value in held.items():
            binding.bind_ortvalue_input(name, value)
        for name in names:
            binding.bind_output(name, self.device.kind, self.device.index)
        try:
            self._raw.run_with_iobinding(binding)
        except RuntimeError as error:
            self.device.explain(error)
            empty = next((name for name, array in feeds.items() if array.size == 0), None)
            if empty is not None:
                shape = feeds[empty].shape
                raise ShapeError(f"input {empty!r}: shape {shape} has no elements to compute with") from error
            raise
        return dict(zip(names, binding.copy_outputs_to_cpu(), strict=True))

    def bind(self) -> BoundRun:
        """A run whose inputs and outputs can be bound to places in the device's memory."""
        return BoundRun(self._raw, self.device, self._label_checks)

    def _check(self, feeds: Arrays, names: Sequence[str]) -> None:
        for name in names:
            if name not in self.outputs:
                raise NetError(f"the graph has no output {name!r}; it gives {self.outputs}")
        for name in self._required:
            if name not in feeds:
                raise NetError(f"no array for input {name!r}; the graph takes {sorted(self.inputs)}")
        for name, array in feeds.items():
            if name not in self._declared:
                raise NetError(f"the graph has no input {name!r}; it takes {sorted(self.inputs)}")
            declared = self._declared[name]
            if _DTYPES.get(declared.type, array.dtype) != array.dtype:
                raise NetError(f"input {name!r}: dtype {array.dtype}, expected {declared.type}")
            free = [isinstance(size, str) or size is None for size in declared.shape]
            if len(free) != array.ndim or not all(
                any_size or size == got
                for any_size, size, got in zip(free, declared.shape, array.shape, strict=True)
            ):
                raise ShapeError(f"input {name!r}: shape {array.shape}, expected {tuple(declared.shape)}")

    def _to_device(self, array: npt.NDArray[Any]) -> Any:
        """An OrtValue in the device's memory; on the CPU it shares the array's."""
        contiguous = np.ascontiguousarray(array).reshape(np.shape(array))
        return onnxruntime.OrtValue.ortvalue_from_numpy(contiguous, self.device.kind, self.device.index)


def session_options(threads: int, *, training: bool = False, kind: DeviceKind = "cpu") -> Any:
    """Options that every session has: quiet, and with ``threads`` CPU threads (0: all cores).

    For ``training`` without ORT's memory pattern: from the second run on it has all of a run in one block,
    beside what the first run took in pieces (VGG-A's step with 8 images: 3.2 GB against 2.5 GB).

    On a CPU also without passing memory on from one tensor to a later one of the same size, because such
    memory stays allocated in between, when no tensor is in it (0.3 GB of that step).

    On CUDA the nodes run in the order of the graph, which no rewriting changes: by itself ORT computes what
    does not depend on the loss's gradient first (all masks, for example), and keeps it until its turn comes
    (VGG-D's step with 64 images: 4.4 GiB of intermediate tensors against 8.4 GiB).
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    if training:
        options.enable_mem_pattern = False
        options.use_deterministic_compute = True
        if kind == "cuda":
            options.execution_order = onnxruntime.ExecutionOrder.PRIORITY_BASED
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        else:
            options.enable_mem_reuse = False
    return options


def _takes_any_number(graph: Graph) -> bool:
    """Whether the number of images, the first size of all inputs and outputs, is free."""
    declared = [*graph.skeleton.graph.input, *graph.skeleton.graph.output]
    return all((declared_dims(info) or (0,))[0] is None for info in declared)


def _owned(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """An aligned array, as ONNX Runtime needs it: a view of a mapped file may lie at any byte."""
    if array.flags.c_contiguous and array.ctypes.data % array.itemsize == 0:
        return array
    return own_copy(array)
