"""Which sizes a graph leaves free: found by running the shape rules twice, with two sizes of the inputs."""

from __future__ import annotations

from collections.abc import Mapping

from vggrepro.emit import Dims, Shape
from vggrepro.errors import NetError
from vggrepro.net.net import Net
from vggrepro.net.shapes import PROBES, probe

BATCH = frozenset({0})
BATCH_AND_SIZE = frozenset({0, 2, 3})
FIXED: frozenset[int] = frozenset()


def symbolic_dims(net: Net, free: frozenset[int]) -> dict[str, Dims]:
    """The dims of every value when the ``free`` axes of the inputs are symbolic.

    The shape rules themselves tell what depends on them: they are run a second time with other
    sizes, and what changes is symbolic. Axes beyond 0 are freed on four-dimensional inputs alone.
    Raises what the rules raise where a layer does not allow the change.
    """
    if not free:
        return {value: tuple(shape) for value, shape in net.shapes.items()}
    shapes = _probed_shapes(net, free)
    return {
        value: tuple(a if a == b else None for a, b in zip(shape, shapes[value], strict=True))
        for value, shape in net.shapes.items()
    }


def _probed_shapes(net: Net, free: frozenset[int]) -> Mapping[str, Shape]:
    first, second = PROBES
    try:
        return net.reshape(probe(net.inputs, free, first)).shapes
    except NetError:
        return net.reshape(probe(net.inputs, free, second)).shapes


def input_dims(net: Net, dims: Mapping[str, Dims], name: str) -> list[int | str]:
    """The declared sizes of an input: free ones are called N, H, W, with the input's name behind
    (``N_label``) where they need not be those of the first input."""
    first = next(iter(net.inputs))
    result: list[int | str] = []
    for axis, size in enumerate(dims[name]):
        if size is not None:
            result.append(size)
            continue
        letter = {0: "N", 2: "H", 3: "W"}[axis]
        shape, lead = net.inputs[name], net.inputs[first]
        shared = axis < len(lead) and lead[axis] == shape[axis] and (axis == 0 or len(lead) == len(shape))
        result.append(letter if shared else f"{letter}_{name}")
    return result


def output_dims(net: Net, dims: Mapping[str, Dims], blob: str) -> list[int | str | None]:
    """The declared sizes of a blob: a batch that is the first input's is called N, as there; other free
    sizes have no name."""
    value = net.blobs[blob]
    first = next(iter(net.inputs), None)
    leads = first is not None and dims[first][:1] == (None,)
    return [
        "N"
        if axis == 0 and size is None and leads and net.shapes[value][0] == net.inputs[first or ""][0]
        else size
        for axis, size in enumerate(dims[value])
    ]
