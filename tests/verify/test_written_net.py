"""A net is compared with the model that it was written from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from golden_suite import ROOT

from vggrepro.errors import UnsupportedError
from vggrepro.graph.forward import to_onnx
from vggrepro.net import load_net
from vggrepro.verify.written_net import compare_with_model


def test_a_net_and_another(tmp_path: Path) -> None:
    net = load_net(ROOT / "nets" / "vgg_a" / "net.prototxt", ROOT / "nets" / "vgg_a" / "weights.caffemodel")
    onnx.save(to_onnx(net, fixed=True), tmp_path / "net.onnx")
    (same,) = compare_with_model(tmp_path / "net.onnx", net, 1e-4)
    assert same.passed
    key = list(net.params)[-1]
    other = net.with_params({key: net.params[key] + np.arange(len(net.params[key]))})
    (differs,) = compare_with_model(tmp_path / "net.onnx", other, 1e-4)
    assert not differs.passed
    (tmp_path / "net.onnx").write_bytes(b"nonsense")
    with pytest.raises(UnsupportedError, match="ONNX Runtime cannot run it"):
        compare_with_model(tmp_path / "net.onnx", net, 1e-4)
