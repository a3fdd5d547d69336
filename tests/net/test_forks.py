"""Naming the fork that a net is for, where its fields do not tell."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from vggrepro.errors import NetError, ShapeError, UnsupportedError, UpgradeError
from vggrepro.layers.bn import UsedStatistics
from vggrepro.layers.sigmoid_cross_entropy_loss import BalancedLoss, SigmoidCrossEntropyLoss
from vggrepro.net import Net, load_net

NET = """
layer {{ name: "data" type: "Input" top: "data" input_param {{ shape {{ dim: 1 dim: 4 dim: 5 dim: 5 }} }} }}
layer {{ name: "l" type: "{}" bottom: "data" top: "y" {} }}
"""


def written(folder: Path, kind: str, inside: str = "") -> Path:
    path = folder / "net.prototxt"
    path.write_text(NET.format(kind, inside))
    return path


def test_a_fork_tells_which_layer_is_meant(tmp_path: Path) -> None:
    path = written(tmp_path, "BN")
    with pytest.raises(UnsupportedError, match="name the fork: segnet, cuhk"):
        load_net(path)
    assert load_net(path, fork="segnet").layers[-1].layer.statistics == UsedStatistics.BATCH
    net = load_net(path, fork="cuhk")
    assert net.layers[-1].layer.statistics == UsedStatistics.AVERAGES
    assert net.message.layer[-1].bn_param.HasField("frozen")  # what is saved tells by itself


def test_what_normalization_divides(tmp_path: Path) -> None:
    path = written(tmp_path, "Normalization")
    with pytest.raises(ShapeError, match=r"forks differ .* name the fork"):
        load_net(path)
    assert load_net(path, fork="caffemex").outputs == {"y": (1, 4, 5, 5)}
    assert load_net(path, fork="caffe-3d").outputs == {"y": (1, 100)}


def test_openvino_zooms_by_the_factor(tmp_path: Path) -> None:
    path = written(tmp_path, "Interp", "interp_param { zoom_factor: 2 }")
    sizes = [next(iter(load_net(path, fork=fork).outputs.values()))[2:] for fork in (None, "openvino")]
    (height, width), twice = sizes
    assert twice == (height + 1, width + 1)


def test_what_bare_normalize_and_grn_mean(tmp_path: Path) -> None:
    path = written(tmp_path, "Normalize")
    with pytest.raises(UnsupportedError, match="name the fork: ssd, happynear"):
        load_net(path)
    assert [p.definition.shape for p in load_net(path, fork="ssd").layers[-1].params] == [()]
    assert load_net(path, fork="happynear").layers[-1].params == ()
    path = written(tmp_path, "Normalize", "param { lr_mult: 0 }")  # happynear's has no blob to speak of
    assert len(load_net(path).layers[-1].params) == 1
    path = written(tmp_path, "GRN")
    with pytest.raises(UnsupportedError, match="fork openvino"):
        load_net(path)
    assert load_net(path, fork="openvino").layers[-1].layer.bias == 1


def test_what_a_net_says_stays(tmp_path: Path) -> None:
    path = written(tmp_path, "BN", "bn_param { bn_mode: INFERENCE }")
    assert load_net(path, fork="segnet").layers[-1].layer.statistics == UsedStatistics.NONE
    path = written(tmp_path, "Flip", "flip_param { flip_height: true }")
    assert load_net(path, fork="happynear").layers[-1].layer.axes == (2, 3)
    path = written(tmp_path, "Normalize", "norm_param { across_spatial: false }")
    assert not load_net(path, fork="happynear").layers[-1].layer.across_spatial
    path = written(tmp_path, "Normalize")
    assert load_net(path, fork="happynear").layers[-1].layer.squares
    path = written(tmp_path, "ReLU")
    assert load_net(path, fork="segnet").message == load_net(path).message


def test_a_layer_that_one_fork_alone_has_names_the_fork(tmp_path: Path) -> None:
    align = 'layer { name: "a" type: "ROIAlign" bottom: "data" bottom: "rois" top: "a"' + (
        " roi_pooling_param { pooled_h: 3 pooled_w: 2 } }"
    )
    rois = 'layer { name: "r" type: "Input" top: "rois" input_param { shape { dim: 6 dim: 5 } } }'
    path = written(tmp_path, "ReLU")
    path.write_text(path.read_text() + rois + align)
    with pytest.raises(UnsupportedError, match="--fork cascade-rcnn"):
        load_net(path)
    assert load_net(path, fork="cascade-rcnn").shapes["a"] == (6, 4, 4, 3)
    path.write_text(path.read_text() + 'layer { name: "s" type: "ScaleRoute" bottom: "rois" top: "s" }')
    assert load_net(path).shapes["a"] == (6, 4, 4, 3)
    with pytest.raises(UnsupportedError, match="ROIAlign"):
        load_net(path, fork="segnet")


def test_a_net_that_may_be_heds_says_so(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(
        """layer { name: "d" type: "ImageLabelmapData" top: "data" top: "label" }
        layer { name: "l" type: "SigmoidCrossEntropyLoss" bottom: "data" bottom: "label" top: "l" }"""
    )
    shapes = {"data": (2, 1, 4, 4)}
    with pytest.warns(UserWarning, match="SigmoidCrossEntropyLoss is taken for BVLC Caffe's.*--fork hed"):
        plain = load_net(path, input_shapes=shapes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        balanced = load_net(path, input_shapes=shapes, fork="hed")
    assert type(balanced.layers[-1].layer) is BalancedLoss
    assert type(plain.layers[-1].layer) is SigmoidCrossEntropyLoss


CROPPED = """
layer { name: "d" type: "Input" top: "data" input_param { shape { dim: 1 dim: 1 dim: 8 dim: 9 } } }
layer { name: "c" type: "Convolution" bottom: "data" top: "c"
  convolution_param { num_output: 1 kernel_size: 3 pad: 5 stride: 2 } }
