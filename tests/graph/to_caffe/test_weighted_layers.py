"""Nodes with weights become layers with blobs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx_models import check, model, node, random

from vggrepro.errors import UnsupportedError
from vggrepro.graph.to_caffe.onnx_to_caffe import to_caffe


@pytest.mark.parametrize(
    ("weight", "attributes"),
    [
        ((4, 3, 3, 3), {}),
        ((4, 3, 3, 2), {"strides": [2, 1], "pads": [1, 0, 1, 0], "dilations": [1, 2]}),
        ((6, 1, 3, 3), {"group": 3, "pads": [1, 1, 1, 1]}),
        ((4, 3, 3, 3), {"strides": [2, 2], "pads": [1, 1, 0, 0]}),  # no window reaches the other side
        ((4, 3, 3, 3), {"auto_pad": "SAME_UPPER"}),
    ],
)
def test_convolution(weight: tuple[int, ...], attributes: dict[str, Any]) -> None:
    size = (9, 11) if "strides" not in attributes or attributes["pads"] != [1, 1, 0, 0] else (8, 8)
    constants = {"w": random(*weight), "b": random(weight[0])}
    check(model([node("Conv", "x w b", **attributes)], [2, 3, *size], constants), "Convolution")
    check(model([node("Conv", "x w", **attributes)], [2, 3, *size], constants), "Convolution")


def test_convolution_over_one_and_three_axes() -> None:
    check(model([node("Conv", "x w", pads=[1, 1])], [2, 3, 9], {"w": random(4, 3, 3)}), "Convolution")
    weight = {"w": random(4, 3, 2, 3, 1)}
    check(model([node("Conv", "x w", strides=[1, 2, 1])], [2, 3, 5, 7, 4], weight), "Convolution")


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [8, 9])
@pytest.mark.parametrize("pads", [[0, 0, 1, 1], [1, 0, 0, 3], [2, 1, 0, 1], [0, 2, 1, 2], [0, 4, 0, 0]])
def test_padding_that_differs_by_side_becomes_zeros_in_the_kernel(
    pads: list[int], size: int, stride: int
) -> None:
    attributes = {"pads": pads, "strides": [stride, stride]}
    check(
        model([node("Conv", "x w", **attributes)], [2, 3, size, size], {"w": random(4, 3, 3, 2)}),
        "Convolution",
    )


def test_zeros_at_the_end_of_a_kernel_are_lost_again() -> None:
    """What the openvino target makes of a padded 1x1 convolution is one again."""
    weight = np.zeros((4, 3, 2, 2), np.float32)
    weight[:, :, 0, 1] = random(4, 3)
    message = check(
        model([node("Conv", "x w", pads=[1, 2, 2, 1])], [2, 3, 8, 8], {"w": weight}),
        "Convolution",
    )
    param = message.layer[1].convolution_param
    assert (list(param.kernel_size), list(param.pad)) == ([1], [1])


def test_padding_that_differs_by_less_than_the_dilation_is_refused() -> None:
    attributes = {"pads": [0, 0, 1, 0], "dilations": [2, 2]}
    made = model([node("Conv", "x w", **attributes)], [2, 3, 8, 8], {"w": random(4, 3, 3, 3)})
    with pytest.raises(UnsupportedError, match=r"node 'n_y': operator Conv .*: pads 0 and 1 with dilation 2"):
        to_caffe(made)
    attributes["pads"] = [0, 2, 2, 0]
    check(model([node("Conv", "x w", **attributes)], [2, 3, 8, 8], {"w": random(4, 3, 3, 3)}), "Convolution")


@pytest.mark.parametrize("automatic", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("size", [7, 8])
def test_automatic_padding(automatic: str, size: int) -> None:
    attributes = {"auto_pad": automatic, "strides": [2, 2]}
    check(
        model([node("Conv", "x w", **attributes)], [2, 3, size, size], {"w": random(4, 3, 3, 3)}),
        "Convolution",
    )


@pytest.mark.parametrize("sides", [[1, 1, 1, 1], [0, 0, 1, 1], [3, 0, 1, 2]])
def test_zeros_around_an_image_become_padding(sides: list[int]) -> None:
    constants = {"p": np.array([0, 0, *sides[:2], 0, 0, *sides[2:]], np.int64), "w": random(4, 3, 3, 3)}
    nodes = [node("Pad", "x p", "h"), node("Conv", "h w", pads=[1, 0, 1, 0], strides=[2, 2])]
    check(model(nodes, [2, 3, 8, 9], constants), "Convolution")


def test_deconvolution() -> None:
    constants = {"w": random(4, 3, 4, 4), "b": random(6)}
    attributes = {"group": 2, "strides": [2, 2], "pads": [1, 1, 1, 1]}
    check(model([node("ConvTranspose", "x w b", **attributes)], [2, 4, 5, 6], constants), "Deconvolution")
    made = model([node("ConvTranspose", "x w", output_padding=[1, 1], **attributes)], [2, 4, 5, 6], constants)
    with pytest.raises(UnsupportedError, match="output_padding"):
        to_caffe(made)


@pytest.mark.parametrize(
    ("weight", "bias", "attributes"),
    [
        ((6, 4), (4,), {}),
        ((4, 6), (1, 4), {"transB": 1, "alpha": 0.5, "beta": 2.0}),
        ((4, 6), (1,), {"transB": 1}),
    ],
)
def test_gemm(weight: tuple[int, ...], bias: tuple[int, ...], attributes: dict[str, Any]) -> None:
    constants = {"w": random(*weight), "b": random(*bias)}
    check(model([node("Gemm", "x w b", **attributes)], [3, 6], constants), "InnerProduct")
    check(model([node("Gemm", "x w", **attributes)], [3, 6], constants), "InnerProduct")


def test_matmul_and_add() -> None:
    constants = {"w": random(6, 4), "b": random(4)}
    nodes = [node("MatMul", "x w", "h"), node("Add", "h b")]
    check(model(nodes, [3, 6], constants), "InnerProduct", "Bias")
    check(model(nodes, [3, 5, 6], constants), "InnerProduct", "Bias")
    with pytest.raises(UnsupportedError, match=r"operator Gemm .*transA 1"):
        to_caffe(model([node("Gemm", "x w", transA=1)], [6, 3], constants))


def test_batch_normalization() -> None:
    constants = {"s": random(3), "b": random(3), "m": random(3), "v": np.abs(random(3))}
    made = model([node("BatchNormalization", "x s b m v", epsilon=1e-3)], [2, 3, 4, 5], constants)
    check(made, "BatchNorm", "Scale")


def test_prelu() -> None:
    check(model([node("PRelu", "x s")], [2, 3, 4, 5], {"s": random(3, 1, 1)}), "PReLU")
    check(model([node("PRelu", "x s")], [2, 3, 4, 5], {"s": random(1)}), "PReLU")
    with pytest.raises(UnsupportedError, match="slopes of shape"):
        to_caffe(model([node("PRelu", "x s")], [2, 3, 4, 5], {"s": random(4, 5)}))
