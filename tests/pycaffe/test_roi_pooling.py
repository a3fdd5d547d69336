"""ROIPooling in nets that learn: the layer's own forward pass, and gradients against central differences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from nets import make
from numpy.testing import assert_allclose, assert_array_equal

import vggrepro.pycaffe as caffe
from vggrepro.pycaffe.hosts import RoiPoolingHost

NET = """
layer { name: "in" type: "Input" top: "data" top: "rois" input_param {
  shape { dim: 2 dim: 3 dim: 7 dim: 9 } shape { dim: 5 dim: 5 } } }
layer { name: "roi" type: "ROIPooling" bottom: "data" bottom: "rois" top: "pool"
  roi_pooling_param { pooled_h: 3 pooled_w: 2 spatial_scale: 0.5 } }
"""

ROIS = [[0, 0, 0, 8, 8], [1, 2, 3, 16, 12], [1, 5, 5, 5, 5], [0, 30, 30, 40, 40], [0, 4, 1, 12, 7]]
"""One is smaller than the grid, one lies outside, and two overlap."""


@pytest.fixture
def net(tmp_path: Path) -> caffe.Net:
    net = make(tmp_path, "force_backward: true" + NET)
    order = np.random.default_rng(0).permutation(2 * 3 * 7 * 9)  # no two values are equal
    net.blobs["data"].data[...] = order.reshape(2, 3, 7, 9)
    net.blobs["rois"].data[...] = ROIS
    return net


def test_forward_is_that_of_the_graph(net: caffe.Net, tmp_path: Path) -> None:
    plain = make(tmp_path, NET)
    assert isinstance(net._sites[1].host, RoiPoolingHost) and plain._sites[1].host is None
    inputs = {name: net.blobs[name].data for name in ("data", "rois")}
    assert_array_equal(net.forward()["pool"], plain.forward(**inputs)["pool"])
    assert not net.blobs["pool"].data[3].any()


def test_gradient(net: caffe.Net) -> None:
    weights = np.random.default_rng(1).normal(size=(5, 3, 3, 2))
    net.forward()
    net.blobs["pool"].diff[...] = weights
    net.backward()
    found = net.blobs["data"].diff.copy()
    data = net.blobs["data"].data
    for place in np.ndindex(*data.shape):
        data[place] += 0.25
        high = (net.forward()["pool"] * weights).sum(dtype=float)
        data[place] -= 0.5
        low = (net.forward()["pool"] * weights).sum(dtype=float)
        data[place] += 0.25
        assert_allclose(found[place], (high - low) / 0.5, atol=2e-3)


def test_the_first_of_equal_maxima_gets_all(net: caffe.Net) -> None:
    net.blobs["data"].data[...] = 1
    net.blobs["rois"].reshape(1, 5)
    net.blobs["rois"].data[...] = [1, 0, 0, 16, 12]  # the whole image
    net.forward()
    net.blobs["pool"].diff[...] = 1
    net.backward()
    d = net.blobs["data"].diff
    assert not d[0].any()
    expected = np.zeros((7, 9))
    for row in (0, 2, 4):  # the grid's cells begin there: 7 rows in 3, 9 columns in 2
        for column in (0, 4):
            expected[row, column] += 1
    assert_array_equal(d[1], np.broadcast_to(expected, (3, 7, 9)))


def test_no_gradient_where_none_is_needed(tmp_path: Path) -> None:
    loss = """layer { name: "loss" type: "EuclideanLoss" bottom: "pool" bottom: "pool" top: "loss" }"""
    net = make(tmp_path, NET + loss, caffe.TRAIN)
    net.blobs["rois"].data[...] = ROIS
    net.forward()
    net.blobs["data"].diff[...] = 3
    net.backward()
    assert (net.blobs["data"].diff == 3).all()


def test_a_region_of_an_image_that_is_not_there(net: caffe.Net) -> None:
    net.blobs["rois"].data[2, 0] = 2
    with pytest.raises(RuntimeError, match=r"layer 'roi'.*region 2 is of image 2, the batch has 2"):
        net.forward()
