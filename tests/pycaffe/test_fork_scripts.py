"""What published scripts of forks do with the module, on small nets: the same calls in the same order.

Faster R-CNN's, SSD's, TextBoxes++'s, SegNet's, ENet's, FCN's, HED's and colorization's demos.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format
from nets import write
from numpy.testing import assert_allclose, assert_array_equal
from small_ssd import ssd_head

import vggrepro
import vggrepro.pycaffe as caffe
from vggrepro.data.opencv import opencv
from vggrepro.pycaffe.proto import caffe_pb2

rng = np.random.default_rng(11)


@pytest.fixture(autouse=True)
def allowed() -> Iterator[None]:
    caffe.allow_python_layers()
    caffe.set_random_seed(1)
    yield
    caffe.allow_python_layers(False)


def trained(folder: Path, text: str, name: str = "net.prototxt") -> tuple[str, str]:
    """A definition's file, and one of weights."""
    path, weights = write(folder, text, name), str(folder / f"{name}.caffemodel")
    caffe.Net(path, caffe.TEST).save(weights)
    return path, weights


RPN = """
name: "rpn" input: "data" input_shape { dim: 1 dim: 3 dim: 48 dim: 64 }
input: "im_info" input_shape { dim: 1 dim: 3 }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1" convolution_param {
  num_output: 6 kernel_size: 16 stride: 16 weight_filler { type: "gaussian" std: 0.01 } } }
layer { name: "rpn_cls_score" type: "Convolution" bottom: "conv1" top: "rpn_cls_score" convolution_param {
  num_output: 18 kernel_size: 1 weight_filler { type: "gaussian" std: 0.05 } } }
layer { name: "rpn_bbox_pred" type: "Convolution" bottom: "conv1" top: "rpn_bbox_pred" convolution_param {
  num_output: 36 kernel_size: 1 weight_filler { type: "gaussian" std: 0.005 } } }
layer { name: "two" type: "Reshape" bottom: "rpn_cls_score" top: "two"
  reshape_param { shape { dim: 0 dim: 2 dim: -1 dim: 0 } } }
layer { name: "rpn_cls_prob" type: "Softmax" bottom: "two" top: "rpn_cls_prob" }
layer { name: "rpn_cls_prob_reshape" type: "Reshape" bottom: "rpn_cls_prob" top: "rpn_cls_prob_reshape"
  reshape_param { shape { dim: 0 dim: 18 dim: -1 dim: 0 } } }
layer { name: "proposal" type: "Python" bottom: "rpn_cls_prob_reshape" bottom: "rpn_bbox_pred"
  bottom: "im_info" top: "rois"
  python_param { module: "MODULE" layer: "ProposalLayer" param_str: "'feat_stride': 16" } }
layer { name: "roi_pool" type: "ROIPooling" bottom: "conv1" bottom: "rois" top: "pool"
  roi_pooling_param { pooled_w: 2 pooled_h: 2 spatial_scale: 0.0625 } }
layer { name: "cls_score" type: "InnerProduct" bottom: "pool" top: "cls_score" inner_product_param {
  num_output: 4 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "bbox_pred" type: "InnerProduct" bottom: "pool" top: "bbox_pred" inner_product_param {
  num_output: 16 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "cls_prob" type: "Softmax" bottom: "cls_score" top: "cls_prob" }
"""


