"""EuclideanDistance by its formula."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, parse, tie_free

from vggrepro.errors import ShapeError


@pytest.mark.parametrize("shape", [(4, 9), (2, 3, 1, 1)])
def test_mean_distance(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    a, b = (tie_free(rng, shape) for _ in "ab")
    (y,) = check_forward(parse('type: "EuclideanDistance"'), [a, b], dims=[(None, *shape[1:])] * 2)
    pairs = zip(a.reshape(-1, 3).astype(np.float64), b.reshape(-1, 3), strict=True)
    wanted = np.mean([np.linalg.norm(one - other) for one, other in pairs])
    assert y.shape == (1, 1, 1, 1)
    assert y.item() == pytest.approx(wanted, rel=1e-5)


def test_distances_have_no_gradient() -> None:
    assert not parse('type: "EuclideanDistance"').has_gradient


@pytest.mark.parametrize("shapes", [[(2, 3), (2, 6)], [(2, 4), (2, 4)], [(2, 3, 2), (2, 3, 2)], [(3,), (3,)]])
def test_points_have_three_numbers(shapes: list[tuple[int, ...]]) -> None:
    with pytest.raises(ShapeError, match=r"both bottoms must be \(N, 3 K\)"):
        parse('type: "EuclideanDistance"').out_shapes(shapes)
