"""Holding a GPU to the precision that is asked for."""

from __future__ import annotations

import os

from vggrepro.emit import Precision
from vggrepro.errors import DeviceError, OptionError
from vggrepro.runtime.device import Device

_OVERRIDE = "NVIDIA_TF32_OVERRIDE"


def prepare_precision(precision: Precision, device: Device) -> None:
    """Make sure, before the process's first session, that ``fp32`` is float32: where cuDNN offers nothing
    else, ONNX Runtime would take TF32 all the same, unless NVIDIA's own switch forbids it.

    Raises OptionError for another precision on a CPU, DeviceError for TF32 where that switch is off.
    """
    if device.kind == "cpu":
        if precision != "fp32":
            raise OptionError(f"precision {precision}: GPUs have it, expected fp32 on the cpu")
        return
    if precision == "fp32":
        os.environ.setdefault(_OVERRIDE, "0")
    elif precision == "tf32" and os.environ.get(_OVERRIDE) == "0":
        raise DeviceError(f"precision tf32: {_OVERRIDE}=0 in the environment forbids it")
