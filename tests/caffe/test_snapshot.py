"""Writing: byte for byte what Caffe wrote, streamed, and never half a file."""

from pathlib import Path

import numpy as np
import pytest

from vggrepro.caffe import messages, snapshot
from vggrepro.caffe.binary import read_blob
from vggrepro.caffe.text import parse_net
from vggrepro.errors import ParseError, WeightsError

GOLDEN = Path(__file__).parents[1] / "golden"


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


NET = """name: "n"
layer { name: "x" type: "Input" top: "x" }
layer { name: "bn" type: "BatchNorm" bottom: "x" top: "x" }
"""


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
