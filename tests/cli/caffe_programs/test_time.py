"""caffe time: Caffe's lines, with a time for each layer."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from caffe_nets import caffe, messages


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
