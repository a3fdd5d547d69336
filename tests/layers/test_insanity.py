"""Insanity: against its reference, central differences and happynear's rules."""

from __future__ import annotations

import math

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values

from vggrepro.caffe.messages import TEST, TRAIN
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Layer


def insanity(text: str = "", phase: int = TEST) -> Layer:
    return parse(f'type: "Insanity" insanity_param {{ {text} }}', phase)


@few
@given(shapes(least=2), st.booleans(), seeds, st.data())
def test_insanity(shape: tuple[int, ...], train: bool, seed: int, data: st.DataObject) -> None:
    layer, x = insanity("lb: 2 ub: 7", TRAIN if train else TEST), values(seed, shape)
    states = [np.array([seed % 1000, 3])] if train else []
    check_forward(layer, [x], states=states, dims=[data.draw(freed(shape))])
    check_gradient(layer, [x], states=states)


def test_the_mean_slope() -> None:
    x = np.float32([[-3, 0, 2]])
    (top,) = check_forward(insanity(), [x])
    np.testing.assert_allclose(top, [[-3 * (math.log(10) - math.log(5)) / 5, 0, 2]], rtol=1e-6)
    (top,) = check_forward(insanity("lb: 3 ub: 8"), [x])
    np.testing.assert_allclose(top, [[-3 * math.log(8 / 3) / 5, 0, 2]], rtol=1e-6)


def test_slopes_are_drawn_evenly_and_anew() -> None:
    layer, x = insanity("lb: 3 ub: 8", TRAIN), np.full((64, 64), -1, np.float32)
    found = layer.reference([x], (), [np.array([5, 0])])
    divisors = np.sort(-1 / found.tops[0].reshape(-1))
    assert np.abs((divisors - 3) / 5 - np.linspace(0, 1, divisors.size)).max() < 1.63 / 64  # at 1 in 100
    assert found.next_states[0].tolist() == [6, 0]
    later = layer.reference([x], (), found.next_states).tops[0]
    assert abs(np.corrcoef(found.tops[0].reshape(-1), later.reshape(-1))[0, 1]) < 0.06
    rest = layer.reference([x[10:]], (), [np.array([5, 10])]).tops[0]
    np.testing.assert_array_equal(rest, found.tops[0][10:])


def test_insanity_refuses() -> None:
    for text, message in [
        ("lb: 3 ub: 3", "upper bound must > lower bound"),
        ("lb: 0 ub: 3", "must not be 0"),
        ("lb: -3 ub: 3", "nor each other's negative"),
    ]:
        with pytest.raises(NetError, match=f"layer 'l': .*{message}"):
            insanity(text)
    with pytest.raises(ShapeError, match="Number of axes of bottom blob must be >=2"):
        insanity().out_shapes([(3,)])
