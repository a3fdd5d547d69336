"""Reading weights: against protobuf's own parse, every way to write an array, and files that are damaged."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from vggrepro.caffe import messages, weights
from vggrepro.caffe.blob import SavedBlob
from vggrepro.caffe.wire import prefix, varint
from vggrepro.errors import ParseError, UpgradeError, VggReproError, WeightsError

GOLDEN = Path(__file__).parents[1] / "golden"
FILES = sorted(GOLDEN.glob("*/*/*.caffemodel"))


def shape_of(proto):
    legacy = any(proto.HasField(name) for name in ("num", "channels", "height", "width"))
    return (proto.num, proto.channels, proto.height, proto.width) if legacy else tuple(proto.shape.dim)


def layers_of(net):
    """(name, blobs) of a net of any format, V0's padding layers apart."""
    for layer in net.layers or net.layer:
        inner = layer.layer if net.layers and layer.HasField("layer") else layer
        if inner.type != "padding":
            yield inner.name, inner.blobs


def write(path, *layers, **fields):
    path.write_bytes(messages.NetParameter(layer=layers, **fields).SerializeToString())
    return path


def layer_with(*blobs, name="fc", type="InnerProduct"):
    return messages.LayerParameter(name=name, type=type, blobs=blobs)


def blob(*data, dims=None, **fields):
    proto = messages.BlobProto(data=data, **fields)
    proto.shape.dim.extend([len(data)] if dims is None else dims)
    return proto


def test_golden_files_of_every_format_read_as_protobuf_parses_them():
    blobs = 0
    for file in FILES:
        net = messages.NetParameter.FromString(file.read_bytes())
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            read = weights.read_weights(file)
        has_input_layer = bool(net.layers) and bool(net.input_dim)
        expected = list(layers_of(net))
        assert [layer.name for layer in read] == ["input"] * has_input_layer + [name for name, _ in expected]
        for layer, (_, protos) in zip(read[has_input_layer:], expected, strict=True):
            for saved, proto in zip(layer.blobs, protos, strict=True):
                assert saved.data.dtype == np.float32
                assert saved.data.shape == shape_of(proto)
                assert saved.data.tobytes() == np.array(proto.data, np.float32).tobytes()
                blobs += 1
    assert blobs > 1900


def test_old_files_get_todays_types():
    for case in ("binary_v0", "binary_v1"):
        read = weights.read_weights(GOLDEN / "upgrade" / case / "old.caffemodel")
        assert {"Convolution", "InnerProduct", "Softmax"} <= {layer.type for layer in read}


def test_arrays_are_views_of_the_file(tmp_path):
    read = weights.read_weights(write(tmp_path / "w", layer_with(blob(*range(100), dims=[10, 10]))))
    (saved,) = read[0].blobs
    assert not saved.data.flags.owndata
    assert not saved.data.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        saved.data[0, 0] = 1


def test_fields_of_forks_are_left_out_with_one_warning(tmp_path):
    layer = layer_with(blob(1)).SerializeToString()
    layer += prefix(8266711, 3) + b"abc" + varint(200 << 3) + b"\x01"
    inner = varint(99 << 3) + b"\x01"
    layer += prefix(117, len(inner)) + inner  # inside inner_product_param
    path = tmp_path / "fork.caffemodel"
    path.write_bytes(prefix(100, len(layer)) + layer + varint(77 << 3) + b"\x05")
    with pytest.warns(UserWarning) as caught:
        (read,) = weights.read_weights(path)
    assert [str(warning.message) for warning in caught] == [
        f"{path}: left out what BVLC Caffe does not know: NetParameter field 77, "
        "LayerParameter field 8266711, LayerParameter field 200, InnerProductParameter field 99"
    ]
    assert (read.name, read.blobs[0].data.tolist()) == ("fc", [1])


