"""Nodes that become constant weights."""

from __future__ import annotations

import numpy as np
import pytest
from onnx_models import check, model, node, random

from vggrepro.errors import UnsupportedError
from vggrepro.graph.to_caffe.linear_layers import LARGEST
from vggrepro.graph.to_caffe.onnx_to_caffe import to_caffe

SHAPE = [2, 4, 5, 6]
RESAMPLED = ("Reshape", "Convolution", "Reshape", "InnerProduct", "Reshape")


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def floats(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_channels_are_shuffled_between_groups() -> None:
    """As in ShuffleNet: groups, their transposition, and channels again."""
    nodes = [
        node("Reshape", "x a", "h"),
        node("Transpose", "h", "k", perm=[0, 2, 1, 3, 4]),
        node("Reshape", "k b"),
    ]
    constants = {"a": ints(2, 2, 3, 5, 6), "b": ints(2, 6, 5, 6)}
    check(model(nodes, [2, 6, 5, 6], constants), "Reshape", "Reshape", "Convolution", "Reshape", "Reshape")


def test_transpositions() -> None:
    last = ("Reshape", "Convolution", "Reshape")
    check(model([node("Transpose", "x", perm=[0, 2, 3, 1])], SHAPE), *last)
    check(model([node("Transpose", "x", perm=[0, 2, 1])], [2, 3, 4]), *last)
    check(model([node("Transpose", "x", perm=[0, 2, 3, 1])], [2, 1, 5, 6]), "Reshape")
    check(model([node("Transpose", "x")], [1, 1, 5]), "Reshape")


@pytest.mark.parametrize(
    ("shape", "perm"), [([2, 3], [1, 0]), ([2, 3, 4], [2, 0, 1]), ([1, LARGEST, 2], [0, 2, 1])]
)
def test_transpositions_of_images_or_of_too_much(shape: list[int], perm: list[int]) -> None:
    with pytest.raises(UnsupportedError, match=r"operator Transpose .* perm \["):
        to_caffe(model([node("Transpose", "x", perm=perm)], shape))


def test_channels_that_are_gathered() -> None:
    check(model([node("Gather", "x i", axis=1)], SHAPE, {"i": ints(2, 0, -1, 0)}), "Convolution")
    check(model([node("Gather", "x i", axis=-2)], [2, 4, 5], {"i": ints(3, 1)}), "Convolution")
    for axis, index in ((2, ints(0, 1)), (0, ints(1)), (1, np.array(1, np.int64))):
        with pytest.raises(UnsupportedError, match=rf"along axis {axis} of a blob"):
            to_caffe(model([node("Gather", "x i", axis=axis)], SHAPE, {"i": index}))


def test_blocks_between_depth_and_space() -> None:
    for mode in ("DCR", "CRD"):
        check(model([node("DepthToSpace", "x", blocksize=2, mode=mode)], [2, 12, 3, 5]), "Deconvolution")
    check(model([node("SpaceToDepth", "x", blocksize=3)], [2, 3, 6, 9]), "Convolution")


def test_pixels_that_are_repeated() -> None:
    scales = {"r": floats(), "s": floats(1, 1, 2, 3)}
    message = check(model([node("Resize", "x r s")], SHAPE, scales), "Deconvolution")
    assert message.layer[1].convolution_param.group == 4
    check(model([node("Upsample", "x s")], SHAPE, {"s": floats(1, 1, 2, 2)}, opset=9), "Deconvolution")
    check(model([node("Upsample", "x", scales=[1.0, 1.0, 2.0, 2.0])], SHAPE, opset=7), "Deconvolution")
    check(model([node("Resize", "x r s")], SHAPE, {**scales, "s": floats(1, 1, 1, 1)}), "Split")


def test_images_that_are_interpolated() -> None:
    free = {"r": floats(), "s": floats()}
    sizes = {**free, "n": ints(2, 4, 9, 13)}
    check(model([node("Resize", "x r s n", mode="linear")], SHAPE, sizes), *RESAMPLED)
    older = model([node("Upsample", "x s", mode="linear")], SHAPE, {"s": floats(1, 1, 2, 1.5)}, opset=9)
    check(older, *RESAMPLED)
    with pytest.raises(UnsupportedError, match="expected the last two of four axes"):
        to_caffe(model([node("Resize", "x r s n")], SHAPE, {**free, "n": ints(2, 8, 5, 6)}))


def test_finite_values_arrive_as_they_were() -> None:
    from onnx_models import caffe_net

    from vggrepro.graph.forward import build_forward
    from vggrepro.runtime.session import Session

    _, net = caffe_net(model([node("DepthToSpace", "x", blocksize=2)], SHAPE))
    x = random(*SHAPE) * floats(1e30)
    got = Session(build_forward(net, outputs=["y"]), threads=1).run({"x": x})["y"]
    assert sorted(got.ravel()) == sorted(x.ravel())
