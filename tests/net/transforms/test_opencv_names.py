"""Blobs under OpenCV's names: the values that its layers of these names give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from net_files import image, layer, net_of, noise

from vggrepro.graph.forward import to_onnx
from vggrepro.graph.reference import reference_forward, reference_walk
from vggrepro.net.transforms.opencv_names import opencv_outputs, with_opencv_names

CONV = "convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: 'gaussian' std: 1 } }"
NET = (
    image(1, 2, 6, 6)
    + layer("norm", "Power", "data", "data", "power_param { scale: 2 }")
    + layer("c", "Convolution", "data", "score", CONV)
    + layer("relu", "ReLU", "score", "score")
    + layer("fc", "InnerProduct", "score", "fc:0", "inner_product_param { num_output: 3 }")
    + layer("parts", "Slice", "score", "one two")
    + layer("data", "AbsVal", "one", "abs")
)


def test_each_layer_gives_its_own_value(tmp_path: Path) -> None:
    net = net_of(tmp_path, NET)
    named = with_opencv_names(net)
    assert list(named.blobs) == ["data", "norm", "score", "relu", "fc", "parts", "two", "data_1"]
    x = noise({"data": (1, 2, 6, 6)})
    values, found = reference_walk(net, x, {})[0], reference_forward(named, x)
    origin = ["data", "data#norm", "score", "score#relu", "fc:0", "one", "two", "abs"]
    for value, blob in zip(origin, named.blobs, strict=True):
        np.testing.assert_array_equal(found[blob], values[value], err_msg=blob)
    assert (found["score"] < 0).any()  # not what ReLU makes of it


def test_parameters_keep_their_values(tmp_path: Path) -> None:
    net = net_of(tmp_path, NET)
    assert "fc:0'" in net.params
    named = with_opencv_names(net)
    np.testing.assert_array_equal(named.params["fc:0"], net.params["fc:0'"])
    np.testing.assert_array_equal(named.params["c:1"], net.params["c:1"])


def test_outputs_are_in_the_order_of_layers(tmp_path: Path) -> None:
    named = with_opencv_names(net_of(tmp_path, NET))
    assert list(named.returned) == ["data_1", "fc", "two"]
    assert opencv_outputs(named) == ["fc", "two", "data_1"]
    made = to_onnx(named, outputs=opencv_outputs(named)).graph.output
    assert [output.name for output in made] == ["fc", "two", "data_1"]
