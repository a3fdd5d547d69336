"""Sum: against its reference, by hand and by central differences."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from shape_cases import values

from vggrepro.errors import ShapeError

LAYER = 'type: "Sum"'


@pytest.mark.parametrize("number", [2, 3])
def test_blobs_of_one_size_are_added(number: int) -> None:
    shapes = [(4, 3), (4, 3, 1, 1), (2, 6)][:number]
    bottoms = [values(seed, shape) for seed, shape in enumerate(shapes)]
    (top,) = check_forward(parse(LAYER), bottoms)
    want = [sum(b.reshape(-1)[i] for b in bottoms) for i in range(12)]
    np.testing.assert_allclose(top, np.reshape(want, (4, 3)), rtol=1e-6)
    check_gradient(parse(LAYER), bottoms)


def test_a_free_batch() -> None:
    bottoms = [values(0, (4, 3)), values(1, (4, 3, 1, 1))]
    check_forward(parse(LAYER), bottoms, dims=[(None, 3), (None, 3, 1, 1)])


def test_refuses() -> None:
    with pytest.raises(ShapeError, match=r"equally many elements, got \(4, 3\) and \(4, 2\)"):
        parse(LAYER).out_shapes([(4, 3), (4, 2)])
