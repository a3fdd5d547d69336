"""L2Normalize and L2Normalization: against their reference and central differences."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values

from vggrepro.errors import ShapeError


@few
@given(st.sampled_from(["L2Normalize", "L2Normalization"]), shapes(least=2), seeds, st.data())
def test_by_norms(kind: str, shape: tuple[int, ...], seed: int, data: st.DataObject) -> None:
    layer, x = parse(f'type: "{kind}"'), values(seed, shape, 0.1, 3)
    (top,) = check_forward(layer, [x], dims=[data.draw(freed(shape))])
    rows = x.astype(float).reshape(len(x), -1)
    expected = (rows / np.linalg.norm(rows, axis=1)[:, None]).reshape(shape)
    full = (*shape, *[1] * (4 - len(shape))) if kind == "L2Normalize" else shape
    np.testing.assert_allclose(top, expected.reshape(full), rtol=1e-5)
    check_gradient(layer, [x], rtol=1e-3, atol=1e-4)


def test_refuses() -> None:
    with pytest.raises(ShapeError, match=r"must be \(N, ...\)"):
        parse('type: "L2Normalization"').out_shapes([()])
    with pytest.raises(ShapeError, match="num_axes"):
        parse('type: "L2Normalize"').out_shapes([(1, 2, 3, 4, 5)])
