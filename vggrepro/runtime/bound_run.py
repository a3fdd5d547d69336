"""Runs whose inputs and outputs are bound to places in a device's memory once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from vggrepro.graph.label_checks import LabelCheck
from vggrepro.runtime.device import Device
from vggrepro.runtime.device_array import DeviceScalar, DeviceValue, DeviceView


class BoundRun:
    """A run of a session whose inputs and outputs are views of device arrays, bound in place: made by
    :meth:`vggrepro.runtime.session.Session.bind`."""

    def __init__(self, raw: Any, device: Device, label_checks: Sequence[LabelCheck] = ()) -> None:
        self._raw = raw
        self._device = device
        self._label_checks = label_checks
        self._labelled = {name for check in label_checks for name in check.inputs}
        self._labels: dict[str, npt.NDArray[Any] | DeviceView] = {}
        self._binding = raw.io_binding()
        self._held: dict[str, Any] = {}
        self._outputs: list[str] = []
        self._returned: list[str] = []
        self._left: list[str] = []

    def bind_input(self, name: str, place: DeviceView) -> None:
        """Let the coming runs read an input there."""
        self._binding.bind_input(name, *self._at(place))
        self._held[name] = place.array  # the binding knows only its address
        self._note_labels(name, place)

    def bind_output(self, name: str, place: DeviceView) -> None:
        """Let the coming runs write an output there."""
        self._binding.bind_output(name, *self._at(place))
        self._held[name] = place.array
        self._outputs.append(name)

    def return_output(self, name: str) -> None:
        """Let the session allocate this output, in the host's memory, anew in every run; :meth:`run` returns
        it."""
        self._binding.bind_output(name, "cpu")
        self._outputs.append(name)
        self._returned.append(name)

    def leave_output(self, name: str) -> None:
        """Let the session allocate this output, in the device's memory, anew in every run; :meth:`left` gives
        it to another run."""
        self._binding.bind_output(name, self._device.kind, self._device.index)
        self._outputs.append(name)
        self._left.append(name)

    def left(self, name: str) -> DeviceValue:
        """What the last run left of an output."""
        return DeviceValue(self._values()[name])

    def take(self, name: str, value: DeviceValue) -> None:
        """Let the coming runs read an input from what a run has left."""
        self._held[name] = value
        self._binding.bind_ortvalue_input(name, value.value)

    def feed(self, name: str, array: npt.NDArray[Any]) -> None:
        """Give an input for the coming runs: copied to the device, on the CPU shared."""
        self.feed_together([name], array)

    def feed_together(self, names: Sequence[str], array: npt.NDArray[Any]) -> None:
        """Give several inputs one array, which is copied once."""
        contiguous = np.ascontiguousarray(array).reshape(np.shape(array))
        value = onnxruntime.OrtValue.ortvalue_from_numpy(contiguous, self._device.kind, self._device.index)
        for name in names:
            self._held[name] = value
            self._binding.bind_ortvalue_input(name, value)
            self._note_labels(name, array)

    def read_host(self, name: str, array: npt.NDArray[Any]) -> None:
        """Let the coming runs read an input from a contiguous array in the host's memory, as it then is."""
        self._binding.bind_input(name, *_in_host(array))
        self._held[name] = array

    def write_host(self, name: str, array: npt.NDArray[Any]) -> None:
        """Let the coming runs write an output into a contiguous array in the host's memory."""
        self._binding.bind_output(name, *_in_host(array))
        self._held[name] = array
        self._outputs.append(name)

    def bind_scalar(self, name: str, scalar: DeviceScalar) -> None:
        """Let the coming runs read an input from a scalar."""
        self._held[name] = scalar
        self._binding.bind_ortvalue_input(name, scalar.value)

    def start(self) -> None:
        """As :meth:`run` where nothing is returned, but without waiting for a GPU: later runs of the same
        session come after this one, and a :meth:`run` of it waits for all of them."""
        self._run(_unsynchronised())

    def run(self) -> dict[str, npt.NDArray[Any]]:
        """Run, and return the outputs of :meth:`return_output` by name. Raises LabelError for a label that is
        no class, DeviceError if a GPU fails."""
        self._check_labels()
        for name in self._returned:
            self._binding.bind_output(name, "cpu")  # that of the last run may have another shape
        for name in self._left:
            self._binding.bind_output(name, self._device.kind, self._device.index)
        self._run()
        if not self._returned:
            return {}
        values = self._values()
        return {name: np.array(values[name].numpy()) for name in self._returned}

    def _values(self) -> dict[str, Any]:
        return dict(zip(self._outputs, self._binding.get_outputs(), strict=True))

    def _run(self, *options: Any) -> None:
        try:
            self._raw.run_with_iobinding(self._binding, *options)
        except RuntimeError as error:
            self._device.explain(error)
            raise

    def _note_labels(self, name: str, values: npt.NDArray[Any] | DeviceView) -> None:
        if name in self._labelled:
            self._labels[name] = values

    def _check_labels(self) -> None:
        feeds = {n: v.read() if isinstance(v, DeviceView) else v for n, v in self._labels.items()}
        for check in self._label_checks:
            check(feeds)

    def _at(self, place: DeviceView) -> tuple[Any, ...]:
        return self._device.kind, self._device.index, np.float32, place.shape, place.address


@cache
def _unsynchronised() -> Any:
    options = onnxruntime.RunOptions()
    options.add_run_config_entry("disable_synchronize_execution_providers", "1")
    return options


def _in_host(array: npt.NDArray[Any]) -> tuple[Any, ...]:
    return "cpu", 0, array.dtype.type, array.shape, array.ctypes.data
