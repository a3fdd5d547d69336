"""Passes back by other rules than the gradient's, against their formulas."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nets import make
from numpy.testing import assert_allclose, assert_array_equal

import vggrepro.pycaffe as caffe

FILLERS = 'weight_filler { type: "gaussian" std: 1 } bias_filler { type: "constant" value: 0.3 }'
HEAD = """
name: "deciding" force_backward: true
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 5 dim: 6 } } }
"""
rng = np.random.default_rng(3)
X = rng.uniform(0, 1, (2, 3, 5, 6)).astype(np.float32)


@pytest.fixture(autouse=True)
def mode() -> Iterator[None]:
    caffe.set_random_seed(2)
    yield
    caffe.set_mode_cpu()


def passed_back(net: caffe.Net, diff: Any, data: Any = X) -> Any:
    """The diff of the data for that of the last layer's top."""
    net.forward(data=data)
    last = net._layer_names[-1]
    net.blobs[net.top_names[last][0]].diff[...] = diff
    return net.backward()["data"].copy()


def net_of(folder: Path, layers: str) -> caffe.Net:
    return make(folder, HEAD + layers)


@pytest.mark.parametrize("transpose", ["false", "true"])
def test_products_share_by_what_excites(tmp_path: Path, transpose: str) -> None:
    text = f"num_output: 4 transpose: {transpose} {FILLERS}"
    layer = 'layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc" inner_product_param { %s } }'
    net = net_of(tmp_path, layer % text)
    diff = rng.normal(size=(2, 4))
    caffe.set_mode_eb_cpu()
    found = passed_back(net, diff)
    weight = net.params["fc"][0].data.astype(np.float64)
    positive = np.maximum(weight.T if transpose == "true" else weight, 0)  # (4, 90)
    a = X.reshape(2, -1).astype(np.float64)
    expected = (diff / (a @ positive.T)) @ positive * a
    assert_allclose(found, expected.reshape(X.shape), rtol=1e-4, atol=1e-6)
    assert_allclose(found.sum((1, 2, 3)), diff.sum(1), rtol=1e-3)
    assert not net.params["fc"][0].diff.any()


