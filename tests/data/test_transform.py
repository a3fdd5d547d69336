"""Caffe's DataTransformer, on the pictures of the golden suite."""

import json
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format
from numpy.testing import assert_allclose, assert_array_equal

from vggrepro.caffe.messages import TEST, TRAIN, LayerParameter, TransformationParameter
from vggrepro.data.feeds import open_feed, read_mean_file
from vggrepro.data.transform import Transform
from vggrepro.errors import DataError

IMAGES = Path(__file__).parents[1] / "golden" / "images"
CASE = json.loads((IMAGES / "case.json").read_text())
GOLDEN = np.load(IMAGES / "transform.npz")
TOLERANCE = next(
    case["forward"]
    for case in json.loads((IMAGES.parent / "index.json").read_text())["cases"]
    if case["name"] == "images"
)
KEYS = [key for key in GOLDEN.files if key.split("|")[1] in CASE["variants"]]


def transform(text: str, phase: int = TEST) -> Transform:
    param = text_format.Parse(text, TransformationParameter())
    return Transform.from_param(param, phase, "layer 'data'", lambda name: read_mean_file(IMAGES / name))


@pytest.mark.parametrize("key", KEYS)
def test_image_data_layer_equals_caffe(tmp_path, key):
    name, variant = key.split("|")
    (tmp_path / "list.txt").write_text(f"{name} 7\n")
    settings = CASE["variants"][variant]
    layer = text_format.Parse(
        f"""name: "data" type: "ImageData" top: "data" top: "label"
        image_data_param {{
            source: "{tmp_path}/list.txt" root_folder: "{IMAGES}/" {settings["image_data_param"]}
        }}
        transform_param {{ {settings["transform_param"]} }}""",
        LayerParameter(),
    )
    tops = open_feed(layer, TEST, folder=IMAGES, exif="apply").batch(0)
    expected = GOLDEN[key]
    assert tops["data"].dtype == np.float32
    if expected.dtype == np.uint8:
        assert_array_equal(tops["data"][0], expected)
    else:
        assert_allclose(tops["data"][0], expected, **TOLERANCE["float"])
    assert_array_equal(tops["label"], np.array([7], np.float32))


def test_random_crops_reach_every_offset_and_are_part_of_the_image():
    image = np.arange(2 * 5 * 6, dtype=np.uint8).reshape(2, 5, 6)
    crop = transform("crop_size: 3", TRAIN)
    rng = np.random.default_rng(0)
    corners = {int(crop(image, rng)[0, 0, 0]) for _ in range(400)}
    assert corners == {6 * top + left for top in range(3) for left in range(4)}


def test_mirror_flips_a_coin_in_both_phases():
    image = np.arange(12, dtype=np.uint8).reshape(1, 3, 4)
    for phase in (TRAIN, TEST):
        rng = np.random.default_rng(1)
        results = [transform("mirror: true", phase)(image, rng) for _ in range(64)]
        flipped = [np.array_equal(result, image[:, :, ::-1]) for result in results]
        assert all(np.array_equal(r, image) or f for r, f in zip(results, flipped, strict=True))
        assert 16 < sum(flipped) < 48


def test_mean_image_is_cropped_with_the_image_and_mirrored_with_it():
    rng = np.random.default_rng(2)
    mean = rng.normal(size=(3, 6, 7)).astype(np.float32)
    image = rng.integers(0, 256, (3, 6, 7), dtype=np.uint8)
    crop = Transform(crop_size=4, train=True, mean_image=mean, mirror=True)
    full = image - mean
    windows = [full[:, t : t + 4, x : x + 4] for t in range(3) for x in range(4)]
    windows += [window[:, :, ::-1] for window in windows]
    for _ in range(20):
        result = crop(image, rng)
        assert sum(np.array_equal(result, window) for window in windows) == 1


def test_float_data_are_not_rounded():
    image = np.array([[[0.5, -3.25]]], np.float32)
    assert_array_equal(transform("scale: 2 mean_value: 1")(image), [[[-1.0, -8.5]]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'mean_file: "mean_image.binaryproto" mean_value: 1',
            "Cannot specify mean_file and mean_value at the same time",
        ),
        ("force_color: true force_gray: true", "cannot set both force_color and force_gray"),
        ("crop_size: 9", "an image of 8 x 10 is smaller than crop_size 9"),
        ("mean_value: 1 mean_value: 2", "Specify either 1 mean_value or as many as channels: 3"),
        ('mean_file: "mean_image.binaryproto"', r"mean_file holds \(3, 48, 64\), an image has \(3, 8, 10\)"),
        ("mirror: true", "need a random generator"),
    ],
)
def test_what_caffe_refuses_is_refused(text, message):
    with pytest.raises(DataError, match=f"layer 'data': .*{message}"):
        transform(text)(np.zeros((3, 8, 10), np.uint8))
