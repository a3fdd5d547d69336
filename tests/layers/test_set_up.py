"""What layers' set-up leaves in a weight file: byte for byte what Caffe wrote."""

import json
from pathlib import Path

from vggrepro.caffe import messages, snapshot, state, weights
from vggrepro.caffe.text import parse_net, read_net
from vggrepro.caffe.upgrade import upgrade_net_param
from vggrepro.layers.registry import set_up_definition

GOLDEN = Path(__file__).parents[1] / "golden"
FILES = [
    file
    for file in sorted(GOLDEN.glob("*/*/*.caffemodel"))
    if file.parent.parent.name != "upgrade" and not file.stem.endswith("_v1")
]


def net_of(file):
    """The definition that a golden weight file was written with, filtered as it was then."""
    folder = file.parent
    facts = json.loads((folder / "case.json").read_text())
    if file.stem == "pretrained":
        name = "pretrained_net.prototxt"
    else:
        name = "train_net.prototxt" if facts["kind"] == "train" else "net.prototxt"
    net = upgrade_net_param(read_net(folder / name))
    return state.filter_net(
        net, phase=facts["phase"], level=facts.get("level", 0), stages=facts.get("stages", ())
    )


def blobs_of(file):
    return {layer.name: [blob.data for blob in layer.blobs] for layer in weights.read_weights(file)}


def test_every_golden_weight_file_is_written_byte_for_byte(tmp_path):
    path = tmp_path / "ours.caffemodel"
    for file in FILES:
        snapshot.write_caffemodel(path, net_of(file), blobs_of(file), set_up_definition)
        assert path.read_bytes() == file.read_bytes(), file
    assert len(FILES) > 200


NET = """
name: "n"
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 } } }
layer { name: "bn" type: "BatchNorm" bottom: "x" top: "x" param { lr_mult: 0 decay_mult: 0 } }
layer { name: "loss" type: "EuclideanLoss" bottom: "x" bottom: "x" top: "l" }
layer { name: "weighted" type: "HingeLoss" bottom: "x" bottom: "x" top: "h" loss_weight: 0.5 }
layer { name: "acc" type: "Accuracy" bottom: "x" bottom: "x" top: "a" phase: TRAIN }
"""


def test_layers_are_written_as_their_set_up_leaves_them():
    saved = {
        layer.name: layer
        for layer in snapshot.saved_net(
            state.filter_net(parse_net(NET), phase="TEST"), set_up_definition
        ).layer
    }
    assert [spec.lr_mult for spec in saved["bn"].param] == [0, 0, 0]
    assert [spec.HasField("decay_mult") for spec in saved["bn"].param] == [True, False, False]
    assert list(saved["loss"].loss_weight) == [1]
    assert list(saved["weighted"].loss_weight) == [0.5]
    assert list(saved["acc"].loss_weight) == []
    assert (saved["acc"].phase, saved["bn"].phase) == (messages.TRAIN, messages.TEST)
    assert list(saved["x_bn_0_split"].top) == [f"x_bn_0_split_{copy}" for copy in range(6)]
