"""Caffe's HDF5 files: read, written in the types that Caffe reads back, damaged."""

import json
import shutil
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from vggrepro.caffe import hdf5, snapshot, state, weights
from vggrepro.caffe.text import parse_net, read_net
from vggrepro.errors import ParseError, UnsupportedError, WeightsError

CASE = Path(__file__).parents[1] / "golden" / "train" / "snapshot_hdf5"
WEIGHTS = CASE / "snap_iter_25.caffemodel.h5"
STATE = CASE / "snap_iter_25.solverstate.h5"


def tree(path):
    """What a file holds: for every name nothing (a group), or type, layout, shape and bytes."""
    found = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            layout = item.id.get_create_plist().get_layout()
            space = item.id.get_space().get_simple_extent_type()
            found[name] = (item.id.get_type(), layout, space, item.shape, item[()].tobytes())
        else:
            found[name] = None

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


def test_weights_are_written_as_caffe_wrote_them(tmp_path):
    net = state.filter_net(read_net(CASE / "train_net.prototxt"), phase="TRAIN")
    blobs = {layer.name: [blob.data for blob in layer.blobs] for layer in weights.read_weights(WEIGHTS)}
    assert blobs["conv1"][0].shape == (4, 1, 3, 3)
    snapshot.write_caffemodel_hdf5(tmp_path / "w.h5", net, blobs)
    assert tree(tmp_path / "w.h5") == tree(WEIGHTS)


def test_a_solver_state_is_written_as_caffe_wrote_it(tmp_path):
    saved = snapshot.read_solverstate(STATE)
    assert (saved.iter, saved.learned_net, saved.current_step) == (25, "snap_iter_25.caffemodel.h5", 0)
    assert len(saved.history) == 8
    snapshot.write_solverstate_hdf5(tmp_path / "s.h5", saved)
    assert tree(tmp_path / "s.h5") == tree(STATE)


def test_more_than_ten_arrays_stay_in_order(tmp_path):
    history = tuple(np.full(2, index, np.float32) for index in range(12))
    snapshot.write_solverstate_hdf5(tmp_path / "s.h5", snapshot.SavedState(1, "n", 0, history))
    read = snapshot.read_solverstate(tmp_path / "s.h5").history
    assert [int(array[0]) for array in read] == list(range(12))


def test_a_shared_parameter_is_saved_by_its_owner_only(tmp_path):
    net = parse_net(
        'layer { name: "a" param { name: "w" } param { name: "b" } }'
        ' layer { name: "b" param { name: "w" } } layer { name: "c" param { name: "b" } }'
    )
    one, two = np.ones(1, np.float32), np.full(2, 2, np.float32)
    blobs = {"a": [one, two], "b": [one, two], "c": [two, one]}
    snapshot.write_caffemodel_hdf5(tmp_path / "w.h5", net, blobs)
    read = {layer.name: layer for layer in weights.read_weights(tmp_path / "w.h5")}
    assert {name: layer.indices for name, layer in read.items()} == {"a": (0, 1), "b": (1,), "c": (1,)}
    assert read["b"].by_index([False, True])[1].data.tolist() == [2, 2]


def test_names_that_hdf5_cannot_hold_are_refused_as_caffe_fails_at_them(tmp_path):
    for name in ("fire2/squeeze", ""):
        with pytest.raises(WeightsError, match="HDF5 cannot hold a layer of this name"):
            snapshot.write_caffemodel_hdf5(tmp_path / "w.h5", parse_net(f'layer {{ name: "{name}" }}'), {})
    assert list(tmp_path.iterdir()) == []


def test_nested_groups_are_layers_with_slashes(tmp_path):
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["data/fire2/squeeze/0"] = np.ones((2, 3), "<f8")
        file["data/fire2/squeeze/1"] = np.ones(2, "<i4")
    read = {layer.name: layer for layer in weights.read_weights(tmp_path / "w.h5")}
    assert set(read) == {"fire2", "fire2/squeeze"}
    assert [blob.data.dtype for blob in read["fire2/squeeze"].blobs] == [np.float32, np.float32]


