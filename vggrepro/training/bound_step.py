"""Training steps whose parameters are read, and whose gradients are written, in place."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from vggrepro.graph.model import Graph
from vggrepro.runtime.bound_run import BoundRun
from vggrepro.runtime.device_array import DeviceView
from vggrepro.runtime.session import Session


def bind_step(
    graph: Graph,
    session: Session,
    params: Mapping[str, DeviceView],
    gradients: Mapping[str, DeviceView],
    elsewhere: Collection[str] = (),
) -> BoundRun:
    """A run of a training step's session on the places of the parameters and of their gradients, by key. It
    returns all other outputs but those ``elsewhere``."""
    run = session.bind()
    for key, place in params.items():
        run.bind_input(key, place)
    for key, name in graph.gradients.items():
        run.bind_output(name, gradients[key])
    for name in session.outputs:
        if name not in elsewhere and name not in graph.gradients.values():
            run.return_output(name)
    return run
