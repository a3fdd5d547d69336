"""A net in stretches between layers by scripts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vggrepro.net import load_net
from vggrepro.opencv import script_layer
from vggrepro.opencv.script_layer import registerLayer, with_registered
from vggrepro.opencv.stretches import Stretches, part_for

PROTOTXT = """
input: "x" input_shape { dim: 1 dim: 3 }
layer { name: "a" type: "Power" bottom: "x" top: "a" power_param { shift: 1 } }
layer { name: "b" type: "AbsVal" bottom: "a" top: "b" }
layer { name: "c" type: "Power" bottom: "b" top: "c" power_param { scale: 2 } }
layer { name: "d" type: "AbsVal" bottom: "x" top: "d" }
layer { name: "e" type: "Eltwise" bottom: "c" bottom: "a" bottom: "d" top: "e" }
layer { name: "side" type: "TanH" bottom: "a" top: "side" }
"""


class Tenfold:
    def __init__(self, params: Any, blobs: Any) -> None:
        pass

    def getMemoryShapes(self, inputs: Any) -> Any:
        return inputs

    def forward(self, inputs: Any) -> Any:
        return [10.0 * inputs[0].astype(np.float64)]


def test_models_between_layers_by_scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script_layer, "_CLASSES", {})
    (tmp_path / "net.prototxt").write_text(PROTOTXT)
    net = load_net(tmp_path / "net.prototxt")
    x = np.array([[1, 2, 3]], np.float32)
    assert len(Stretches(part_for(net, ["e"]), ["e"]).models) == 1
    registerLayer("AbsVal", Tenfold)
    part = part_for(with_registered(net), ["e", "b"])
    assert "side" not in part.blobs
    stretches = Stretches(part, ["e", "b"])
    assert len(stretches.models) == 3  # a; c; e
    found = stretches.run({"x": x})
    np.testing.assert_allclose(found["b"], 10 * (x + 1))
    np.testing.assert_allclose(found["e"], 20 * (x + 1) + (x + 1) + 10 * x)
    assert found["b"].dtype == np.float32
    assert stretches.takes({"x": x}) and not stretches.takes({"x": np.concatenate([x, x])})
