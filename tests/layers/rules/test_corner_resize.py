"""Where elements lie that are resized with the first corner staying a corner."""

from __future__ import annotations

import numpy as np
import pytest

from vggrepro.errors import ShapeError
from vggrepro.layers.resize import Resize
from vggrepro.layers.rules.corner_resize import first_corner_places


def test_the_first_corner_stays_a_corner() -> None:
    assert first_corner_places(4, 2).tolist() == [0, 0.5, 1, 1.5]
    assert first_corner_places(2, 3).tolist() == [0, 1.5]
    ratio = np.float32(7) / np.float32(3)
    assert first_corner_places(3, 7)[2] == float(np.float32(2) * ratio)


def test_sizes_are_given_or_products_rounded_down() -> None:
    assert Resize((5, 0), (0.0, 0.5)).out_shapes([(2, 3, 9, 9)]) == ((2, 3, 5, 4),)
    with pytest.raises(ShapeError, match=r"Resize: the factors leave nothing of shape \(2, 3, 9, 1\)"):
        Resize((5, 0), (0.0, 0.5)).out_shapes([(2, 3, 9, 1)])
    with pytest.raises(ShapeError, match=r"Resize: bottom\[0\] must be \(N, C, H, W\)"):
        Resize((5, 5)).out_shapes([(2, 3, 9)])
