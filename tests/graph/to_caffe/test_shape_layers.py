"""Nodes that move values."""

from __future__ import annotations

import numpy as np
import pytest
from onnx_models import check, model, node

from vggrepro.errors import UnsupportedError
from vggrepro.graph.to_caffe.onnx_to_caffe import to_caffe


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def test_reshape_and_its_kin_keep_the_batch() -> None:
    message = check(model([node("Reshape", "x s")], [2, 3, 4], {"s": ints(2, 12)}), "Reshape")
    assert list(message.layer[1].reshape_param.shape.dim) == [0, 12]
    check(model([node("Flatten", "x")], [2, 3, 4]), "Flatten")
    check(model([node("Flatten", "x", axis=2)], [2, 3, 4]), "Reshape")
    check(model([node("Unsqueeze", "x a")], [2, 3, 4], {"a": ints(1)}), "Reshape")
    check(model([node("Squeeze", "x a")], [2, 1, 4], {"a": ints(1)}), "Reshape")


def test_sizes_that_are_computed_are_folded() -> None:
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s first", "n"),
        node("Concat", "n rest", "t", axis=0),
        node("Reshape", "x t"),
    ]
    check(model(nodes, ["batch", 3, 4], {"first": ints(0), "rest": ints(-1)}), "Reshape")


def test_concat_split_and_tile() -> None:
    nodes = [node("Split", "x s", "a b c", axis=1), node("Concat", "c a", axis=1), node("Relu", "b", "z")]
    check(model(nodes, [2, 6, 4], {"s": ints(1, 2, 3)}, outputs=("y", "z")), "Slice", "Concat", "ReLU")
    check(model([node("Tile", "x t")], [2, 3, 4], {"t": ints(1, 2, 3)}), "Tile", "Tile")


def test_slice() -> None:
    constants = {"s": ints(1, 0), "e": ints(3, -1), "a": ints(1, 2)}
    layers = ("Slice", "Silence", "Slice", "Silence")
    check(model([node("Slice", "x s e a")], [2, 4, 5], constants), *layers)


def test_slices_with_steps_over_pixels() -> None:
    def constants(starts: np.ndarray, ends: np.ndarray, steps: np.ndarray) -> dict[str, np.ndarray]:
        return {"s": starts, "e": ends, "a": ints(2, -1), "t": steps}

    sliced = [node("Slice", "x s e a t")]
    check(model(sliced, [2, 3, 6, 7], constants(ints(0, 0), ints(99, 99), ints(2, 3))), "Pooling")
    cut = constants(ints(1, -4), ints(99, -1), ints(2, 2))
    check(model(sliced, [2, 3, 6, 7], cut), "Slice", "Silence", "Slice", "Silence", "Pooling")
    backwards = {"s": ints(-1), "e": ints(-99), "a": ints(3), "t": ints(-1)}
    rows = {"s": ints(0), "e": ints(99), "a": ints(2), "t": ints(2)}
    for shape, refused in (([2, 3, 6, 7], backwards), ([2, 3, 6], rows), ([2, 3, 6, 7, 8], rows)):
        with pytest.raises(UnsupportedError, match=r"steps \["):
            to_caffe(model(sliced, shape, refused))


def test_expand() -> None:
    check(model([node("Expand", "x s")], [2, 1, 5, 1], {"s": ints(2, 3, 5, 4)}), "Tile", "Tile")
    check(model([node("Expand", "x s")], [2, 5], {"s": ints(3, 1, 5)}), "Reshape", "Tile")
    nodes = [node("Expand", "x s", "h"), node("Relu", "h")]
    check(model(nodes, [2, 5], {"s": ints(2, 1)}), "ReLU")


def test_dropout_and_identity() -> None:
    made = model([node("Dropout", "x r", "h"), node("Identity", "h")], [2, 3], {"r": np.float32(0.3)})
    message = check(made, "Dropout")
    assert message.layer[1].dropout_param.dropout_ratio == pytest.approx(0.3)
    check(model([node("Identity", "x")], [2, 3]), "Split")
    with pytest.raises(UnsupportedError, match="the mask"):
        to_caffe(model([node("Dropout", "x", "y m")], [2, 3]))