def test_a_v1_type_of_a_fork_is_left_out_with_a_warning(tmp_path):
    layer = varint(5 << 3) + b"\xe7\x07" + prefix(4, 1) + b"x"
    path = tmp_path / "fork.caffemodel"
    path.write_bytes(prefix(2, len(layer)) + layer)
    with pytest.warns(UserWarning, match="V1LayerParameter field 5"):
        (read,) = weights.read_weights(path)
    assert (read.name, read.type) == ("x", "")


def test_unknown_fields_of_a_blob_are_named(tmp_path):
    data = blob(1).SerializeToString() + varint(50 << 3) + b"\x01"
    layer = prefix(1, 1) + b"x" + prefix(7, len(data)) + data
    path = tmp_path / "fork.caffemodel"
    path.write_bytes(prefix(100, len(layer)) + layer)
    with pytest.warns(UserWarning, match=r"layer 'x', blob 0: left out BlobProto fields 50"):
        (read,) = weights.read_weights(path)
    assert read.blobs[0].data.tolist() == [1]


def test_a_file_gives_one_warning_however_many_blobs_have_unknown_fields(tmp_path):
    data = blob(1).SerializeToString() + varint(50 << 3) + b"\x01"
    layer = prefix(1, 1) + b"x" + 5 * (prefix(7, len(data)) + data)
    path = tmp_path / "fork.caffemodel"
    path.write_bytes(prefix(100, len(layer)) + layer)
    with pytest.warns(UserWarning) as caught:
        weights.read_weights(path)
    assert [str(warning.message) for warning in caught] == [
        f"{path}: layer 'x', blob 0, layer 'x', blob 1, layer 'x', blob 2 and 2 more:"
        " left out BlobProto fields 50"
    ]


def test_v0_settings_that_do_not_matter_to_weights_are_warnings(tmp_path):
    v0 = messages.V0LayerParameter(name="r", type="relu", pad=1)
    path = tmp_path / "w.caffemodel"
    path.write_bytes(messages.NetParameter(layers=[messages.V1LayerParameter(layer=v0)]).SerializeToString())
    with pytest.warns(UserWarning, match="Unknown parameter pad"):
        (read,) = weights.read_weights(path)
    assert read == weights.SavedLayer("r", "ReLU", ())


