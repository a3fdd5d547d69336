"""Which class a layer's definition gets: by its type, or in place of a Python layer."""

from __future__ import annotations

import pytest

from vggrepro.caffe.text import parse_net
from vggrepro.errors import UnknownLayerError, UnsupportedError
from vggrepro.layers.fork_data import AnnotatedData, ForkData
from vggrepro.layers.proposal import Proposal
from vggrepro.layers.registry import known_types
from vggrepro.layers.relu import ReLU
from vggrepro.net.kinds import (
    AMBIGUOUS,
    OWN_PARAMETERS,
    check_own_parameters,
    class_of,
    fed_shapes,
    has_own_fields,
    is_fork_data,
    is_known,
)


def test_class_of() -> None:
    python = "layer { type: 'Python' python_param { module: 'rpn.proposal_layer' layer: '%s' } }"
    net = parse_net(
        f"layer {{ type: 'ReLU' }} {python % 'ProposalLayer'} {python % 'Other'} layer {{ type: 'X' }}"
    )
    relu, proposal, other, unknown = net.layer
    assert [class_of(relu), class_of(proposal)] == [ReLU, Proposal]
    assert [is_known(layer) for layer in net.layer] == [True, True, False, False]
    with pytest.raises(
        UnknownLayerError, match=r"type: Python \(class 'Other' of module 'rpn.proposal_layer'\)$"
    ):
        class_of(other)
    with pytest.raises(UnknownLayerError, match=r"type: X$"):
        class_of(unknown)


def test_a_python_layer_with_other_bottoms_is_another_one() -> None:
    text = (
        "layer { type: 'Python' bottom: 'a' bottom: 'b' bottom: 'c' %s top: 'rois'"
        " python_param { module: 'rpn.proposal_layer' layer: 'ProposalLayer' } }"
    )
    (published,) = parse_net(text % "").layer
    assert class_of(published) is Proposal
    (own,) = parse_net(text % "bottom: 'd'").layer
    with pytest.raises(
        UnknownLayerError,
        match=r"'rpn.proposal_layer' with 4 bottom blob\(s\); the published one takes 3\)$",
    ):
        class_of(own)


def test_types_of_several_rules_say_so() -> None:
    assert not AMBIGUOUS.keys() & set(known_types())
    with pytest.raises(
        UnknownLayerError, match=r"^Unknown layer type: MMDLoss \(forks differ: of means, .*\)$"
    ):
        class_of(parse_net("layer { type: 'MMDLoss' }").layer[0])


def test_layers_that_only_give_data_are_data_layers() -> None:
    net = parse_net(
        "layer { type: 'AnnotatedData' top: 'x' } layer { type: 'HeatmapData' top: 'x' }"
        " layer { type: 'VIDEO_DATA' top: 'x' } layer { type: 'Python' top: 'x' }"
        " layer { type: 'Data' top: 'x' } layer { type: 'HeatmapData' bottom: 'x' top: 'y' }"
        " layer { type: 'Constants' top: 'x' }"
    )
    data, others = net.layer[:4], net.layer[4:]
    assert [class_of(layer) for layer in data] == [AnnotatedData, ForkData, ForkData, ForkData]
    assert [is_fork_data(layer) for layer in others] == [False] * 3
    assert [is_known(layer) for layer in others] == [True, False, False]


def test_shapes_of_data_layers_are_given_or_follow_from_the_first() -> None:
    net = parse_net(
        "layer { type: 'DenseImageData' top: 'x' top: 'y' } layer { type: 'AnnotatedData' top: 'x' top: 'y' }"
        " layer { type: 'Input' top: 'y' }"
    )
    dense, annotated, plain = net.layer
    image, labels = (2, 3, 4, 5), (2, 7)
    assert fed_shapes(dense, {"x": image}) == [image, (2, 1, 4, 5)]
    assert fed_shapes(dense, {"x": image, "y": labels}) == [image, labels]
    assert [fed_shapes(layer, {"x": image}) for layer in (annotated, plain)] == [[], []]
    assert fed_shapes(annotated, {"x": image, "y": labels}) == [image, labels]
    assert [fed_shapes(layer, {"y": labels}) for layer in net.layer] == [[], [], [labels]]


def test_writers_have_own_fields_and_give_no_data() -> None:
    (writer,) = parse_net("layer { type: 'MatWrite' bottom: 'x' }").layer
    assert has_own_fields(writer) and not is_fork_data(writer)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("fixed_param { }", "fixed_param"),
        ("quantization_param { }", "quantization_param"),
        ("loss_param { balanced: true }", "loss_param: balanced"),
        ("loss_param { negative_weight: 1.1 }", "loss_param: negative_weight"),
        ("roi_pooling_param { corner_grid: true }", "roi_pooling_param: corner_grid"),
    ],
)
def test_fields_that_only_some_types_know_are_refused_elsewhere(text: str, name: str) -> None:
    (layer,) = parse_net(f'layer {{ name: "l" type: "ReLU" {text} }}').layer
    with pytest.raises(UnsupportedError, match=f"^{name} is implemented for .* alone$"):
        check_own_parameters(layer)
    layer.type = OWN_PARAMETERS[name.replace(": ", ".")][0]
    check_own_parameters(layer)


def test_a_field_that_is_false_is_no_fault() -> None:
    text = "loss_param { balanced: false } roi_pooling_param { corner_grid: false }"
    (layer,) = parse_net(f'layer {{ name: "l" type: "ReLU" {text} }}').layer
    check_own_parameters(layer)
