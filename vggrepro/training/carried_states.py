"""What layers carry from one pass to the next, as recurrent ones their hidden state: on the device."""

from __future__ import annotations

from vggrepro.graph.model import Graph, State
from vggrepro.runtime.bound_run import BoundRun
from vggrepro.runtime.device_array import DeviceValue


class CarriedStates:
    """The states of a net's graphs that are not random. They begin with their initial values."""

    def __init__(self) -> None:
        self._left: dict[str, DeviceValue] = {}

    def begin_anew(self) -> None:
        """Go back to the initial values."""
        self._left = {}

    def bind(self, run: BoundRun, graph: Graph) -> None:
        """Let a run of ``graph`` leave its next states on the device."""
        for state in _carried(graph):
            run.leave_output(state.output)

    def feed(self, run: BoundRun, graph: Graph) -> None:
        """Give a run of ``graph`` the states."""
        for state in _carried(graph):
            if state.input in self._left:
                run.take(state.input, self._left[state.input])
            else:
                run.feed(state.input, state.initial)

    def take(self, run: BoundRun, graph: Graph) -> None:
        """Take over what a run of ``graph`` has left."""
        self._left = {state.input: run.left(state.output) for state in _carried(graph)}


def _carried(graph: Graph) -> list[State]:
    return [state for state in graph.states if not state.random]
