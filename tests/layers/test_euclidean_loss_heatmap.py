"""EuclideanLossHeatmap: against its reference, by hand, and the fork's gradient."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, values

from vggrepro.errors import ShapeError

LAYER = 'type: "EuclideanLossHeatmap"'


@few
@given(seeds, st.booleans(), st.data())
def test_the_loss_is_a_mean(seed: int, shown: bool, data: st.DataObject) -> None:
    shape = (2, 3, 4, 5)
    free = data.draw(freed(shape))
    a, b = values(seed, shape), values(seed + 1, shape)
    more = [values(seed, (2, 3, 8, 8))] if shown else []
    (loss,) = check_forward(parse(LAYER), [a, b, *more], dims=[free, free, *(m.shape for m in more)])
    want = sum((float(x) - float(y)) ** 2 for x, y in zip(a.flat, b.flat, strict=True)) / (2 * 3 * 4 * 5)
    assert loss == pytest.approx(want, rel=1e-5)


def test_the_gradient_is_the_difference() -> None:
    """Central differences of the loss give it too, but for the factor 2 / count that the fork leaves out."""
    a, b = values(0, (2, 1, 2, 3)), values(1, (2, 1, 2, 3))
    for weight in (1, 3):
        (da, *_) = run_gradient(parse(LAYER), [a, b], [], [np.float32(weight)])
        np.testing.assert_allclose(da, a - b, rtol=1e-6)
    step = np.zeros_like(a)
    step[1, 0, 1, 2] = 1e-3
    losses = [(((a + sign * step).astype(float) - b) ** 2).mean() for sign in (1, -1)]
    assert (losses[0] - losses[1]) / 2e-3 * a.size / 2 == pytest.approx(float(da[1, 0, 1, 2]), rel=1e-3)


def test_refuses() -> None:
    with pytest.raises(ShapeError, match="of one shape"):
        parse(LAYER).out_shapes([(1, 2, 3, 4), (1, 2, 4, 3)])
