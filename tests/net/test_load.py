"""Weights that do not fit a net are refused in Caffe's words."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

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
