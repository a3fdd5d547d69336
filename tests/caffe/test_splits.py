"""The Split layers that Caffe puts into a net."""

import json
from pathlib import Path

import pytest

from vggrepro.caffe import state
from vggrepro.caffe.splits import insert_splits
from vggrepro.caffe.text import parse_net, read_net
from vggrepro.caffe.upgrade import upgrade_net_param
from vggrepro.errors import NetError

GOLDEN = Path(__file__).parents[1] / "golden"

NETS = [
    (folder.name, facts)
    for folder in sorted((GOLDEN / "nets").iterdir())
    for facts in [json.loads((folder / "case.json").read_text())]
    if "layers" in facts and (folder / "net.prototxt").exists()
]


@pytest.mark.parametrize(("case", "facts"), NETS, ids=[case for case, _ in NETS])
def test_golden_nets_keep_the_layers_that_caffe_kept_with_the_splits_that_it_put_in(case, facts):
    net = upgrade_net_param(read_net(GOLDEN / "nets" / case / "net.prototxt"))
    filtered = state.filter_net(
        net, phase=facts["phase"], level=facts.get("level", 0), stages=facts.get("stages", ())
    )
    assert [[layer.name, layer.type] for layer in insert_splits(filtered).layer] == facts["layers"]


def test_a_loss_that_is_read_again_gives_its_weight_to_the_first_copy():
    net = parse_net(
        'layer { name: "a" top: "x" loss_weight: 2 } layer { name: "b" bottom: "x" top: "y" }'
        ' layer { name: "c" bottom: "x" top: "x" }'
    )
    expected = """
      layer { name: "a" top: "x" }
      layer { name: "x_a_0_split" type: "Split" bottom: "x" top: "x_a_0_split_0" top: "x_a_0_split_1"
              top: "x_a_0_split_2" loss_weight: 2 loss_weight: 0 loss_weight: 0 }
      layer { name: "b" bottom: "x_a_0_split_1" top: "y" }
      layer { name: "c" bottom: "x_a_0_split_2" top: "x" }"""
    assert insert_splits(net) == parse_net(expected)


def test_an_unknown_bottom_is_named_in_caffes_words():
    net = parse_net('layer { name: "l" bottom: "nope" }')
    with pytest.raises(NetError) as caught:
        insert_splits(net)
    assert str(caught.value) == "Unknown bottom blob 'nope' (layer 'l', bottom index 0)"


def test_a_net_in_which_every_blob_is_read_once_stays_as_it_is():
    net = parse_net('layer { name: "a" top: "x" } layer { name: "b" bottom: "x" top: "x" }')
    assert insert_splits(net) == net
