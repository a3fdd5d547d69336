"""InnerDistance: against its reference, central differences, and the fork's own gradients."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds, values

from vggrepro.caffe.messages import TEST, TRAIN
from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Layer


def inner_distance(text: str, bottoms: int = 1, phase: int = TEST) -> Layer:
    named = " ".join(f'bottom: "b{index}"' for index in range(bottoms))
    return parse(f'type: "InnerDistance" {named} inner_distance_param {{ {text} }}', phase)


@few
@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=3),
    st.lists(st.integers(1, 4), min_size=1, max_size=2),
    st.integers(1, 5),
    st.sampled_from(["L2", "L1"]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    seeds,
)
def test_inner_distance(
    leading: list[int],
    inputs: list[int],
    centres: int,
    kind: str,
    normalize: bool,
    given_centres: bool,
    free: bool,
    seed: int,
) -> None:
    text = f"num_output: {centres} bias_term: false distance_type: '{kind}' axis: {len(leading)}"
    layer = inner_distance(text + f" normalize: {str(normalize).lower()}", 1 + given_centres)
    x, weight = values(seed, (*leading, *inputs)), values(seed + 1, (centres, int(np.prod(inputs))), -2, 2)
    bottoms, params = ([x, weight], []) if given_centres else ([x], [weight])
    dims = [(*(None if free else size for size in leading), *inputs), *(b.shape for b in bottoms[1:])]
    (y,) = check_forward(layer, bottoms, params, dims=dims)
    rows, used = x.astype(float).reshape(-1, weight.shape[1]), weight.astype(float)
    if normalize and not given_centres:
        used = used / np.sqrt((used**2).sum(1, keepdims=True) + 1e-6)
    expected = [[(np.abs(row - c) ** (2 if kind == "L2" else 1)).sum() for c in used] for row in rows]
    np.testing.assert_allclose(y.reshape(len(rows), centres), expected, rtol=1e-4, atol=1e-4)
    if kind == "L2" and not normalize:
        check_gradient(layer, bottoms, params)


def slopes(
    x: np.ndarray, centres: np.ndarray, dy: np.ndarray, labels: np.ndarray | None, squares: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The fork's loops."""
    d_x, d_centres = np.zeros(x.shape), np.zeros(centres.shape)
    for m, n, k in np.ndindex(len(x), len(centres), x.shape[1]):
        away = float(x[m, k]) - float(centres[n, k])
        one = 2 * away * dy[m, n] if squares else dy[m, n] * (away > 0) - (away < 0)
        other = -2 * away * dy[m, n] if squares else dy[m, n] * (away < 0) - (away > 0)
        d_x[m, k] += one
        if labels is None or labels[m] == n:
            d_centres[n, k] += other
    return d_x, d_centres


@pytest.mark.parametrize("kind", ["L1", "L2"])
@pytest.mark.parametrize("by_label", [False, True])
def test_the_forks_gradients(kind: str, by_label: bool) -> None:
    x, centres, dy = values(1, (4, 3)), values(2, (5, 3)), values(3, (4, 5), -2, 2)
    labels = np.float32([0, 4, 4, 2])
    text = f"bias_term: false distance_type: '{kind}' update_center_only: {str(by_label).lower()}"
    bottoms = [x, centres, labels] if by_label else [x, centres]
    got = run_gradient(inner_distance(text, len(bottoms)), bottoms, (), [dy])
    expected = slopes(x, centres, dy, labels if by_label else None, kind == "L2")
    for array, wanted in zip(got[:2], expected, strict=True):
        np.testing.assert_allclose(array, wanted, rtol=1e-4, atol=1e-5)
    if not by_label:
        learned = inner_distance(f"num_output: 5 bias_term: false distance_type: '{kind}'")
        for array, wanted in zip(run_gradient(learned, [x], [centres], [dy]), expected, strict=True):
            np.testing.assert_allclose(array, wanted, rtol=1e-4, atol=1e-5)


def test_centres_of_length_one_replace_the_learned_ones_in_train() -> None:
    layer = inner_distance("num_output: 1 bias_term: false normalize: true", phase=TRAIN)
    x, centres, dy = values(1, (2, 2)), np.float32([[3, 4]]), values(2, (2, 1))
    check_forward(layer, [x], [centres])
    moved = layer.reference([x], [centres.astype(float)], ()).next_params[0]
    np.testing.assert_allclose(moved, [[0.6, 0.8]], rtol=1e-6)
    assert layer.param_defs([x.shape])[0].moved
    found = run_gradient(layer, [x], [centres], [dy])
    for array, wanted in zip(found, slopes(x, moved, dy, None, True), strict=True):
        np.testing.assert_allclose(array, wanted, rtol=1e-4, atol=1e-5)


def test_refuses() -> None:
    plain = "num_output: 3 bias_term: false"
    for text, problem in (
        ("num_output: 3", "bias_term: false are implemented"),
        (f"{plain} transpose: true", "only transpose: false"),
        (f"{plain} distance_type: 'cos'", "distance_type 'cos'"),
        (f"{plain} update_center_only: true", "takes centres and labels"),
    ):
        with pytest.raises(UnsupportedError, match=problem):
            inner_distance(text)
    with pytest.raises(NetError, match="must be > 0"):
        inner_distance("bias_term: false")
    with pytest.raises(ShapeError, match=r"bottom\[1\] must be centres of 12 numbers"):
        inner_distance(plain, 2).out_shapes([(2, 3, 4), (5, 11)])
    labelled = inner_distance(f"{plain} update_center_only: true", 3)
    assert labelled.out_shapes([(2, 3, 4), (5, 12, 1), (2, 1)]) == ((2, 5),)
    allowed = labelled.allowed_labels([(2, 12), (5, 12), (2,)])
    assert allowed is not None
    assert (allowed.bottom, allowed.classes) == (2, 5)
    with pytest.raises(ShapeError, match=r"bottom\[2\] must be 2 labels"):
        labelled.out_shapes([(2, 3, 4), (5, 12), (3,)])