def written(path, fill):
    with h5py.File(path, "w") as file:
        fill(file)
    return path


@pytest.mark.parametrize(
    ("fill", "problem"),
    [
        (lambda file: file.create_group("weights"), "has no group 'data'"),
        (lambda file: file.create_dataset("data", data=[1.0]), "has no group 'data'"),
        (
            lambda file: file.create_dataset("data/l", data=[1.0]),
            "has an array 'l' where layers are expected",
        ),
        (
            lambda file: file.create_dataset("data/l/w", data=[1.0]),
            "layer 'l': has 'w', expected arrays named",
        ),
        (
            lambda file: file.create_dataset("data/l/00", data=[1.0]),
            "layer 'l': has '00', expected arrays named",
        ),
        (
            lambda file: file.create_dataset("data/l/٣", data=[1.0]),
            "layer 'l': has '٣', expected arrays named",
        ),
        (lambda file: file.create_dataset("data/l/0", data=b"x"), "layer 'l', blob 0: unsupported datatype"),
        (lambda file: file.create_dataset("data/l/0", (10**10,), "<f4"), "layer 'l', blob 0: .*INT_MAX"),
        (lambda file: file.create_dataset("data/l/0", (10**9,), "<f4"), "layer 'l', blob 0: .*holds fewer"),
    ],
)
def test_weight_files_that_are_something_else(tmp_path, fill, problem):
    path = written(tmp_path / "w.h5", fill)
    with pytest.raises((ParseError, WeightsError), match=problem) as caught:
        weights.read_weights(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_weight_file_is_no_solver_state_and_gaps_are_errors(tmp_path):
    with pytest.raises(ParseError, match="has no group 'history'"):
        snapshot.read_solverstate(WEIGHTS)
    path = shutil.copy(STATE, tmp_path / "s.h5")
    with h5py.File(path, "a") as file:
        del file["history/3"]
    with pytest.raises(WeightsError, match="gaps"):
        snapshot.read_solverstate(path)


@pytest.mark.parametrize("net", [7, 1.5])
def test_the_name_of_a_solver_states_weights_is_a_text(tmp_path, net):
    path = shutil.copy(STATE, tmp_path / "s.h5")
    with h5py.File(path, "a") as file:
        del file["learned_net"]
        file["learned_net"] = net
    with pytest.raises(ParseError, match=rf"s\.h5: learned_net is {net}, expected a file's name"):
        snapshot.read_solverstate(path)


def test_truncated_files(tmp_path):
    whole = WEIGHTS.read_bytes()
    path = tmp_path / "cut.h5"
    for length in (8, 50, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ParseError, match=r"cut.h5: "):
            weights.read_weights(path)


def test_without_h5py_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UnsupportedError, match=r'h5py.*pip install "vggrepro\[hdf5\]"'):
        weights.read_weights(WEIGHTS)


def test_hdf5_is_told_by_its_first_bytes(tmp_path):
    assert hdf5.is_hdf5(WEIGHTS)
    assert not hdf5.is_hdf5(CASE / "init.caffemodel")
    assert not hdf5.is_hdf5(tmp_path)
    assert json.loads((CASE / "case.json").read_text())["mid"]["files"] == [WEIGHTS.name, STATE.name]


def test_a_full_disk_is_told_as_the_system_tells_it(tmp_path):
    path, hidden = tmp_path / "w.h5", tmp_path / "hidden"
    with pytest.raises(OSError, match="No space left on device") as caught, hdf5.hdf5_file(hidden, path):
        raise RuntimeError("Can't decrement id ref count (file write failed: x,\n errno = 28, y)")
    assert caught.value.filename == str(path)
    with pytest.raises(RuntimeError, match="another"), hdf5.hdf5_file(hidden, path):
        raise RuntimeError("another")
