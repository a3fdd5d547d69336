"""The part of a net that some of its blobs depend on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from net_files import image, layer, net_of

from vggrepro.graph.forward import build_forward
from vggrepro.graph.reference import reference_forward
from vggrepro.net.transforms.needed import needed_for


def test_layers_behind_are_left_out(tmp_path: Path) -> None:
    text = image(2, 3) + layer("a", "Power", "data", more="power_param { scale: 2 }")
    text += layer("b", "AbsVal", "data") + layer("r", "ReLU", "a", "a") + layer("c", "AbsVal", "a")
    net = net_of(tmp_path, text)
    part = needed_for(net, ["b"])
    assert [placed.name for placed in part.layers if not placed.layer.source] == ["b"]
    assert list(part.blobs) == ["data", "b"] and list(part.outputs) == ["b"]
    x = np.float32([[-1, 2, 3], [4, -5, 6]])
    assert list(reference_forward(part, {"data": x})) == ["data", "b"]
    np.testing.assert_array_equal(reference_forward(part, {"data": x})["b"], np.abs(x))
    assert build_forward(part).output_names == ["b"]
    assert list(needed_for(net, ["a"]).blobs) == ["data", "a"]
    assert needed_for(net, net.outputs).blobs == net.blobs
