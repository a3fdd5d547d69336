"""Colours that are drawn."""

from __future__ import annotations

import colorsys

import cv2
import numpy as np
import pytest
from google.protobuf import text_format

from vggrepro.caffe.messages import TransformationParameter
from vggrepro.data.feeds.boxed_image import BoxedImage
from vggrepro.data.feeds.distortion import Distortion, saturated, stretched, turned, with_contrast
from vggrepro.errors import DataError

PICTURE = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
NO_ROWS = np.zeros((0, 8), np.float32)


def distortion(text: str) -> Distortion:
    given = text_format.Parse(f"distort_param {{ {text} }}", TransformationParameter())
    made = Distortion.from_param(given)
    assert made is not None
    return made


def distorted(made: Distortion, seed: int) -> np.ndarray:
    image = BoxedImage(PICTURE.transpose(2, 0, 1), NO_ROWS, True)
    return made(image, np.random.default_rng(seed)).image.transpose(1, 2, 0)


def stored(pixels: np.ndarray) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", pixels)[1], cv2.IMREAD_COLOR)


def test_a_stretch_rounds_and_stays_within_a_byte() -> None:
    pixels = np.arange(256, dtype=np.uint8)
    for factor, shift in ((1, -31.5), (1, 200), (0.5, 0), (1.5, 0), (0, 0)):
        want = [min(max(round(float(x) * factor + shift), 0), 255) for x in range(256)]
        assert stretched(pixels, factor, shift).tolist() == want
    assert with_contrast(pixels, 1.0005) is pixels
    assert with_contrast(pixels, 1.01)[200] == 202


def test_hue_and_saturation_are_those_of_the_colour_circle() -> None:
    """Within what 8 bits of OpenCV's HSV leave."""
    pixels = np.array([[[40, 80, 160], [200, 100, 50], [60, 180, 90]]], np.uint8)
    for got, hue, factor in ((turned(pixels, 15), 15, 1), (saturated(pixels, 0.5), 0, 0.5)):
        for before, after in zip(pixels[0], got[0], strict=True):
            h, s, v = colorsys.rgb_to_hsv(*before[::-1] / 255)
            want = np.array(colorsys.hsv_to_rgb((h + hue / 180) % 1, s * factor, v))[::-1] * 255
            np.testing.assert_allclose(after, want, atol=4)
    assert turned(pixels, 0) is pixels


def test_each_change_alone() -> None:
    """With a probability of 1 and one value; the result went through a JPEG."""
    for text, want in [
        ("contrast_prob: 1 contrast_lower: 0.5 contrast_upper: 0.5", stretched(PICTURE, 0.5)),
        ("saturation_prob: 1 saturation_lower: 2 saturation_upper: 2", saturated(PICTURE, 2)),
        ("", PICTURE),
    ]:
        np.testing.assert_array_equal(distorted(distortion(text), 1), stored(want))


def test_contrast_comes_before_or_behind_the_others() -> None:
    text = "contrast_prob: 1 contrast_lower: 3 contrast_upper: 3 "
    text += "saturation_prob: 1 saturation_lower: 0.25 saturation_upper: 0.25"
    before = stored(saturated(stretched(PICTURE, 3), 0.25))
    behind = stored(stretched(saturated(PICTURE, 0.25), 3))
    found = [distorted(distortion(text), seed) for seed in range(40)]
    first = sum(np.array_equal(image, before) for image in found)
    assert first + sum(np.array_equal(image, behind) for image in found) == 40 and 8 < first < 32


def test_brightness_and_order_are_drawn() -> None:
    bright = [distorted(distortion("brightness_prob: 1 brightness_delta: 32"), seed) for seed in range(60)]
    shifts = [float(image.mean()) - float(PICTURE.mean()) for image in bright]
    assert -33 < min(shifts) < -15 and 15 < max(shifts) < 33
    orders = {distorted(distortion("random_order_prob: 1"), seed).tobytes() for seed in range(60)}
    assert len(orders) == 6
    some = [distorted(distortion("random_order_prob: 0.2"), seed) for seed in range(100)]
    assert 5 < sum(not np.array_equal(image, stored(PICTURE)) for image in some) < 35


def test_an_image_without_encoding_stays_as_it_is() -> None:
    image = BoxedImage(PICTURE.transpose(2, 0, 1), NO_ROWS, False)
    assert distortion("random_order_prob: 1")(image, np.random.default_rng(0)) is image


def test_what_has_no_value_is_refused() -> None:
    assert Distortion.from_param(TransformationParameter()) is None
    for text, message in [
        ("hue_prob: 0.5 hue_delta: -1", "hue_delta must be non-negative, got -1"),
        ("contrast_prob: 1 contrast_lower: 2 contrast_upper: 1", "contrast_lower .* got 2 and 1"),
    ]:
        with pytest.raises(DataError, match=message):
            distortion(text)
    grey = BoxedImage(PICTURE[None, :, :, 0], NO_ROWS, True)
    with pytest.raises(DataError, match="images of 3 channels, got 1"):
        distortion("hue_prob: 1 hue_delta: 1")(grey, np.random.default_rng(0))
