"""Random predictions, labels and ``loss_param`` for the tests of losses and Accuracy."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from harness import tie_free
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from vggrepro.emit import Dims

few = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""Every example builds a session, which takes some 10 ms."""

IGNORE = 255


@dataclass(frozen=True)
class ClassCase:
    """Predictions with classes on ``axis``, one label for each position, and free axes for a graph."""

    predictions: np.ndarray
    label: np.ndarray
    axis: int
    dims: list[Dims]


@st.composite
def class_cases(draw: st.DrawFn, ignore: bool = False, high: float = 3) -> ClassCase:
    """Axes may be negative; labels come in every shape that Caffe takes; ``ignore``: some are 255."""
    shape = draw(st.lists(st.integers(1, 4), min_size=2, max_size=5))
    axis = draw(st.integers(0, len(shape) - 1))
    if axis == 0 and math.prod(shape[1:]) % shape[0]:
        axis = 1  # else labels could not begin with the predictions' first size
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    label = rng.integers(0, shape[axis], math.prod(shape) // shape[axis]).astype(np.float32)
    if ignore:
        label[rng.random(label.shape) < 0.4] = IGNORE
    label = label.reshape(draw(st.sampled_from(_label_shapes(shape, axis))))
    dims = [draw(freed(shape)), draw(freed(label.shape))]
    negative = draw(st.booleans())
    return ClassCase(tie_free(rng, shape, -high, high), label, axis - negative * len(shape), dims)


def _label_shapes(shape: list[int], axis: int) -> list[tuple[int, ...]]:
    labels = math.prod(shape) // shape[axis]
    flat = (shape[0], labels // shape[0])
    if axis == 0:
        return [flat]
    rest, one = shape[axis + 1 :], shape[:axis]
    return [flat, (*one, *rest), (*one, 1, *rest)]


def freed(shape: tuple[int, ...] | list[int]) -> st.SearchStrategy[Dims]:
    """The shape with some sizes symbolic."""
    masks = st.lists(st.booleans(), min_size=len(shape), max_size=len(shape))
    return masks.map(lambda mask: tuple(None if free else s for s, free in zip(shape, mask, strict=True)))


loss_params = st.sampled_from(
    [
        "",
        "normalization: FULL",
        "normalization: VALID",
        "normalization: BATCH_SIZE",
        "normalization: NONE",
        "normalize: true",
        "normalize: false",
        "normalize: true normalization: NONE",
    ]
)
