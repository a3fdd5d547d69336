"""GuidedDropout: against its reference, central differences, and the rules of its two types."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values

from vggrepro.caffe.messages import TEST, TRAIN
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Layer

TYPES = {
    "stochastic": 'type: "stochastic" sigmoid_scaler: 2',
    "deterministic": 'type: "deterministic" guidance_threshold: 0.1',
}


def guided(text: str, phase: int = TRAIN) -> Layer:
    return parse(f'type: "GuidedDropout" guided_dropout_param {{ {TYPES.get(text, text)} }}', phase)


@few
@given(st.sampled_from(sorted(TYPES)), shapes(least=2), st.booleans(), seeds, st.data())
def test_both_types(kind: str, shape: tuple[int, ...], train: bool, seed: int, data: st.DataObject) -> None:
    layer = guided(kind, TRAIN if train else TEST)
    bottoms = [values(seed, shape), values(seed + 1, shape[:2], -1, 1)]
    states = [np.array([seed % 1000, 3])] if train and kind == "stochastic" else []
    free = data.draw(freed(shape, but=(1,)))
    check_forward(layer, bottoms, states=states, dims=[free, free[:2]])
    check_gradient(layer, bottoms, states=states)


def test_a_threshold_by_hand() -> None:
    x = np.arange(1, 13, dtype=np.float32).reshape(2, 3, 1, 2)
    guidance = np.float32([[0, 1, 2], [-1, 0, 0.1]]).reshape(2, 3, 1, 1)  # 0.1 is not above 0.1
    for phase in (TRAIN, TEST):
        (top,) = check_forward(guided("deterministic", phase), [x, guidance])
        np.testing.assert_allclose(top[0], [[[0, 0]], [[4.5, 6]], [[7.5, 9]]])
        assert not top[1].any()


def test_channels_stay_as_often_as_their_guidance_says() -> None:
    guidance = np.tile(np.float32([-2, -0.5, 0, 1]), (4000, 1))
    x = np.ones((4000, 4), np.float32)
    found = guided("stochastic").reference([x, guidance], (), [np.array([5, 0])])
    stays = 1 / (1 + np.exp(-2 * guidance[0]))
    np.testing.assert_allclose((found.tops[0] > 0).mean(0), stays, atol=0.025)
    np.testing.assert_allclose(np.unique(found.tops[0].round(5)), [0, 4 / stays.sum()], atol=1e-5)
    assert found.next_states[0].tolist() == [6, 0]
    (top,) = check_forward(guided("stochastic", TEST), [x[:2], guidance[:2]])
    np.testing.assert_array_equal(top, x[:2])


def test_refuses() -> None:
    for text, message in [
        ('type: "other"', "must be .* got 'other'"),
        ('type: "stochastic"', "expected sigmoid_scaler"),
        ('type: "deterministic" sigmoid_scaler: 1', "expected guidance_threshold"),
    ]:
        with pytest.raises(NetError, match=message):
            guided(text)
    with pytest.raises(ShapeError, match=r"\(N, C, ...\) and \(N, C\)"):
        guided("stochastic").out_shapes([(2, 3, 4), (2, 4)])
