"""Layers that a script runs without a net."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import vggrepro.pycaffe as caffe
from vggrepro.pycaffe.proto import caffe_pb2

rng = np.random.default_rng(8)


@pytest.fixture(autouse=True)
def allowed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(Path(__file__).parent)
    caffe.allow_python_layers()
    yield
    caffe.allow_python_layers(False)


def filled(*shape: int) -> caffe.Blob:
    blob = caffe.Blob(shape)
    blob.data[...] = rng.normal(size=shape)
    return blob


def test_a_blob_of_its_own() -> None:
    assert caffe.Blob([2, 3]).shape == (2, 3) and caffe.Blob(2, 3).shape == [2, 3]
    assert caffe.Blob([]).data.shape == () and not caffe.Blob((4,)).diff.any()
    assert caffe.Blob([2]).shape != (2, 1)


def test_a_loss() -> None:
    """Of a third of the squared distance; the gradient is what the top's diff says times the distance."""
    given, wanted, loss = filled(3, 2), filled(3, 2), caffe.Blob([])
    layer = caffe.create_layer(caffe_pb2.LayerParameter(type="EuclideanLoss"))
    layer.SetUp([given, wanted], [loss])
    assert layer.Forward([given, wanted], [loss]) == pytest.approx(float(loss.data), rel=1e-6)
    assert_allclose(loss.data, np.square(given.data - wanted.data).sum() / 6, rtol=1e-5)
    loss.diff[...] = 6
    wanted.diff[...] = 7
    layer.Backward([loss], [True, False], [given, wanted])
    assert_allclose(given.diff, 2 * (given.data - wanted.data), rtol=1e-5)
    assert_array_equal(wanted.diff, 7)


def test_parameters_stay_and_shapes_follow() -> None:
    param = caffe_pb2.LayerParameter(type="InnerProduct")
    param.inner_product_param.num_output = 5
    layer, x, y = caffe.create_layer(param), filled(3, 2), caffe.Blob([1])
    assert layer.type == "InnerProduct" and len(layer.blobs) == 0
    layer.SetUp([x], [y])
    assert y.shape == (3, 5) and [blob.shape for blob in layer.blobs] == [[5, 2], [5]]
    weight = layer.blobs[0]
    weight.data[...] = rng.normal(size=(5, 2))
    for rows in (3, 4):
        x.reshape(rows, 2)
        x.data[...] = rng.normal(size=(rows, 2))
        layer.Reshape([x], [y])
        layer.Forward([x], [y])
        assert_allclose(y.data, x.data @ weight.data.T, rtol=1e-5, atol=1e-6)
    other, out = filled(2, 2), caffe.Blob([])
    layer.Forward([other], [out])
    assert_allclose(out.data, other.data @ weight.data.T, rtol=1e-5, atol=1e-6)
    layer.SetUp([x], [y])
    out.diff[...] = 1
    for _ in range(2):  # set anew, not added to
        layer.Backward([out], [True], [other])
        assert_allclose(layer.blobs[0].diff, np.tile(other.data.sum(0), (5, 1)), rtol=1e-5)


def test_a_python_layer() -> None:
    param = caffe_pb2.LayerParameter(type="Python", phase=caffe.TEST)
    param.python_param.module, param.python_param.layer = "python_layers", "Times"
    param.python_param.param_str = "3"
    layer, x, y = caffe.create_layer(param), filled(2, 2), caffe.Blob([])
    with pytest.raises(AttributeError, match="factor"):
        _ = layer.factor
    layer.SetUp([x], [y])
    assert layer.factor == 3 and layer.phase == caffe.TEST
    layer.Forward([x], [y])
    assert_array_equal(y.data, 3 * x.data)


def test_in_place() -> None:
    x = filled(2, 3)
    before = x.data.copy()
    layer = caffe.create_layer(caffe_pb2.LayerParameter(type="ReLU"))
    layer.SetUp([x], [x])
    layer.Forward([x], [x])
    assert_array_equal(x.data, np.maximum(before, 0))


def test_what_is_no_layer() -> None:
    layer = caffe.create_layer(caffe_pb2.LayerParameter(type="ReLU"))
    with pytest.raises(RuntimeError, match="type ReLU: SetUp must be called first"):
        layer.Forward([filled(1)], [caffe.Blob([])])
    with pytest.raises(RuntimeError, match="Nonsense"):
        caffe.create_layer(caffe_pb2.LayerParameter(type="Nonsense")).SetUp([filled(1)], [caffe.Blob([])])
