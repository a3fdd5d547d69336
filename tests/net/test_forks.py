"""Naming the fork that a net is for, where its fields do not tell."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import layer_class
from vggrepro.layers.bn import UsedStatistics
from vggrepro.layers.sigmoid_cross_entropy_loss import BalancedLoss, SigmoidCrossEntropyLoss
from vggrepro.net import load_net
from vggrepro.net.forks import FORKS, with_defaults

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


@pytest.mark.parametrize("fork", sorted(FORKS))
def test_each_fork_speaks_of_layers_and_fields_that_exist(fork: str, tmp_path: Path) -> None:
    for kind in FORKS[fork]:
        assert kind == "Python" or layer_class(kind).type
        message = load_net(written(tmp_path, "ReLU")).message
        message.layer[-1].type = kind
        told = with_defaults(message, fork)
        assert (told.layer[-1].name, told.layer[0]) == ("l", message.layer[0])
        assert told != message


def test_a_fork_that_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises(
        NetError, match=r"net.prototxt: fork 'nobody': expected one of caffe-3d, caffemex, cascade"
    ):
        load_net(written(tmp_path, "BN"), fork="nobody")
