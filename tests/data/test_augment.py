"""Section 3.1's random scale, crop, flip and colour shift, and the streams they are drawn from."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from vggrepro.data.augment import ILSVRC_PCA, Augmentation, ColourPCA
from vggrepro.data.preprocess import rescale
from vggrepro.data.random_streams import Purpose, stream
from vggrepro.errors import DataError


def position_image(height: int, width: int) -> np.ndarray:
    """Every pixel tells its place: blue its row, green its column."""
    rows, columns = np.indices((height, width)).astype(np.uint8)
    return np.stack([rows, columns, rows], axis=-1)


def places(augmentation: Augmentation, image: np.ndarray, draws: int) -> list[tuple[int, int, bool]]:
    """Top, left and flip of each crop."""
    result = []
    for index in range(draws):
        crop, _ = augmentation(image, stream(1, Purpose.IMAGE, 0, index))
        top, left, right = int(crop[0, 0, 0]), int(crop[0, 0, 1]), int(crop[0, -1, 1])
        result.append((top, min(left, right), left > right))
    return result


def test_crops_are_uniform_over_all_offsets_and_flipped_half_the_time():
    found = places(Augmentation((12, 12), crop=9), position_image(12, 14), 4800)
    counts = np.zeros((4, 6))
    for top, left, _ in found:
        counts[top, left] += 1
    assert np.abs(counts - 200).max() < 5 * 200**0.5
    assert abs(sum(flip for _, _, flip in found) - 2400) < 5 * 1200**0.5


def test_caffe_of_2013_never_draws_the_last_offset():
    found = places(
        Augmentation((12, 12), crop=9, offsets="caffe2013", flip=False), position_image(12, 14), 600
    )
    assert {(top, left) for top, left, _ in found} == {(t, x) for t in range(3) for x in range(5)}
    assert not any(flip for _, _, flip in found)


def test_scale_is_uniform_from_least_to_most():
    augmentation = Augmentation((256, 512))
    drawn = [augmentation.drawn_smallest(f) for f in np.arange(25_700) / 25_700]
    values, counts = np.unique(drawn, return_counts=True)
    assert_array_equal(values, np.arange(256, 513))
    assert_array_equal(counts, 100)
    assert Augmentation((384, 384)).drawn_smallest(0.999) == 384


@settings(max_examples=60)
@given(
    st.integers(20, 90), st.integers(20, 90), st.integers(8, 24), st.integers(0, 30), st.integers(0, 10**9)
)
def test_crop_is_part_of_the_rescaled_image(height: int, width: int, crop: int, more: int, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    augmentation = Augmentation((crop, crop + more), crop=crop)
    rng = stream(seed, Purpose.IMAGE)
    size, top, left, coin = stream(seed, Purpose.IMAGE).random(4)
    result, shift = augmentation(image, rng)
    scaled = rescale(image, crop + int(size * (more + 1)))
    y, x = int(top * (scaled.shape[0] - crop + 1)), int(left * (scaled.shape[1] - crop + 1))
    window = scaled[y : y + crop, x : x + crop]
    assert_array_equal(result, window[:, ::-1] if coin < 0.5 else window)
    assert (result.dtype, shift.dtype, shift.shape) == (np.uint8, np.float32, (3,))


def test_out_is_written_in_place():
    out = np.zeros((2, 9, 9, 3), np.uint8)
    for index in range(8):  # both flipped and not
        rng = stream(0, Purpose.IMAGE, 0, index)
        crop, _ = Augmentation((12, 12), crop=9)(position_image(12, 14), rng, out=out[1])
        assert np.shares_memory(crop, out)
        assert out[1, 0, 0].any() or out[1, -1, -1].any()
    assert not out[0].any()


def test_shift_has_the_published_covariance():
    """Standard deviations of the shift in R, G, B, grey levels, with ILSVRC's statistics."""
    expected = {"unit-eigenvalue": (3.17, 3.22, 3.25), "root": (7.23, 7.05, 7.39)}
    for reading, stds in expected.items():
        augmentation = Augmentation(reading=reading, mean_bgr=(0, 0, 0))
        axes = np.stack([augmentation.shift(0.1 * row) for row in np.eye(3)])  # row i: a_i = 0.1
        assert_allclose(np.sqrt((axes**2).sum(axis=0))[::-1], stds, atol=0.006)
    literal = Augmentation(reading="byte-eigenvalue", mean_bgr=(0, 0, 0))
    assert_allclose(literal.shift(np.array([0.1, 0, 0])), 255 * 10 * expected_first(), rtol=1e-5)


def test_default_shift_is_by_the_roots_of_the_eigenvalues():
    """As cuda-convnet2 and MatConvNet shift colours."""
    amounts = np.array([0.1, -0.2, 0.3])
    pca = ColourPCA((0.25, 0.04, 0.01), ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)))
    shift = Augmentation(mean_bgr=(0, 0, 0), colour=pca).shift(amounts)
    assert_allclose(shift, [255 * 0.3 * 0.1, 255 * -0.2 * 0.2, 255 * 0.1 * 0.5], rtol=1e-6)


def expected_first() -> np.ndarray:
    """The first component's contribution in B, G, R on pixels in [0, 1], times 255 / 10."""
    return 255 * 0.1 * 0.2175 * np.array([-0.5836, -0.5808, -0.5675]) / 10


def test_shift_follows_krizhevskys_formula():
    pca = ColourPCA((0.3, 0.02, 0.005), ((0.6, -0.8, 0.0), (0.8, 0.6, 0.0), (0.0, 0.0, 1.0)))
    mean = (103.939, 116.779, 123.68)
    amounts = np.array([0.1, -0.2, 0.3])
    rgb = sum(amounts[i] * pca.eigenvalues[i] * np.array(pca.vectors)[:, i] for i in range(3))
    shift = Augmentation(mean_bgr=mean, colour=pca, reading="unit-eigenvalue").shift(amounts)
    assert_allclose(shift, 255 * rgb[::-1] - mean, rtol=1e-6)
    assert_array_equal(Augmentation(mean_bgr=mean, colour=None).shift(amounts), -np.float32(mean))


def test_published_components_are_orthonormal_and_give_ilsvrcs_channel_variances():
    vectors = np.array(ILSVRC_PCA.vectors)
    assert_allclose(vectors.T @ vectors, np.eye(3), atol=2e-3)
    covariance = vectors @ np.diag(ILSVRC_PCA.eigenvalues) @ vectors.T
    assert_allclose(np.sqrt(np.diag(covariance)), (0.2837, 0.2763, 0.2897), atol=1e-3)


@pytest.mark.parametrize(
    "settings",
    [{"smallest": (200, 256)}, {"smallest": (300, 256)}, {"crop": 0}],
)
def test_sizes_that_do_not_fit(settings):
    with pytest.raises(DataError, match="expected 0 < crop <= least <= most"):
        Augmentation(**settings)
    with pytest.raises(DataError, match="draw below the margin, which is 0"):
        Augmentation((224, 256), offsets="caffe2013")
