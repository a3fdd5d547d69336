"""What the forward pass itself moves in training: BatchNorm's running statistics, weights of fixed length."""

from __future__ import annotations

from vggrepro.graph.model import Graph
from vggrepro.graph.naming import moved_name
from vggrepro.graph.update import copy_graph
from vggrepro.net import Net
from vggrepro.runtime.bound_run import BoundRun
from vggrepro.runtime.device import Device
from vggrepro.runtime.device_array import DeviceArray, Layout
from vggrepro.runtime.session import Session
from vggrepro.training.solver_arrays import SolverArrays


class MovedStatistics:
    """The places where the passes of a net leave moved statistics, and their way into the parameters.

    A pass writes new values beside the old ones, which others of its nodes may still read; the run of
    :meth:`copying` then copies them, on the device. Of a parameter that several layers share, the value of
    the last layer counts.
    """

    def __init__(self, net: Net, arrays: SolverArrays, device: Device, threads: int) -> None:
        moved = [use for use in net.param_uses if use.definition.statistic or use.definition.moved]
        self._owners = {use.key: use.owner for use in moved}
        self._shapes = {use.key: use.definition.shape for use in net.param_uses}
        self._arrays, self._device, self._threads = arrays, device, threads
        self._layout = Layout({owner: self._shapes[owner] for owner in self._owners.values()})
        self._moved = DeviceArray(self._layout.size, device)

    def bind(self, run: BoundRun, graph: Graph) -> None:
        """Let a run of ``graph`` write its moved statistics here."""
        for owner, key in self._last(graph).items():
            place = self._layout.on_device(self._moved, owner)
            run.bind_output(graph.statistics[key], place.shaped(self._shapes[key]))

    def copying(self, graph: Graph) -> BoundRun | None:
        """The run that copies what one of ``graph`` has moved into the parameters; None if it moves none."""
        shapes = {owner: self._shapes[owner] for owner in self._last(graph)}
        if not shapes:
            return None
        run = Session(copy_graph(shapes), self._device, threads=self._threads, training=True).bind()
        for owner in shapes:
            run.bind_input(owner, self._layout.on_device(self._moved, owner))
            run.bind_output(moved_name(owner), self._arrays.layout.on_device(self._arrays.values, owner))
        return run

    def _last(self, graph: Graph) -> dict[str, str]:
        """For each parameter that a graph moves, by its owner's key, that of the last layer that moves it."""
        return {self._owners[key]: key for key in graph.statistics}
