"""Hypothesis strategies for layers that move values: odd shapes, axes, symbolic sizes."""

from __future__ import annotations

import numpy as np
from harness import tie_free
from hypothesis import settings
from hypothesis import strategies as st

from vggrepro.emit import Dims, Shape

few = settings(max_examples=15, deadline=None)

seeds = st.integers(0, 2**32 - 1)


def shapes(least: int = 1, most: int = 4, largest: int = 5) -> st.SearchStrategy[Shape]:
    """Shapes of ``least`` to ``most`` axes."""
    return st.lists(st.integers(1, largest), min_size=least, max_size=most).map(tuple)


def axes(shape: Shape) -> st.SearchStrategy[int]:
    """An axis of ``shape``, from either end."""
    return st.integers(-len(shape), len(shape) - 1)


def values(seed: int, shape: Shape, low: float = -1, high: float = 1) -> np.ndarray:
    return tie_free(np.random.default_rng(seed), shape, low, high)


@st.composite
def freed(draw: st.DrawFn, shape: Shape, but: tuple[int, ...] = ()) -> Dims:
    """``shape`` with some sizes symbolic, those of the axes ``but`` excepted."""
    free = draw(st.sets(st.sampled_from([a for a in range(len(shape)) if a not in but] or [-1])))
    return tuple(None if axis in free else size for axis, size in enumerate(shape))
