"""What is amiss with a net that shall be converted."""

from __future__ import annotations

from pathlib import Path

import pytest
from golden_suite import ROOT

from vggrepro.cli.convert_caffemodel import main
from vggrepro.cli.net_to_convert import check_order, require_weights, warn_of_training, without_custom_ends
from vggrepro.errors import OptionError, WeightsError
from vggrepro.net import load_net, save_weights

LENET = ROOT / "nets" / "lenet_test"


def test_files_in_the_wrong_order() -> None:
    prototxt, weights = str(LENET / "net.prototxt"), str(LENET / "weights.caffemodel")
    check_order(prototxt, weights)
    check_order("none", weights)
    with pytest.raises(OptionError, match="expected the prototxt first"):
        check_order(weights, prototxt)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    net = load_net(LENET / "net.prototxt")
    with pytest.raises(WeightsError, match=r"w\.caffemodel: no weights for layer\(s\) conv1, "):
        require_weights(net, "w.caffemodel")
    require_weights(load_net(LENET / "net.prototxt", LENET / "weights.caffemodel"), "w.caffemodel")


def test_a_training_net_is_told() -> None:
    with pytest.warns(
        UserWarning, match="a training net: the model keeps accuracy, loss and the input label"
    ):
        warn_of_training(load_net(LENET / "net.prototxt"), "net.prototxt")


DETECTNET = """
layer { name: "images" type: "Data" top: "data" include { phase: TRAIN }
        data_param { source: "a" batch_size: 9 } }
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 32 dim: 32 } }
        include { phase: TEST not_stage: "val" } }
layer { name: "moves" type: "DetectNetTransformation" bottom: "data" bottom: "label" top: "moved" top: "maps"
        detectnet_groundtruth_param: { stride: 16 gridbox_type: GRIDBOX_MIN object_class: { src: 1 dst: 0 } }
        include { phase: TRAIN } }
layer { name: "mean" type: "Power" bottom: "data" top: "moved" power_param { shift: -127 }
        include { phase: TEST not_stage: "val" } }
layer { name: "coverage" type: "Convolution" bottom: "moved" top: "coverage" convolution_param {
        num_output: 1 kernel_size: 16 stride: 16 weight_filler { type: "xavier" } } }
layer { name: "bboxes" type: "Convolution" bottom: "moved" top: "bboxes" convolution_param {
        num_output: 4 kernel_size: 16 stride: 16 weight_filler { type: "xavier" } } }
layer { name: "cluster" type: "Python" bottom: "coverage" bottom: "bboxes" top: "list"
        python_param { module: "caffe.layers.detectnet.clustering" layer: "ClusterDetections" }
        include { phase: TEST } }
"""


@pytest.mark.filterwarnings("ignore:.*custom node")
def test_custom_nodes_behind_what_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.prototxt").write_text(DETECTNET)
    net = load_net(tmp_path / "net.prototxt", allow_custom=True)
    assert without_custom_ends(net, None) is net and without_custom_ends(net, ["none"]) is net
    assert list(without_custom_ends(net, ["bboxes"]).blobs) == ["data", "moved", "bboxes"]
    plain = load_net(LENET / "net.prototxt")
    assert without_custom_ends(plain, ["ip1"]) is plain
    save_weights(net, tmp_path / "w.caffemodel")
    files = [str(tmp_path / name) for name in ("net.prototxt", "w.caffemodel")]
    options = ["-o", str(tmp_path / "m.onnx"), "--allow-custom", "--verify", "--outputs"]
    assert main([*files, *options, "coverage,bboxes"]) == 0
    assert "verified: worst" in capsys.readouterr().out
    assert main([*files, *options, "list"]) == 2
    assert "custom nodes cannot be run" in capsys.readouterr().err
