"""What tests of several commands start from."""

from __future__ import annotations

from pathlib import Path

import pytest
from caffe_nets import NET, SOLVER


@pytest.fixture
def brewing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a net and a solver."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.prototxt").write_text(NET)
    (tmp_path / "solver.prototxt").write_text(SOLVER)
    return tmp_path
