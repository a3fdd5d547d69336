"""Names of inputs and outputs in finished graphs: the only place that makes them.

Blobs keep Caffe's names; states, gradients and the like get a prefix. Names are never taken apart again: a
:class:`vggrepro.graph.model.Graph` says which of its inputs and outputs is what.
"""

from __future__ import annotations

from vggrepro.net.net import Net

LOSS = "loss:total"
"""The output of a training step or a validation graph with the sum of all losses times their weights."""


def state_name(layer: str, state: str) -> str:
    """The graph input that holds a layer's state: optional, it defaults to the initial value."""
    return f"state:{layer}:{state}"


def next_name(layer: str, what: str | int) -> str:
    """The graph output with a layer's new state (by the state's name) or with the new value of a parameter
    that the forward pass itself moves (by its index)."""
    return f"next:{layer}:{what}"


def gradient_name(of: str) -> str:
    """The gradient of a blob, or of a parameter ``layer:index``."""
    return f"d:{of}"


def read_name(layer: str) -> str:
    """What a layer reads, its first bottom, where a graph returns it for the gradient of the weight."""
    return f"read:{layer}"


def arriving_name(layer: str) -> str:
    """The gradient of a layer's first top, returned for the same."""
    return f"arriving:{layer}"


def output_names(net: Net) -> dict[str, str]:
    """The graph's name of each blob: its own. An input that layers change in place keeps its name
    for the input; its last value is called by that value's name (blob, ``#``, layer)."""
    return {blob: value if blob in net.inputs else blob for blob, value in net.blobs.items()}


def history_name(index: int) -> str:
    """The input of an update graph with a solver's first (0) or second (1) history."""
    return f"h{index}"


def moved_name(name: str) -> str:
    """The output of an update graph with the new value of its input ``name``."""
    return f"{name}'"
