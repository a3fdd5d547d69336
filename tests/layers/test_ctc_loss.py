"""CtcLoss: against its reference, central differences, and all ways to say labels one by one."""

from __future__ import annotations

from itertools import groupby, product

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient, tie_free
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds

from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Layer


def ctc(classes: int, steps: int, blank: int = 0) -> Layer:
    text = f"alphabet_size: {classes} time_step: {steps} blank_label: {blank}"
    return parse(f'type: "CtcLoss" ctc_loss_param {{ {text} }}')


def by_hand(scores: np.ndarray, labels: list[int], blank: int) -> float:
    """-log of the sum over all ways (T of C labels) that say the labels; 0 if there is none."""
    powers = np.exp(np.asarray(scores, np.float64))
    shares = powers / powers.sum(1, keepdims=True)
    total = 0.0
    for way in product(range(scores.shape[1]), repeat=len(scores)):
        if [k for k, _ in groupby(way) if k != blank] == labels:
            total += float(np.prod(shares[np.arange(len(way)), way]))
    return -np.log(total) if total else 0.0


def case(seed: int, classes: int, steps: int, number: int, length: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, (number, length)).astype(np.float32)
    return [tie_free(rng, (steps, number, classes), -3, 3), labels]


@few
@given(st.integers(2, 3), st.integers(1, 5), st.integers(1, 3), st.integers(1, 4), st.data(), seeds)
def test_all_ways(classes: int, steps: int, number: int, length: int, data: st.DataObject, seed: int) -> None:
    blank = data.draw(st.integers(0, classes - 1))
    bottoms = case(seed, classes, steps, number, length)
    layer = ctc(classes, steps, blank)
    dims = [(steps, None, classes), (None, length)] if data.draw(st.booleans()) else None
    (loss,) = check_forward(layer, bottoms, dims=dims, atol=1e-6)
    losses = [
        by_hand(bottoms[0][:, n], [int(k) for k in bottoms[1][n] if k != blank], blank) for n in range(number)
    ]
    assert loss == pytest.approx(np.mean(losses), rel=1e-4, abs=1e-5)
    if number == 1:
        check_gradient(layer, bottoms)
        return
    together = run_gradient(layer, bottoms, (), [np.float32(1)])[0]
    for n in range(number):  # that of a sum
        alone = run_gradient(layer, [bottoms[0][:, n : n + 1], bottoms[1][n : n + 1]], (), [np.float32(1)])[0]
        np.testing.assert_allclose(together[:, n : n + 1], alone, atol=1e-6)


def test_long_sequences() -> None:
    """60 steps, of which the likeliest way has a probability of e^-150."""
    bottoms = case(3, 20, 60, 1, 25)
    (loss,) = check_forward(ctc(20, 60), bottoms)
    assert loss > 80
    check_gradient(ctc(20, 60), bottoms, most=40)


def test_labels_that_do_not_fit_lose_nothing() -> None:
    """Two equal labels need a blank between them, which makes three steps."""
    bottoms = [case(0, 3, 2, 1, 2)[0], np.float32([[1, 1]])]
    (loss,) = check_forward(ctc(3, 2), bottoms)
    assert loss == 0
    assert (run_gradient(ctc(3, 2), bottoms, (), [np.float32(1)])[0] == 0).all()


def test_ctc_loss_refuses() -> None:
    with pytest.raises(NetError, match="layer 'l': The size of alphabet should be greater than 0"):
        ctc(0, 3)
    with pytest.raises(NetError, match="layer 'l': The time step should be greater than 0"):
        ctc(3, 0)
    with pytest.raises(NetError, match="layer 'l': blank_label must be from 0 to 2, got 3"):
        ctc(3, 4, 3)
    with pytest.raises(NetError, match=r"blank_index is a field of CTCLoss, CtcLoss has alphabet_size, "):
        parse('type: "CtcLoss" ctc_loss_param { alphabet_size: 3 time_step: 4 blank_index: 2 }')
    layer = ctc(3, 4)
    assert layer.out_shapes([(4, 2, 3), (2, 5)]) == ((),)
    with pytest.raises(ShapeError, match=r"bottom\[0\] must be \(4, N, 3\), got \(5, 2, 3\)"):
        layer.out_shapes([(5, 2, 3), (2, 5)])
    with pytest.raises(ShapeError, match=r"needs \(N, L\), got \(3, 5\)"):
        layer.out_shapes([(4, 2, 3), (3, 5)])
    labels = layer.allowed_labels([(4, 2, 3), (2, 5)])
    assert (labels.bottom, labels.classes) == (1, 3)
