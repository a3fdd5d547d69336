"""What lasts from step to step on the device: parameter values, gradients, histories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vggrepro.net import Net
from vggrepro.runtime.device import Device
from vggrepro.runtime.device_array import DeviceArray, DeviceView, Layout

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class SolverArrays:
    """A solver's arrays, all with one layout: the owned parameters by key, in the net's order.

    ``total`` is the sum of an iteration's gradients; ``gradients`` holds those of one pass after the first
    (the same array unless iter_size is above 1).
    """

    layout: Layout
    values: DeviceArray
    gradients: DeviceArray
    total: DeviceArray
    histories: tuple[DeviceArray, ...]

    @classmethod
    def allocate(cls, net: Net, device: Device, *, histories: int, accumulates: bool) -> SolverArrays:
        """Zeros for every parameter of ``net``, on ``device``."""
        layout = Layout({u.key: u.definition.shape for u in net.param_uses if u.owner == u.key})
        values, total, *rest = (DeviceArray(layout.size, device) for _ in range(2 + histories))
        gradients = DeviceArray(layout.size, device) if accumulates else total
        return cls(layout, values, gradients, total, tuple(rest))

    def places(self, array: DeviceArray) -> dict[str, DeviceView]:
        """Where each parameter lies in one of the arrays, by key."""
        return self.layout.within(array, 0)

    def write(self, target: DeviceArray, arrays: Mapping[str, Floats]) -> None:
        """Replace the parts of some parameters in one of the arrays; unknown keys are left out."""
        flat = target.read()
        for key, array in arrays.items():
            if key in self.layout.shapes:
                self.layout.view(flat, key)[...] = array
        target.write(flat)

    def read(self, source: DeviceArray) -> dict[str, Floats]:
        """The contents of one of the arrays by key: on the CPU views of the memory itself."""
        flat = source.read()
        return {key: self.layout.view(flat, key) for key in self.layout.shapes}