def im_detect(net: Any, image: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """py-faster-rcnn's detection on one image (1, 3, H, W): scores, boxes before and their changes."""
    info = np.array([[image.shape[2], image.shape[3], scale]], np.float32)
    net.blobs["data"].reshape(*image.shape)
    net.blobs["im_info"].reshape(*info.shape)
    given = {"data": image.astype(np.float32, copy=False), "im_info": info.astype(np.float32, copy=False)}
    out = net.forward(**given)
    rois = net.blobs["rois"].data.copy()
    return out["cls_prob"], rois[:, 1:5] / scale, out["bbox_pred"]


def test_faster_rcnn_by_the_layer_of_this_package(tmp_path: Path) -> None:
    """Its own module is not there: as many regions come out as stay, and each is one of the graph's."""
    text = RPN.replace("MODULE", "rpn.proposal_layer")
    path, weights = trained(tmp_path, text)
    net = caffe.Net(path, weights, caffe.TEST)
    loaded = vggrepro.load_net(path, weights)
    for height, width in ((48, 64), (80, 64), (48, 64)):
        image = rng.normal(0, 50, (1, 3, height, width))
        scores, boxes, changes = im_detect(net, image, 0.8)
        inputs = {"data": image, "im_info": np.array([[height, width, 0.8]])}
        at = loaded.reshape({"data": image.shape, "im_info": (1, 3)})
        want = vggrepro.reference_forward(at, {k: np.float32(v) for k, v in inputs.items()})
        filled = int((want["rois"] != 0).any(1).nonzero()[0][-1]) + 1
        assert 1 < filled < 300
        assert (len(scores), len(boxes), len(changes)) == (filled,) * 3
        assert_allclose(boxes * 0.8, want["rois"][:filled, 1:], rtol=1e-4, atol=1e-3)
        assert_allclose(scores, want["cls_prob"][:filled], rtol=1e-3, atol=1e-4)


LAYERS = '''
import ast
import caffe
import numpy as np

class ProposalLayer(caffe.Layer):
    """The surest places, as squares."""

    def setup(self, bottom, top):
        self.stride = ast.literal_eval("{" + self.param_str + "}")["feat_stride"]
        self.phases = self.phase == caffe.TEST
        top[0].reshape(1, 5)

    def forward(self, bottom, top):
        assert bottom[0].data.shape[0] == 1 and self.phases
        sure = bottom[0].data[0, 9]
        rows, columns = np.where(sure > np.median(sure))
        corners = np.stack([columns, rows, columns + 1, rows + 1], 1) * self.stride * bottom[2].data[0, 2]
        blob = np.hstack((np.zeros((len(rows), 1)), corners)).astype(np.float32)
        top[0].reshape(*blob.shape)
        top[0].data[...] = blob

    def backward(self, top, propagate_down, bottom):
        pass

    def reshape(self, bottom, top):
        pass
'''


def test_faster_rcnn_by_a_layer_of_the_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lib/rpn_of_script").mkdir(parents=True)
    (tmp_path / "lib/rpn_of_script/__init__.py").touch()
    (tmp_path / "lib/rpn_of_script/proposal_layer.py").write_text(LAYERS)
    monkeypatch.setitem(sys.modules, "caffe", caffe)
    monkeypatch.syspath_prepend(tmp_path / "lib")
    path, weights = trained(tmp_path, RPN.replace("MODULE", "rpn_of_script.proposal_layer"))
    net = caffe.Net(path, weights, caffe.TEST)
    for height, width, regions in ((48, 64, 6), (80, 64, 10)):
        scores, boxes, _ = im_detect(net, rng.normal(0, 50, (1, 3, height, width)), 1.0)
        assert scores.shape == (regions, 4)
        assert_array_equal(boxes[:, 2] - boxes[:, 0], 16)


SSD = (
    'name: "ssd" input: "data" input_shape { dim: 1 dim: 3 dim: 20 dim: 20 }\n'
    + ssd_head(3, conv=0.05, loc=0.05, conf=0.5)
    + """layer { name: "conf_rows" type: "Reshape" bottom: "conf_perm" top: "conf_rows"
  reshape_param { shape { dim: 0 dim: -1 dim: 3 } } }
layer { name: "conf_soft" type: "Softmax" bottom: "conf_rows" top: "conf_soft" softmax_param { axis: 2 } }
layer { name: "conf_flat" type: "Flatten" bottom: "conf_soft" top: "conf_flat" }
layer { name: "detection_out" type: "DetectionOutput" bottom: "loc_flat" bottom: "conf_flat" bottom: "prior"
  top: "detection_out" include { phase: TEST } detection_output_param { num_classes: 3 code_type: CENTER_SIZE
  nms_param { nms_threshold: 0.45 top_k: 400 } keep_top_k: 50 confidence_threshold: CONFIDENCE } }
"""
)


def test_ssd_detect(tmp_path: Path) -> None:
    path, weights = trained(tmp_path, SSD.replace("CONFIDENCE", "0.3"))
    labels = caffe_pb2.LabelMap()
    text_format.Merge(
        'item { name: "none" label: 0 } item { name: "n1" label: 1 display_name: "cat" }', labels
    )
    assert [item.display_name for item in labels.item if item.label == 1] == ["cat"]
    net = caffe.Net(path, weights, caffe.TEST)
    net.blobs["data"].reshape(1, 3, 25, 25)
    transformer = caffe.io.Transformer({"data": net.blobs["data"].data.shape})
    transformer.set_transpose("data", (2, 0, 1))
    transformer.set_mean("data", np.array([104, 117, 123]))
    transformer.set_raw_scale("data", 255)
    transformer.set_channel_swap("data", (2, 1, 0))
    net.blobs["data"].data[...] = transformer.preprocess("data", rng.random((25, 25, 3)))
    detections = net.forward()["detection_out"]
    found = detections[0, 0, :, 2]
    assert detections.shape[:2] == (1, 1) and 0 < len(found) < 50
    assert (found >= 0.3).all() and (np.diff(found[detections[0, 0, :, 1] == 1]) <= 0).all()


def test_an_ssd_that_finds_nothing_says_so_in_a_row_for_each_image(tmp_path: Path) -> None:
    path, weights = trained(tmp_path, SSD.replace("CONFIDENCE", "1"))
    net = caffe.Net(path, weights, caffe.TEST)
    net.blobs["data"].reshape(2, 3, 20, 20)
    net.blobs["data"].data[...] = 0
    assert_array_equal(net.forward()["detection_out"][0, 0], [[0, *[-1] * 6], [1, *[-1] * 6]])


SEGNET = """
name: "segnet" DATA
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1" convolution_param {
  num_output: 4 kernel_size: 3 pad: 1 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "conv1_bn" type: "BN" bottom: "conv1" top: "conv1" bn_param {
  bn_mode: INFERENCE scale_filler { type: "constant" value: 1 } } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1" top: "pool1_mask"
  pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "up" type: "Upsample" bottom: "pool1" bottom: "pool1_mask" top: "up"
  upsample_param { scale: 2 } }
layer { name: "score" type: "Convolution" bottom: "up" top: "score" convolution_param {
  num_output: 5 kernel_size: 3 pad: 1 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "prob" type: "Softmax" bottom: "score" top: "prob" }
layer { name: "argmax" type: "ArgMax" bottom: "prob" top: "argmax" argmax_param { axis: 1 } }
"""
DENSE_DATA = """
layer { name: "data" type: "DenseImageData" top: "data" top: "label"
  dense_image_data_param { source: "test.txt" batch_size: 1 } }
"""


def test_segnet_and_enet(tmp_path: Path) -> None:
    data = 'input: "data" input_shape { dim: 1 dim: 3 dim: 12 dim: 16 }'
    path, weights = trained(tmp_path, SEGNET.replace("DATA", data))
    net = caffe.Net(path, weights, caffe.TEST)
    shape = net.blobs["data"].data.shape
    frame = np.asarray([rng.integers(0, 256, (shape[2], shape[3], 3)).transpose((2, 0, 1))])
    out = net.forward_all(data=frame)
    labels = np.squeeze(net.blobs["argmax"].data)
    assert labels.shape == (12, 16) and np.array_equal(labels, out["argmax"][0, 0])
    assert_array_equal(net.forward_all(**{net.inputs[0]: frame})["argmax"], out["argmax"])
    assert_array_equal(
        net.blobs["score"].data[0].max(axis=0),
        np.take_along_axis(net.blobs["score"].data[0], labels[None].astype(int), 0)[0],
    )


def test_segnet_s_own_data_layer_is_an_input(tmp_path: Path) -> None:
    path = write(tmp_path, SEGNET.replace("DATA", DENSE_DATA))
    with pytest.raises(RuntimeError, match="data"):
        caffe.Net(path, caffe.TEST)
    caffe.set_fork_rules(input_shapes={"data": (1, 3, 12, 16), "label": (1, 1, 12, 16)})
    try:
        net = caffe.Net(path, caffe.TEST)
    finally:
        caffe.set_fork_rules()
    assert net.inputs == ["data", "label"]
    net.blobs["data"].data[...] = 3
    net.forward()
    assert np.squeeze(net.blobs["prob"].data).shape == (5, 12, 16)
    assert_array_equal(net.blobs["data"].data, 3)


def test_segnet_s_statistics_are_counted_and_absorbed(tmp_path: Path) -> None:
    """From a list of pictures to a net without BN, by the statistics of its training images."""
    cv2 = opencv()
    for number in range(2):
        cv2.imwrite(str(tmp_path / f"i{number}.png"), rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        cv2.imwrite(str(tmp_path / f"l{number}.png"), rng.integers(0, 5, (12, 16), dtype=np.uint8))
    (tmp_path / "list").write_text(
        "".join(f"{tmp_path}/i{number}.png {tmp_path}/l{number}.png\n" for number in range(2))
    )
    written = SEGNET.replace("DATA", DENSE_DATA).replace("test.txt", str(tmp_path / "list"))
    path, weights = trained(tmp_path, written.replace("bn_mode: INFERENCE", ""))
    message = caffe_pb2.NetParameter()
    text_format.Merge(Path(path).read_text(), message)
    assert message.layer[0].dense_image_data_param.batch_size == 1
    (bn,) = [layer for layer in message.layer if layer.type == "BN"]
    bn.top.extend(["conv1-mean", "conv1-var"])
    net = caffe.Net(write(tmp_path, text_format.MessageToString(message), "bn.prototxt"), weights, caffe.TEST)
    net.forward()
    mean, var = (np.squeeze(net.blobs[name].data).copy() for name in ("conv1-mean", "conv1-var"))
    image = net.blobs["data"].data.copy()
    assert_array_equal(image[0].transpose(1, 2, 0), cv2.imread(str(tmp_path / "i0.png")))
    score = net.blobs["score"].data.copy()
    scale, shift = (blob.data for blob in net.params["conv1_bn"])
    scale[...] /= np.sqrt(var + 1e-9).reshape(scale.shape)
    shift[...] -= mean.reshape(shift.shape) * scale
    kernel, bias = (blob.data for blob in net.params["conv1"])
    kernel *= scale.reshape(-1, 1, 1, 1)
    bias[...] = bias * scale.ravel() + shift.ravel()
    net.save(weights)
    message.layer.remove(bn)
    message.layer.remove(message.layer[0])
    message.input.append("data")
    message.input_dim.extend(image.shape)
    merged = caffe.Net(
        write(tmp_path, text_format.MessageToString(message), "merged.prototxt"), weights, caffe.TEST
    )
    merged.blobs["data"].data[...] = image
    merged.forward()
    assert_allclose(merged.blobs["score"].data, score, rtol=1e-3, atol=1e-4)


FCN = """
name: "fcn" input: "data" input_dim: 1 input_dim: 3 input_dim: 20 input_dim: 24
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1" convolution_param {
  num_output: 4 kernel_size: 3 pad: 10 stride: 2 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "score_fr" type: "Convolution" bottom: "conv1" top: "score_fr" convolution_param {
  num_output: 3 kernel_size: 1 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "upscore" type: "Deconvolution" bottom: "score_fr" top: "upscore" convolution_param {
  num_output: 3 kernel_size: 4 stride: 2 bias_term: false weight_filler { type: "bilinear" } } }
layer { name: "score" type: "Crop" bottom: "upscore" bottom: "data" top: "score"
  crop_param { axis: 2 offset: 9 } }
layer { name: "sigmoid-fuse" type: "Sigmoid" bottom: "score" top: "sigmoid-fuse" }
"""


def test_fcn_and_hed(tmp_path: Path) -> None:
    path, weights = trained(tmp_path, FCN)
    net = caffe.Net(path, weights, caffe.TEST)
    for height, width in ((20, 24), (17, 31)):
        picture = np.array(rng.integers(0, 256, (height, width, 3)), dtype=np.float32)[:, :, ::-1]
        picture -= np.array((104.00698793, 116.66876762, 122.67891434))
        picture = picture.transpose((2, 0, 1))
        net.blobs["data"].reshape(1, *picture.shape)
        net.blobs["data"].data[...] = picture
        net.forward()
        assert net.blobs["score"].data[0].argmax(axis=0).shape == (height, width)
        fuse = net.blobs["sigmoid-fuse"].data[0][0, :, :]
        assert fuse.shape == (height, width) and ((fuse >= 0) & (fuse <= 1)).all()


COLOUR = """
name: "colour" input: "data_l" input_shape { dim: 1 dim: 1 dim: 16 dim: 16 }
layer { name: "conv8_313" type: "Convolution" bottom: "data_l" top: "conv8_313" convolution_param {
  num_output: 7 kernel_size: 4 stride: 4 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "conv8_313_rh" type: "Scale" bottom: "conv8_313" top: "conv8_313_rh"
  scale_param { bias_term: false filler { type: "constant" value: 2.606 } } }
layer { name: "class8_313_rh" type: "Softmax" bottom: "conv8_313_rh" top: "class8_313_rh" }
layer { name: "class8_ab" type: "Convolution" bottom: "class8_313_rh" top: "class8_ab"
  convolution_param { num_output: 2 kernel_size: 1 } }
"""


def test_colorization(tmp_path: Path) -> None:
    path, weights = trained(tmp_path, COLOUR)
    net = caffe.Net(path, weights, caffe.TEST)
    height, width = net.blobs["data_l"].data.shape[2:]
    assert net.blobs["class8_ab"].data.shape[2:] == (4, 4)
    points = rng.normal(size=(7, 2))
    net.params["class8_ab"][0].data[:, :, 0, 0] = points.transpose((1, 0))
    net.blobs["data_l"].data[0, 0, :, :] = rng.random((height, width)) * 100 - 50
    net.forward()
    ab = net.blobs["class8_ab"].data[0, :, :, :].transpose((1, 2, 0))
    shares = net.blobs["class8_313_rh"].data[0].reshape(7, -1)
    assert_allclose(ab.reshape(-1, 2), shares.T @ points, rtol=1e-4, atol=1e-5)


def test_a_python_data_layer_is_an_input_where_its_shapes_are_given(tmp_path: Path) -> None:
    """FCN's train nets read with a module that a reader need not have."""
    data = """
    layer { name: "data" type: "Python" top: "data" top: "label"
      python_param { module: "voc_layers_elsewhere" layer: "VOCSegDataLayer" param_str: "{}" } }
    """
    path = write(tmp_path, data + FCN[FCN.index("layer") :])
    with pytest.raises(RuntimeError, match="voc_layers_elsewhere"):
        caffe.Net(path, caffe.TRAIN)
    caffe.set_fork_rules(input_shapes={"data": (1, 3, 20, 24), "label": (1, 1, 20, 24)})
    try:
        net = caffe.Net(path, caffe.TRAIN)
    finally:
        caffe.set_fork_rules()
    assert net.inputs == ["data", "label"] and net.forward()["sigmoid-fuse"].shape == (1, 3, 20, 24)


TEXT = """
name: "text" input: "data" input_shape { dim: 1 dim: 3 dim: 32 dim: 32 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param {
  num_output: 4 kernel_size: 8 stride: 8 weight_filler { type: "gaussian" std: 0.01 } } }
layer { name: "loc" type: "Convolution" bottom: "conv" top: "loc" convolution_param {
  num_output: 24 kernel_h: 3 kernel_w: 5 pad_h: 1 pad_w: 2 weight_filler { type: "xavier" } } }
layer { name: "conf" type: "Convolution" bottom: "conv" top: "conf" convolution_param {
  num_output: 4 kernel_h: 3 kernel_w: 5 pad_h: 1 pad_w: 2 weight_filler { type: "xavier" } } }
layer { name: "locs" type: "Permute" bottom: "loc" top: "locs"
  permute_param { order: 0 order: 2 order: 3 order: 1 } }
layer { name: "confs" type: "Permute" bottom: "conf" top: "confs"
  permute_param { order: 0 order: 2 order: 3 order: 1 } }
layer { name: "two" type: "Reshape" bottom: "confs" top: "two"
  reshape_param { shape { dim: 0 dim: -1 dim: 2 } } }
layer { name: "prob" type: "Softmax" bottom: "two" top: "prob" softmax_param { axis: 2 } }
layer { name: "prior" type: "PriorBox" bottom: "conv" bottom: "data" top: "prior" prior_box_param {
  min_size: 8 variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2 denser_prior_boxes: true } }
layer { name: "mbox_loc" type: "Flatten" bottom: "locs" top: "mbox_loc" }
layer { name: "mbox_conf" type: "Flatten" bottom: "prob" top: "mbox_conf" }
layer { name: "detection_out" type: "DetectionOutput" bottom: "mbox_loc" bottom: "mbox_conf" bottom: "prior"
  top: "detection_out" detection_output_param { num_classes: 2 code_type: CENTER_SIZE keep_top_k: 200
  nms_param { nms_threshold: 0.45 top_k: 400 } confidence_threshold: 0.01 use_polygon: true } }
"""


def test_textboxes(tmp_path: Path) -> None:
    """TextBoxes++'s demo: the corners of each text are columns 7 to 14 of a detection."""
    net = caffe.Net(*trained(tmp_path, TEXT), caffe.TEST)
    net.blobs["data"].reshape(1, 3, 48, 64)
    net.blobs["data"].data[...] = rng.uniform(-100, 100, (1, 3, 48, 64))
    found = net.forward()["detection_out"]
    assert found.shape[:2] == (1, 1) and found.shape[3] == 15 and 0 < found.shape[2] <= 96
    boxes, locs = net.blobs["prior"].data.reshape(2, 96, 4), net.blobs["mbox_loc"].data.reshape(96, 12)
    surest = int(net.blobs["mbox_conf"].data.reshape(96, 2)[:, 1].argmax())
    box, coded = boxes[0, surest], locs[surest, 4:].reshape(4, 2)
    corners = box[[0, 1, 2, 1, 2, 3, 0, 3]].reshape(4, 2) + 0.1 * coded * (box[2:] - box[:2])
    assert_allclose(found[0, 0, 0, 7:], corners.ravel(), rtol=1e-4, atol=1e-5)
