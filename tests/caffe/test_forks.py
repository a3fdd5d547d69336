"""Fields of forks: in text as strict as BVLC's own, in binary files only where the number is SSD's own."""

import re
import warnings
from importlib import resources

import pytest
from google.protobuf import descriptor_pb2 as pb
from schema_facts import facts, parse_proto

from vggrepro.caffe import messages, schema, snapshot, text, weights
from vggrepro.caffe.upgrade import upgrade_net
from vggrepro.caffe.wire import prefix, varint
from vggrepro.errors import ParseError

FOLDER = resources.files("vggrepro.caffe")


def compiled(name):
    (file,) = pb.FileDescriptorSet.FromString(FOLDER.joinpath(name).read_bytes()).file
    return file


def short(fields):
    return {key: (*f[:2], f[2].split(".")[-1], *f[3:]) for key, f in fields.items()}


def weight_file(path, *fields):
    """A .caffemodel whose one layer, x, has one blob with the value 1, and the given bytes behind it."""
    blob = messages.BlobProto(data=[1], shape=messages.BlobShape(dim=[1])).SerializeToString()
    layer = prefix(1, 1) + b"x" + prefix(7, len(blob)) + blob + b"".join(fields)
    path.write_bytes(prefix(100, len(layer)) + layer)
    return path


def field(number, value):
    return prefix(number, len(value)) + value


def value_of(path):
    (layer,) = weights.read_weights(path)
    (blob,) = layer.blobs
    return blob.data.tolist()


def test_the_proto_text_says_what_the_compiled_schema_says():
    written = FOLDER.joinpath("forks.proto").read_text().replace('import "caffe.proto";', "")
    written_fields, written_values = parse_proto(written)
    fields, values = facts(compiled("forks.binpb"))
    # the text names nested types by their short names
    assert short(written_fields) == short(fields)
    assert written_values == values


def test_messages_have_bvlcs_fields_and_those_of_the_forks():
    lent = fields_with_lent_ones("LayerParameter", "ForkFields")
    assert lent == schema.FORK_FIELDS > schema.PRIVATE_FIELDS
    assert fields_with_lent_ones("BlobProto", "BlobProtoForkFields") == schema.FORK_BLOB_FIELDS
    names = {m.name for m in compiled("caffe.binpb").message_type}
    assert not names & {m.name for m in compiled("forks.binpb").message_type}


def test_other_messages_have_what_forks_lend_them():
    batch_norm = messages.BatchNormParameter.DESCRIPTOR
    assert {f.name: f.number for f in batch_norm.fields}.items() >= {"eps": 3, "scale_bias": 7}.items()
    assert batch_norm.fields_by_name["engine"].enum_type.full_name == "caffe.BatchNormParameter.Engine"
    modes = messages.LossParameter.DESCRIPTOR.enum_types_by_name["NormalizationMode"]
    assert [value.name for value in modes.values] == ["FULL", "VALID", "BATCH_SIZE", "NONE", "PRE_FIXED"]


def fields_with_lent_ones(owner, lender):
    """The numbers of the lent fields of ``owner``, which has them and BVLC's own and no others."""
    own = {f.name: f.number for f in message("caffe.binpb", owner).field}
    lent = {f.name: f.number for f in message("forks.binpb", lender).field}
    assert not set(own) & set(lent)
    assert not set(own.values()) & set(lent.values())
    found = getattr(messages, owner).DESCRIPTOR.fields_by_name
    assert {name: f.number for name, f in found.items()} == {**own, **lent}
    return set(lent.values())


def message(file, name):
    (found,) = (m for m in compiled(file).message_type if m.name == name)
    return found


def test_text_knows_the_fields_and_what_is_inside():
    net = text.parse_net(
        'layer { type: "PriorBox" prior_box_param { min_size: 30 step: 8 } }'
        'layer { type: "Interp" interp_param { zoom_factor: 8 } }'
    )
    assert net.layer[0].prior_box_param.flip is True
    assert net.layer[1].interp_param.zoom_factor == 8
    assert text.parse_net(text.format_message(net)) == net
    assert "zoom_factor: 8" in upgrade_net(text.format_message(net))


