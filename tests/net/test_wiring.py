"""Numbers of bottoms, tops and flags, in Caffe's words."""

from __future__ import annotations

from pathlib import Path

import pytest

from vggrepro.caffe.text import parse_net
from vggrepro.errors import NetError
from vggrepro.layers.registry import layer_class
from vggrepro.net import load_net
from vggrepro.net.wiring import Wiring, automatic_tops, check_counts, wire

INPUT = 'layer { name: "x" type: "Input" top: "x" top: "z" input_param { shape { dim: 2 dim: 3 } } }\n'


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ('type: "ReLU" top: "y"', r"ReLU Layer takes 1 bottom blob\(s\) as input\. \(got 0\)"),
        (
            'type: "Eltwise" bottom: "x" top: "y"',
            r"Eltwise Layer takes at least 2 bottom blob\(s\) as input\.",
        ),
        ('type: "Scale" bottom: "x" bottom: "z" bottom: "z" top: "y"', r"Scale Layer takes at most 2 bottom"),
        (
            'type: "ReLU" bottom: "x" top: "y" top: "w"',
            r"ReLU Layer produces 1 top blob\(s\) as output\. \(got 2\)",
        ),
        ('type: "Split" bottom: "x"', r"Split Layer produces at least 1 top blob\(s\) as output\."),
        ('type: "Pooling" bottom: "x" top: "y" top: "w" top: "v"', r"Pooling Layer produces at most 2 top"),
        (
            'type: "ReLU" bottom: "x" top: "y" propagate_down: true propagate_down: true',
            r"propagate_down param must be specified either 0 or bottom_size times \(2 vs\. 1\)",
        ),
        (
            'type: "Softmax" bottom: "x" top: "y" softmax_param { axis: -3 }',
            r"axis -3 out of range for 2-D Blob with shape 2 3 \(6\)",
        ),
    ],
)
def test_refused(tmp_path: Path, layer: str, message: str) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(INPUT + f'layer {{ name: "l" {layer} }}')
    with pytest.raises(NetError, match=message):
        load_net(path)


def test_a_loss_without_a_top_gets_one(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(INPUT + 'layer { name: "l" type: "EuclideanLoss" bottom: "x" bottom: "z" }')
    net = load_net(path)
    assert net.layers[-1].tops == ("l/(automatic)_0",) and net.layers[-1].loss_weights == (1.0,)
    path.write_text(path.read_text().replace('bottom: "z"', 'bottom: "z" loss_weight: 5'))
    assert load_net(path).layers[-1].loss_weights == (5.0,)


def wiring_of(text: str) -> Wiring:
    messages = parse_net(text).layer
    return wire(messages, [layer_class(m.type).from_param(m, 1) for m in messages])


def test_in_place_layers_make_values_of_their_own() -> None:
    wiring = wiring_of(
        'layer { name: "d" type: "Input" top: "x" } layer { name: "r" type: "ReLU" bottom: "x" top: "x" }'
        ' layer { name: "s" type: "ReLU" bottom: "x" top: "x" }'
        ' layer { name: "t" type: "TanH" bottom: "x" top: "y" }'
    )
    assert [(w.bottoms, w.tops) for w in wiring.layers] == [
        ((), ("x",)),
        (("x",), ("x#r",)),
        (("x#r",), ("x#s",)),
        (("x#s",), ("y",)),
    ]
    assert wiring.blobs == {"x": "x#s", "y": "y"}
    assert wiring.outputs == ("y",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'layer { name: "l" type: "ReLU" bottom: "no" top: "y" }',
            r"^Unknown bottom blob 'no' \(layer 'l', bottom index 0\)$",
        ),
        (
            'layer { name: "d" type: "Input" top: "x" } layer { name: "e" type: "Input" top: "x" }',
            "^layer 'e': Top blob 'x' produced by multiple sources.$",
        ),
        (
            'layer { name: "d" type: "Input" top: "x" }'
            ' layer { name: "a" type: "AbsVal" bottom: "x" top: "x" }',
            "^layer 'a': AbsVal Layer does not allow in-place computation.",
        ),
        (
            'layer { name: "d" type: "Input" top: "x" } layer { name: "a" type: "TanH" bottom: "x" top: "y" }'
            ' layer { name: "r" type: "ReLU" bottom: "x" top: "x" }',
            "^layer 'r': Top blob 'x' produced by multiple sources.$",
        ),
    ],
)
def test_names_that_do_not_resolve(text: str, message: str) -> None:
    with pytest.raises(NetError, match=message):
        wiring_of(text)


def test_losses_count_the_tops_that_they_get_by_themselves() -> None:
    (message,) = parse_net('layer { name: "l" type: "HingeLoss" bottom: "x" bottom: "y" }').layer
    kind = layer_class("HingeLoss")
    assert automatic_tops(message, kind) == 1
    check_counts(message, kind)
    assert automatic_tops(message, layer_class("ReLU")) == 0
    with pytest.raises(NetError, match=r"ReLU Layer takes 1 bottom blob\(s\) as input. \(got 2\)"):
        check_counts(message, layer_class("ReLU"))
