"""How exactly a GPU computes products: its float32, TF32's ten bits of mantissa, or float16."""

from __future__ import annotations

import os
from typing import Literal

from vggrepro.errors import DeviceError, OptionError
from vggrepro.runtime.device import Device

Precision = Literal["fp32", "tf32", "fp16"]

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
