"""MATLAB's bicubic rescaling against its definition."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from vggrepro.data.matlab import imresize


def test_matlab_bicubic_keeps_constants_and_straight_ramps_and_averages_when_shrinking():
    flat = np.full((40, 30, 3), 77, np.uint8)
    assert_array_equal(imresize(flat, 13, 59), np.full((13, 59, 3), 77, np.uint8))
    ramp = np.repeat(np.arange(0, 240, 2, dtype=np.uint8)[None, :, None], 8, axis=0)  # 8 120 1
    halved = imresize(ramp, 4, 60)[0, :, 0].astype(float)
    assert_allclose(halved[4:-4], (np.arange(60) * 4 + 1)[4:-4], atol=0.5)
    checks = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)[:, :, None]
    inner = imresize(checks, 16, 16)[2:-2, 2:-2]
    assert np.abs(inner.astype(float) - 127.5).max() < 2  # cv2.INTER_LINEAR would alias


def test_matlab_bicubic_follows_the_definition():
    """One axis, by the sum over source pixels that the definition of imresize is."""
    rng = np.random.default_rng(3)
    row = rng.integers(0, 256, 23).astype(np.float64)

    def kernel(x: float) -> float:
        x = abs(x)
        if x <= 1:
            return 1.5 * x**3 - 2.5 * x**2 + 1
        return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x <= 2 else 0.0

    for target in (9, 23, 40):
        scale = target / 23
        stretch = min(1, scale)
        expected = []
        for place in range(target):
            centre = (place + 0.5) / scale - 0.5
            taps = range(-46, 69)
            weights = np.array([kernel((centre - tap) * stretch) for tap in taps])
            mirrored = [min(tap % 46, 45 - tap % 46) for tap in taps]
            expected.append(weights @ row[mirrored] / weights.sum())
        expected = np.clip(np.floor(np.array(expected) + 0.5), 0, 255)
        image = np.repeat(row[None, :, None].astype(np.uint8), 5, axis=0)
        ours = imresize(image, 5, target)[2, :, 0]
        assert np.abs(ours - expected).max() <= 1  # float32 against float64 at a half
        assert (ours == expected).mean() > 0.9


PICTURE = np.random.default_rng(2).integers(0, 256, (11, 19, 3), dtype=np.uint8)


def test_imresize_in_blocks_is_imresize(monkeypatch):
    whole = imresize(PICTURE, 50, 61)
    monkeypatch.setattr("vggrepro.data.matlab._MOST_WEIGHTS", 100)
    monkeypatch.setattr("vggrepro.data.matlab._BLOCK", 7)
    np.testing.assert_array_equal(imresize(PICTURE, 50, 61), whole)


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


def test_what_overshoots_is_cut_off():
    edge = np.repeat(np.array([0, 0, 0, 255, 255, 255], np.uint8)[None, :, None], 2, axis=0)
    row = imresize(edge, 2, 24)[0, :, 0].astype(int)
    assert (row.min(), row.max()) == (0, 255)
    assert (np.diff(row[8:16]) >= 0).all()
