"""CTCLoss: against its reference, CtcLoss of each sequence by itself, and central differences."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds, values

from vggrepro.errors import NetError, ShapeError, UnsupportedError

LAYER = 'type: "CTCLoss" ctc_loss_param { }'


def case(
    seed: int, steps: int, number: int, classes: int
) -> tuple[list[np.ndarray], list[int], list[list[int]]]:
    """Bottoms in which the labels of each sequence fit, the lengths, and the labels. Noise follows."""
    rng = np.random.default_rng(seed)
    lengths = [int(rng.integers(1, steps + 1)) for _ in range(number)]
    said = [rng.integers(0, classes - 1, (length + 1) // 2).tolist() for length in lengths]
    indicators = np.ones((steps, number), np.float32)
    indicators[0] = rng.integers(0, 2, number)
    labels = rng.integers(0, classes, (steps, number)).astype(np.float32)
    for n, (length, own) in enumerate(zip(lengths, said, strict=True)):
        indicators[length : length + 1, n] = 0
        labels[: len(own), n] = own
        labels[len(own) : len(own) + 1, n] = -1
    return [values(seed, (steps, number, classes), -3, 3), indicators, labels], lengths, said


@few
@given(st.integers(1, 6), st.integers(1, 3), st.integers(2, 5), st.booleans(), seeds)
def test_each_sequence_by_itself(steps: int, number: int, classes: int, free: bool, seed: int) -> None:
    bottoms, lengths, said = case(seed, steps, number, classes)
    dims = [(steps, None if free else number, classes), *[(steps, None if free else number)] * 2]
    (loss,) = check_forward(parse(LAYER), bottoms, dims=dims, atol=1e-5)
    losses = []
    (dx, *_) = run_gradient(parse(LAYER), bottoms, (), [np.float32(1)])
    for n, (length, own) in enumerate(zip(lengths, said, strict=True)):
        text = f"alphabet_size: {classes} time_step: {length} blank_label: {classes - 1}"
        alone = parse(f'type: "CtcLoss" ctc_loss_param {{ {text} }}')
        own_bottoms = [bottoms[0][:length, n : n + 1], np.array([own], np.float32)]
        (own_loss,) = check_forward(alone, own_bottoms, atol=1e-5)
        if own_loss == 0 and len(own) > 1:  # equal labels that need a blank between them do not fit
            own_loss = np.inf
        else:
            (own_dx, _) = run_gradient(alone, own_bottoms, (), [np.float32(1)])
            np.testing.assert_allclose(dx[:length, n : n + 1], own_dx, atol=1e-5)
        losses.append(own_loss)
        assert not dx[length:, n].any()
    assert loss == pytest.approx(np.mean(losses), rel=1e-4, abs=1e-4)


def test_gradient() -> None:
    """Of a batch of one the mean is the sum."""
    scores = values(3, (5, 1, 4, 1), -3, 3)
    indicators, labels = np.ones((5, 1), np.float32), np.float32([[1], [1], [-1], [0], [0]])
    indicators[[0, 4]] = 0
    check_gradient(parse(LAYER), [scores, indicators, labels])
    labels[0] = 2
    blank_first = parse('type: "CTCLoss" ctc_loss_param { blank_index: 0 }')
    check_gradient(blank_first, [scores, indicators, labels])


def test_labels_that_do_not_fit() -> None:
    """An infinite loss, and the softmax as gradient, as in the fork."""
    scores, ones = values(0, (2, 1, 3), -1, 1), np.ones((2, 1), np.float32)
    bottoms = [scores, ones, np.float32([[1], [1]])]
    (loss,) = check_forward(parse(LAYER), bottoms)
    assert np.isposinf(loss)
    shares = np.exp(scores) / np.exp(scores).sum(2, keepdims=True)
    np.testing.assert_allclose(run_gradient(parse(LAYER), bottoms, (), [np.float32(1)])[0], shares, rtol=1e-5)


def test_what_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="CTCLoss without ctc_loss_param: forks differ"):
        parse('type: "CTCLoss"')
    for field in ("output_delay: 1", "preprocess_collapse_repeated: true", "ctc_merge_repeated: false"):
        with pytest.raises(UnsupportedError, match="are not implemented"):
            parse(f'type: "CTCLoss" ctc_loss_param {{ {field} }}')
    with pytest.raises(NetError, match="blank_label is a field of CtcLoss, CTCLoss has output_delay"):
        parse('type: "CTCLoss" ctc_loss_param { blank_label: 3 }')
    layer = parse('type: "CTCLoss" ctc_loss_param { blank_index: 3 }')
    with pytest.raises(ShapeError, match="blank_index must be below 3"):
        layer.out_shapes([(4, 2, 3), (4, 2), (4, 2)])
    with pytest.raises(ShapeError, match=r"must be \(T, N, C\)"):
        layer.out_shapes([(4, 2, 3, 2), (4, 2), (4, 2)])
    with pytest.raises(ShapeError, match=r"must be \(4, 2\)"):
        layer.out_shapes([(4, 2, 5), (4, 2), (3, 2)])
