"""HashingLoss: against its reference, the fork's loops and central differences."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient
from hypothesis import assume, given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, values

from vggrepro.errors import ShapeError, UnsupportedError
from vggrepro.layers.base import Layer


def hashing(margin: float, tradeoff: float) -> Layer:
    return parse(f'type: "HashingLoss" hashing_loss_param {{ bi_margin: {margin} tradeoff: {tradeoff} }}')


def by_loops(x: np.ndarray, labels: np.ndarray, margin: float, tradeoff: float) -> tuple[float, np.ndarray]:
    """The loss and the gradient, pair by pair."""
    number, loss, slope = len(x), 0.0, np.zeros_like(x)
    pairs = number * (number - 1)
    for i in range(number):
        for j in range(i + 1, number):
            along = x[i] - x[j]
            several = labels.shape[1] > 1
            alike = labels[i] @ labels[j] > 0 if several else labels[i, 0] == labels[j, 0]
            distance = float(along @ along)
            sign = 1 if alike else -1 if distance < margin else 0
            loss += (distance if alike else max(margin - distance, 0)) / pairs
            slope[i] += sign * along / pairs
            slope[j] -= sign * along / pairs
    loss += tradeoff * np.abs(np.abs(x) - 1).sum() / number
    outwards = (x >= 1) | ((x <= 0) & (x >= -1))
    return loss, slope + tradeoff / number * np.where(outwards, 1, -1)


@few
@given(
    st.integers(2, 5),
    st.integers(1, 4),
    st.integers(1, 3),
    st.sampled_from([0.5, 2, 8]),
    st.sampled_from([0, 0.1]),
    seeds,
    st.data(),
)
def test_by_loops(
    number: int, size: int, kinds: int, margin: float, tradeoff: float, seed: int, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    x = values(seed, (number, size), -2, 2)
    labels = rng.integers(0, 2, (number, kinds)).astype(np.float32)
    layer = hashing(margin, tradeoff)
    loss, slope = by_loops(x.astype(float), labels, margin, tradeoff)
    dims = [data.draw(freed((number, size), but=(1,))), (number, kinds)]
    (got,) = check_forward(layer, [x, labels], dims=dims)
    assert got == pytest.approx(loss, rel=1e-4, abs=1e-5)
    dx, _ = run_gradient(layer, [x, labels], [], [np.float32(1)])
    np.testing.assert_allclose(dx, slope, rtol=1e-4, atol=1e-5)


@few
@given(st.integers(1, 4), seeds)
def test_the_slope_of_the_last_term(size: int, seed: int) -> None:
    x = values(seed, (2, size), -2, 2)
    assume(np.abs(np.abs(x) - 1).min() > 1e-3)
    apart = np.float32([[0], [1]])  # too far for a margin of 0, so that the last term is alone
    check_gradient(hashing(0, 0.5), [x, apart])


def test_kinks() -> None:
    x = np.float32([[-2, -1, -0.5, 0, 0.5, 1, 2], [9] * 7])
    dx, _ = run_gradient(hashing(0, 2), [x, np.float32([0, 1])], [], [np.float32(1)])
    assert dx[0].tolist() == [-1, 1, 1, 1, -1, 1, 1]


def test_refuses() -> None:
    with pytest.raises(UnsupportedError, match="bi_margin and tradeoff must be given"):
        parse('type: "HashingLoss" hashing_loss_param { tradeoff: 1 }')
    with pytest.raises(ShapeError, match="at least 2 images"):
        hashing(1, 1).out_shapes([(1, 3), (1,)])
    with pytest.raises(ShapeError, match="same first dimension"):
        hashing(1, 1).out_shapes([(2, 3), (3,)])
