"""What to do where a training step does not fit into a GPU's memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod

from vggrepro.errors import DeviceMemoryError
from vggrepro.net import Net
from vggrepro.runtime.device import Device
from vggrepro.training.solver_arrays import SolverArrays

USABLE = 0.95
"""The share of the memory that the step can have; CUDA itself takes the rest."""


WORKING = 1 << 30
"""About what a step holds for a moment beside blobs, whatever the batch: pieces of unfolded inputs, sums of
gradients, steps of updates."""


@contextmanager
def advising_passes(net: Net, arrays: SolverArrays, device: Device, iter_size: int) -> Iterator[None]:
    """Within the block an error of a full GPU says how many images of a pass fit, and which ``--iter-size``
    makes such passes."""
    try:
        yield
    except DeviceMemoryError as error:
        memory = device.memory()
        if memory is None:
            raise DeviceMemoryError(f"{error}: a larger --iter-size makes smaller passes") from error
        images = net.shapes[net.layers[0].tops[0]][0]
        fitting = images_that_fit(net, arrays, memory.total)
        raise DeviceMemoryError(f"{error}: {_advice(images, fitting, iter_size)}") from error


def images_that_fit(net: Net, arrays: SolverArrays, total: int) -> int:
    """About how many images of a pass, which does not fit, would fit into ``total`` bytes: beside parameters,
    histories, the gradients of a pass and their sum over several passes, every blob of the net is kept for
    the backward pass."""
    fixed = 4 * arrays.layout.size * (3 + len(arrays.histories))
    images = net.shapes[net.layers[0].tops[0]][0]
    each = 4 * sum(map(prod, net.shapes.values())) / max(images, 1)
    return min(max(int((USABLE * total - fixed - WORKING) / each), 0), images - 1)


def _advice(images: int, fitting: int, iter_size: int) -> str:
    passes = next((k for k in range(2, images + 1) if images % k == 0 and images // k <= fitting), None)
    if passes is None:
        return f"a pass of {images} images does not fit, and a smaller one hardly will"
    return (
        f"of a pass of {images} images about {fitting} fit: --iter-size {iter_size * passes} makes passes of"
        f" {images // passes}"
    )
