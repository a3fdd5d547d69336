"""Pooling with exactly the node's windows and divisors, or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx_models import check, model, node

from vggrepro.errors import UnsupportedError
from vggrepro.graph.to_caffe.onnx_to_caffe import to_caffe


@pytest.mark.parametrize(
    "attributes",
    [
        {"kernel_shape": [2, 2], "strides": [2, 2]},
        {"kernel_shape": [3, 3], "strides": [2, 2]},
        {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
        {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 0]},
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 0, 1, 1]},
    ],
)
def test_max_pool(attributes: dict[str, Any]) -> None:
    check(model([node("MaxPool", "x", **attributes)], [2, 3, 8, 8]), "Pooling")


def test_average_pool() -> None:
    window = {"kernel_shape": [3, 3], "strides": [2, 2]}
    check(model([node("AveragePool", "x", **window)], [2, 3, 9, 9]), "Pooling")
    padded = {**window, "pads": [1, 1, 1, 1], "count_include_pad": 1}
    check(model([node("AveragePool", "x", **padded)], [2, 3, 9, 9]), "Pooling")
    with pytest.raises(UnsupportedError, match="an average of 2 elements where Caffe's is of 3"):
        to_caffe(model([node("AveragePool", "x", **window, pads=[1, 1, 1, 1])], [2, 3, 9, 9]))


def test_zeros_in_front_of_an_average_become_its_padding() -> None:
    constants = {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64)}
    nodes = [node("Pad", "x p", "h"), node("AveragePool", "h", kernel_shape=[3, 3], strides=[2, 2])]
    check(model(nodes, [2, 3, 9, 9], constants), "Pooling")
    with pytest.raises(UnsupportedError, match="zeros for another layer"):
        to_caffe(model([node("Pad", "x p", "h"), node("Relu", "h")], [2, 3, 9, 9], constants))
    with pytest.raises(UnsupportedError, match="zeros for another layer"):
        to_caffe(model([node("Pad", "x p")], [2, 3, 9, 9], constants))
    uneven = {"p": np.array([0, 0, 1, 1, 0, 0, 0, 0], np.int64)}
    with pytest.raises(UnsupportedError, match="zeros before it that differ by side"):
        to_caffe(model(nodes, [2, 3, 9, 9], uneven))


def test_global_pools_and_lrn() -> None:
    check(model([node("GlobalAveragePool", "x")], [2, 3, 4, 5]), "Pooling")
    check(model([node("GlobalMaxPool", "x")], [2, 3, 4, 5]), "Pooling")
    check(model([node("LRN", "x", size=3, alpha=0.2, beta=0.6, bias=1.5)], [2, 5, 4, 5]), "LRN")
    with pytest.raises(UnsupportedError, match="size 4, expected an odd one"):
        to_caffe(model([node("LRN", "x", size=4)], [2, 5, 4, 5]))


@pytest.mark.parametrize("opset", [13, 18])
def test_reductions(opset: int) -> None:
    def reduce(operator: str, axes: list[int], keepdims: int) -> Any:
        if opset < 18:
            return model([node(operator, "x", axes=axes, keepdims=keepdims)], [2, 3, 4, 5], opset=opset)
        constants = {"a": np.array(axes, np.int64)}
        return model([node(operator, "x a", keepdims=keepdims)], [2, 3, 4, 5], constants)

    check(reduce("ReduceMean", [2, 3], 1), "Pooling")
    check(reduce("ReduceMean", [2, 3], 0), "Reduction")
    check(reduce("ReduceL1", [-1], 0), "Reduction")
    check(reduce("ReduceSumSquare", [1, 2, 3], 1), "Reduction", "Reshape")
    with pytest.raises(UnsupportedError, match="expected the last ones"):
        to_caffe(reduce("ReduceMean", [2], 1))


@pytest.mark.parametrize(
    ("operator", "channels", "pixels", "rows"),
    [
        ("ReduceSum", ["Convolution"], ["Reduction"], ["Reduction"]),
        ("ReduceMean", ["Convolution"], ["Reduction"], ["Reduction"]),
        ("ReduceL1", ["AbsVal", "Convolution"], ["Reduction"], ["Reduction"]),
        ("ReduceSumSquare", ["Power", "Convolution"], ["Reduction"], ["Reduction"]),
        ("ReduceL2", ["Power", "Convolution", "Power"], ["Reduction", "Power"], ["Reduction", "Power"]),
        ("ReduceMax", None, ["Pooling"], None),
    ],
)
def test_reductions_of_each_kind_of_axes(
    operator: str, channels: list[str] | None, pixels: list[str], rows: list[str] | None
) -> None:
    """A blob's channels stay as one axis in Caffe's layers, its last axes do not."""
    for axes, layers, keeps in (
        ([1], channels, 1),
        ([2, 3], pixels, int(operator == "ReduceMax")),
        ([-1], rows, 0),
    ):
        for keepdims in (0, 1):
            made = model(
                [node(operator, "x a", keepdims=keepdims)], [2, 3, 4, 5], {"a": np.array(axes, np.int64)}
            )
            if layers is None:
                with pytest.raises(UnsupportedError, match=f"operator {operator} .* axes"):
                    to_caffe(made)
            elif (operator, axes, keepdims) == ("ReduceMean", [2, 3], 1):
                check(made, "Pooling")
            else:
                check(made, *layers, *(["Reshape"] if keepdims != keeps else []))


def test_sums_over_the_channels_of_a_series() -> None:
    constants = {"a": np.array([1], np.int64)}
    check(model([node("ReduceSum", "x a", keepdims=0)], [2, 3, 4], constants), "Convolution", "Reshape")
