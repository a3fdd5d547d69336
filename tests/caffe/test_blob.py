"""One array: every shape and way to write it, and the files that hold nothing else."""

from pathlib import Path

import numpy as np
import pytest
from google.protobuf.message import DecodeError

from vggrepro.caffe import messages
from vggrepro.caffe.binary import read_blob
from vggrepro.caffe.blob import SavedBlob, decode_blob, plain_parts
from vggrepro.caffe.wire import prefix, varint
from vggrepro.errors import ParseError, UnsupportedError, WeightsError

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


ONE = b"\x2d" + floats(1)  # an unpacked value
OTHER = b"\x35" + floats(9)  # of the gradient


@pytest.mark.parametrize(
    "wire",
    [ONE * 5000, (ONE + OTHER) * 5000, (ONE * 100 + OTHER) * 50, (prefix(5, 4) + floats(1)) * 5000],
    ids=["one run", "runs of one", "runs of a hundred", "packs of one"],
)
def test_the_work_is_in_proportion_to_the_number_of_values(wire, monkeypatch):
    looked_at = 0
    real = np.flatnonzero

    def count(array):
        nonlocal looked_at
        looked_at += array.size
        return real(array)

    monkeypatch.setattr(np, "flatnonzero", count)
    shape = prefix(1, 2) + varint(5000)
    saved, _ = decode_blob(memoryview(wire + prefix(7, len(shape)) + shape))
    assert saved.data.tolist() == [1] * 5000
    assert looked_at <= 10 * 5000


def test_a_tag_of_more_bytes_than_it_needs():
    shape = prefix(7, 2) + b"\x08\x02"
    saved, _ = decode_blob(memoryview((b"\xad\x00" + floats(3)) * 2 + shape))
    assert saved.data.tolist() == [3, 3]


@pytest.mark.parametrize(("kind", "dtype"), [(0, "<f8"), (1, "<f4"), (2, "<f2")])
def test_nvcaffes_raw_values(kind, dtype):
    values = np.array([[1, -2.5, 0.25], [3, 4, 1024]], dtype)
    proto = blob(dims=[2, 3], raw_data_type=kind, raw_data=values.tobytes(), raw_diff=b"x", raw_diff_type=1)
    proto.data.append(7)  # is not looked at
    saved, unknown = decode_blob(memoryview(proto.SerializeToString()))
    assert saved.data.dtype == np.float32
    assert saved.data.tolist() == values.tolist()
    assert not unknown
    plain = messages.BlobProto.FromString(b"".join(plain_parts(memoryview(proto.SerializeToString()))))
    assert plain == messages.BlobProto(data=values.reshape(-1).tolist(), shape=proto.shape)


@pytest.mark.parametrize(
    ("fields", "kind", "problem"),
    [
        ({"raw_data_type": 1}, WeightsError, "has no raw_data, which"),
        ({"raw_data": b"abcd"}, WeightsError, "has no raw_data_type, which"),
        (
            {"raw_data_type": 3, "raw_data": b"abcd"},
            UnsupportedError,
            r"raw_data_type 3, expected one of 0 \(",
        ),
        ({"raw_data_type": 0, "raw_data": b"abcd"}, ParseError, "4 bytes of raw values of 8 bytes each"),
        ({"raw_data_type": 2, "raw_data": b"abcd"}, WeightsError, "needs 1 values, the file has 2"),
    ],
)
def test_raw_values_that_cannot_be(fields, kind, problem):
    with pytest.raises(kind, match=problem):
        decode_blob(memoryview(blob(dims=[1], **fields).SerializeToString()))


def test_a_blob_that_bvlc_caffe_would_write_is_kept_byte_for_byte():
    data = blob(1, 2, diff=[3, 4]).SerializeToString()
    assert b"".join(plain_parts(memoryview(data))) == data
    assert len(plain_parts(memoryview(data))) == 1
    assert b"".join(plain_parts(memoryview(data + prefix(99, 1) + b"x" + data))) == data + data


@pytest.mark.parametrize(
    "bad", [prefix(5, 3) + b"abc", prefix(9, 4) + b"abcd", prefix(7, 2) + b"\x0a\x05", prefix(7, 1) + b"\x80"]
)
def test_what_protobuf_would_not_parse_is_not_handed_on(bad):
    with pytest.raises(DecodeError):
        messages.BlobProto.FromString(bad)
    with pytest.raises(ParseError):
        plain_parts(memoryview(bad))


def c3d_blob(values, dims, *, packed=True, more=b""):
    """A blob as C3D writes it: five sizes in the fields 1 to 5, values in 6, gradients in 7."""
    sizes = b"".join(varint(number << 3) + varint(size) for number, size in enumerate(dims, 1))
    data = np.asarray(values, "<f4").tobytes()
    if packed:
        return sizes + prefix(6, len(data)) + data + prefix(7, len(data)) + data + more
    return sizes + b"".join(b"\x35" + data[i : i + 4] for i in range(0, len(data), 4)) + more


@pytest.mark.parametrize("packed", [True, False])
def test_blobs_of_c3d(packed):
    values = np.arange(48, dtype=np.float32)
    view = memoryview(c3d_blob(values, (2, 3, 2, 2, 2), packed=packed))
    saved, unknown = decode_blob(view)
    assert not unknown
    np.testing.assert_array_equal(saved.data, values.reshape(2, 3, 2, 2, 2))
    assert saved.fits((2, 3, 2, 2, 2))
    assert not saved.fits((6, 2, 2, 2))
    written = messages.BlobProto.FromString(b"".join(map(bytes, plain_parts(view))))
    assert list(written.shape.dim) == [2, 3, 2, 2, 2]
    assert list(written.data) == values.tolist()


def test_a_bias_of_c3d_has_ones_in_front():
    saved, unknown = decode_blob(
        memoryview(c3d_blob([1, 2, 3], (1, 1, 1, 1, 3), more=varint(9 << 3) + b"\x01"))
    )
    assert unknown == {9}
    assert saved.fits((3,))
    assert saved.fits((1, 3))
    assert not saved.fits((1, 1, 1, 1, 1, 3))
    with pytest.raises(WeightsError, match=r"shape \(1, 1, 1, 1, 4\) needs 4 values, the file has 3"):
        decode_blob(memoryview(c3d_blob([1, 2, 3], (1, 1, 1, 1, 4))))
