"""Layers of unknown types: their text is kept, whatever fields it has."""

from pathlib import Path

import pytest

from vggrepro.caffe.state import filter_net
from vggrepro.caffe.unknown_layers import read_partly_known_net
from vggrepro.caffe.upgrade import upgrade_net_param
from vggrepro.errors import ParseError, UnknownFieldError


def own(layer):
    return layer.type not in ("ReLU", "Input", "Convolution")


def types(path):
    return [layer.type for layer in read_partly_known_net(path, own).message.layer if own(layer)]


NET = """\
name: "layer { not }"  # layer { nor this }
layer { name: "r" type: "ReLU" bottom: "x" top: "r" }
layer: <
  name: "odd" type: 'Oddity'  # "why" {
  odd_param { gain: 3 mode: FAST names: ["a}", 'b{'] }  strength: -1.5
  bottom: "r" top: "odd"
  include { phase: TEST }
>
layer { name: "odd" type: "Oddity" top: "odd" include { phase: TRAIN } odd_param { gain: 7 } }
layer { name: "py" type: "Python" bottom: "odd" python_param { module: "m" layer: "L" } }
"""


def file(folder: Path, text: str) -> Path:
    path = folder / "net.prototxt"
    path.write_text(text)
    return path


def test_the_text_follows_the_layer_through_upgrade_and_filter(tmp_path):
    text = 'input: "x" input_shape { dim: 1 }\n' + NET  # which the upgrade makes a layer of
    read = read_partly_known_net(file(tmp_path, text), own)
    net = filter_net(upgrade_net_param(read.message), phase="TEST")
    assert [layer.name for layer in net.layer] == ["input", "r", "odd", "py"]
    odd, py = net.layer[2:]
    start = text.index("layer: <")
    assert read.text_of(odd) == text[start : text.index("\n>", start) + 2]
    assert read.text_of(py) == text.splitlines()[-1]
    train = filter_net(upgrade_net_param(read.message), phase="TRAIN").layer[2]
    assert read.text_of(train).endswith("odd_param { gain: 7 } }")


def test_types_are_told_whatever_fields_their_layers_have(tmp_path):
    assert types(file(tmp_path, NET)) == ["Oddity", "Oddity", "Python"]


def test_unknown_fields_elsewhere_stay_errors(tmp_path):
    path = file(tmp_path, NET.replace('top: "r" }', 'top: "r" colour: RED }'))
    with pytest.raises(ParseError, match=r'2:53: .* has no field named "colour"'):
        read_partly_known_net(path, own)
    with pytest.warns(UserWarning, match="LayerParameter.colour") as warned:
        net = read_partly_known_net(path, own, allow_unknown=True)
    assert len(warned) == 1
    assert len(net.texts) == 3


def test_other_faults_are_found_in_their_place(tmp_path):
    with pytest.raises(ParseError, match=r"net\.prototxt:10:\d+: "):
        read_partly_known_net(file(tmp_path, NET.replace('bottom: "odd"', "bottom: odd")), own)


def test_layers_in_a_list(tmp_path):
    with pytest.raises(ParseError, match="layers in a list"):
        read_partly_known_net(file(tmp_path, 'layer: [{ name: "a" type: "Foo" }, { name: "b" }]'), own)


def test_comments_in_any_encoding_are_kept(tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_bytes(b'layer { name: "a" type: "Foo" # gr\xfc\xdfe\n}')
    net = read_partly_known_net(path, own)
    kept = net.text_of(net.message.layer[0])
    assert kept.encode("utf-8", "surrogateescape") == path.read_bytes()


V1 = """\
name: "n"
layers { name: "v" type: VIDEO_CLIPS top: "x" clips_param { length: 16 } }
layers { name: "r" type: RELU bottom: "x" top: "r" }
layers { name: "o" type: ODDITY bottom: "r" top: "o" blobs_lr: 2 odd_param { gain: 3 } }
"""


def test_v1_layers_may_be_of_types_that_are_unknown(tmp_path):
    assert types(file(tmp_path, V1)) == ["VIDEO_CLIPS", "ODDITY"]
    read = read_partly_known_net(file(tmp_path, V1), own)
    net = filter_net(upgrade_net_param(read.message), phase="TEST")
    assert [layer.type for layer in net.layer] == ["VIDEO_CLIPS", "ReLU", "ODDITY"]
    assert net.layer[2].param[0].lr_mult == 2
    assert read.text_of(net.layer[2]) == V1.splitlines()[-1]
    assert read.text_of(net.layer[1]) is None


def test_v1_types_that_are_not_own_are_errors_in_their_place(tmp_path):
    with pytest.raises(UnknownFieldError, match=r"2:26: .* no value named VIDEO_CLIPS"):
        read_partly_known_net(file(tmp_path, V1), lambda layer: layer.type == "ODDITY")


def test_parameters_of_layers_that_compute_are_not_left_out(tmp_path):
    written = 'layer { name: "r" type: "ReLU" bottom: "x" top: "r" odd_param { gain: 3 } }'
    with pytest.raises(UnknownFieldError, match=r'"odd_param"; layer \'r\' may compute by it'):
        read_partly_known_net(file(tmp_path, written), own, allow_unknown=True)
    harmless = written.replace("odd_param { gain: 3 }", "split_param { engine: MKLDNN }")
    with pytest.warns(UserWarning, match="LayerParameter.split_param"):
        read_partly_known_net(file(tmp_path, harmless), own, allow_unknown=True)
    data = written.replace('bottom: "x" ', "")
    with pytest.warns(UserWarning, match="LayerParameter.odd_param"):
        read_partly_known_net(file(tmp_path, data), own, allow_unknown=True)


def test_fields_of_the_net_behind_a_layer_are_not_the_layers(tmp_path):
    written = (
        'layer { name: "o" type: "Oddity" gain: 1 } memory: 3 layer { name: "p" type: "Oddity" gain: 2 }'
    )
    with pytest.raises(UnknownFieldError, match=r'1:44: .*"caffe.NetParameter" has no field named "memory"'):
        read_partly_known_net(file(tmp_path, written), own)


def test_v0_layers_have_no_fields_of_their_own(tmp_path):
    written = 'layers { layer { name: "c" type: "conv" strength: 2 } bottom: "x" top: "c" }'
    with pytest.raises(UnknownFieldError, match=r'"strength"'):
        read_partly_known_net(file(tmp_path, written), lambda _: True)


def test_another_text_file_is_no_net(tmp_path):
    """With everything in it left out nothing is left: a list of labels, say."""
    labels = 'item { name: "cat" label: 1 } item { name: "dog" label: 2 }'
    with (
        pytest.warns(UserWarning, match="item"),
        pytest.raises(ParseError, match=r"no layer or input in it \(but item\)"),
    ):
        read_partly_known_net(file(tmp_path, labels), own, allow_unknown=True)
