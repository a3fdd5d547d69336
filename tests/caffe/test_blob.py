"""One array: every shape and way to write it, and the files that hold nothing else."""

from pathlib import Path

import numpy as np
import pytest

from vggrepro.caffe import messages
from vggrepro.caffe.binary import read_blob
from vggrepro.caffe.blob import SavedBlob, decode_blob
from vggrepro.caffe.wire import prefix
from vggrepro.errors import ParseError, WeightsError

GOLDEN = Path(__file__).parents[1] / "golden"


def blob(*data, dims=None, **fields):
    proto = messages.BlobProto(data=data, **fields)
    proto.shape.dim.extend([len(data)] if dims is None else dims)
    return proto


@pytest.mark.parametrize(
    ("dims", "target", "fits"),
    [
        ((1, 1, 3, 5), (3, 5), True),
        ((1, 1, 1, 5), (5,), True),
        ((1, 1, 1, 1), (), True),
        ((2, 3, 4, 5), (2, 3, 4, 5), True),
        ((1, 1, 3, 5), (1, 3, 5), True),
        ((1, 1, 3, 5), (1, 1, 1, 3, 5), False),
        ((3, 5, 1, 1), (3, 5), False),
        ((1, 1, 5, 3), (3, 5), False),
    ],
)
def test_legacy_shapes_pad_with_ones_in_front(dims, target, fits):
    assert SavedBlob(np.zeros(dims, np.float32), legacy=True).fits(target) == fits


def test_shapes_of_today_must_be_equal():
    assert SavedBlob(np.zeros((3, 5), np.float32)).fits([3, 5])
    assert not SavedBlob(np.zeros((1, 1, 3, 5), np.float32)).fits((3, 5))


def test_any_legacy_size_makes_the_shape_legacy():
    proto = blob(1, 2, 3, 4, dims=[4], num=1, channels=1, width=4)
    proto.height = 1
    saved, _ = decode_blob(memoryview(proto.SerializeToString()))
    assert (saved.data.shape, saved.legacy) == ((1, 1, 1, 4), True)
    with pytest.raises(WeightsError, match="needs 0 values, the file has 1"):
        decode_blob(memoryview(messages.BlobProto(data=[1], width=1).SerializeToString()))


def test_doubles_are_preferred_and_rounded():
    proto = blob(9, 9, double_data=[0.1, 1e300])
    saved, _ = decode_blob(memoryview(proto.SerializeToString()))
    assert saved.data.dtype == np.float32
    assert saved.data.tolist() == [np.float32(0.1), np.inf]


def floats(*values):
    return np.array(values, "<f4").tobytes()


@pytest.mark.parametrize(
    "wire",
    [
        prefix(5, 16) + floats(1, 2, 3, 4),
        prefix(5, 4) + floats(1) + prefix(5, 12) + floats(2, 3, 4),
        b"".join(b"\x2d" + floats(value) for value in (1, 2, 3, 4)),
        b"\x2d" + floats(1) + prefix(5, 8) + floats(2, 3) + b"\x2d" + floats(4),
        b"\x2d"
        + floats(1)
        + prefix(6, 4)
        + floats(7)
        + b"\x2d"
        + floats(2)
        + b"\x2d"
        + floats(3)
        + b"\x2d"
        + floats(4),
        b"".join(b"\x41" + np.array(value, "<f8").tobytes() for value in (1, 2, 3, 4)),
        prefix(8, 32) + np.array([1, 2, 3, 4], "<f8").tobytes(),
    ],
    ids=["packed", "two packs", "unpacked", "mixed", "interrupted", "unpacked doubles", "packed doubles"],
)
@pytest.mark.parametrize("shape_first", [True, False])
@pytest.mark.parametrize(
    "shape", [prefix(1, 2) + b"\x02\x02", b"\x08\x02\x08\x02"], ids=["packed", "unpacked"]
)
def test_every_way_to_write_an_array(wire, shape_first, shape):
    shape = prefix(7, len(shape)) + shape
    data = shape + wire if shape_first else wire + shape
    saved, unknown = decode_blob(memoryview(data))
    assert saved.data.tolist() == [[1, 2], [3, 4]]
    assert saved.data.dtype == np.float32
    assert not unknown
    proto = messages.BlobProto.FromString(data)
    assert list(proto.data or proto.double_data) == [1, 2, 3, 4], "protobuf reads the same"


def test_scalars_and_empty_arrays():
    saved, _ = decode_blob(memoryview(messages.BlobProto(data=[5]).SerializeToString()))
    assert saved.data.shape == ()
    saved, _ = decode_blob(memoryview(blob(dims=[0, 3]).SerializeToString()))
    assert saved.data.shape == (0, 3)


def test_mean_and_infogain_files():
    for file, shape in (
        ("lmdb/mean.binaryproto", (1, 3, 24, 28)),
        ("layers/infogain_file/H.binaryproto", (1, 1, 7, 7)),
    ):
        proto = messages.BlobProto.FromString((GOLDEN / file).read_bytes())
        array = read_blob(GOLDEN / file)
        assert array.shape == shape
        assert array.tobytes() == np.array(proto.data, np.float32).tobytes()


def test_a_mean_file_that_is_something_else(tmp_path):
    path = tmp_path / "mean.binaryproto"
    path.write_bytes(blob(1, 2, dims=[7]).SerializeToString())
    with pytest.raises(WeightsError, match=r"mean.binaryproto: BlobProto: shape \(7,\) needs 7 values"):
        read_blob(path)
    path.write_bytes(b"\x00\x01")
    with pytest.raises(ParseError, match=r"mean.binaryproto: BlobProto: not a protobuf message"):
        read_blob(path)
