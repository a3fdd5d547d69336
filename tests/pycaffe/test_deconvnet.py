"""Backward passes from the middle of a net, by gradients and as a deconvnet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nets import make
from numpy.testing import assert_allclose, assert_array_equal

import vggrepro.pycaffe as caffe

MIDDLE = """
name: "middle" force_backward: true
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 6 } } }
layer { name: "fc1" type: "InnerProduct" bottom: "data" top: "fc1" inner_product_param {
  num_output: 5 weight_filler { type: "gaussian" std: 1 } } }
layer { name: "relu1" type: "ReLU" bottom: "fc1" top: "RELU1" }
layer { name: "fc2" type: "InnerProduct" bottom: "RELU1" top: "fc2" inner_product_param {
  num_output: 4 weight_filler { type: "gaussian" std: 1 } } }
layer { name: "relu2" type: "ReLU" bottom: "fc2" top: "RELU2" }
layer { name: "silence" type: "Silence" bottom: "RELU2" }
"""


@pytest.fixture
def net(request: pytest.FixtureRequest, tmp_path: Path) -> caffe.Net:
    """The net after a forward pass; with the parameter True its first ReLU works in place."""
    text = MIDDLE
    if getattr(request, "param", False):
        text = text.replace('"RELU1"', '"fc1"')
    caffe.set_random_seed(5)
    net = make(tmp_path, text)
    net.forward(data=np.random.default_rng(6).normal(size=(2, 6)).astype(np.float32))
    return net


def weight(net: caffe.Net, layer: str) -> Any:
    return net.params[layer][0].data.astype(np.float64)


def hidden(net: caffe.Net) -> Any:
    """The first ReLU's top."""
    return net.blobs[net.top_names["relu1"][0]].data.astype(np.float64)


DIFF = np.random.default_rng(7).normal(size=(2, 4)).astype(np.float32)


@pytest.mark.parametrize("net", [False, True], indirect=True)
def test_gradients_from_a_layer(net: caffe.Net) -> None:
    found = net.backward_from_layer("fc2", DIFF, diffs=["fc2"], zero_higher=True)
    above = DIFF @ weight(net, "fc2") * (hidden(net) > 0)
    assert list(found) == ["data", "fc2"]
    assert_array_equal(found["fc2"], DIFF)
    assert_allclose(found["data"], above @ weight(net, "fc1"), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["Zeiler & Fergus", "Guided Backprop"])
@pytest.mark.parametrize("net", [False, True], indirect=True)
def test_deconvnet_from_a_layer(net: caffe.Net, kind: str) -> None:
    found = net.deconv_from_layer("fc2", DIFF, zero_higher=True, deconv_type=kind)
    above = np.maximum(DIFF @ weight(net, "fc2"), 0)
    if kind == "Guided Backprop":
        above *= hidden(net) > 0
    assert_allclose(found["data"], above @ weight(net, "fc1"), rtol=1e-5, atol=1e-5)


def test_diffs_of_later_blobs(net: caffe.Net) -> None:
    net.blobs["RELU2"].diff[...] = 1
    kept = net.backward_from_layer("fc2", DIFF)["data"].copy()
    assert_array_equal(net.blobs["RELU2"].diff, np.ones((2, 4)))
    assert_array_equal(net.backward_from_layer("fc2", DIFF, zero_higher=True)["data"], kept)
    assert_array_equal(net.blobs["RELU2"].diff, np.zeros((2, 4)))


def test_deconv_takes_the_diffs_as_they_are(net: caffe.Net) -> None:
    net.blobs["fc2"].diff[...] = DIFF
    assert list(net.deconv(start="fc2", end="fc2")) == net.bottom_names["fc2"]
    expected = net.deconv_from_layer("fc2", DIFF)["data"].copy()
    assert_array_equal(net.deconv(start="fc2")["data"], expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fc3", DIFF), "start_name 'fc3': the net has no layer"),
        (("silence", DIFF), "start_name 'silence': the net has no layer of this name that has a top"),
        (("fc2", DIFF[:1]), r"Expected start_diff of shape \(2, 4\) but got \(1, 4\)"),
    ],
)
def test_errors(net: caffe.Net, arguments: tuple[Any, ...], message: str) -> None:
    for run in (net.backward_from_layer, net.deconv_from_layer):
        with pytest.raises(RuntimeError, match=message):
            run(*arguments)


def test_only_the_published_rules_for_relu(net: caffe.Net) -> None:
    with pytest.raises(RuntimeError, match="deconv_type 'Saliency', expected 'Zeiler & Fergus' or"):
        net.deconv_from_layer("fc2", DIFF, deconv_type="Saliency")
