"""caffe device_query: the driver's facts in Caffe's lines."""

from __future__ import annotations

import pytest
from caffe_nets import caffe, messages

from vggrepro.cli.caffe_programs import device_query
from vggrepro.errors import DeviceError
from vggrepro.runtime import gpu_properties as driver


def properties(index: int) -> driver.GpuProperties:
    if index:
        raise DeviceError(f"GPU {index}: the driver sees 1 GPUs, counted from 0")
    attributes = dict(driver._ATTRIBUTES)
    return driver.GpuProperties(0, "Tesla K40c", 12079136768, attributes)


def test_lines(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(device_query, "gpu_properties", properties)
    assert caffe("device_query", "-gpu", "0") == 0
    lines = messages(capfd.readouterr().err)
    assert lines[0] == "Querying GPUs 0"
    assert "Name:                          Tesla K40c" in lines
    assert "Maximum dimension of block:    2, 3, 4" in lines
    assert len(lines) == 19
    assert caffe("device_query", "-gpu", "1") == 2
    assert "error: GPU 1: the driver sees 1 GPUs" in capfd.readouterr().err
