"""OutputDecay: the bottom as it is, and what comes to the gradient."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values

from vggrepro.errors import NetError

TEXT = 'type: "OutputDecay" bottom: "x" top: "x" output_decay_param { %s }'


@few
@given(shapes(), seeds, st.sampled_from(["L1", "L2"]), st.data())
def test_by_formula(shape: tuple[int, ...], seed: int, kind: str, data: st.DataObject) -> None:
    layer = parse(TEXT % f'regularization_type: "{kind}" output_decay: 0.25')
    x, dy = values(seed, shape), values(seed + 1, shape)
    x.flat[:1] = 0
    (top,) = check_forward(layer, [x], dims=[data.draw(freed(shape))])
    np.testing.assert_array_equal(top, x)
    (dx,) = run_gradient(layer, [x], [], [dy])
    signs = np.where(x > 0, 1, np.where(x < 0, -1, 0))
    np.testing.assert_allclose(dx, dy + 0.25 * (signs if kind == "L1" else x), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    "fields", ["output_decay: 1", 'regularization_type: "L2"', 'regularization_type: "L3"']
)
def test_refuses(fields: str) -> None:
    with pytest.raises(NetError, match="output_decay_param: needs output_decay"):
        parse(TEXT % fields)


def test_refuses_out_of_place() -> None:
    with pytest.raises(NetError, match="in place"):
        parse((TEXT % 'regularization_type: "L2" output_decay: 1').replace('top: "x"', 'top: "y"'))
