"""Which parts of an image random crops may be."""

from __future__ import annotations

import numpy as np
import pytest
from google.protobuf import text_format
from numpy.testing import assert_array_equal

from vggrepro.caffe.messages import TEST, TRAIN, TransformationParameter
from vggrepro.data.crop_choice import CropChoice
from vggrepro.data.opencv import opencv
from vggrepro.data.transform import Transform

IMAGE = np.random.default_rng(2).integers(0, 256, (4, 20, 25), dtype=np.uint8)


def choice(text: str) -> CropChoice:
    return CropChoice.from_param(text_format.Parse(text, TransformationParameter()))


def drawn(text: str, height: int = 20, width: int = 25, size: int = 8) -> set[tuple[int, int, int, int]]:
    rng = np.random.default_rng(1)
    return {choice(text).draw(height, width, size, rng) for _ in range(2000)}


def test_fixed_places_are_corners_and_middles() -> None:
    # a crop of 8 leaves 12 rows and 17 columns free: quarters of 3 and 4
    corners = {(0, 0, 8, 8), (0, 16, 8, 8), (12, 0, 8, 8), (12, 16, 8, 8), (6, 8, 8, 8)}
    sides = {(0, 8, 8, 8), (12, 8, 8, 8), (6, 0, 8, 8), (6, 16, 8, 8)}
    quarters = {(3, 4, 8, 8), (3, 12, 8, 8), (9, 4, 8, 8), (9, 12, 8, 8)}
    assert drawn("fix_crop: true") == corners
    assert drawn("fix_crop: true more_fix_crop: true") == corners | sides | quarters
    assert len(drawn("more_fix_crop: true")) == 13 * 18  # without fix_crop crops lie anywhere


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        # int(20 * ratio): 20, 17, 15, 13, whose neighbours go together; 15 and 17 are nearly the crop's 16
        ("multi_scale: true", {(20, 20), (20, 16), (16, 20), (16, 16), (16, 13), (13, 16), (13, 13)}),
        ("multi_scale: true max_distort: 0 scale_ratios: [1, 0.5]", {(20, 20), (10, 10)}),
        ("scale_ratios: 0.5", {(16, 16)}),
    ],
)
def test_sizes_are_parts_of_the_shorter_side(text: str, sizes: set[tuple[int, int]]) -> None:
    found = drawn(text, size=16)
    assert {(height, width) for *_, height, width in found} == sizes
    assert all(top + height <= 20 and left + width <= 25 for top, left, height, width in found)


def transform(text: str, phase: int = TRAIN) -> Transform:
    def read_mean(_: str) -> np.ndarray:
        return np.arange(4 * 20 * 25, dtype=np.float32).reshape(4, 20, 25)

    return Transform.from_param(text_format.Parse(text, TransformationParameter()), phase, "layer", read_mean)


def test_a_crop_of_another_size_is_resized_as_pictures_are() -> None:
    cv2 = opencv()
    rng = np.random.default_rng(0)
    result = transform("crop_size: 8 multi_scale: true scale_ratios: 1 fix_crop: true mean_value: 3")(
        IMAGE, rng
    )
    lefts = (0, 4, 2)  # 25 - 20 columns are free: quarters of 1
    expected = [
        [cv2.resize(plane[:, left : left + 20].copy(), (8, 8)) - np.float32(3) for plane in IMAGE]
        for left in lefts
    ]
    assert any(np.array_equal(result, one) for one in expected)


def test_the_mean_image_of_crops_of_several_sizes_is_taken_from_its_corner() -> None:
    step = transform('crop_size: 8 multi_scale: true mean_file: "mean"', TEST)
    mean = np.arange(4 * 20 * 25, dtype=np.float32).reshape(4, 20, 25)
    assert_array_equal(step(IMAGE), IMAGE[:, 6:14, 8:16] - mean[:, :8, :8])


def test_mirrored_flow_turns_its_x() -> None:
    step = transform("mirror: true is_flow: true mean_value: 128 scale: 0.5", TEST)
    flow = IMAGE.astype(np.float32)
    turned = np.stack([255 - flow[0], flow[1], 255 - flow[2], flow[3]])[:, :, ::-1]
    results = [step(IMAGE, np.random.default_rng(seed)) for seed in range(8)]
    plain = (flow - 128) / 2
    assert any(np.array_equal(one, plain) for one in results)
    assert any(np.array_equal(one, (turned - 128) / 2) for one in results)
