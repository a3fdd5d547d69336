"""Holding a device to the precision that is asked for, and graphs to the rules that go with it."""

from __future__ import annotations

import os

from vggrepro.emit import Precision, RuleSet
from vggrepro.errors import DeviceError, OptionError
from vggrepro.runtime.device import Device

_OF_CPU: tuple[Precision, ...] = ("fp32", "fp32-direct")
_OF_GPU: tuple[Precision, ...] = ("fp32", "tf32", "fp16")

_OVERRIDE = "NVIDIA_TF32_OVERRIDE"


def rules_of(precision: Precision, device: Device) -> RuleSet | None:
    """The rules by which graphs are made: None, for plain operators, where convolutions are to be direct
    sums."""
    if precision == "fp32-direct":
        return None
    return "cuda-tf32" if device.kind == "cuda" and precision != "fp32" else device.kind


def prepare_precision(precision: Precision, device: Device) -> None:
    """Make sure, before the process's first session, that ``fp32`` is float32: where cuDNN offers nothing
    else, ONNX Runtime would take TF32 all the same, unless NVIDIA's own switch forbids it.

    Raises OptionError for a precision that the device does not have, DeviceError for TF32 where that switch
    is off.
    """
    there = _OF_CPU if device.kind == "cpu" else _OF_GPU
    if precision not in there:
        raise OptionError(f"precision {precision}: expected {' or '.join(there)} on {device}")
    if device.kind == "cpu":
        return
    if precision == "fp32":
        os.environ.setdefault(_OVERRIDE, "0")
    elif precision == "tf32" and os.environ.get(_OVERRIDE) == "0":
        raise DeviceError(f"precision tf32: {_OVERRIDE}=0 in the environment forbids it")
