"""PSROIPooling: against its reference, and loops of the test's own."""

from __future__ import annotations

import math

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, values

from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Layer


def pooling(group: int, outputs: int, scale: float) -> Layer:
    return parse(
        f'type: "PSROIPooling" psroi_pooling_param {{ group_size: {group} output_dim: {outputs}'
        f" spatial_scale: {scale} }}"
    )


def regions_of(seed: int, images: int, scale: float, number: int = 5) -> np.ndarray:
    """Regions of all kinds: half-way corners, partly or wholly outside, ends before beginnings."""
    rng = np.random.default_rng(seed)
    corners = (rng.integers(-2, 12, (number, 4)) + rng.choice([0, 0.5, 0.3], (number, 4))) / scale
    return np.concatenate([rng.integers(0, images, (number, 1)), corners], axis=1).astype(np.float32)


@few
@given(
    st.tuples(st.integers(1, 2), st.integers(1, 8), st.integers(1, 9)),
    st.tuples(st.integers(1, 4), st.integers(1, 3)),
    st.sampled_from([1, 0.5, 0.0625]),
    seeds,
    st.data(),
)
def test_forward(
    sizes: tuple[int, int, int], cells: tuple[int, int], scale: float, seed: int, data: st.DataObject
) -> None:
    images, height, width = sizes
    group, outputs = cells
    shape = (images, outputs * group**2, height, width)
    regions = regions_of(seed, images, scale)
    if data.draw(st.booleans()):
        regions = regions.reshape(5, 5, 1, 1)
    dims = [data.draw(freed(shape, but=(1,))), (None, *regions.shape[1:])]
    check_forward(pooling(group, outputs, scale), [values(seed, shape), regions], dims=dims, atol=1e-5)


def test_by_loops() -> None:
    """Pixel by pixel, as the layer of the fork is written down."""
    group, outputs, scale = 3, 2, 0.25
    x = values(0, (2, 18, 7, 9))
    regions = np.array([[1, 3.5, 0, 20, 17], [0, -6, 8, 40, 40], [0, 90, 90, 99, 99]], np.float32)
    (top,) = check_forward(pooling(group, outputs, scale), [x, regions])
    for n, (image, x1, y1, x2, y2) in enumerate(regions.tolist()):
        left, up = (math.floor(v + 0.5) * scale for v in (x1, y1))
        right, down = ((math.floor(v + 0.5) + 1) * scale for v in (x2, y2))
        wide, tall = max(right - left, 0.1) / group, max(down - up, 0.1) / group
        for d, i, j in np.ndindex(outputs, group, group):
            seen = [
                x[int(image), (d * group + i) * group + j, row, column]
                for row in range(math.floor(i * tall + up), math.ceil((i + 1) * tall + up))
                for column in range(math.floor(j * wide + left), math.ceil((j + 1) * wide + left))
                if 0 <= row < 7 and 0 <= column < 9
            ]
            expected = sum(map(float, seen)) / len(seen) if seen else 0
            assert top[n, d, i, j] == pytest.approx(expected, abs=1e-6)


def test_gradient() -> None:
    x = values(0, (2, 12, 5, 7))
    check_gradient(pooling(2, 3, 0.5), [x, regions_of(3, 2, 0.5)])


def test_refuses() -> None:
    with pytest.raises(NetError, match="layer 'l': output_dim must be > 0"):
        pooling(1, 0, 1)
    layer = pooling(3, 2, 1)
    assert layer.out_shapes([(1, 18, 4, 4), (6, 5)]) == ((6, 2, 3, 3),)
    with pytest.raises(ShapeError, match="input channel number does not match"):
        layer.out_shapes([(1, 17, 4, 4), (6, 5)])
    with pytest.raises(ShapeError, match="5 numbers for each region"):
        layer.out_shapes([(1, 18, 4, 4), (6, 4)])
