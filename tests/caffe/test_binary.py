"""Binary files in two parts: the message with placeholders, and the blobs' bytes."""

import warnings
from pathlib import Path

import pytest

from vggrepro.caffe import binary, messages
from vggrepro.errors import ParseError, WeightsError

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize("case", ["layers/ip_2d/weights", "upgrade/binary_v0/old", "upgrade/binary_v1/old"])
def test_placeholders_and_blobs_together_are_the_file(case):
    path = GOLDEN / f"{case}.caffemodel"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        file = binary.open_net(path)
    net = file.message
    count = 0
    for layer in [*net.layer, *net.layers, *(layer.layer for layer in net.layers)]:
        for placeholder in layer.blobs:
            assert placeholder == messages.BlobProto(num=count)
            raw = bytes(file.raw(placeholder))
            placeholder.Clear()
            placeholder.MergeFromString(raw)
            count += 1
    assert count == len(file.blobs) > 1
    assert net == messages.NetParameter.FromString(path.read_bytes())


def test_a_solver_states_history_is_taken_out():
    path = GOLDEN / "train" / "adam" / "snap_iter_25.solverstate"
    file = binary.open_solver_state(path)
    state = messages.SolverState.FromString(path.read_bytes())
    assert file.message.iter == state.iter == 25
    assert [bytes(raw) for raw in file.blobs] == [blob.SerializeToString() for blob in state.history]


def test_a_blob_that_cannot_be_decoded_is_named_with_its_file(tmp_path):
    path = tmp_path / "w.caffemodel"
    bad = messages.BlobProto(data=[1, 2], num=3)
    path.write_bytes(messages.NetParameter(layer=[{"name": "l", "blobs": [bad]}]).SerializeToString())
    file = binary.open_net(path)
    with pytest.raises(WeightsError, match=r"^\S+w.caffemodel: layer l, blob 0: shape \(3, 0, 0, 0\)"):
        file.decode(file.message.layer[0].blobs[0], "layer l, blob 0")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "the file is empty"),
        (b"# text\n", "a text file, expected one of Caffe's binary files"),
        (messages.NetParameter(name="\1").SerializeToString(), "has no field layer or layers"),
    ],
)
def test_files_that_are_no_net(tmp_path, content, problem):
    path = tmp_path / "w.caffemodel"
    path.write_bytes(content)
    with pytest.raises(ParseError, match=f"w.caffemodel: {problem}"):
        binary.open_net(path)
