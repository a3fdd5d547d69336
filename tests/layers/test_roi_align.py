"""ROIAlign: against its reference, and loops of the test's own."""

from __future__ import annotations

import math

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, values

from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Layer


def align(height: int, width: int, scale: float, ratio: int) -> Layer:
    return parse(
        f'type: "ROIAlign" roi_align_param {{ pooled_h: {height} pooled_w: {width} spatial_scale: {scale}'
        f" sampling_ratio: {ratio} }}"
    )


def regions_of(seed: int, images: int, scale: float, number: int = 5) -> np.ndarray:
    """Regions of all kinds: partly or wholly outside, ends before beginnings, tiny ones. No sample is a
    place from the features, where its share jumps."""
    rng = np.random.default_rng(seed)
    corners = rng.integers(-3, 12, (number, 4)) + rng.choice([0.137, 0.311, 0.709], (number, 4))
    return np.concatenate([rng.integers(0, images, (number, 1)), corners / scale], axis=1).astype(np.float32)


@few
@given(
    st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 8), st.integers(1, 9)),
    st.tuples(st.integers(1, 4), st.integers(1, 3)),
    st.sampled_from([1, 0.5, 0.0625]),
    st.sampled_from([-1, 0, 1, 2, 3]),
    seeds,
    st.data(),
)
def test_forward(
    shape: tuple[int, ...],
    pooled: tuple[int, int],
    scale: float,
    ratio: int,
    seed: int,
    data: st.DataObject,
) -> None:
    regions = regions_of(seed, shape[0], scale)
    if data.draw(st.booleans()):
        regions = regions.reshape(5, 5, 1, 1)
    dims = [data.draw(freed(shape)), (None, *regions.shape[1:])]
    check_forward(align(*pooled, scale, ratio), [values(seed, shape), regions], dims=dims, atol=2e-5)


@pytest.mark.parametrize("ratio", [2, -1])
def test_by_loops(ratio: int) -> None:
    """Sample by sample, as Detectron's operator is written down."""
    x = values(0, (2, 3, 7, 9))
    regions = np.array(
        [[1, 3.5, 0, 20, 17], [0, -6, 8, 40, 40], [0, 90, 90, 99, 99], [1, 5, 5, 4, 6]], np.float32
    )
    (top,) = check_forward(align(3, 2, 0.25, ratio), [x, regions], atol=1e-5)
    for n, (image, x1, y1, x2, y2) in enumerate((regions * np.float32([1, *[0.25] * 4])).tolist()):
        wide, tall = max(x2 - x1, 1) / 2, max(y2 - y1, 1) / 3
        across, down = (ratio, ratio) if ratio > 0 else (math.ceil(wide), math.ceil(tall))
        for c, i, j in np.ndindex(3, 3, 2):
            total = 0.0
            for k, m in np.ndindex(down, across):
                y, x_ = y1 + (i + (k + 0.5) / down) * tall, x1 + (j + (m + 0.5) / across) * wide
                if y < -1 or y > 7 or x_ < -1 or x_ > 9:
                    continue
                y, x_ = min(max(y, 0), 6), min(max(x_, 0), 8)
                low, left = int(y), int(x_)
                high, right = min(low + 1, 6), min(left + 1, 8)
                plane = x[int(image), c]
                total += (low + 1 - y) * (
                    (left + 1 - x_) * plane[low, left] + (x_ - left) * plane[low, right]
                )
                total += (y - low) * ((left + 1 - x_) * plane[high, left] + (x_ - left) * plane[high, right])
            assert top[n, c, i, j] == pytest.approx(total / (down * across), abs=1e-5)


def test_gradient() -> None:
    x = values(0, (2, 3, 5, 7))
    check_gradient(align(2, 3, 0.5, 2), [x, regions_of(3, 2, 0.5)])
    check_gradient(align(3, 1, 1, 1), [x, regions_of(4, 2, 1)])


def corner_grid(height: int, width: int, scale: float, pad_ratio: float) -> Layer:
    """Cascade R-CNN's."""
    return parse(
        f'type: "ROIAlign" roi_pooling_param {{ pooled_h: {height} pooled_w: {width} spatial_scale: {scale}'
        f" pad_ratio: {pad_ratio} corner_grid: true }}"
    )


