"""What a GPU's products are rounded to."""

from __future__ import annotations

import os

import pytest

from vggrepro.errors import DeviceError, OptionError
from vggrepro.runtime.device import Device
from vggrepro.runtime.precision import prepare_precision

CUDA = Device("cuda")
OVERRIDE = "NVIDIA_TF32_OVERRIDE"


@pytest.fixture(autouse=True)
def no_override(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OVERRIDE, "")  # so that it is put back
    monkeypatch.delenv(OVERRIDE)


def test_fp32_is_float32_whatever_a_library_would_take() -> None:
    prepare_precision("fp32", CUDA)
    assert os.environ[OVERRIDE] == "0"
    with pytest.raises(DeviceError, match=f"precision tf32: {OVERRIDE}=0 in the environment forbids it"):
        prepare_precision("tf32", CUDA)


@pytest.mark.parametrize("precision", ["tf32", "fp16"])
def test_others_leave_the_libraries_alone(precision: str) -> None:
    prepare_precision(precision, CUDA)
    assert OVERRIDE not in os.environ
    with pytest.raises(OptionError, match=f"precision {precision}: expected fp32 or fp32-direct on cpu"):
        prepare_precision(precision, Device("cpu"))


def test_what_the_user_says_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OVERRIDE, "1")
    prepare_precision("fp32", CUDA)
    assert os.environ[OVERRIDE] == "1"


def test_a_cpu_is_exact() -> None:
    prepare_precision("fp32", Device("cpu"))
    assert OVERRIDE not in os.environ
