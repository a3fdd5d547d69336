"""The demo's training, much shorter: the command, its data, its log, its evaluation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from vggrepro.cli.train_ilsvrc import main
from vggrepro.net import load_net

DEMO = Path(__file__).resolve().parents[2] / "vggrepro" / "demo"


def test_training_net_is_the_deployed_one() -> None:
    """The demo trains the very net whose weights are embedded: the same layers, shapes and names."""
    train = load_net(DEMO / "VGG_A_digits_train_val.prototxt", phase="TRAIN")
    deploy = load_net(DEMO / "VGG_A_digits_deploy.prototxt")
    shapes = [{key: array.shape for key, array in net.params.items()} for net in (train, deploy)]
    assert shapes[0] == shapes[1]


def test_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prefix = tmp_path / "runs" / "digits"
    short = ["--set", "max_iter: 40", "--set", "test_interval: 20", "--set", "display: 10"]
    code = main(["--demo", "--batch", "16", "--threads", "1", "--snapshot-prefix", str(prefix), *short])
    output = capsys.readouterr()
    assert code == 0, output.err
    assert output.out.count("dense") >= 4  # one scale; three scales, and each of them
    assert "500 images" in output.out
    events = [json.loads(line) for line in Path(f"{prefix}.jsonl").read_text().splitlines()]
    tests = [e for e in events if e["event"] == "test"]
    assert [e["iteration"] for e in tests] == [0, 20, 40]
    assert all(0 <= e["scores"]["accuracy"] <= 1 for e in tests)
    losses = [e["loss"] for e in events if e["event"] == "train"]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    assert events[0]["facts"]["images"] == 3000
