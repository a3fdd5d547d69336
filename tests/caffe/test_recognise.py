"""What a file is that was given for another."""

from pathlib import Path

import h5py
import pytest

from vggrepro.caffe import messages, snapshot, text, weights
from vggrepro.caffe.binary import read_blob
from vggrepro.caffe.recognise import binary_kind, file_kind, text_kind
from vggrepro.caffe.wire import prefix
from vggrepro.errors import ParseError

GOLDEN = Path(__file__).parents[1] / "golden"
STATE = GOLDEN / "train" / "adam" / "snap_iter_25.solverstate"
WEIGHTS = GOLDEN / "layers" / "ip_2d" / "weights.caffemodel"
OLD_WEIGHTS = GOLDEN / "upgrade" / "binary_v1" / "old.caffemodel"
MEAN = GOLDEN / "lmdb" / "mean.binaryproto"
NET = GOLDEN / "nets" / "vgg_a" / "net.prototxt"
SOLVER = GOLDEN / "train" / "adam" / "solver.prototxt"
LOG = "I0101 12:00:00.123456  1234 solver.cpp:228] Iteration 0, loss = 6.9\n"
ONNX = b"\x08\x09\x12\x01x\x3a\x00" + prefix(8, 2) + b"\x10\x12"


@pytest.fixture
def file(tmp_path):
    def write(content):
        if isinstance(content, Path):
            return content
        path = tmp_path / "file"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize(
    ("read", "content", "kind"),
    [
        (weights.read_weights, STATE, "a solver state"),
        (weights.read_weights, MEAN, "a single blob"),
        (weights.read_weights, NET, "a net definition"),
        (weights.read_weights, SOLVER, "a solver definition"),
        (weights.read_weights, LOG, "a log of Caffe"),
        (weights.read_weights, ONNX, "an ONNX model"),
        (weights.read_weights, "<!DOCTYPE html>", "a web page"),
        (weights.read_weights, "version https://git-lfs.github.com/spec/v1", "a pointer of Git LFS"),
        (weights.read_weights, b"PK\3\4" + bytes(30), "a zip archive"),
        (snapshot.read_solverstate, WEIGHTS, "weights"),
        (snapshot.read_solverstate, ONNX, "an ONNX model"),
        (read_blob, NET, "a net definition"),
        (text.read_net, WEIGHTS, "weights"),
        (text.read_net, OLD_WEIGHTS, "weights"),
        (text.read_net, STATE, "a solver state"),
        (text.read_net, MEAN, "a single blob"),
        (text.read_net, ONNX, "an ONNX model"),
        (text.read_net, b"\xff\xd8\xff\xe0" + bytes(20), "a JPEG image"),
        (text.read_net, LOG * 9, "a log of Caffe"),
        (text.read_net, "Log file created at: 2014/01/01\n" + LOG, "a log of Caffe"),
        (text.read_net, "mpirun says\n" * 5 + LOG, "a log of Caffe"),
        (text.read_solver, '{"lr": 1}', "JSON"),
    ],
)
def test_the_message_says_what_the_file_is(file, read, content, kind):
    path = file(content)
    with pytest.raises(ParseError, match=rf"{path.name}.*\(this is {kind}") as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_hdf5_files_of_the_other_kind(tmp_path):
    folder = GOLDEN / "train" / "snapshot_hdf5"
    with pytest.raises(ParseError, match=r"has no group 'data'.*\(this is a solver state\)"):
        weights.read_weights(folder / "snap_iter_25.solverstate.h5")
    with pytest.raises(ParseError, match=r"has no group 'history'.*\(this is weights\)"):
        snapshot.read_solverstate(folder / "snap_iter_25.caffemodel.h5")
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other.create_group("x")
    with pytest.raises(ParseError, match=r"would have$"):
        weights.read_weights(tmp_path / "other.h5")


def test_a_damaged_file_of_the_right_kind_is_not_called_another(file):
    for read, path in ((weights.read_weights, WEIGHTS), (snapshot.read_solverstate, STATE)):
        with pytest.raises(ParseError, match="truncated") as caught:
            read(file(path.read_bytes()[:-3]))
        assert "this is" not in str(caught.value)


@pytest.mark.parametrize(
    "data", [b"", b"\0", b"\x0a\x05", messages.NetParameter(name="n").SerializeToString()]
)
def test_what_does_not_tell(data):
    assert binary_kind(memoryview(data)) is None


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("nets/*/net.prototxt"))[:30], ids=lambda p: p.parent.name)
def test_nets_are_told_from_solvers(path):
    assert text_kind(path.read_text()) == "a net definition, a prototxt"


def test_words_do_not_tell():
    assert text_kind("n01440764 tench") is None


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"<html>", "a web page: download the file itself"),
        (b"<?xml version='1.0'?><net/>", "XML"),
        (b"GIF89a", "a GIF image"),
        (b"BZh9", "compressed by bzip2: unpack it first"),
        (b"no known kind", None),
    ],
)
def test_any_file_is_told_by_its_beginning(data, kind):
    assert file_kind(data) == kind
