"""What the actions of Caffe's command share."""

from __future__ import annotations

from pathlib import Path

import pytest
from caffe_nets import caffe, messages

from vggrepro.cli.caffe_programs import action
from vggrepro.cli.caffe_programs.action import ActionFlags
from vggrepro.errors import DeviceError, OptionError


def test_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(action, "gpu_count", lambda: 3)
    assert ActionFlags().gpus() == []
    assert ActionFlags(gpu="0,2").gpus() == [0, 2]
    assert ActionFlags(gpu="all").gpus() == [0, 1, 2]
    monkeypatch.setattr(action, "gpu_count", lambda: 0)
    with pytest.raises(DeviceError, match="-gpu all: the driver sees no GPU"):
        ActionFlags(gpu="all").gpus()
    with pytest.raises(OptionError, match="expected all, or numbers"):
        ActionFlags(gpu="first").gpus()


def test_lists() -> None:
    flags = ActionFlags(stage="a,b", weights="x,y")
    assert (flags.stages, flags.weight_files) == (["a", "b"], ["x", "y"])
    assert (ActionFlags().stages, ActionFlags().weight_files) == ([], [])


def test_only_one_gpu_is_used(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    chosen: list[int] = []
    monkeypatch.setattr(action.mode, "set_device", chosen.append)
    monkeypatch.setattr(action.mode, "set_mode_gpu", lambda: None)
    action.use_one_device(ActionFlags(gpu="1,2"))
    assert chosen == [1]
    said = messages(capfd.readouterr().err)
    assert said == ["Not using GPU #2 for single-GPU function", "Use GPU with device ID 1"]


def test_the_log_level(brewing: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert caffe("time", "-model=net.prototxt", "-iterations=1", "-minloglevel=1") == 0
    assert messages(capfd.readouterr().err) == []
    assert caffe("time", "-model=net.prototxt", "-iterations=1") == 0
    assert messages(capfd.readouterr().err)


def test_the_environment_bounds_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    before = action.mode.threads()
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    try:
        with action.action_flags([]):
            assert action.mode.threads() == 3
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
        with action.action_flags([]):
            assert action.mode.threads() == 2
    finally:
        action.mode.set_threads(before)


def test_layers_that_the_net_lacks_are_told(brewing: Path, capfd: pytest.CaptureFixture[str]) -> None:
    net = action.Net("net.prototxt", 0)
    net.save("whole.caffemodel")
    other = brewing / "other.prototxt"
    other.write_text((brewing / "net.prototxt").read_text().replace('"ip"', '"fc"'))
    capfd.readouterr()
    action.copy_weights(action.Net(str(other), 0), "whole.caffemodel")
    assert messages(capfd.readouterr().err) == ["Ignoring source layer ip"]
    other.write_text(other.read_text().replace('"conv1"', '"convolution"'))
    action.copy_weights(action.Net(str(other), 0), "whole.caffemodel")
    assert "whole.caffemodel: NOTHING is copied" in capfd.readouterr().err
