"""MATLAB's bicubic rescaling against its definition."""

import math
from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from vggrepro.data.matlab import imresize
from vggrepro.data.preprocess import rescale


def test_matlab_bicubic_keeps_constants_and_straight_ramps_and_averages_when_shrinking():
    flat = np.full((40, 30, 3), 77, np.uint8)
    assert_array_equal(imresize(flat, 13, 59), np.full((13, 59, 3), 77, np.uint8))
    ramp = np.repeat(np.arange(0, 240, 2, dtype=np.uint8)[None, :, None], 8, axis=0)  # 8 120 1
    halved = imresize(ramp, 4, 60)[0, :, 0].astype(float)
    assert_allclose(halved[4:-4], (np.arange(60) * 4 + 1)[4:-4], atol=0.5)
    checks = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)[:, :, None]
    inner = imresize(checks, 16, 16)[2:-2, 2:-2]
    assert np.abs(inner.astype(float) - 127.5).max() < 2  # cv2.INTER_LINEAR would alias


def keys(x: float) -> float:
    """Cubic convolution with a = -0.5 (Keys 1981), by Horner's scheme."""
    x = abs(x)
    if x <= 1:
        return 1 + x * x * (-2.5 + 1.5 * x)
    return 2 + x * (-4 + x * (2.5 - 0.5 * x)) if x <= 2 else 0.0


def along(line, target, scale):
    """One line of an image, pixel by pixel, counted from 1 as in MATLAB's documentation: output x looks at
    u = x / scale + (1 - 1 / scale) / 2, and the image is padded with its mirror image."""
    width = 4 / scale if scale < 1 else 4.0
    pad = int(width) + 4
    padded = np.pad(line, pad, mode="symmetric")
    out = []
    for x in range(1, target + 1):
        u = x / scale + 0.5 * (1 - 1 / scale)
        near = [k for k in range(1 - pad, len(line) + pad + 1) if abs(k - u) <= width / 2]
        weights = [keys((u - k) * min(scale, 1)) for k in near]
        values = [padded[k - 1 + pad] for k in near]
        out.append(sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights))
    return out


def definition(image, smallest=None, size=None):
    """imresize(single(image), [smallest NaN] or [NaN smallest] or size) in exact arithmetic."""
    sides = image.shape[:2]
    if size is None:
        scales = [smallest / min(sides)] * 2
        size = [math.ceil(Fraction(side * smallest, min(sides))) for side in sides]
    else:
        scales = [new / old for new, old in zip(size, sides, strict=True)]
    out = image.astype(np.float64)
    for axis in np.argsort(scales, kind="stable"):
        out = np.apply_along_axis(along, axis, out, size[axis], scales[axis])
    return out


SIZES = [(23, 31, 9), (31, 23, 9), (17, 17, 40), (11, 29, 24), (40, 13, 12), (12, 37, 13), (5, 6, 29)]


@pytest.mark.parametrize(("height", "width", "smallest"), SIZES)
def test_singles_follow_the_definition(height, width, smallest):
    image = np.random.default_rng(height).choice([0, 60, 255], (height, width, 2)).astype(np.float32)
    found = rescale(image, smallest, "matlab")
    expected = definition(image, smallest)
    assert (found.shape, found.dtype) == (expected.shape, np.float32)
    assert_allclose(found, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("height", "width", "size"), [(23, 31, (9, 40)), (23, 31, (40, 9)), (9, 7, (6, 6))])
def test_each_axis_has_a_scale_of_its_own_where_both_sides_are_given(height, width, size):
    image = np.random.default_rng(width).integers(0, 256, (height, width, 1)).astype(np.float32)
    assert_allclose(imresize(image, *size), definition(image, size=size), rtol=0, atol=1e-4)


def test_the_scale_of_the_smaller_side_counts_for_the_longer_one():
    image = np.random.default_rng(5).integers(0, 256, (30, 41, 1)).astype(np.float32)
    found = rescale(image, 22, "matlab")  # 41 * 22 / 30 = 30.07, so 31 columns at a scale of 22 / 30
    assert found.shape == (22, 31, 1)
    assert_allclose(found, definition(image, 22), rtol=0, atol=1e-4)
    assert np.abs(found - definition(image, size=(22, 31))).max() > 1


@pytest.mark.parametrize("size", [(7, 9), (31, 4), (9, 31)])
def test_bytes_are_rounded_and_cut_off_after_each_pass_the_smaller_scale_first(size):
    image = np.random.default_rng(7).choice([0, 90, 255], (13, 17, 3)).astype(np.uint8)
    scales = [new / old for new, old in zip(size, image.shape, strict=False)]
    expected = image.astype(np.float64)
    for axis in np.argsort(scales, kind="stable"):
        exact = np.apply_along_axis(along, axis, expected, size[axis], scales[axis])
        expected = np.clip(np.floor(exact + 0.5), 0, 255)
    found = imresize(image, *size)
    assert found.dtype == np.uint8
    assert (found == expected).mean() > 0.99  # sums in another order, at a half
    assert np.abs(found - expected).max() <= 1


PICTURE = np.random.default_rng(2).integers(0, 256, (11, 19, 3), dtype=np.uint8)


def test_imresize_in_blocks_is_imresize(monkeypatch):
    blocks = imresize(PICTURE, 50, 61)
    monkeypatch.setattr("vggrepro.data.matlab._BLOCK", 100)
    assert_array_equal(imresize(PICTURE, 50, 61), blocks)


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (23, 31)])
def test_channels_and_axes_are_rescaled_each_for_itself(size):
    height, width = size
    found = imresize(PICTURE, height, width)
    assert (found.shape, found.dtype) == ((height, width, 3), np.uint8)
    for channel in range(3):
        assert_array_equal(imresize(PICTURE[:, :, [channel]], height, width)[:, :, 0], found[:, :, channel])
    flipped = imresize(PICTURE[::-1, ::-1], height, width)[::-1, ::-1].astype(int)
    assert np.abs(flipped - found).max() <= 1  # sums in another order, at a half


def test_the_same_size_is_the_same_image():
    assert_array_equal(imresize(PICTURE, 11, 19), PICTURE)


def test_what_overshoots_is_cut_off_in_bytes_and_kept_in_singles():
    edge = np.repeat(np.array([0, 0, 0, 255, 255, 255], np.uint8)[None, :, None], 2, axis=0)
    row = imresize(edge, 2, 24)[0, :, 0].astype(int)
    assert (row.min(), row.max()) == (0, 255)
    assert (np.diff(row[8:16]) >= 0).all()
    single = imresize(edge.astype(np.float32), 2, 24)[0, :, 0]
    assert single.min() < -5
    assert single.max() > 260
    assert_array_equal(np.clip(np.floor(single + 0.5), 0, 255), row)
