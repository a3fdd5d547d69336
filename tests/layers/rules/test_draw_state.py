"""The seed and the first sample of layers that draw."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_array_equal

from vggrepro.layers.rules.draw_state import draw_state, next_state


def test_the_seed_grows_and_the_first_sample_stays() -> None:
    defined = draw_state()
    assert defined.random
    assert_array_equal(defined.initial, [0, 0])
    assert_array_equal(next_state(np.array([41, 8])), [42, 8])
