"""Running segments: the only module here that knows ONNX Runtime's sessions."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.pycaffe.segments import Segment
from vggrepro.runtime.bound_run import BoundRun
from vggrepro.runtime.session import Session

Arrays = dict[str, npt.NDArray[Any]]


class Program:
    """A segment's session. Inputs and outputs are the blobs' own memory. Nothing is copied but memory that
    the segment both reads and overwrites, and what forward itself moves."""

    def __init__(self, segment: Segment, device: str, threads: int) -> None:
        self._segment = segment
        self.size = segment.written_bytes
        self._session = (
            Session(segment.graph, device, threads=threads) if segment.graph.output_names else None
        )
        self._run: BoundRun | None = None
        self._addresses: list[int] = []
        overwritten = {place.storage for place in segment.writes.values()}
        summed = {
            p.storage for n, p in segment.reads.items() if p.storage in overwritten and _is_sum(segment, n)
        }
        self._copied = {
            name: np.empty(place.shape, np.float32)
            for name, place in segment.reads.items()
            if place.storage in overwritten - summed
        }
        self._moved = {name: np.empty(place.shape, np.float32) for name, place in segment.moved.items()}

    def run(self) -> None:
        segment = self._segment
        if self._session is None:  # only layers that share memory, or that have no gradient
            return
        for cell, after in segment.states.values():
            if after is not None:
                cell.used[...] = cell.following
        for name, copy in self._copied.items():
            copy[...] = segment.reads[name].array()
        inputs = {n: self._copied[n] if n in self._copied else p.array() for n, p in segment.reads.items()}
        outputs = {**{n: p.array() for n, p in segment.writes.items()}, **self._moved}
        for key, (cell, after) in segment.states.items():
            inputs[key] = cell.used
            if after is not None:
                outputs[after] = cell.following
        self._bound(self._session, inputs, outputs).run()
        for name, place in segment.moved.items():
            place.array()[...] = self._moved[name]

    def _bound(self, session: Session, inputs: Arrays, outputs: Arrays) -> BoundRun:
        """The run on these arrays: the last one, unless a memory has moved since."""
        arrays = [*inputs.values(), *outputs.values()]
        addresses = [array.__array_interface__["data"][0] for array in arrays]
        if self._run is None or addresses != self._addresses:
            self._run, self._addresses = session.bind(), addresses
            for name, array in inputs.items():
                self._run.read_host(name, array)
            for name, array in outputs.items():
                self._run.write_host(name, array)
        return self._run


def _is_sum(segment: Segment, name: str) -> bool:
    """Whether an input is only added to, element by element: the sum may take its place in memory."""
    readers = [node for node in segment.graph.skeleton.graph.node if name in node.input]
    return len(readers) == 1 and readers[0].op_type == "Add"
