"""A written file in OpenVINO, where that is installed."""

import sys

import numpy as np
import pytest
from drafts import draft

from vggrepro.errors import VggReproError
from vggrepro.verify.runtimes import openvino_run


def test_the_file_is_run_as_it_is(tmp_path):
    pytest.importorskip("openvino")
    path = tmp_path / "relu.onnx"
    draft(lambda g: g.op("Relu", "x")).finished().save(path)
    x = np.linspace(-1, 1, 210, dtype=np.float32).reshape(2, 3, 5, 7)
    assert (openvino_run.answers(str(path), {"x": x}, ["y"])["y"] == np.maximum(x, 0)).all()


def test_without_openvino_the_error_tells_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(VggReproError, match=r"vggrepro\[openvino\]"):
        openvino_run.version()
