"""caffe test: every output of every batch, and the means."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from caffe_nets import caffe, messages

import vggrepro.pycaffe as module


def values(lines: list[str], start: str) -> list[float]:
    return [float(line.removeprefix(start).split()[0]) for line in lines if line.startswith(start)]


def test_scores(brewing: Path, capfd: pytest.CaptureFixture[str]) -> None:
    module.Net("net.prototxt", module.TEST).save("w.caffemodel")
    capfd.readouterr()
    assert caffe("test", "-model", "net.prototxt", "-weights", "w.caffemodel", "-iterations", "3") == 0
    lines = messages(capfd.readouterr().err)
    assert "Running for 3 iterations." in lines
    losses = [values(lines, f"Batch {batch}, loss = ")[0] for batch in range(3)]
    hits = [values(lines, f"Batch {batch}, accuracy = ")[0] for batch in range(3)]
    assert len(set(losses)) == 3
    assert values(lines, "Loss: ") == pytest.approx([np.mean(losses)], rel=1e-5)
    assert values(lines, "accuracy = ") == pytest.approx([np.mean(hits)], rel=1e-5)
    assert lines[-1].startswith("loss = ") and lines[-1].endswith(" loss)") and " (* 1 = " in lines[-1]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "Need a model definition to score."),
        (["-model=net.prototxt"], "Need model weights to score."),
        (["-model=net.prototxt", "-weights=w", "-iterations=0"], "-iterations 0: expected at least 1"),
    ],
)
def test_errors(flags: list[str], message: str, brewing: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert caffe("test", *flags) == 2
    assert f"error: {message}\n" in capfd.readouterr().err
