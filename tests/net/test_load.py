"""Weights that do not fit a net are refused in Caffe's words."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from net_files import image, layer

from vggrepro.caffe.messages import NetParameter
from vggrepro.caffe.snapshot import write_caffemodel
from vggrepro.caffe.text import parse_net
from vggrepro.errors import ShapeError, WeightsError
from vggrepro.net import load_net

NET = """
layer {{ name: "in" type: "Input" top: "x" input_param {{ shape {{ dim: 2 dim: {inputs} }} }} }}
layer {{ name: "ip" type: "InnerProduct" bottom: "x" top: "ip" inner_product_param {{ num_output: 3 }} }}
"""


def test_shapes_are_told_as_caffe_prints_them(tmp_path: Path) -> None:
    weights = [np.zeros((3, 4), np.float32), np.zeros(3, np.float32)]
    write_caffemodel(tmp_path / "w.caffemodel", parse_net(NET.format(inputs=4)), {"ip": weights})
    (tmp_path / "net.prototxt").write_text(NET.format(inputs=5))
    text = (
        "Cannot copy param 0 weights from layer 'ip'; shape mismatch.  Source param shape is 3 4 (12);"
        " target param shape is 3 5 (15). To learn this layer's parameters from scratch rather than"
        " copying from a saved net, rename the layer."
    )
    with pytest.raises(WeightsError, match=re.escape(text)):
        load_net(tmp_path / "net.prototxt", tmp_path / "w.caffemodel")


def test_inputs_without_sizes_take_the_given_ones(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text('\ufeffinput: "data" layer { name: "r" type: "ReLU" bottom: "data" top: "r" }', "utf-8")
    assert load_net(path, input_shapes={"data": (1, 3, 4, 5)}).outputs == {"r": (1, 3, 4, 5)}
    with pytest.raises(ShapeError, match=r"net\.prototxt: input 'data' has no sizes: give them"):
        load_net(path)


def test_a_blob_without_elements_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(
        'layer { name: "d" type: "Input" top: "d" input_param { shape { dim: 1 dim: 2 dim: 0 dim: 4 } } }'
    )
    with pytest.raises(ShapeError, match=r"net\.prototxt: layer 'd': top 'd' would have no elements"):
        load_net(path)
    assert load_net(path, input_shapes={"d": (1, 2, 3, 4)}).inputs == {"d": (1, 2, 3, 4)}


def saved_net(folder: Path, *names: str) -> Path:
    """A weight file with an InnerProduct layer of each name."""
    net = NetParameter(name="w")
    for name in names:
        net.layer.add(name=name, type="InnerProduct")
    write_caffemodel(folder / "w.caffemodel", net, {name: [np.full((2, 2), 7.0)] for name in names})
    return folder / "w.caffemodel"


def two_products(folder: Path) -> Path:
    more = "inner_product_param { num_output: 2 bias_term: false }"
    path = folder / "net.prototxt"
    path.write_text(
        image(1, 2)
        + layer("a", "InnerProduct", "data", more=more)
        + layer("b", "InnerProduct", "a", more=more)
    )
    return path


def test_source_layers_that_are_ignored_are_told_in_one_line(tmp_path: Path) -> None:
    with pytest.warns(
        UserWarning, match=r"w\.caffemodel: Ignoring source layer x, y: not in the net"
    ) as told:
        load_net(two_products(tmp_path), saved_net(tmp_path, "a", "x", "b", "y"))
    assert len(told) == 1


def test_a_file_of_which_nothing_is_copied(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"w\.caffemodel: NOTHING is copied: .* \(x, y\)"):
        net = load_net(two_products(tmp_path), saved_net(tmp_path, "x", "y"))
    assert net.loaded == frozenset()


@pytest.mark.filterwarnings("error")
def test_files_that_fit_are_quiet(tmp_path: Path) -> None:
    load_net(two_products(tmp_path), saved_net(tmp_path, "a", "b"))


def test_a_file_with_a_layer_twice(tmp_path: Path) -> None:
    path = saved_net(tmp_path, "a", "b")
    path.write_bytes(path.read_bytes() + NetParameter(layer=[repeated()]).SerializeToString())
    with pytest.warns(UserWarning, match="several layers are called a: the last one's values stay"):
        net = load_net(two_products(tmp_path), path)
    np.testing.assert_array_equal(net.params["a:0"], np.zeros((2, 2)))


def repeated() -> Any:
    again = NetParameter().layer.add(name="a", type="InnerProduct")
    blob = again.blobs.add(data=[0, 0, 0, 0])
    blob.shape.dim.extend([2, 2])
    return again
