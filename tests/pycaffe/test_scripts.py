"""What well-known public scripts do with the module, on small nets: the same calls in the same order.

DeepDream, neural style transfer, Fast R-CNN's training and testing, FCN's net surgery and scoring, the
notebooks of Caffe on net surgery and on solvers that Python writes.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format
from nets import make, write
from numpy.testing import assert_allclose

import vggrepro.pycaffe as caffe

rng = np.random.default_rng(7)

DEPLOY = """
name: "deploy" input: "data" input_dim: 1 input_dim: 3 input_dim: 20 input_dim: 24
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1" convolution_param {
  num_output: 6 kernel_size: 3 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1"
  pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "conv2" type: "Convolution" bottom: "pool1" top: "conv2" convolution_param {
  num_output: 4 kernel_size: 3 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "fc" type: "InnerProduct" bottom: "conv2" top: "fc" inner_product_param {
  num_output: 5 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
"""


def test_deep_dream(tmp_path: Path) -> None:
    """Ascents of the squared length of a blob, at several sizes of the image."""
    deploy = write(tmp_path, DEPLOY)
    caffe.Net(deploy, caffe.TEST).save(tmp_path / "w.caffemodel")
    model = caffe.io.caffe_pb2.NetParameter()
    text_format.Merge(Path(deploy).read_text(), model)
    model.force_backward = True
    mean = np.float32([104.0, 116.0, 122.0])
    net = caffe.Classifier(
        write(tmp_path, str(model), "tmp.prototxt"),
        tmp_path / "w.caffemodel",
        mean=mean,
        channel_swap=(2, 1, 0),
    )
    image = rng.integers(0, 256, (20, 24, 3)).astype(np.uint8)
    base = np.float32(np.rollaxis(image, 2)[::-1]) - net.transformer.mean["data"]
    src, dst = net.blobs["data"], net.blobs["conv2"]
    for height, width in ((14, 18), (20, 24), (14, 18)):
        src.reshape(1, 3, height, width)
        src.data[0] = base[:, :height, :width]
        for _ in range(3):
            src.data[0] = np.roll(np.roll(src.data[0], 2, -1), -1, -2)
            net.forward(end="conv2")
            before = np.square(dst.data).sum()
            dst.diff[:] = dst.data
            net.backward(start="conv2")
            gradient = src.diff[0]
            src.data[:] += 1.5 / np.abs(gradient).mean() * gradient
            net.forward(end="conv2")
            assert dst.data.shape[2] == (height - 2) // 2 - 2 and np.square(dst.data).sum() > before
    assert np.dstack((src.data[0] + net.transformer.mean["data"])[::-1]).shape == (14, 18, 3)


def test_style_transfer(tmp_path: Path) -> None:
    """Gradients of several layers, added up on the way down, against central differences."""
    net = make(tmp_path, "force_backward: true" + DEPLOY)
    layers = ["conv1", "conv2"]
    x = rng.normal(size=(1, 3, 20, 24)).astype(np.float32)

    def loss(values: np.ndarray) -> float:
        net.blobs["data"].data[...] = values
        net.forward(end="pool1")  # conv1 in the middle: its own values are those before the ReLU
        net.forward(start="conv2", end="conv2")
        return float(sum(0.5 * np.square(net.blobs[name].data.astype(float)).sum() for name in layers))

    loss(x)
    net.blobs[layers[-1]].diff[:] = 0
    for index, layer in enumerate(reversed(layers)):
        following = None if index == len(layers) - 1 else layers[-index - 2]
        gradient = net.blobs[layer].diff[0]
        gradient += net.blobs[layer].data[0].reshape(gradient.shape)
        net.backward(start=layer if index == 0 else "relu1", end="relu1" if following else None)
    found = net.blobs["data"].diff.copy()
    for _ in range(5):
        place = tuple(int(rng.integers(size)) for size in x.shape)
        step = np.zeros_like(x)
        step[place] = 1e-2
        assert_allclose(found[place], (loss(x + step) - loss(x - step)) / 2e-2, rtol=2e-2, atol=2e-3)


class RoiData(caffe.Layer):
    """Fast R-CNN's data layer: other numbers of regions, and other sizes of images, in every pass."""

    def setup(self, bottom: Any, top: Any) -> None:
        assert eval(self.param_str)["num_classes"] == 3
        for index, shape in enumerate(((1, 3, 20, 20), (1, 5), (1,))):
            top[index].reshape(*shape)

    def set_roidb(self, roidb: list[int]) -> None:
        self.roidb, self.turn = roidb, 0

    def reshape(self, bottom: Any, top: Any) -> None:
        pass

    def forward(self, bottom: Any, top: Any) -> None:
        regions = self.roidb[self.turn % len(self.roidb)]
        self.turn += 1
        data = rng.normal(size=(1, 3, 20 + 2 * regions, 20))
        rois = np.tile([0, 2, 2, 12, 12], (regions, 1))
        for index, blob in enumerate((data, rois, rng.integers(0, 3, regions))):
            top[index].reshape(*blob.shape)
            top[index].data[...] = blob.astype(np.float32, copy=False)

    def backward(self, top: Any, propagate_down: Any, bottom: Any) -> None:
        pass


class Segmented(caffe.Layer):
    """FCN's data layer: one image and its labels at a time, each of its own size."""

    def setup(self, bottom: Any, top: Any) -> None:
        self.turn = 0

    def reshape(self, bottom: Any, top: Any) -> None:
        height = 20 + self.turn % 3
        self.data = rng.normal(size=(3, height, 22))
        self.label = rng.integers(0, 3, (1, height, 22))
        self.label[0, 0, 0] = 255
        top[0].reshape(1, *self.data.shape)
        top[1].reshape(1, *self.label.shape)

    def forward(self, bottom: Any, top: Any) -> None:
        top[0].data[...] = self.data
        top[1].data[...] = self.label
        self.turn += 1

    def backward(self, top: Any, propagate_down: Any, bottom: Any) -> None:
        pass


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a module with the layers above, which nets may import."""
    module = types.ModuleType("script_layers")
    module.RoiData, module.Segmented = RoiData, Segmented  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    caffe.allow_python_layers()
    yield module.__name__
    caffe.allow_python_layers(False)


ROI_NET = """
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1" convolution_param {
  num_output: 6 kernel_size: 3 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "roi" type: "ROIPooling" bottom: "conv1" bottom: "rois" top: "pool"
  roi_pooling_param { pooled_w: 3 pooled_h: 3 spatial_scale: 1 } }
layer { name: "cls_score" type: "InnerProduct" bottom: "pool" top: "cls_score" inner_product_param {
  num_output: 3 weight_filler { type: "gaussian" std: 0.1 } } }
"""


def test_fast_rcnn(tmp_path: Path, script: str) -> None:
    data = (
        'layer { name: "data" type: "Python" top: "data" top: "rois" top: "labels"'
        f' python_param {{ module: "{script}" layer: "RoiData" param_str: "{{\'num_classes\': 3}}" }} }}'
    )
    loss = 'layer { name: "l" type: "SoftmaxWithLoss" bottom: "cls_score" bottom: "labels" top: "loss" }'
    net_file = write(tmp_path, data + ROI_NET + loss, "train.prototxt")
    text = (
        f'train_net: "{net_file}" base_lr: 0.01 lr_policy: "fixed" average_loss: 100 momentum: 0.9'
        ' snapshot: 0 snapshot_prefix: "frcnn"'
    )
    solver = caffe.SGDSolver(write(tmp_path, text, "solver.prototxt"))
    solver.net.layers[0].set_roidb([4, 7, 2])
    before = solver.net.params["conv1"][0].data.copy()
    while solver.iter < 7:
        solver.step(1)
    assert (solver.net.params["conv1"][0].data != before).all()
    assert solver.net.blobs["rois"].data.shape == (4, 5) and solver.net.blobs["data"].shape[2] == 28
    score = solver.net.params["cls_score"]
    score[0].data[...] = score[0].data * np.arange(1, 4)[:, np.newaxis]
    solver.net.save(str(tmp_path / "w.caffemodel"))

    inputs = (
        'input: "data" input_shape { dim: 1 dim: 3 dim: 30 dim: 30 }'
        ' input: "rois" input_shape { dim: 1 dim: 5 }'
    )
    prob = 'layer { name: "cls_prob" type: "Softmax" bottom: "cls_score" top: "cls_prob" }'
    net = caffe.Net(write(tmp_path, inputs + ROI_NET + prob), str(tmp_path / "w.caffemodel"), caffe.TEST)
    net.name = "vgg16_fast_rcnn"
    for height, regions in ((30, 4), (26, 7), (30, 2)):
        image = rng.normal(size=(1, 3, height, 30)).astype(np.float32)
        rois = np.tile(np.float32([0, 2, 2, 12, 12]), (regions, 1))
        net.blobs["data"].reshape(*image.shape)
        net.blobs["rois"].reshape(*rois.shape)
        found = net.forward(data=image, rois=rois)
        assert found["cls_prob"].shape == (regions, 3)
        assert net.blobs["cls_score"].data.shape == (regions, 3)


FCN = """
layer { name: "data" type: "Python" top: "data" top: "label"
  python_param { module: "MODULE" layer: "Segmented" } }
layer { name: "conv1_1" type: "Convolution" bottom: "data" top: "conv1_1" convolution_param {
  num_output: 4 kernel_size: 3 pad: 10 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "pool" type: "Pooling" bottom: "conv1_1" top: "pool"
  pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "score_fr" type: "Convolution" bottom: "pool" top: "score_fr" convolution_param {
  num_output: 3 kernel_size: 1 } }
layer { name: "upscore" type: "Deconvolution" bottom: "score_fr" top: "upscore" param { lr_mult: 0 }
  convolution_param { num_output: 3 bias_term: false kernel_size: 4 stride: 2 } }
layer { name: "score" type: "Crop" bottom: "upscore" bottom: "data" top: "score"
  crop_param { axis: 2 offset: 9 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "loss"
  loss_param { ignore_label: 255 normalize: false } }
"""


def test_fcn(tmp_path: Path, script: str) -> None:
    net_file = write(tmp_path, FCN.replace("MODULE", script))
    text = (
        f'train_net: "{net_file}" test_net: "{net_file}" test_iter: 3 test_interval: 999999999'
        ' test_initialization: false base_lr: 1e-6 lr_policy: "fixed" momentum: 0.9 snapshot_prefix: "fcn"'
    )
    solver = caffe.SGDSolver(write(tmp_path, text, "solver.prototxt"))
    up = solver.net.params["upscore"][0]
    m, k, h, w = up.data.shape
    up.data[range(m), range(k), :, :] = np.outer([0.25, 0.75, 0.75, 0.25], [0.25, 0.75, 0.75, 0.25])
    assert (h, w) == (4, 4) and up.data[0, 1].sum() == 0 and up.data[1, 1].sum() == 4
    other = caffe.Net(net_file, caffe.TEST)
    for name, blobs in solver.net.params.items():
        for index, blob in enumerate(blobs):
            other.params[name][index].data.flat = blob.data.flat
    solver.step(4)
    assert (other.params["score_fr"][0].data == 0).all() and solver.net.params["score_fr"][0].data.any()
    solver.test_nets[0].share_with(solver.net)
    net = solver.test_nets[0]
    assert net.blobs["score"].channels == other.params["score_fr"][0].num == 3
    for _ in range(4):
        net.forward()
        truth = net.blobs["label"].data[0, 0].flatten()
        assert net.blobs["score"].data[0].argmax(0).flatten().shape == truth.shape
        assert np.isfinite(net.blobs["loss"].data.flat[0])


def test_net_surgery(tmp_path: Path) -> None:
    """A fully connected layer's weights in a convolution, through views taken beforehand."""
    net = make(tmp_path, DEPLOY)
    net.save(tmp_path / "w.caffemodel")
    dense = DEPLOY.replace('"fc" type: "InnerProduct"', '"fc-conv" type: "Convolution"')
    dense = dense.replace(
        "inner_product_param {\n  num_output: 5", "convolution_param { kernel_h: 7 kernel_w: 9 num_output: 5"
    )
    full = caffe.Net(write(tmp_path, dense, "full.prototxt"), str(tmp_path / "w.caffemodel"), caffe.TEST)
    source = {"fc": (net.params["fc"][0].data, net.params["fc"][1].data)}
    target = {"fc-conv": (full.params["fc-conv"][0].data, full.params["fc-conv"][1].data)}
    target["fc-conv"][0].flat = source["fc"][0].flat
    target["fc-conv"][1][...] = source["fc"][1]
    image = rng.normal(size=(3, 20, 24)).astype(np.float32)
    net.blobs["data"].data[...] = image
    expected = net.forward()["prob"][0]
    assert_allclose(full.forward_all(data=np.asarray([image]))["prob"][0, :, 0, 0], expected, rtol=1e-4)
    full.blobs["data"].reshape(1, 3, 28, 30)
    full.blobs["data"].data[...] = 1
    assert full.forward()["prob"][0].argmax(axis=0).shape == (5, 4)


def test_a_solver_that_a_script_writes(tmp_path: Path) -> None:
    n = caffe.NetSpec()
    n.data, n.label = caffe.layers.DummyData(
        shape=[dict(dim=[6, 2]), dict(dim=[6])],
        data_filler=[dict(type="gaussian"), dict(type="constant")],
        ntop=2,
    )
    n.score = caffe.layers.InnerProduct(n.data, num_output=3, weight_filler=dict(type="xavier"))
    n.accuracy = caffe.layers.Accuracy(n.score, n.label)
    n.loss = caffe.layers.SoftmaxWithLoss(n.score, n.label)
    s = caffe.proto.caffe_pb2.SolverParameter()
    s.random_seed = 0xCAFFE
    s.train_net = write(tmp_path, str(n.to_proto()))
    s.test_net.append(s.train_net)
    s.test_iter.append(3)
    s.test_interval, s.max_iter, s.base_lr, s.momentum = 500, 8, 0.1, 0.9
    s.type, s.lr_policy, s.gamma, s.power = "Adam", "inv", 0.0001, 0.75
    s.solver_mode = caffe.proto.caffe_pb2.SolverParameter.GPU
    s.snapshot_prefix = str(tmp_path / "snap")
    solver = caffe.get_solver(write(tmp_path, str(s), "auto.prototxt"))
    assert isinstance(solver, caffe.AdamSolver)
    losses = []
    for _ in range(8):
        solver.step(1)
        losses.append(float(solver.net.blobs["loss"].data))
    assert losses[-1] < losses[0]
    solver.test_nets[0].forward(start="score")
    hits = sum(solver.test_nets[0].blobs["score"].data.argmax(1) == solver.test_nets[0].blobs["label"].data)
    assert hits / 6 == pytest.approx(float(solver.test_nets[0].blobs["accuracy"].data))
