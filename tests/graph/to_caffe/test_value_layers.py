"""Nodes that work on single values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx_models import check, model, node, random

from vggrepro.errors import UnsupportedError
from vggrepro.graph.to_caffe.onnx_to_caffe import to_caffe

SHAPE = [2, 3, 4, 5]


@pytest.mark.parametrize(
    ("operator", "attributes", "layer"),
    [
        ("Relu", {}, "ReLU"),
        ("LeakyRelu", {"alpha": 0.3}, "ReLU"),
        ("Elu", {"alpha": 0.7}, "ELU"),
        ("Sigmoid", {}, "Sigmoid"),
        ("Tanh", {}, "TanH"),
        ("Abs", {}, "AbsVal"),
        ("Exp", {}, "Exp"),
        ("Log", {}, "Log"),
        ("Softplus", {}, "BNLL"),
        ("Neg", {}, "Power"),
        ("Sqrt", {}, "Power"),
        ("Reciprocal", {}, "Power"),
        ("Softmax", {"axis": 1}, "Softmax"),
        ("Softmax", {}, "Softmax"),
    ],
)
def test_activations(operator: str, attributes: dict[str, Any], layer: str) -> None:
    positive = operator in ("Log", "Sqrt", "Reciprocal")
    check(model([node(operator, "x", **attributes)], SHAPE), layer, positive=positive)


@pytest.mark.parametrize(
    ("operator", "attributes", "layers"),
    [
        ("Selu", {}, ["ELU", "Power"]),
        ("Selu", {"alpha": 1.5, "gamma": 0.5}, ["ELU", "Power"]),
        ("HardSigmoid", {}, ["Power", "Clip"]),
        ("HardSigmoid", {"alpha": 0.7, "beta": 0.1}, ["Power", "Clip"]),
        ("HardSwish", {}, ["Power", "Clip", "Eltwise"]),
        ("LogSoftmax", {"axis": 1}, ["Softmax", "Log"]),
    ],
)
def test_activations_of_several_layers(operator: str, attributes: dict[str, Any], layers: list[str]) -> None:
    check(
        model([node("Mul", "x c", "h"), node(operator, "h", **attributes)], SHAPE, {"c": number(3)}),
        "Power",
        *layers,
    )


def number(value: float) -> np.ndarray:
    return np.array(value, np.float32)


def test_bounds() -> None:
    constants = {"a": number(-0.5), "b": number(0.5), "o": number(0)}
    check(model([node("Clip", "x a b")], SHAPE, constants), "Clip")
    check(model([node("Clip", "x o")], SHAPE, constants), "ReLU")
    check(model([node("Max", "x a")], SHAPE, constants), "Clip")
    check(model([node("Min", "b x")], SHAPE, constants), "Clip")
    check(model([node("Clip", "x", min=0.0, max=6.0)], SHAPE, opset=10), "Clip")
    check(model([node("Neg", "x", "h"), node("Max", "x h")], SHAPE), "Power", "Eltwise")
    with pytest.raises(UnsupportedError, match="operator Min"):
        to_caffe(model([node("Neg", "x", "h"), node("Min", "x h")], SHAPE))


@pytest.mark.parametrize("operator", ["Add", "Sub", "Mul", "Div"])
def test_constants(operator: str) -> None:
    layer = "Bias" if operator in ("Add", "Sub") else "Scale"
    for shape in ((3, 1, 1), (1, 3, 4, 1), (5,)):
        check(model([node(operator, "x c")], SHAPE, {"c": random(*shape) + 2}), layer)
    check(model([node(operator, "x c")], SHAPE, {"c": number(1.5)}), "Power")
    if operator == "Sub":
        check(model([node("Sub", "c x")], SHAPE, {"c": number(1.5)}), "Power", "Power")
        check(model([node("Sub", "c x")], SHAPE, {"c": random(3, 1, 1)}), "Power", "Bias")
    if operator == "Div":
        with pytest.raises(UnsupportedError, match=r"operator Div .* a blob and a constant"):
            to_caffe(model([node("Div", "c x")], SHAPE, {"c": number(1.5)}))
    with pytest.raises(UnsupportedError, match="on a blob of shape"):
        to_caffe(model([node(operator, "x c")], SHAPE, {"c": random(3, 1, 5)}))
    with pytest.raises(UnsupportedError, match="enlarges the blob"):
        to_caffe(model([node(operator, "x c")], [2, 1, 4, 5], {"c": random(3, 1, 1)}))


@pytest.mark.parametrize(
    ("operator", "layers"),
    [("Add", ["Eltwise"]), ("Sub", ["Eltwise"]), ("Mul", ["Eltwise"]), ("Div", ["Power", "Eltwise"])],
)
def test_blobs_of_one_shape(operator: str, layers: list[str]) -> None:
    nodes = [node("Exp", "x", "h"), node(operator, "x h")]
    check(model(nodes, SHAPE), "Exp", *layers)


def test_a_blob_with_itself() -> None:
    check(model([node("Add", "x x")], SHAPE), "Power", "Power", "Eltwise")


@pytest.mark.parametrize(
    ("operator", "layers"),
    [
        ("Mul", ["Reshape", "Scale"]),
        ("Add", ["Reshape", "Bias"]),
        ("Sub", ["Reshape", "Power", "Bias"]),
        ("Div", ["Reshape", "Power", "Scale"]),
    ],
)
def test_a_blob_that_covers_the_first_axes(operator: str, layers: list[str]) -> None:
    nodes = [node("GlobalAveragePool", "x", "h"), node(operator, "x h")]
    check(model(nodes, SHAPE), "Pooling", *layers, positive=True)


def test_powers() -> None:
    check(model([node("Pow", "x c")], SHAPE, {"c": number(3)}), "Power")
    with pytest.raises(UnsupportedError, match=r"input 1 has shape \(.*\), expected one number"):
        to_caffe(model([node("Pow", "x c")], SHAPE, {"c": random(5)}))


def test_softmax_of_older_operator_sets_goes_over_all_axes_behind() -> None:
    """Before operator set 13 the second axis was the default, and those behind it belonged to it."""
    check(model([node("Softmax", "x")], [2, 3], opset=12), "Softmax")
    check(model([node("Softmax", "x", axis=1)], [2, 3, 1, 1], opset=12), "Softmax")
    with pytest.raises(UnsupportedError, match="Softmax of operator set 12 over several axes"):
        to_caffe(model([node("Softmax", "x")], [2, 3, 4, 5], opset=12))


def test_bounds_that_are_no_numbers() -> None:
    empty = {"w": np.zeros(0, np.float32)}
    with pytest.raises(UnsupportedError, match=r"input 1 has shape \(0,\), expected one number"):
        to_caffe(model([node("Clip", "x w")], [2, 3], empty))
