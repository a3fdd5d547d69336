"""The matrix of a Resize, against ONNX Runtime's Resize."""

from __future__ import annotations

import numpy as np
import pytest
from onnx_models import check, model, node
from test_linear_layers import RESAMPLED, SHAPE, floats

from vggrepro.errors import UnsupportedError
from vggrepro.graph.to_caffe.onnx_to_caffe import to_caffe

SCALES = ((1.5, 2.3), (0.5, 0.7), (1.0, 2.5))
RULES = ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "half_pixel_symmetric")


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_modes_and_coordinates(mode: str, rule: str) -> None:
    for scales in SCALES:
        resized = node("Resize", "x r s", mode=mode, coordinate_transformation_mode=rule)
        constants = {"r": floats(), "s": floats(1, 1, *scales)}
        check(model([resized], SHAPE, constants, opset=19), *RESAMPLED)


@pytest.mark.parametrize("rule", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
def test_nearest_pixels(rule: str) -> None:
    for scales in SCALES:
        constants = {"r": floats(), "s": floats(1, 1, *scales)}
        check(model([node("Resize", "x r s", nearest_mode=rule)], SHAPE, constants), *RESAMPLED)


def test_cubes_without_what_is_outside() -> None:
    resized = node("Resize", "x r s", mode="cubic", exclude_outside=1, cubic_coeff_a=-0.5)
    check(model([resized], SHAPE, {"r": floats(), "s": floats(1, 1, 1.7, 2.3)}), *RESAMPLED)


def test_an_image_of_one_row() -> None:
    resized = node("Resize", "x r s n", mode="linear", coordinate_transformation_mode="pytorch_half_pixel")
    constants = {"r": floats(), "s": floats(), "n": np.array([2, 4, 1, 9], np.int64)}
    check(model([resized], SHAPE, constants), *RESAMPLED)


def test_axes_that_are_named() -> None:
    resized = node("Resize", "x r s", mode="linear", axes=[3, 2])
    check(model([resized], SHAPE, {"r": floats(), "s": floats(1.5, 2.5)}), *RESAMPLED)


def test_scales_of_older_operator_sets_count_from_the_corner() -> None:
    for mode in ("nearest", "linear"):
        constants = {"s": floats(1, 1, 1.5, 2.3)}
        check(model([node("Resize", "x s", mode=mode)], SHAPE, constants, opset=10), *RESAMPLED)


@pytest.mark.parametrize(
    ("attributes", "problem"),
    [
        ({"mode": "linear", "antialias": 1}, "antialias"),
        ({"coordinate_transformation_mode": "tf_crop_and_resize"}, "tf_crop_and_resize"),
    ],
)
def test_what_is_no_such_matrix(attributes: dict[str, object], problem: str) -> None:
    region = floats(0, 0, 0, 0, 1, 1, 1, 1)
    constants = {"r": region, "s": floats(1, 1, 2, 2)}
    with pytest.raises(UnsupportedError, match=f"operator Resize .*{problem}"):
        to_caffe(model([node("Resize", "x r s", **attributes)], SHAPE, constants))
