"""What lasts from step to step on the device: parameter values, gradients, histories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vggrepro.net import Net
from vggrepro.runtime.buffers import FlatBuffer, Layout
from vggrepro.runtime.device import Device

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Memory:
    """A solver's flat buffers, all with one layout: the owned parameters by key, in the net's order.

    ``total`` is the sum of an iteration's gradients; ``gradients`` holds those of one pass after the first
    (the same buffer unless iter_size is above 1).
    """

    layout: Layout
    values: FlatBuffer
    gradients: FlatBuffer
    total: FlatBuffer
    histories: tuple[FlatBuffer, ...]

    @classmethod
    def allocate(cls, net: Net, device: Device, *, histories: int, accumulates: bool) -> Memory:
        """Zeros for every parameter of ``net``, on ``device``."""
        layout = Layout({u.key: u.definition.shape for u in net.param_uses if u.owner == u.key})
        values, total, *rest = (FlatBuffer(layout.size, device) for _ in range(2 + histories))
        gradients = FlatBuffer(layout.size, device) if accumulates else total
        return cls(layout, values, gradients, total, tuple(rest))

    def write(self, buffer: FlatBuffer, arrays: Mapping[str, Floats]) -> None:
        """Replace some parameters' part of a buffer; keys that are not in the layout are left out."""
        flat = buffer.read()
        for key, array in arrays.items():
            if key in self.layout.shapes:
                self.layout.view(flat, key)[...] = array
        buffer.write(flat)

    def read(self, buffer: FlatBuffer) -> dict[str, Floats]:
        """The contents by key: on the CPU views of the memory itself."""
        flat = buffer.read()
        return {key: self.layout.view(flat, key) for key in self.layout.shapes}
