"""EltwiseAccuracy: against its reference and the fork's loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from harness import check_forward, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds

from vggrepro import load_net
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Layer


def accuracy(text: str = "") -> Layer:
    return parse(f'type: "EltwiseAccuracy" eltwise_accuracy_param {{ {text} }}')


@few
@given(
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(1, 2),
    st.sampled_from(["", "ignore_label: 1", "use_label: 0", "use_label: 2 ignore_label: 2"]),
    st.booleans(),
    seeds,
)
def test_by_loops(number: int, classes: int, top_k: int, which: str, free: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    top_k = min(top_k, classes)
    scores = rng.integers(0, 3, (number, classes, 2, 3)).astype(np.float32)  # with ties
    labels = rng.integers(-1, classes + 1, (number, 1, 2, 3)).astype(np.float32)
    dims = [(None if free else number, classes, 2, 3), (None if free else number, 1, 2, 3)]
    (top,) = check_forward(accuracy(f"top_k: {top_k} {which}"), [scores, labels], dims=dims)
    right = counted = 0
    for n, h, w in np.ndindex(number, 2, 3):
        label = int(labels[n, 0, h, w])
        if ("ignore_label: 1" in which and label == 1) or ("use_label: 0" in which and label != 0):
            continue
        if "use_label: 2" in which:
            continue
        best = sorted(((scores[n, c, h, w], c) for c in range(classes)), reverse=True)[:top_k]
        right += label in [c for _, c in best]
        counted += 1
    np.testing.assert_allclose(top.reshape(()), right / counted if counted else np.nan, rtol=1e-6)


def test_a_definition_of_2014(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text("""
        input: "x" input_dim: 1 input_dim: 2 input_dim: 3 input_dim: 4
        input: "label" input_dim: 1 input_dim: 1 input_dim: 3 input_dim: 4
        layers { name: "right" type: ELTWISE_ACCURACY bottom: "x" bottom: "label" top: "right"
          eltwise_accuracy_param { ignore_label: 255 } include: { phase: TEST } }""")
    (layer,) = (found.layer for found in load_net(path).layers if found.name == "right")
    assert (layer.type, layer.ignored) == ("EltwiseAccuracy", 255)


def test_refuses() -> None:
    with pytest.raises(NetError, match="top_k must be above 0"):
        accuracy("top_k: 0")
    with pytest.raises(ShapeError, match="less than or equal to the number of classes"):
        accuracy("top_k: 3").out_shapes([(1, 2, 2, 2), (1, 1, 2, 2)])
    with pytest.raises(ShapeError, match="labels"):
        accuracy().out_shapes([(1, 2, 2, 2), (1, 2, 2)])
