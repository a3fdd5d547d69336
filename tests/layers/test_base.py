"""The contract's defaults."""

from __future__ import annotations

from harness import parse

from vggrepro.caffe.messages import LayerParameter
from vggrepro.layers.base import Count, at_least, exactly
from vggrepro.layers.registry import known_types, layer_class


def test_counts_name_the_limit_in_caffes_words() -> None:
    assert 2 in exactly(2) and 3 not in exactly(2) and exactly(2).limit(3) == "2"
    assert 9 in at_least(2) and at_least(2).limit(1) == "at least 2"
    assert Count(1, 2).limit(3) == "at most 2"


def test_facts_of_types() -> None:
    def types(fact: str) -> set[str]:
        return {name for name in known_types() if getattr(layer_class(name), fact) is True}

    assert {"SoftmaxWithLoss", "EuclideanLoss"} <= types("loss") and "Accuracy" not in types("loss")
    assert types("gives_posteriors") == {"Softmax"}
    assert types("silences") == {"Silence"}
    assert parse('type: "Accuracy" accuracy_param { top_k: 5 }').top_k_accuracy == 5
    assert parse('type: "ReLU"').top_k_accuracy is None
    assert types("steep") == {"ArgMax", "Log", "SignedSqrt", "Threshold"}
    powers = {
        power: parse(f'type: "Power" power_param {{ power: {power} }}').steep for power in (-1, 0.5, 1, 2)
    }
    assert powers == {-1: True, 0.5: True, 1: False, 2: False}
    assert not parse('type: "Power" power_param { power: 0.5 scale: 0 }').steep


def test_only_convolutions_and_fully_connected_layers_have_the_papers_fillers() -> None:
    products = {n for n in known_types() if layer_class(n).fillers(LayerParameter(type=n)) is not None}
    assert {"Convolution", "Deconvolution", "InnerProduct"} <= products
    assert not products & {"Embed", "Scale", "PReLU", "LSTM"}


def test_losses_with_a_prediction_name_the_layer_that_makes_it() -> None:
    definition = LayerParameter(type="SoftmaxWithLoss", bottom=["fc8", "label"])
    definition.softmax_param.axis = 2
    prediction = parse('type: "SoftmaxWithLoss"').prediction(definition)
    assert (prediction.type, list(prediction.bottom), prediction.softmax_param.axis) == (
        "Softmax",
        ["fc8"],
        2,
    )
    assert parse('type: "SigmoidCrossEntropyLoss"').prediction(definition).type == "Sigmoid"
    assert parse('type: "EuclideanLoss"').prediction(definition) is None
