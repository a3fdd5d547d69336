"""IOCLoss: against its reference, central differences and the formula as it is written."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, values

from vggrepro.errors import ShapeError

LAYER = 'type: "IOCLoss"'


@few
@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 4), st.integers(0, 2), seeds, st.data())
def test_ioc_loss(demos: int, samples: int, steps: int, ones: int, seed: int, data: st.DataObject) -> None:
    shapes = [(demos, steps), (samples, steps), (demos,), (samples,)]
    bottoms = [values(seed + i, shape + (1,) * ones, -2, 3) for i, shape in enumerate(shapes)]
    dims = [data.draw(freed(b.shape)) for b in bottoms]
    (loss,) = check_forward(parse(LAYER), bottoms, dims=dims)
    check_gradient(parse(LAYER), bottoms)
    of_demos, of_samples, w_demos, w_samples = (b.astype(float).reshape(len(b), -1) for b in bottoms)
    partition = sum(
        np.exp(-0.5 * costs.sum() - weight[0])
        for rows, weights in ((of_demos, w_demos), (of_samples, w_samples))
        for costs, weight in zip(rows, weights, strict=True)
    )
    assert loss == pytest.approx(0.5 * of_demos.sum() / demos + np.log(partition), rel=1e-5, abs=1e-5)


def test_large_costs_do_not_overflow() -> None:
    bottoms = [np.full((2, 3), c, np.float32) for c in (-500, 700)] + [np.zeros(2, np.float32)] * 2
    (loss,) = check_forward(parse(LAYER), bottoms, atol=1e-3)
    assert loss == pytest.approx(np.log(2), abs=1e-3)  # mean -750, and the partition 2 exp(750)


def test_refuses() -> None:
    layer = parse(LAYER)
    assert layer.out_shapes([(2, 3), (4, 3, 1), (2, 1), (4,)]) == ((),)
    with pytest.raises(ShapeError, match=r"bottom\[1\] must be \(trajectories, steps\)"):
        layer.out_shapes([(2, 3), (4, 2), (2,), (4,)])
    with pytest.raises(ShapeError, match=r"bottom\[3\] must be \(4,\)"):
        layer.out_shapes([(2, 3), (4, 3), (2,), (2,)])
