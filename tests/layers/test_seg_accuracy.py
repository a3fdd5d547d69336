"""SegAccuracy: against its reference, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds, values

from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Layer


def accuracy(ignored: list[int], output: list[int]) -> Layer:
    tops = " ".join(f'top: "t{index}"' for index in range(1 + len(output)))
    text = " ".join([f"ignore_label: {i}" for i in ignored] + [f"output_label: {i}" for i in output])
    return parse(f'type: "SegAccuracy" {tops} seg_accuracy_param {{ {text} }}')


@few
@given(
    st.tuples(st.integers(1, 3), st.integers(2, 5), st.integers(1, 4), st.integers(1, 4)),
    st.sampled_from([[], [255], [1, 255], [0, 1]]),
    st.booleans(),
    seeds,
)
def test_forward(shape: tuple[int, ...], ignored: list[int], free: bool, seed: int) -> None:
    n, c, h, w = shape
    labels = np.random.default_rng(seed).choice([*range(c), 255], (n, 1, h, w)).astype(np.float32)
    dims = [(None, c, None, None), (None, 1, None, None)] if free else [shape, labels.shape]
    check_forward(accuracy(ignored, [0, c - 1]), [values(seed, shape), labels], dims=dims)


def test_by_hand() -> None:
    """Four classes, of which the last neither occurs nor is predicted; a place is ignored."""
    predicted, true = [0, 0, 1, 2, 2, 1], [0, 1, 1, 2, 0, 255]
    scores = np.eye(4, dtype=np.float32)[predicted].T.reshape(1, 4, 2, 3)
    labels = np.array(true, np.float32).reshape(1, 1, 2, 3)
    whole, second, last = check_forward(accuracy([255], [1, 3]), [scores, labels])
    recalls, jaccards = [1 / 2, 1 / 2, 1], [1 / 3, 1 / 2, 1 / 2, 1]
    np.testing.assert_allclose(whole.reshape(-1), [3 / 5, np.mean(recalls), np.mean(jaccards)], rtol=1e-6)
    np.testing.assert_allclose(second.reshape(-1), [1, 1 / 2, 1 / 2], rtol=1e-6)
    np.testing.assert_allclose(last.reshape(-1), [np.nan, np.nan, 1])
    everything = accuracy([0, 1, 2, 255], []).reference([scores, labels], [], []).tops[0]
    assert everything.reshape(-1).tolist() == [0, 0, 1]


def test_refuses() -> None:
    with pytest.raises(UnsupportedError, match="reset: false"):
        parse('type: "SegAccuracy" seg_accuracy_param { reset: false }')
    with pytest.raises(NetError, match=r"top.size\(\) == output_label_.size\(\) \+ 1"):
        parse('type: "SegAccuracy" seg_accuracy_param { output_label: 1 }')
    layer = accuracy([], [2])
    assert not layer.has_gradient
    with pytest.raises(ShapeError, match="beyond the 2 classes"):
        layer.out_shapes([(1, 2, 3, 3), (1, 1, 3, 3)])
    for shapes in ([(1, 1, 3, 3), (1, 1, 3, 3)], [(1, 3, 3, 3), (1, 1, 3, 4)]):
        with pytest.raises(ShapeError, match="at least 2 classes"):
            layer.out_shapes(shapes)
