"""caffe time: Caffe's lines, with a time for each layer."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from caffe_nets import caffe, messages

from vggrepro.caffe.messages import TEST
from vggrepro.cli.caffe_programs import time
from vggrepro.cli.caffe_programs.action import ActionFlags


@pytest.mark.parametrize(("phase", "layers"), [("TRAIN", 5), ("TEST", 8)])
def test_lines(phase: str, layers: int, brewing: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert caffe("time", "-model=net.prototxt", "-iterations", "2", f"-phase={phase}") == 0
    lines = messages(capfd.readouterr().err)
    assert [line for line in lines if line.startswith("Iteration: ")][1].startswith(
        "Iteration: 2 forward-backward"
    )
    timed = [re.fullmatch(r" *(\S+)\t(forward|backward): ([\d.e+-]+) ms\.", line) for line in lines]
    rows = [match.groups() for match in timed if match]
    assert len(rows) == 2 * layers
    assert rows[2][:2] == ("label_data_1_split" if phase == "TEST" else "conv1", "forward")
    for what in ("Average Forward pass", "Average Backward pass", "Average Forward-Backward", "Total Time"):
        assert any(re.fullmatch(rf"{what}: [\d.e+-]+ ms\.", line) for line in lines)


def test_stages_choose_layers(brewing: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert caffe("time", "-model=net.prototxt", "-iterations=1", "-stage", "other,headless") == 0
    said = messages(capfd.readouterr().err)
    assert "Creating Layer conv1" in said and "Creating Layer ip" not in said


DEPLOY = """input: "data" input_shape { dim: 2 dim: 3 dim: 30 dim: 30 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param {
  num_output: 64 kernel_size: 9 weight_filler { type: "xavier" } } }
"""
INDICES = """layer { name: "arg" type: "ArgMax" bottom: "conv" top: "arg" }
"""


def test_a_net_without_loss_goes_backward_too(brewing: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (brewing / "deploy.prototxt").write_text(DEPLOY)
    assert caffe("time", "-model=deploy.prototxt", "-iterations=2") == 0
    assert any("conv\tbackward: " in line for line in messages(capfd.readouterr().err))
    net = time._net(ActionFlags(model="deploy.prototxt"), TEST)
    assert net._sites[1].runs_backward and net._sites[1].needed.bottoms == (True,)
    (brewing / "deploy.prototxt").write_text(DEPLOY + INDICES)
    assert caffe("time", "-model=deploy.prototxt", "-iterations=2") == 0
    told = capfd.readouterr().err
    assert "no backward pass is timed: " in told and "*** Benchmark ends ***" in told


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "Need a model definition to time."),
        (["-model=x", "-phase=Test"], 'phase must be "TRAIN" or "TEST"'),
        (["-model=x", "-iterations=0"], "-iterations 0: expected at least 1"),
    ],
)
def test_errors(flags: list[str], message: str, brewing: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert caffe("time", *flags) == 2
    assert message in capfd.readouterr().err
