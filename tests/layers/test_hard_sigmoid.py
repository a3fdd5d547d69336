"""HardSigmoid: against its reference, a formula of the test's own, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values

from vggrepro.errors import UnsupportedError

HARD_SIGMOID = 'type: "HardSigmoid" hardsigmoid_param { alpha: 0.25 beta: 0.4 }'


@few
@given(shapes(), seeds, st.data())
def test_forward(shape: tuple[int, ...], seed: int, data: st.DataObject) -> None:
    check_forward(parse(HARD_SIGMOID), [values(seed, shape, -9, 9)], dims=[data.draw(freed(shape))])


def test_by_formula() -> None:
    x = np.array([-30, -1.6, -1, 0, 0.5, 2.4, 3, 30], np.float32)
    (sigmoid,) = check_forward(parse(HARD_SIGMOID), [x])
    np.testing.assert_allclose(sigmoid, np.minimum(np.maximum(0.25 * x + 0.4, 0), 1), rtol=1e-6, atol=1e-7)


def test_unknown_slope_is_refused() -> None:
    with pytest.raises(
        UnsupportedError, match="layer 'l': HardSigmoid without hardsigmoid_param: forks differ"
    ):
        parse('type: "HardSigmoid"')
    assert not parse(HARD_SIGMOID).has_gradient