@pytest.mark.parametrize(
    ("written", "place", "problem"),
    [
        ("layer { permute_param { order: 1.5 } }", "1:32", "parse integer"),
        ("layer { norm_param { axis: 1 } }", "1:22", 'Message type "caffe.NormalizeParameter" has no field'),
        ("layer { relu_param { slope: 1 } }", "1:22", 'Message type "caffe.ReLUParameter" has no field'),
        ("layer { unheard_of_param { } }", "1:9", 'Message type "caffe.LayerParameter" has no field'),
        ("layers { norm_param { } }", "1:10", 'Message type "caffe.V1LayerParameter" has no field'),
    ],
)
def test_text_stays_strict(written, place, problem):
    with pytest.raises(ParseError) as caught:
        text.parse_net(written, "x.prototxt")
    assert str(caught.value).startswith(f"x.prototxt:{place}")
    assert problem in str(caught.value)


def test_binary_files_may_have_ssds_own_fields(tmp_path):
    permute = messages.PermuteParameter(order=[0, 2, 3, 1]).SerializeToString()
    path = weight_file(tmp_path / "ssd.caffemodel", field(202, permute))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert value_of(path) == [1]


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        # another fork's message under a number of SSD's: it does not parse, or not to its end
        (field(202, b"\x0a\x02\xff\xff"), "LayerParameter field 202"),
        (field(204, b"\xfa\x06\x01\x00"), "LayerParameter field 204"),
        (field(204, field(5, field(1, b"\xff"))), "LayerParameter field 204"),
        (varint(203 << 3) + b"\x01", "LayerParameter field 203"),
        # numbers of this package alone: whatever is there is not ours
        (field(100001, b"\x0d\x00\x00\x80\x3f"), "LayerParameter field 100001"),
        # Fast R-CNN's RoIs under the number of BVLC's Swish, as some forks have it
        (field(147, b"\x08\x06\x10\x06\x1d\x00\x00\x80\x3d"), "SwishParameter field 1"),
        # Fast R-CNN's own number
        (field(8266711, b"\x08\x06"), "LayerParameter field 8266711"),
    ],
)
def test_what_only_looks_like_a_known_field_is_left_out(tmp_path, extra, named):
    path = weight_file(tmp_path / "fork.caffemodel", extra)
    with pytest.warns(UserWarning, match=rf"left out what BVLC Caffe does not know: .*{named}\b"):
        assert value_of(path) == [1]


def test_a_foreign_message_under_a_bvlc_number_is_an_error_where_caffe_has_one(tmp_path):
    path = weight_file(tmp_path / "fork.caffemodel", field(147, b"\xff"))
    with pytest.raises(ParseError, match=r"fork\.caffemodel: not a caffe\.NetParameter"):
        weights.read_weights(path)


def test_weight_files_get_no_private_field(tmp_path):
    net = text.parse_net(
        'layer { name: "up" type: "Upsample" upsample_param { scale: 2 } }'
        'layer { name: "p" type: "Permute" permute_param { order: 1 } }'
    )
    loss = net.layer.add(name="loss", type="SmoothL1LossOHEM").loss_param
    loss.normalization, loss.pre_fixed_normalizer, loss.ignore_label = 100_001, 128, 7
    saved = snapshot.saved_net(net)
    assert [f.name for f, _ in saved.layer[-1].loss_param.ListFields()] == ["ignore_label"]
    del saved.layer[-1], net.layer[-1]
    assert [[f.name for f, _ in layer.ListFields() if f.number > 200] for layer in saved.layer] == [
        [],
        ["permute_param"],
    ]
    assert net.layer[0].HasField("upsample_param")  # the definition itself keeps it
    path = tmp_path / "w.caffemodel"
    snapshot.write_caffemodel(path, net, {})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [layer.name for layer in weights.read_weights(path)] == ["up", "p"]


def test_the_proto_names_only_messages_that_exist():
    for f in message("forks.binpb", "ForkFields").field:
        kind = re.sub(r"^\.caffe\.", "", f.type_name)
        assert getattr(messages, kind).DESCRIPTOR.full_name == f"caffe.{kind}"
