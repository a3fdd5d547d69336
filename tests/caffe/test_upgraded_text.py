"""An upgraded net's text keeps what layers with fields of their own say."""

from __future__ import annotations

from pathlib import Path

import pytest

from vggrepro.caffe.text import format_message, parse_net
from vggrepro.caffe.unknown_layers import PartlyKnownNet, read_partly_known_net
from vggrepro.caffe.upgrade import upgrade_net_report
from vggrepro.caffe.upgraded_text import upgraded_text
from vggrepro.errors import UnsupportedError

OWN = 'layer { name: "own" type: "Own" own_param { a: "}" b: 2 } }'


def test_own_fields_stay_between_other_layers(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(f'input: "x" input_shape {{ dim: 1 }} {OWN} layer {{ name: "r" type: "ReLU" }}')
    written = read_partly_known_net(path, lambda layer: layer.type == "Own")
    text = upgraded_text(upgrade_net_report(written.message).message, written)
    before, after = text.split(OWN)
    assert [layer.type for layer in parse_net(before).layer] == ["Input"]
    assert [layer.type for layer in parse_net(after).layer] == ["ReLU"]


def test_a_net_without_such_layers_is_its_message() -> None:
    message = parse_net('layer { name: "r" type: "ReLU" }')
    assert upgraded_text(message, PartlyKnownNet(message, {})) == format_message(message)


def test_own_fields_of_an_older_format_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text('layers { name: "own" type: OWN own_param { a: 1 } }')
    written = read_partly_known_net(path, lambda layer: layer.name == "own")
    with pytest.raises(UnsupportedError, match="layer 'own': fields of its own in an older format"):
        upgraded_text(written.message, written)
