"""MaskPooling: against its reference, a loop, and central differences."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values

from vggrepro.errors import ShapeError


@few
@given(shapes(least=4, most=4), seeds, st.data())
def test_mask_pooling(shape: tuple[int, ...], seed: int, data: st.DataObject) -> None:
    x, masks = values(seed, shape), values(seed + 1, (shape[0], 1, *shape[2:]))
    free = data.draw(freed(shape))
    layer = parse('type: "MaskPooling"')
    (top,) = check_forward(layer, [x, masks], dims=[free, (free[0], 1, *free[2:])])
    for n, c in np.ndindex(shape[:2]):
        np.testing.assert_allclose(top[n, c], x[n, c] * masks[n, 0], rtol=1e-6)
    check_gradient(layer, [x, masks])


def test_refuses() -> None:
    layer = parse('type: "MaskPooling"')
    for masks in ((2, 3, 4, 4), (2, 1, 4, 5), (1, 1, 4, 4)):
        with pytest.raises(ShapeError, match="mask height must be the same"):
            layer.out_shapes([(2, 3, 4, 4), masks])