@few
@given(
    st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 8), st.integers(1, 9)),
    st.tuples(st.integers(1, 4), st.integers(1, 3)),
    st.sampled_from([1, 0.5, 0.125]),
    st.sampled_from([0, 0.25]),
    seeds,
    st.data(),
)
def test_corner_grid(
    shape: tuple[int, ...],
    pooled: tuple[int, int],
    scale: float,
    pad_ratio: float,
    seed: int,
    data: st.DataObject,
) -> None:
    regions = regions_of(seed, shape[0], scale)
    dims = [data.draw(freed(shape)), (None, 5)]
    (top,) = check_forward(
        corner_grid(*pooled, scale, pad_ratio), [values(seed, shape), regions], dims=dims, atol=2e-5
    )
    assert top.shape == (5, shape[1], pooled[0] + 1, pooled[1] + 1)


def test_corner_grid_by_loops() -> None:
    """Corner by corner, as Cascade R-CNN's layer is written down."""
    x = values(0, (2, 3, 7, 9))
    regions = np.array(
        [[1, 3.5, 0, 20, 17], [0, -6, 8, 40, 40], [0, 90, 90, 99, 99], [1, 9, 5, 4, 6]], np.float32
    )
    (top,) = check_forward(corner_grid(3, 2, 0.25, 0.25), [x, regions], atol=1e-5)
    for n, (image, *box) in enumerate(regions.tolist()):
        x1, y1, x2, y2 = box
        wide, tall = 0.25 * (x2 - x1 + 1), 0.25 * (y2 - y1 + 1)
        left, right = 0.25 * (x1 - wide) - 0.5, 0.25 * (x2 + wide) - 0.5
        above, below = 0.25 * (y1 - tall) - 0.5, 0.25 * (y2 + tall) - 0.5
        for c, i, j in np.ndindex(3, 4, 3):
            y, x_ = above + i * (below - above) / 3, left + j * (right - left) / 2
            expected = 0.0
            if right > left and below > above and -0.5 <= y <= 6.5 and -0.5 <= x_ <= 8.5:
                y, x_ = min(max(y, 0), 6), min(max(x_, 0), 8)
                plane = x[int(image), c]
                rows = [int(y), min(int(y) + 1, 6)]
                columns = [int(x_), min(int(x_) + 1, 8)]
                down, across = y - rows[0], x_ - columns[0]
                corners = plane[np.ix_(rows, columns)]
                expected = np.array([1 - down, down]) @ corners @ np.array([1 - across, across])
            assert top[n, c, i, j] == pytest.approx(expected, abs=1e-5)
    assert np.count_nonzero(top[0]) > 9 and not top[2:].any()


def test_the_last_corner_at_the_images_edge_is_inside() -> None:
    """Wherever the region begins: a sum of steps from there would be rounded past the edge at times."""
    begins = np.random.default_rng(0).uniform(0, 9, (200, 1))
    ends = np.full((200, 1), 16)
    regions = np.concatenate([0 * begins, begins, begins, ends, ends], axis=1).astype(np.float32)
    (top,) = check_forward(corner_grid(7, 7, 0.25, 0), [np.ones((1, 1, 4, 4), np.float32), regions])
    np.testing.assert_allclose(top, 1, rtol=1e-6)


def test_corner_grid_gradient() -> None:
    x = values(0, (2, 3, 5, 7))
    check_gradient(corner_grid(2, 3, 0.5, 0), [x, regions_of(3, 2, 0.5)])
    check_gradient(corner_grid(3, 1, 1, 0.25), [x, regions_of(4, 2, 1)])


def test_has_no_gradient_with_adaptive_samples() -> None:
    bottoms = [values(0, (1, 1, 3, 3)), regions_of(0, 1, 1)]
    with pytest.raises(UnsupportedError, match="no gradient without a positive sampling_ratio"):
        run_gradient(align(1, 1, 1, -1), bottoms, [], [np.ones((5, 1, 1, 1), np.float32)])


def test_refuses() -> None:
    with pytest.raises(UnsupportedError, match="layer 'l': ROIAlign without sampling_ratio"):
        parse('type: "ROIAlign" roi_align_param { pooled_h: 7 pooled_w: 7 }')
    with pytest.raises(UnsupportedError, match=r"have different rules \(--fork cascade-rcnn says"):
        parse('type: "ROIAlign" roi_pooling_param { pooled_h: 7 pooled_w: 7 }')
    with pytest.raises(NetError, match="layer 'l': pooled_h must be > 0"):
        align(0, 1, 1, 1)
    layer = align(3, 2, 1, 2)
    assert layer.out_shapes([(1, 18, 4, 4), (6, 5)]) == ((6, 18, 3, 2),)
    with pytest.raises(ShapeError, match="must have 4 axes"):
        layer.out_shapes([(1, 17, 4), (6, 5)])
    with pytest.raises(ShapeError, match="5 numbers for each region"):
        layer.out_shapes([(1, 18, 4, 4), (6, 4)])
