"""MarginInnerProduct: against its reference, SphereFace's loops, and its own gradient."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from harness import check_forward, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, values

from vggrepro.caffe.messages import TEST, TRAIN
from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Layer

TYPES = ["SINGLE", "DOUBLE", "TRIPLE", "QUADRUPLE"]


def sphere(text: str, phase: int = TRAIN, tops: int = 2) -> Layer:
    named = " ".join(f'top: "t{index}"' for index in range(tops))
    return parse(f'type: "MarginInnerProduct" {named} margin_inner_product_param {{ {text} }}', phase)


def own(kind: str, c: float, length: float) -> tuple[float, float, float]:
    """SphereFace's score of a label for a cosine, and what its gradient has of the weight and of the
    input."""
    s0 = np.sign(c)
    if kind == "DOUBLE":
        return (
            length * (2 * s0 * c**2 - 1),
            4 * s0 * c,
            -(2 * s0 * c**2 + 1) / length,
        )
    if kind == "TRIPLE":
        s1 = np.sign(abs(c) - 0.5)
        s2 = s0 * (1 + s1) - 2
        return (
            length * (s1 * (4 * c**3 - 3 * c) + s2),
            s1 * (12 * c**2 - 3),
            -(8 * s1 * c**3 - s2) / length,
        )
    s3 = s0 * np.sign(2 * c**2 - 1)
    s4 = 2 * s0 + s3 - 3
    return (
        length * (s3 * (8 * c**4 - 8 * c**2 + 1) + s4),
        s3 * (32 * c**3 - 16 * c),
        -(s3 * (24 * c**4 - 8 * c**2 - 1) - s4) / length,
    )


def loops(
    kind: str, lam: float, x: np.ndarray, w: np.ndarray, labels: np.ndarray, dy: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    w = w / np.sqrt((w**2).sum(1, keepdims=True))
    top, dx = x @ w.T, dy @ w
    for i, label in enumerate(labels if kind != "SINGLE" else []):
        length = sqrt((x[i] ** 2).sum())
        score, of_weight, of_input = own(kind, top[i, label] / length, length)
        top[i, label] = (lam * top[i, label] + score) / (1 + lam)
        size = sqrt(of_weight**2 + of_input**2)
        direction = (of_weight * w[label] + of_input * x[i]) / size
        dx[i] += dy[i, label] / (1 + lam) * (direction - w[label])
    return top, dx, dy.T @ x


@few
@given(
    st.sampled_from(TYPES),
    st.integers(1, 5),
    st.integers(2, 5),
    st.integers(1, 4),
    st.sampled_from([TRAIN, TEST]),
    seeds,
    st.data(),
)
def test_by_loops(
    kind: str, number: int, inputs: int, classes: int, phase: int, seed: int, data: st.DataObject
) -> None:
    layer = sphere(f"num_output: {classes} type: {kind} base: 10 gamma: 0.5 power: 2 lambda_min: 0.2", phase)
    x, w, dy = (
        values(seed, (number, inputs)),
        values(seed + 1, (classes, inputs)),
        values(seed, (number, classes)),
    )
    labels = np.random.default_rng(seed).integers(0, classes, number).astype(np.float32)
    state = np.array(seed % 3)
    lam = max(10 / (1 + 0.5 * (seed % 3 + 1)) ** 2, 0.2)
    free = data.draw(freed(x.shape, but=(1,)))
    top, found = check_forward(layer, [x, labels], [w], [state], dims=[free, labels.shape], atol=1e-5)
    grads = run_gradient(layer, [x, labels], [w], [dy, None], states=[state])
    expected = loops(kind, lam, x.astype(float), w.astype(float), labels.astype(int), dy.astype(float))
    np.testing.assert_allclose(top, expected[0], rtol=1e-4, atol=2e-5)
    assert found[0] == pytest.approx(lam, rel=1e-5)
    np.testing.assert_allclose(grads[0], expected[1], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(grads[2], expected[2], rtol=1e-4, atol=1e-5)


def test_weights_of_length_one_replace_the_learned_ones_in_train() -> None:
    x, labels, w = np.float32([[1, 2]]), np.float32([0]), np.float32([[3, 4], [0, 2]])
    for phase in (TRAIN, TEST):
        layer = sphere("num_output: 2", phase, 1)
        found = layer.reference([x, labels], [w.astype(float)], [np.array(5)])
        assert [d.moved for d in layer.param_defs([x.shape, (1,)])] == [phase == TRAIN]
        assert found.next_states[0] == 6
        assert len(found.tops) == 1
        if phase == TRAIN:
            np.testing.assert_allclose(found.next_params[0], [[0.6, 0.8], [0, 1]])
        else:
            assert found.next_params == {}


def test_refuses() -> None:
    with pytest.raises(NetError, match="must be > 0"):
        sphere("")
    with pytest.raises(UnsupportedError, match="axis 2, only 1"):
        sphere("num_output: 2 axis: 2")
    layer = sphere("num_output: 2")
    with pytest.raises(ShapeError, match="Number of labels must match number of output"):
        layer.out_shapes([(2, 3), (3,)])
    allowed = layer.allowed_labels([(2, 3), (2,)])
    assert allowed is not None
    assert (allowed.bottom, allowed.classes) == (1, 2)