@pytest.mark.parametrize(
    ("proto", "problem"),
    [
        (blob(1, 2, dims=[3]), "layer 'fc', blob 1: shape (3,) needs 3 values, the file has 2"),
        (blob(1, dims=[10**10]), "layer 'fc', blob 1: shape (10000000000,): blob size exceeds INT_MAX"),
        (blob(1, dims=[1 << 20, 1 << 20]), "blob size exceeds INT_MAX"),
        (blob(1, dims=[-1, -1]), "layer 'fc', blob 1: shape (-1, -1) has a negative size"),
        (blob(1, dims=[1] * 33), "layer 'fc', blob 1: 33 axes, expected at most 32"),
        (blob(1, dims=[1] * 10000), "layer 'fc', blob 1: a shape of 10003 bytes, expected at most 32 axes"),
        (blob(1, num=-1, channels=-1, height=1, width=1), "(-1, -1, 1, 1) has a negative size"),
        (blob(dims=[5]), "layer 'fc', blob 1: shape (5,) needs 5 values, the file has 0"),
    ],
)
def test_shapes_that_cannot_be(tmp_path, proto, problem):
    path = write(tmp_path / "w.caffemodel", layer_with(blob(1), proto))
    with pytest.raises(WeightsError) as caught:
        weights.read_weights(path)
    assert str(caught.value).startswith(f"{path}: layer 'fc', blob 1: ")
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_packed_values_of_a_broken_length(tmp_path):
    data = prefix(5, 3) + b"abc"
    layer = prefix(1, 1) + b"x" + prefix(7, len(data)) + data
    path = tmp_path / "w.caffemodel"
    path.write_bytes(prefix(100, len(layer)) + layer)
    with pytest.raises(ParseError, match="layer 'x', blob 0: 3 bytes of packed values of 4 bytes each"):
        weights.read_weights(path)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "the file is empty"),
        (b'name: "VGG"\nlayer { name: "x" }\n', "a text file"),
        (b"PK\x03\x04" + bytes(100), "not a protobuf message (field number 0 at byte 2)"),
        (b"\x08\x05" + bytes(100), "not a protobuf message (field number 0 at byte 2)"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "not a protobuf message"),
        (b"\x1f\x8b\x08\x00" + bytes(range(100)), "not a protobuf message"),
        (b"\x80\x02}q\x00X\x05" + bytes(50), "not a protobuf message"),
        (b"\x08" + b"\xff" * 40, "a number of more than ten bytes"),
        (b"\x0a\x03VGG", "has no field layer or layers, expected a caffe.NetParameter"),
        (b"\xa2\x06\x04\x0a\x02", "truncated: field 100 at byte 0 takes 4 bytes, but only 2 are left"),
        (b"\xa2\x06\x02\x0a\x04", "truncated: field 1 at byte 3 takes 4 bytes, but only 0 are left"),
        (b"\xa2\x06\x85", "truncated: the data ends within a number"),
        (b"\xa2\x06\x03\x42\x01\xff", "not a caffe.NetParameter"),
    ],
)
def test_files_that_are_no_weights(tmp_path, content, problem):
    path = tmp_path / "w.caffemodel"
    path.write_bytes(content)
    with pytest.raises(ParseError) as caught:
        weights.read_weights(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_names_that_are_not_utf8(tmp_path):
    path = tmp_path / "w.caffemodel"
    for layer in (
        b"\x0a\x02\xc4\xe3",
        b"\x1a\x02\xc4\xe3",
        b"\x32\x04\x0a\x02\xc4\xe3",
    ):  # name, bottom, param's name
        path.write_bytes(prefix(100, len(layer)) + layer)
        with pytest.raises(
            ParseError, match=r"w.caffemodel: not a caffe.NetParameter: 'utf-8' codec can't decode"
        ):
            weights.read_weights(path)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(ParseError, match=r"absent.caffemodel: No such file"):
        weights.read_weights(tmp_path / "absent.caffemodel")
    with pytest.raises(ParseError, match="Is a directory"):
        weights.read_weights(tmp_path)


def test_every_truncation_of_a_file_is_an_error_or_ends_between_layers(tmp_path):
    whole = (GOLDEN / "layers" / "ip_2d" / "weights.caffemodel").read_bytes()
    expected = weights.read_weights(GOLDEN / "layers" / "ip_2d" / "weights.caffemodel")
    path = tmp_path / "cut.caffemodel"
    whole_layers = 0
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        try:
            read = weights.read_weights(path)
        except VggReproError as error:
            assert str(error).startswith(f"{path}: ")
        else:
            whole_layers += 1
            assert [layer.name for layer in read] == [layer.name for layer in expected[: len(read)]]
    assert whole_layers == len(expected) - 1


def test_a_mix_of_formats_is_refused(tmp_path):
    path = tmp_path / "w.caffemodel"
    layer, old = messages.LayerParameter(name="a"), messages.V1LayerParameter(name="b")
    path.write_bytes(messages.NetParameter(layer=[layer], layers=[old]).SerializeToString())
    with pytest.raises(UpgradeError, match=r"w.caffemodel: .*both 'layer' and 'layers'"):
        weights.read_weights(path)


def test_blobs_are_handed_out_by_index():
    one, two = SavedBlob(np.zeros(1, np.float32)), SavedBlob(np.zeros(2, np.float32))
    binary = weights.SavedLayer("l", "", (one, two))
    assert binary.by_index([True, False]) == {0: one, 1: two}
    for owned in ([True], [True, True, False]):
        with pytest.raises(WeightsError, match=r"Incompatible number of blobs for layer l: .*2, the net"):
            binary.by_index(owned)
    hdf5 = weights.SavedLayer("l", "", (two,), (1,))
    assert hdf5.by_index([False, True]) == {1: two}
    for owned in ([True, True], [True]):
        with pytest.raises(WeightsError, match="Incompatible number of blobs"):
            hdf5.by_index(owned)
