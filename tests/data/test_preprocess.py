"""The paper's rescaling and views: arithmetic for any size, and pycaffe's and matcaffe's crops."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from vggrepro.data.decode import decode
from vggrepro.data.preprocess import (
    centre_offset,
    cut,
    five_crop_offsets,
    grid_offsets,
    mirror,
    rescale,
    rescaled_size,
    to_blob,
    views,
)
from vggrepro.errors import DataError

IMAGES = Path(__file__).parents[1] / "golden" / "images"
GOLDEN = np.load(IMAGES / "transform.npz")
CASE = json.loads((IMAGES / "case.json").read_text())

sides = st.integers(1, 6000)


@given(sides, sides, st.integers(1, 1024))
def test_rescaled_size_keeps_the_aspect_to_half_a_pixel(height: int, width: int, smallest: int) -> None:
    new_height, new_width = rescaled_size(height, width, smallest)
    assert min(new_height, new_width) == smallest
    smaller = min(height, width)
    for old, new in ((height, new_height), (width, new_width)):
        # |new - old * smallest / smaller| <= 1/2 in whole numbers; a half goes up
        assert -smaller < 2 * (new * smaller - old * smallest) <= smaller


@given(st.integers(1, 300), st.integers(0, 500), st.integers(0, 500), st.integers(2, 9))
def test_grid_is_regular_and_reaches_both_ends(crop: int, down: int, right: int, side: int) -> None:
    offsets = grid_offsets(crop + down, crop + right, crop, side)
    assert len(offsets) == side * side
    tops, lefts = sorted({top for top, _ in offsets}), sorted({left for _, left in offsets})
    assert (tops[0], tops[-1], lefts[0], lefts[-1]) == (0, down, 0, right)
    for i, (top, _) in enumerate(offsets[::side]):
        assert abs(top - i * down / (side - 1)) <= 0.5
    assert offsets == tuple((top, left) for top, _ in offsets[::side] for _, left in offsets[:side])


@given(st.data(), st.integers(1, 90), st.integers(1, 90), st.integers(1, 90), st.sampled_from((1, 3)))
def test_needed_part_of_a_rescaled_picture_is_the_same_to_the_last_bit(
    data: st.DataObject, height: int, width: int, smallest: int, channels: int
) -> None:
    pixels = np.random.default_rng(height + width).integers(0, 256, (height, width, channels), np.uint8)
    whole = rescale(pixels, smallest)
    rows, columns = (data.draw(st.integers(1, side)) for side in whole.shape[:2])
    part = rescale(pixels, smallest, needed=(rows, columns))
    assert_array_equal(part[:rows, :columns], whole[:rows, :columns])


@pytest.mark.parametrize(
    ("size", "smallest", "needed"), [((262, 268), 264, (50, 16)), ((66, 108), 65, (4, 23))]
)
def test_needed_part_that_would_keep_its_size_is_rescaled_nevertheless(
    size: tuple[int, int], smallest: int, needed: tuple[int, int]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    (rows, columns), whole = needed, rescale(pixels, smallest)
    assert_array_equal(rescale(pixels, smallest, needed=needed)[:rows, :columns], whole[:rows, :columns])


def test_part_of_a_rescaled_picture_costs_no_rows_and_columns_far_beyond_it():
    part = rescale(np.zeros((375, 500, 3), np.uint8), 256, needed=(230, 240))
    assert 230 <= part.shape[0] <= 234 and 240 <= part.shape[1] <= 244


@pytest.mark.parametrize("kernel", ["cubic", "area", "lanczos", "matlab"])
def test_other_kernels_rescale_whole_pictures(kernel: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    assert_array_equal(rescale(pixels, 40, kernel, needed=(10, 10)), rescale(pixels, 40, kernel))


def test_grid_of_the_paper():
    assert grid_offsets(256, 341, 224)[:5] == ((0, 0), (0, 29), (0, 58), (0, 88), (0, 117))
    assert [top for top, _ in grid_offsets(256, 341, 224)[::5]] == [0, 8, 16, 24, 32]


def test_centre_of_an_odd_margin():
    assert centre_offset(225, 227, 224) == (0, 1)
    assert centre_offset(225, 227, 224, "matcaffe") == (1, 2)
    assert centre_offset(256, 226, 224) == centre_offset(256, 226, 224, "matcaffe") == (16, 1)


def test_ten_crops_equal_pycaffe_oversample():
    pixels = decode((IMAGES / "astronaut.jpg").read_bytes(), "astronaut.jpg").pixels[:40, :50]
    height, width = 33, 41  # caffe.io.oversample takes crops that are not square; cut() them by hand
    corners = [(0, 0), (0, 9), (7, 0), (7, 9), (3, 4)]
    expected = GOLDEN["astronaut.jpg|pycaffe_oversample"]  # float RGB, 0-1
    ours = np.stack([pixels[top : top + height, left : left + width] for top, left in corners])
    ours = np.concatenate([ours, mirror(ours)])[..., ::-1] / 255
    assert_allclose(ours, expected, atol=1e-6)
    square = five_crop_offsets(40, 50, 33)
    assert square == ((0, 0), (0, 17), (7, 0), (7, 17), (3, 8))


def test_views_are_crops_then_their_mirror_images():
    pixels = np.random.default_rng(0).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    offsets = five_crop_offsets(9, 11, 6)
    ten = views(pixels, offsets, 6, flip=True)
    assert ten.shape == (10, 6, 6, 3)
    for place, (top, left) in enumerate(offsets):
        assert_array_equal(ten[place], pixels[top : top + 6, left : left + 6])
        assert_array_equal(ten[5 + place], pixels[top : top + 6, left : left + 6][:, ::-1])
    assert_array_equal(views(pixels, offsets, 6, flip=False), ten[:5])


@pytest.mark.parametrize("name", [name for name in CASE["files"] if f"{name}|pycaffe_load" in GOLDEN.files])
def test_blob_equals_pycaffes_transformer(name):
    if name == "chelsea_cmyk.jpg":
        bgr = GOLDEN[f"{name}|pycaffe_load"][:, :, ::-1]  # scikit-image reads CMYK another way than OpenCV
    else:
        bgr = decode((IMAGES / name).read_bytes(), name).pixels
    ours = to_blob(bgr[None, :37, :45], CASE["pycaffe"]["mean"])
    assert_allclose(ours[0], GOLDEN[f"{name}|pycaffe_preprocess_no_resize"], rtol=0, atol=0.01)


def test_rescale_is_opencvs_bilinear_by_default():
    pixels = np.random.default_rng(1).integers(0, 256, (30, 47, 3), dtype=np.uint8)
    assert_array_equal(rescale(pixels, 20), cv2.resize(pixels, (31, 20), interpolation=cv2.INTER_LINEAR))
    assert rescale(pixels, 30) is pixels
    for kernel, flag in (
        ("cubic", cv2.INTER_CUBIC),
        ("area", cv2.INTER_AREA),
        ("lanczos", cv2.INTER_LANCZOS4),
    ):
        assert_array_equal(rescale(pixels, 20, kernel), cv2.resize(pixels, (31, 20), interpolation=flag))
    assert rescale(pixels[:, :, :1], 20, "matlab").shape == (20, 32, 1)  # 31.33, which imresize rounds up


def test_blob_is_channels_first_and_less_the_mean():
    images = np.random.default_rng(2).integers(0, 256, (2, 4, 5, 3), dtype=np.uint8)
    mean = (103.939, 116.779, 123.68)
    blob = to_blob(images, mean)
    assert blob.dtype == np.float32
    assert blob.flags.c_contiguous
    assert_array_equal(blob, (images.astype(np.float32) - np.float32(mean)).transpose(0, 3, 1, 2))


def test_blob_of_nets_with_other_conventions():
    images = np.random.default_rng(2).integers(0, 256, (2, 4, 5, 3), dtype=np.uint8)
    mean = (103.939, 116.779, 123.68)
    expected = (images.astype(np.float32) - np.float32(mean)) * np.float32(0.017)
    assert_array_equal(to_blob(images, mean, 0.017), expected.transpose(0, 3, 1, 2))
    assert_array_equal(to_blob(images, mean, 0.017, "rgb"), expected[..., ::-1].transpose(0, 3, 1, 2))
    of_pixels = np.random.default_rng(3).uniform(0, 255, images.shape).astype(np.float32)
    assert_array_equal(to_blob(images, of_pixels), (images - of_pixels).transpose(0, 3, 1, 2))


def test_warping_makes_squares_as_convert_imageset_does():
    pixels = np.random.default_rng(0).integers(0, 256, (30, 47, 3), dtype=np.uint8)
    assert_array_equal(rescale(pixels, 20, resize="warp"), cv2.resize(pixels, (20, 20)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: to_blob(np.zeros((1, 2, 2, 3), np.uint8), np.zeros((1, 2, 3, 3))), "a mean of shape"),
        (lambda: centre_offset(10, 20, 11), "an image of 10 x 20 is smaller than a crop of 11"),
        (lambda: grid_offsets(20, 10, 11), "an image of 20 x 10 is smaller than a crop of 11"),
        (lambda: grid_offsets(20, 20, 10, side=1), "at least 2 x 2"),
        (lambda: cut(np.zeros((10, 10, 3), np.uint8), (0, 1), 10), "leaves the image"),
        (lambda: rescaled_size(0, 5, 3), "cannot rescale an image of 0 x 5"),
        (lambda: to_blob(np.zeros((1, 2, 2, 3), np.uint8), (1.0,)), "a mean of 1 values for images of 3"),
    ],
)
def test_sizes_that_do_not_fit(call, message):
    with pytest.raises(DataError, match=message):
        call()
