"""BoxAnnotatorOHEM: against its reference, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds

from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Layer


def annotator(text: str) -> Layer:
    return parse(f'type: "BoxAnnotatorOHEM" top: "a" top: "b" box_annotator_ohem_param {{ {text} }}')


@few
@given(
    st.tuples(st.integers(1, 6), st.integers(1, 3), st.integers(1, 2)),
    st.integers(1, 4),
    st.integers(1, 9),
    st.booleans(),
    seeds,
)
def test_forward(sizes: tuple[int, int, int], channels: int, most: int, free: bool, seed: int) -> None:
    """Images and losses in any order, losses with ties."""
    number, height, width = sizes
    rng = np.random.default_rng(seed)
    regions = rng.normal(size=(number, 5, height, width)).astype(np.float32)
    regions[:, 0] = rng.integers(0, 3, (number, height, width))
    one = (number, 1, height, width)
    losses = rng.integers(0, 5, one).astype(np.float32)
    labels = rng.integers(0, 9, one).astype(np.float32)
    weights = rng.random((number, channels, height, width)).astype(np.float32)
    arrays = [regions, losses, labels, weights]
    dims = [(None, *a.shape[1:]) if free else a.shape for a in arrays]
    check_forward(annotator(f"roi_per_img: {most} ignore_label: -7"), arrays, dims=dims)


def test_by_hand() -> None:
    """Two images, two regions of each; flat blobs as R-FCN's nets have them."""
    regions = np.zeros((5, 5), np.float32)
    regions[:, 0] = [0, 1, 0, 0, 1]
    losses = np.array([0.5, 0.1, 0.9, 0.7, 0.1], np.float32)
    labels = np.array([1, 2, 3, 4, 5], np.float32)
    weights = np.arange(10, dtype=np.float32).reshape(5, 2)
    layer = annotator("roi_per_img: 2")
    top, weight = check_forward(layer, [regions, losses, labels, weights])
    assert top.shape == (5, 1, 1, 1)
    assert top.reshape(-1).tolist() == [-1, 2, 3, 4, 5]
    assert weight.reshape(5, 2).tolist() == [[0, 0], [2, 3], [4, 5], [6, 7], [8, 9]]
    first = annotator("roi_per_img: 1").reference([regions, losses, labels, weights], [], [])
    assert first.tops[0].reshape(-1).tolist() == [-1, 2, 3, -1, -1]  # of equal losses the first


def test_no_gradient_flows() -> None:
    arrays = [np.zeros((2, 5), np.float32), *(np.zeros((2, 1), np.float32) for _ in range(3))]
    d = np.ones((2, 1, 1, 1), np.float32)
    assert run_gradient(annotator("roi_per_img: 1"), arrays, [], [d, d]) == [None] * 4


def test_refuses() -> None:
    with pytest.raises(NetError, match=r"layer 'l': .*roi_per_img_ > 0"):
        annotator("roi_per_img: 0")
    layer = annotator("roi_per_img: 1")
    assert layer.out_shapes([(4, 5), (4,), (4, 1), (4, 8)]) == ((4, 1, 1, 1), (4, 8, 1, 1))
    for shapes, index in (
        ([(4, 4), (4,), (4,), (4, 8)], 0),
        ([(4, 5), (3,), (4,), (4, 8)], 1),
        ([(4, 5), (4,), (4, 2), (4, 8)], 2),
        ([(4, 5), (4,), (4,), (4, 8, 2)], 3),
    ):
        with pytest.raises(ShapeError, match=rf"bottom\[{index}\] must be of shape"):
            layer.out_shapes(shapes)
