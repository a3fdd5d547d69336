"""The rules by which a definition of a fork is read, as a value."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from net_files import image, layer

from vggrepro.errors import NetError, UnknownFieldError, UnknownLayerError
from vggrepro.net import ForkRules, load_by_rules
from vggrepro.net.fork_rules import BVLC


def test_rules_come_back_from_what_is_stored_of_them(tmp_path: Path) -> None:
    proto = tmp_path / "x.proto"
    proto.write_text("message NetParameter {}")
    rules = ForkRules({"data": (1, 2)}, True, True, {"top": (0, 5)}, "cuhk", proto)
    stored = json.loads(json.dumps(rules.facts()))
    assert stored["fork_rules"].keys() == {
        "input_shapes",
        "allow_unknown",
        "allow_custom",
        "custom_shapes",
        "fork",
        "proto",
    }
    assert ForkRules.from_facts(stored, proto) == rules
    assert BVLC.facts() == {} and ForkRules.from_facts({}, proto) == BVLC


@pytest.mark.parametrize(
    "stored",
    [
        {"odd": 1},
        {"input_shapes": {"data": ["x"]}},
        {"input_shapes": 3},
        {"custom_shapes": {"a": [1]}},
        "x",
        [3],
    ],
)
def test_stored_rules_that_are_none(stored: object) -> None:
    with pytest.raises(NetError):
        ForkRules.from_facts({"fork_rules": stored}, None)


def test_v0_layers_have_no_unknown_types(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text('layers { layer { name: "c" type: "conv" max_rms: 2 } bottom: "x" top: "c" }')
    with pytest.raises(UnknownFieldError, match='has no field named "max_rms"') as caught:
        ForkRules(allow_unknown=True).read(path)
    assert "Unknown layer type" not in str(caught.value)


@pytest.mark.parametrize(
    "loss",
    [
        'layer { name: "mmd" type: "MMDLoss" bottom: "data" top: "mmd" mmd_param { kernel_num: 5 } %s }',
        'layer { name: "mmd" type: "Odd" bottom: "data" odd_param { a { b: [1, 2] } } engine: FAST %s }',
    ],
)
def test_an_unknown_layer_of_another_phase_is_no_fault(loss: str, tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(image(2, 3) + layer("relu", "ReLU", "data") + loss % "include { phase: TRAIN }")
    assert load_by_rules(path).outputs == {"relu": (2, 3)}
    with pytest.raises(
        UnknownLayerError, match=r"layer 'mmd': Unknown layer type: (MMDLoss \(forks differ|Odd)"
    ):
        load_by_rules(path, phase="TRAIN")
    path.write_text(path.read_text().replace('"ReLU"', '"ReLU" relu_param { slope: 1 }'))
    with pytest.raises(UnknownFieldError, match='has no field named "slope"'):
        load_by_rules(path)


def test_custom_shapes_of_another_net_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(image(2, 3) + layer("own", "Own", "data"))
    rules = ForkRules(allow_custom=True, custom_shapes={"own": (0, 5), "elsewhere": (1,)})
    with pytest.raises(NetError, match="custom shape of 'elsewhere': no custom layer has such a top"):
        load_by_rules(path, rules=rules)
    with pytest.warns(UserWarning, match="custom node"):
        net = load_by_rules(path, rules=rules.for_net(rules.read(path).message))
    assert net.outputs == {"own": (2, 5)}
