"""Graphs of elementwise operators over flat arrays in the host's memory, a block at a time.

ONNX Runtime takes each operator over a whole array, and shares it between threads, which wait for each other
behind every operator. Here a thread takes a block through all operators, so that what lies between them stays
in its core's cache. The results have the same bits: each operator rounds as float32 arithmetic does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from threading import local
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.emit import declared_dims, tensor_array
from vggrepro.errors import UnsupportedError
from vggrepro.graph.model import Graph
from vggrepro.runtime.device_array import DeviceScalar, DeviceView

BLOCK = 1 << 18
"""Elements that pass through all operators at a time: 1 MiB of each array."""

FUNCTIONS: Mapping[str, np.ufunc] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
    "Sqrt": np.sqrt,
    "Sign": np.sign,
    "Identity": np.positive,
}
"""NumPy's function for each operator."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Call:
    """``output = function(*inputs)``, all by name."""

    function: np.ufunc
    inputs: tuple[str, ...]
    output: str


class Elementwise:
    """A graph whose inputs are scalars and flat arrays of one length, and whose outputs are such arrays.

    An output may lie where an input lies if no node behind the one that writes it reads that input. Raises
    UnsupportedError for an operator that is not in ``FUNCTIONS``.
    """

    def __init__(self, graph: Graph) -> None:
        proto = graph.skeleton.graph
        self._constants = {i.name: tensor_array(i) for i in proto.initializer}
        scalars = {i.name: None for i in proto.input if declared_dims(i) == ()}
        self._arrays = [name for name in (*graph.input_names, *graph.output_names) if name not in scalars]
        known = dict.fromkeys([*self._constants, *scalars])
        self._on_scalars: list[_Call] = []
        on_arrays: list[_Call] = []
        for call in map(_call, proto.node):
            if known.keys() >= set(call.inputs):
                known[call.output] = None
                self._on_scalars.append(call)
            else:
                on_arrays.append(call)
        self._known = list(known)
        buffers = _buffers(on_arrays, self._arrays)
        self._buffer_count = len(set(buffers.values()))
        self._of_thread = local()
        # Where each tensor stands in the list of places that a block passes through, see compute().
        given = [*self._arrays, *self._known]
        at = {name: index for index, name in enumerate(given)}
        at.update({name: len(given) + index for name, index in buffers.items()})
        self._on_arrays = [
            (c.function, itemgetter(*(at[n] for n in (*c.inputs, c.output)))) for c in on_arrays
        ]

    def bind(self) -> ElementwiseRun:
        """A run whose inputs and outputs can be bound to places in memory."""
        return ElementwiseRun(self)

    def compute(self, arrays: Mapping[str, Floats], scalars: Mapping[str, Floats]) -> None:
        """Compute the outputs from the inputs, all by name."""
        whole = [arrays[name] for name in self._arrays]
        length = len(whole[0])
        with np.errstate(all="ignore"):
            known: dict[str, Any] = {**self._constants, **scalars}
            for call in self._on_scalars:
                known[call.output] = call.function(*(known[name] for name in call.inputs))
            constant = [known[name] for name in self._known]
            for start in range(0, length, BLOCK):
                block = slice(start, start + BLOCK)
                buffers = self._own_buffers(min(BLOCK, length - start))
                places = [*(array[block] for array in whole), *constant, *buffers]
                for function, chosen in self._on_arrays:
                    function(*chosen(places))

    def _own_buffers(self, count: int) -> list[Floats]:
        """The thread's own buffers, of ``count`` elements each: memory that was just used is in the cache."""
        if not hasattr(self._of_thread, "buffers"):
            self._of_thread.buffers = np.empty((self._buffer_count, BLOCK), np.float32)
        return list(self._of_thread.buffers[:, :count])


class ElementwiseRun:
    """A run whose inputs and outputs are stretches of arrays in the host's memory."""

    def __init__(self, graph: Elementwise) -> None:
        self._graph = graph
        self._arrays: dict[str, Floats] = {}
        self._scalars: dict[str, DeviceScalar] = {}

    def bind(self, name: str, place: DeviceView) -> None:
        """Let an input be read, or an output be written, there."""
        self._arrays[name] = place.read()

    bind_input = bind_output = bind

    def bind_scalar(self, name: str, scalar: DeviceScalar) -> None:
        """Let an input be read from a scalar."""
        self._scalars[name] = scalar

    def run(self) -> None:
        """Compute the outputs in the calling thread."""
        self._graph.compute(self._arrays, {name: scalar.number for name, scalar in self._scalars.items()})

    start = run  # nothing is left to wait for


def _call(node: Any) -> _Call:
    """The call that a node of a graph stands for."""
    if node.op_type not in FUNCTIONS:
        raise UnsupportedError(f"operator {node.op_type} is none of {', '.join(FUNCTIONS)}")
    return _Call(FUNCTIONS[node.op_type], tuple(node.input), node.output[0])


def _buffers(calls: Sequence[_Call], outputs: Sequence[str]) -> dict[str, int]:
    """A buffer, by its number, for each array that is not an output: as few as there can be, as a call may
    write where it reads for the last time."""
    last = {name: index for index, call in enumerate(calls) for name in call.inputs}
    found: dict[str, int] = {}
    free: list[int] = []
    for index, call in enumerate(calls):
        free += [found[name] for name in dict.fromkeys(call.inputs) if name in found and last[name] == index]
        if call.output not in outputs:
            found[call.output] = free.pop() if free else len(set(found.values()))
    return found