layer { name: "u" type: "Deconvolution" bottom: "c" top: "u"
  convolution_param { num_output: 1 kernel_size: 4 stride: 2 } }
layer { name: "crop" type: "KIND" bottom: "u" bottom: "data" top: "x" PARAM }
"""


def offset_of(net: Net) -> list[int]:
    assert net.shapes["x"] == (1, 1, 8, 9) and net.layers[-1].message.type == "Crop"
    return list(net.layers[-1].message.crop_param.offset)


@pytest.mark.filterwarnings("error")
def test_crops_of_hed_and_rcf_are_aligned(tmp_path: Path) -> None:
    """The middle of output x of the convolution is at 2 x - 4 of the data, and the other layer puts it at
    2 x + 2: 6 places further. With filters of 4 it would be at 2 x + 1.5."""
    path = tmp_path / "net.prototxt"

    def load(kind: str, param: str = "", fork: str | None = None, kernel: int = 5) -> Net:
        text = CROPPED.replace("KIND", kind).replace("PARAM", param)
        path.write_text(text.replace("kernel_size: 4", f"kernel_size: {kernel}"))
        return load_net(path, fork=fork)

    assert offset_of(load("AutoCrop")) == offset_of(load("Crop", fork="hed")) == [6, 6]
    assert offset_of(load("Crop", "crop_param { offset: 1 }", fork="hed")) == [1]
    assert offset_of(load("Crop", fork="segnet")) == []
    with pytest.warns(
        UserWarning, match=r"Crop is taken for BVLC.*HED's would cut 'crop' at 6, 6: --fork hed"
    ):
        assert offset_of(load("Crop")) == []
    assert offset_of(load("Crop", kernel=4)) == []  # HED's could not be aligned: it is not meant
    with pytest.raises(UpgradeError, match="expected x less a whole number"):
        load("AutoCrop", kernel=4)


def test_rcf_is_known_by_its_crop(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    loss = 'layer { name: "l" type: "SigmoidCrossEntropyLoss" bottom: "x" bottom: "data" top: "l" }'
    path.write_text(
        CROPPED.replace("KIND", "AutoCrop").replace("PARAM", "").replace("size: 4", "size: 5") + loss
    )
    layer = load_net(path).layers[-1].layer
    assert isinstance(layer, BalancedLoss) and layer.negative_weight == pytest.approx(1.1)


def test_a_fork_that_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises(
        NetError, match=r"net.prototxt: fork 'nobody': expected one of caffe-3d, caffemex, cascade"
    ):
        load_net(written(tmp_path, "BN"), fork="nobody")