def test_convolutions_share_by_what_excites(tmp_path: Path) -> None:
    net = net_of(
        tmp_path,
        'layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param {'
        f" num_output: 6 group: 3 kernel_h: 2 kernel_w: 3 stride: 2 pad: 1 {FILLERS} }} }}",
    )
    weights = net.params["conv"][0].data.copy()
    diff = rng.normal(size=net.blobs["conv"].data.shape)
    caffe.set_mode_eb_cpu()
    found = passed_back(net, diff)
    padded = np.pad(X.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    shared = np.zeros_like(padded)
    for n, c, i, j in np.ndindex(diff.shape):
        window = np.s_[n, c // 2, 2 * i : 2 * i + 2, 2 * j : 2 * j + 3]
        excites = padded[window] * np.maximum(weights[c, 0], 0)
        if excites.sum():
            shared[window] += diff[n, c, i, j] * excites / excites.sum()
    assert_allclose(found, shared[:, :, 1:-1, 1:-1], rtol=1e-4, atol=1e-6)
    assert_array_equal(net.params["conv"][0].data, weights)


def test_average_pooling_shares_by_value_and_maxima_take_all(tmp_path: Path) -> None:
    layer = 'layer { name: "pool" type: "Pooling" bottom: "data" top: "pool" pooling_param { %s } }'
    diff = rng.normal(size=(2, 3, 3, 3))
    data = X.copy()
    data[0, 0, :2, :2] = 0  # the window of a sum that is not positive passes nothing back
    caffe.set_mode_eb_cpu()
    net = net_of(tmp_path, layer % "pool: AVE kernel_size: 2 stride: 2")
    found = passed_back(net, diff, data)
    padded = np.pad(data, ((0, 0), (0, 0), (0, 1), (0, 0))).astype(np.float64).reshape(2, 3, 3, 2, 3, 2)
    sums = padded.sum((3, 5), keepdims=True)
    shares = np.divide(padded, sums, out=np.zeros_like(padded), where=sums > 0)
    expected = (shares * diff[:, :, :, None, :, None]).reshape(2, 3, 6, 6)[:, :, :5]
    assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    net = net_of(tmp_path, layer % "pool: MAX kernel_size: 2 stride: 2")
    found = passed_back(net, diff)
    caffe.set_mode_cpu()
    assert_array_equal(passed_back(net, diff), found)


SUM = """
layer { name: "half" type: "Power" bottom: "data" top: "half" power_param { scale: 0.5 } }
layer { name: "sum" type: "Eltwise" bottom: "data" bottom: "half" top: "sum"
  eltwise_param { operation: OPERATION } }
"""


@pytest.mark.parametrize("operation", ["SUM", "MAX", "PROD"])
def test_eltwise(tmp_path: Path, operation: str) -> None:
    net = net_of(tmp_path, SUM.replace("OPERATION", operation))
    diff = rng.normal(size=X.shape).astype(np.float32)
    gradient = passed_back(net, diff)
    before = net.blobs["half"].diff.copy()
    caffe.set_mode_eb_cpu()
    found = passed_back(net, diff)
    if operation == "SUM":
        assert_array_equal(net.blobs["half"].diff, diff)
        assert_allclose(found, diff / 2)
    else:
        assert_array_equal(net.blobs["half"].diff, before)
        assert_array_equal(found, gradient)


def test_normalisations_pass_on_what_they_get(tmp_path: Path) -> None:
    net = net_of(
        tmp_path,
        'layer { name: "norm" type: "LRN" bottom: "data" top: "norm" lrn_param { alpha: 1 } }'
        'layer { name: "bn" type: "BatchNorm" bottom: "norm" top: "norm" }'
        'layer { name: "scale" type: "Scale" bottom: "norm" top: "norm"'
        " scale_param { filler { value: 3 } } }",
    )
    diff = rng.normal(size=X.shape).astype(np.float32)
    caffe.set_mode_eb_cpu()
    assert_array_equal(passed_back(net, diff), diff)


def test_guided_mode(tmp_path: Path) -> None:
    net = net_of(
        tmp_path,
        'layer { name: "relu" type: "ReLU" bottom: "data" top: "relu" relu_param { negative_slope: 0.1 } }',
    )
    diff = rng.normal(size=X.shape).astype(np.float32)
    caffe.set_mode_dc_cpu()
    found = passed_back(net, diff, X - 0.5)
    assert_allclose(found, np.maximum(diff, 0) * np.where(X > 0.5, 1, 0.1), rtol=1e-6)
    caffe.set_mode_cpu()
    assert_allclose(passed_back(net, diff, X - 0.5), diff * np.where(X > 0.5, 1, 0.1), rtol=1e-6)


def test_a_stretch_of_a_net_as_scripts_ask_for_it(tmp_path: Path) -> None:
    """From one class to a layer below, against the same with turned weights."""
    net = net_of(
        tmp_path,
        f'layer {{ name: "fc1" type: "InnerProduct" bottom: "data" top: "fc1" inner_product_param {{'
        f" num_output: 6 {FILLERS} }} }}"
        'layer { name: "relu1" type: "ReLU" bottom: "fc1" top: "fc1" }'
        f'layer {{ name: "fc2" type: "InnerProduct" bottom: "fc1" top: "fc2" inner_product_param {{'
        f" num_output: 3 {FILLERS} }} }}",
    )
    net.forward(data=X)
    caffe.set_mode_eb_cpu()
    net.blobs["fc2"].diff[...] = np.eye(3)[:2]
    share = net.backward(start="fc2", end="relu1")["fc1"].copy()
    net.params["fc2"][0].data[...] *= -1
    other = net.backward(start="fc2", end="relu1")["fc1"].copy()
    assert (share >= 0).all() and (other >= 0).all()
    assert_array_equal((share > 0) & (other > 0), np.zeros_like(share, bool))
