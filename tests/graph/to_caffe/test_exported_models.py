"""Graphs as PyTorch's exporter writes plain networks (operator sets 11 to 18).

Constants are nodes of their own, ReLU6 is a Clip, sizes are computed, pooling has ``ceil_mode``, and averages
are GlobalAveragePool, ReduceMean or a pooling of one pixel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import numpy_helper
from onnx_models import check, model, node, random

OPSETS = [11, 13, 15, 18]


def constant(name: str, value: Any, dtype: Any = np.int64) -> Any:
    return node("Constant", "", name, value=numpy_helper.from_array(np.array(value, dtype)))


def conv(
    name: str, bottom: str, out: int, into: int, kernel: int = 3, **more: Any
) -> tuple[Any, dict[str, np.ndarray]]:
    pads = more.pop("pads", [kernel // 2] * 4)
    made = node(
        "Conv",
        f"{bottom} {name}.weight {name}.bias",
        name,
        **{
            "dilations": [1, 1],
            "group": 1,
            "kernel_shape": [kernel] * 2,
            "pads": pads,
            "strides": [1, 1],
            **more,
        },
    )
    weight = random(out, into // more.get("group", 1), kernel, kernel) * np.float32(0.3)
    return made, {f"{name}.weight": weight, f"{name}.bias": random(out)}


def joined(*parts: Any) -> tuple[list[Any], dict[str, np.ndarray]]:
    """The nodes, and the constants that come with convolutions."""
    nodes, constants = [], {}
    for part in parts:
        one, more = part if isinstance(part, tuple) else (part, {})
        nodes.append(one)
        constants.update(more)
    return nodes, constants


def gemm(bottom: str, out: int, into: int, top: str = "y") -> tuple[Any, dict[str, np.ndarray]]:
    made = node("Gemm", f"{bottom} fc.weight fc.bias", top, alpha=1.0, beta=1.0, transB=1)
    return made, {"fc.weight": random(out, into), "fc.bias": random(out)}


@pytest.mark.parametrize("opset", OPSETS)
def test_vgg(opset: int) -> None:
    """The adaptive pooling to the size that is there is a pooling of one pixel."""
    nodes, constants = joined(
        conv("c1", "x", 4, 3),
        node("Relu", "c1", "r1"),
        node(
            "MaxPool",
            "r1",
            "p1",
            ceil_mode=0,
            dilations=[1, 1],
            kernel_shape=[2, 2],
            pads=[0] * 4,
            strides=[2, 2],
        ),
        node(
            "AveragePool",
            "p1",
            "a",
            ceil_mode=0,
            count_include_pad=1,
            kernel_shape=[1, 1],
            pads=[0] * 4,
            strides=[1, 1],
        ),
        node("Flatten", "a", "f", axis=1),
        gemm("f", 5, 4 * 9),
    )
    layers = ["Convolution", "ReLU", "Pooling", "Pooling", "Flatten", "InnerProduct"]
    check(model(nodes, [2, 3, 6, 6], constants, opset=opset), *layers)


@pytest.mark.parametrize("opset", OPSETS)
def test_resnet(opset: int) -> None:
    """Blocks with folded batch normalization, one with a convolution beside it, and a computed Reshape."""
    nodes, constants = joined(
        conv("c1", "x", 4, 3, strides=[2, 2]),
        node("Relu", "c1", "r1"),
        node("MaxPool", "r1", "p1", ceil_mode=0, kernel_shape=[3, 3], pads=[1] * 4, strides=[2, 2]),
        conv("c2", "p1", 4, 4),
        node("Add", "c2 p1", "s2"),
        node("Relu", "s2", "r2"),
        conv("c3", "r2", 6, 4, strides=[2, 2]),
        conv("d3", "r2", 6, 4, 1, pads=[0] * 4, strides=[2, 2]),
        node("Add", "c3 d3", "s3"),
        node("Relu", "s3", "r3"),
        node("GlobalAveragePool", "r3", "g"),
        node("Shape", "g", "size"),
        constant("first", [0]),
        node("Gather", "size first", "n", axis=0),
        constant("rest", [-1]),
        node("Concat", "n rest", "to", axis=0),
        node("Reshape", "g to", "f"),
        gemm("f", 5, 6),
    )
    layers = [
        "Convolution",
        "ReLU",
        "Pooling",
        "Convolution",
        "Eltwise",
        "ReLU",
        "Convolution",
        "Convolution",
    ]
    layers += ["Eltwise", "ReLU", "Pooling", "Reshape", "InnerProduct"]
    check(model(nodes, ["batch", 3, 17, 19], constants, opset=opset), *layers)


@pytest.mark.parametrize("mean", ["pool", "reduce"])
@pytest.mark.parametrize("opset", OPSETS)
def test_mobilenet_v2(opset: int, mean: str) -> None:
    """ReLU6, a convolution of each channel, a linear bottleneck."""
    ends: tuple[Any, ...] = (node("GlobalAveragePool", "c3", "g"), node("Flatten", "g", "f", axis=1))
    if mean == "reduce":
        axes = {"axes": [2, 3]} if opset < 18 else {}
        ends = (
            constant("axes", [2, 3]),
            node("ReduceMean", "c3" if axes else "c3 axes", "f", keepdims=0, **axes),
        )
    nodes, constants = joined(
        conv("c1", "x", 6, 3),
        constant("least", 0, np.float32),
        constant("most", 6, np.float32),
        node("Clip", "c1 least most", "r1"),
        conv("c2", "r1", 6, 6, strides=[2, 2], group=6),
        node("Clip", "c2 least most", "r2"),
        conv("c3", "r2", 4, 6, 1),
        *ends,
        gemm("f", 5, 4),
    )
    rest = ["Pooling", "Flatten"] if mean == "pool" else ["Reduction"]
    layers = ["Convolution", "Clip", "Convolution", "Clip", "Convolution", *rest, "InnerProduct"]
    check(model(nodes, [2, 3, 9, 9], constants, opset=opset), *layers)


@pytest.mark.parametrize("opset", OPSETS)
def test_densenet(opset: int) -> None:
    """Batch normalization in front of activation and convolution, growing Concats, a transition."""
    statistics = {f"n.{k}": np.abs(random(3)) + np.float32(0.5) for k in "wbmv"}
    nodes, constants = joined(
        (node("BatchNormalization", "x n.w n.b n.m n.v", "n", epsilon=1e-5, momentum=0.9), statistics),
        node("Relu", "n", "r"),
        conv("c1", "r", 2, 3),
        node("Concat", "x c1", "k1", axis=1),
        node("Concat", "x c1 k1", "k2", axis=1),
        node(
            "AveragePool",
            "k2",
            "a",
            ceil_mode=0,
            count_include_pad=1,
            kernel_shape=[2, 2],
            pads=[0] * 4,
            strides=[2, 2],
        ),
        node("GlobalAveragePool", "a", "g"),
        node("Flatten", "g", "f", axis=1),
        gemm("f", 5, 10),
    )
    layers = [
        "BatchNorm",
        "Scale",
        "ReLU",
        "Convolution",
        "Concat",
        "Concat",
        "Pooling",
        "Pooling",
        "Flatten",
        "InnerProduct",
    ]
    check(model(nodes, [2, 3, 8, 8], constants, opset=opset), *layers)


@pytest.mark.parametrize("size", [13, 14, 15, 16])
@pytest.mark.parametrize("opset", OPSETS)
def test_squeezenet(opset: int, size: int) -> None:
    """Pooling with ``ceil_mode``, whose windows are Caffe's own; a fully convolutional end."""
    nodes, constants = joined(
        conv("c1", "x", 4, 3, pads=[0] * 4, strides=[2, 2]),
        node("Relu", "c1", "r1"),
        node("MaxPool", "r1", "p1", ceil_mode=1, kernel_shape=[3, 3], pads=[0] * 4, strides=[2, 2]),
        conv("s", "p1", 2, 4, 1),
        node("Relu", "s", "rs"),
        conv("e1", "rs", 3, 2, 1),
        conv("e3", "rs", 3, 2),
        node("Concat", "e1 e3", "k", axis=1),
        conv("last", "k", 5, 6, 1),
        node("Relu", "last", "rl"),
        node("GlobalAveragePool", "rl", "g"),
        node("Flatten", "g", "y", axis=1),
    )
    layers = ["Convolution", "ReLU", "Pooling", "Convolution", "ReLU", "Convolution", "Convolution", "Concat"]
    check(
        model(nodes, [2, 3, size, size], constants, opset=opset),
        *layers,
        "Convolution",
        "ReLU",
        "Pooling",
        "Flatten",
    )


@pytest.mark.parametrize("opset", OPSETS)
def test_zeros_in_front_of_a_convolution_with_a_stride(opset: int) -> None:
    """nn.ZeroPad2d, on two sides alone, as nets have that were brought from TensorFlow."""
    nodes, constants = joined(
        constant("pads", [0, 0, 0, 0, 0, 0, 1, 1]),
        constant("zero", 0, np.float32),
        node("Pad", "x pads zero", "p", mode="constant"),
        conv("y", "p", 4, 3, pads=[0] * 4, strides=[2, 2]),
    )
    for size in (8, 9):
        message = check(model(nodes, [2, 3, size, size], constants, opset=opset), "Convolution")
        assert list(message.layer[1].convolution_param.pad) == ([1] if size == 8 else [])


def test_weights_that_two_layers_share() -> None:
    nodes, constants = joined(
        conv("c1", "x", 3, 3), node("Identity", "c1.weight", "again"), node("Relu", "c1", "r1")
    )
    nodes.append(node("Conv", "r1 again c1.bias", "y", kernel_shape=[3, 3], pads=[1] * 4))
    check(model(nodes, [2, 3, 5, 5], constants, opset=13), "Convolution", "ReLU", "Convolution")
