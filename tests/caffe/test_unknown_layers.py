"""Layers of unknown types: their text is kept, whatever fields it has."""

from pathlib import Path

import pytest

from vggrepro.caffe.state import filter_net
from vggrepro.caffe.unknown_layers import read_partly_known_net, unknown_types
from vggrepro.caffe.upgrade import upgrade_net_param
from vggrepro.errors import ParseError

KNOWN = ("ReLU", "Input")

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
    read = read_partly_known_net(file(tmp_path, text), KNOWN)
    net = filter_net(upgrade_net_param(read.message), phase="TEST")
    assert [layer.name for layer in net.layer] == ["input", "r", "odd", "py"]
    odd, py = net.layer[2:]
    start = text.index("layer: <")
    assert read.text_of(odd) == text[start : text.index("\n>", start) + 2]
    assert read.text_of(py) == text.splitlines()[-1]
    train = filter_net(upgrade_net_param(read.message), phase="TRAIN").layer[2]
    assert read.text_of(train).endswith("odd_param { gain: 7 } }")


def test_types_are_named_once(tmp_path):
    path = file(tmp_path, NET)
    assert unknown_types(path, KNOWN) == ["Oddity", "Python"]
    assert unknown_types(path, (*KNOWN, "Oddity", "Python")) == []


def test_unknown_fields_elsewhere_stay_errors(tmp_path):
    path = file(tmp_path, NET.replace('top: "r" }', 'top: "r" colour: RED }'))
    with pytest.raises(ParseError, match=r'2:53: .* has no field named "colour"'):
        read_partly_known_net(path, KNOWN)
    with pytest.warns(UserWarning, match='"colour"; left out') as warned:
        net = read_partly_known_net(path, KNOWN, allow_unknown=True)
    assert len(warned) == 1
    assert len(net.texts) == 3


def test_other_faults_are_found_in_their_place(tmp_path):
    with pytest.raises(ParseError, match=r"net\.prototxt:10:\d+: "):
        read_partly_known_net(file(tmp_path, NET.replace('bottom: "odd"', "bottom: odd")), KNOWN)


def test_layers_in_a_list(tmp_path):
    with pytest.raises(ParseError, match="layers in a list"):
        read_partly_known_net(file(tmp_path, 'layer: [{ name: "a" type: "Foo" }, { name: "b" }]'), KNOWN)


def test_comments_in_any_encoding_are_kept(tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_bytes(b'layer { name: "a" type: "Foo" # gr\xfc\xdfe\n}')
    net = read_partly_known_net(path, KNOWN)
    kept = net.text_of(net.message.layer[0])
    assert kept.encode("utf-8", "surrogateescape") == path.read_bytes()
