"""Writing: byte for byte what Caffe wrote, streamed, and never half a file."""

import json
from pathlib import Path

import numpy as np
import pytest

from vggrepro.caffe import messages, snapshot, state, weights
from vggrepro.caffe.binary import read_blob
from vggrepro.caffe.text import parse_net, read_net
from vggrepro.caffe.upgrade import upgrade_net_param
from vggrepro.errors import ParseError, WeightsError
from vggrepro.layers.base import set_up_definition

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


@pytest.mark.parametrize("file", sorted(GOLDEN.glob("train/*/*.solverstate")), ids=lambda p: p.parent.name)
def test_every_golden_solver_state_is_written_byte_for_byte(tmp_path, file):
    path = tmp_path / "ours.solverstate"
    saved = snapshot.read_solverstate(file)
    snapshot.write_solverstate(path, saved)
    assert path.read_bytes() == file.read_bytes()
    assert f"_iter_{saved.iter}." in saved.learned_net


@pytest.mark.parametrize(
    "array",
    [
        np.float32(3.5).reshape(()),
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.arange(6, dtype=np.float32).reshape(2, 3).T,
        np.arange(12, dtype=np.float64)[::2],
        np.empty((0, 4), np.float32),
        np.arange(300, dtype=np.float32).reshape(300, 1, 1),
    ],
    ids=["scalar", "matrix", "transposed", "strided doubles", "empty", "two-byte dimension"],
)
def test_any_array_is_written_as_protobuf_would(tmp_path, array):
    path = tmp_path / "mean.binaryproto"
    snapshot.write_blob(path, array)
    proto = messages.BlobProto(data=array.astype(np.float32).ravel())
    if array.ndim:
        proto.shape.dim.extend(array.shape)
    assert path.read_bytes() == proto.SerializeToString()
    back = read_blob(path)
    assert back.shape == array.shape
    np.testing.assert_array_equal(back, array)


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


def test_arrays_of_no_layer_are_refused_and_nothing_is_written(tmp_path):
    path = tmp_path / "w.caffemodel"
    with pytest.raises(WeightsError, match=r"w.caffemodel: no layer of the net is called 'conv9'"):
        snapshot.write_caffemodel(path, parse_net(NET), {"conv9": [np.zeros(1, np.float32)]})
    assert list(tmp_path.iterdir()) == []


def test_a_net_without_a_name_is_written_with_an_empty_one(tmp_path):
    path = tmp_path / "w.caffemodel"
    snapshot.write_caffemodel(path, parse_net('layer { name: "l" }'), {})
    assert path.read_bytes().startswith(b"\x0a\x00")


def test_a_failed_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "w.caffemodel"
    path.write_bytes(b"old")

    class Unreadable:
        shape = (1,)

        def __array__(self, *_args, **_kwargs):
            raise MemoryError

    with pytest.raises(MemoryError):
        snapshot.write_caffemodel(path, parse_net(NET), {"bn": [np.zeros(9, np.float32), Unreadable()]})
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_solver_states_that_are_something_else(tmp_path):
    path = tmp_path / "s.solverstate"
    path.write_bytes((GOLDEN / "layers" / "ip_2d" / "weights.caffemodel").read_bytes())
    with pytest.raises(ParseError, match=r"s.solverstate: has no field iter, expected a caffe.SolverState"):
        snapshot.read_solverstate(path)
    history = messages.BlobProto(data=[1, 2], shape=messages.BlobShape(dim=[3]))
    path.write_bytes(messages.SolverState(iter=1, history=[history]).SerializeToString())
    with pytest.raises(WeightsError, match=r"s.solverstate: history 0: shape \(3,\) needs 3 values"):
        snapshot.read_solverstate(path)


@pytest.mark.parametrize(
    ("name", "write"),
    [("s.solverstate", snapshot.write_solverstate), ("s.solverstate.h5", snapshot.write_solverstate_hdf5)],
)
def test_a_state_without_a_learned_net(tmp_path, name, write):
    write(tmp_path / name, snapshot.SavedState(7, None, 2, (np.ones(3, np.float32),)))
    back = snapshot.read_solverstate(tmp_path / name)
    assert (back.iter, back.learned_net, back.current_step) == (7, None, 2)
    assert [array.tolist() for array in back.history] == [[1, 1, 1]]
