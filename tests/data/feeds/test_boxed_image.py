"""Parts and frames of images with boxes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from google.protobuf import text_format

from vggrepro.caffe.messages import TransformationParameter
from vggrepro.data.feeds.boxed_image import (
    BARE_BORDER,
    BoxedImage,
    EmitConstraint,
    Expansion,
    areas,
    crossings,
    framed,
)
from vggrepro.errors import DataError, ImageTooLargeError

PICTURE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def rows_of(*corners: tuple[float, float, float, float]) -> np.ndarray:
    return np.array([(0, 1, i, *c, 0) for i, c in enumerate(corners)], np.float32).reshape(-1, 8)


def seen(*corners: tuple[float, float, float, float], encoded: bool = False) -> BoxedImage:
    return BoxedImage(PICTURE.transpose(2, 0, 1), rows_of(*corners), encoded)


def transform(text: str) -> TransformationParameter:
    return text_format.Parse(text, TransformationParameter())


def test_areas_and_what_boxes_have_in_common() -> None:
    boxes = np.float32([[0, 0, 0.5, 0.5], [0.25, 0.25, 1, 0.5], [0.6, 0.6, 0.5, 0.9]])
    np.testing.assert_allclose(areas(boxes), [0.25, 0.1875, 0])
    np.testing.assert_allclose(crossings(boxes[:1], boxes), [[0.25, 0.0625, 0]])


def test_boxes_in_units_of_a_frame() -> None:
    frame = np.float32([0.2, 0.4, 0.6, 0.8])
    rows = rows_of((0.3, 0.5, 0.4, 0.6), (0, 0.7, 0.4, 1), (0.6, 0.4, 0.9, 0.8), (0.3, 0.3, 0.5, 0.5))
    got = framed(rows, frame, None)
    assert got[:, 2].tolist() == [0, 1, 3]  # the third only touches the frame
    np.testing.assert_allclose(
        got[:, 3:7], [[0.25, 0.25, 0.5, 0.5], [0, 0.75, 0.5, 1], [0.25, 0, 0.75, 0.25]], atol=1e-6
    )
    assert framed(rows, frame, EmitConstraint())[:, 2].tolist() == [0, 3]  # the second's centre is below
    assert framed(rows, frame, EmitConstraint(0.4))[:, 2].tolist() == [0, 3]
    assert framed(rows, frame, EmitConstraint(0.1))[:, 2].tolist() == [0, 1, 3]  # 0.2 * 0.1 of 0.4 * 0.3
    np.testing.assert_array_equal(rows, rows_of(*rows[:, 3:7].tolist()))


def test_which_constraint_a_definition_names() -> None:
    assert EmitConstraint.from_param(transform("")) is None
    assert EmitConstraint.from_param(transform("emit_constraint { }")) == EmitConstraint()
    least = EmitConstraint.from_param(
        transform("emit_constraint { emit_type: MIN_OVERLAP emit_overlap: 0.5 }")
    )
    assert least == EmitConstraint(0.5)


def test_a_part_has_whole_pixels_and_its_boxes() -> None:
    part = seen((0.1, 0.1, 0.4, 0.6)).part(np.float32([-0.2, 0.23, 0.52, 0.7]), None)
    np.testing.assert_array_equal(part.image, PICTURE[4:13, 0:15].transpose(2, 0, 1))  # 4.6, 9.4 and 15.6
    np.testing.assert_allclose(part.rows[0, 3:7], [0.1 / 0.52, 0, 0.4 / 0.52, 0.37 / 0.47], rtol=1e-5)


def test_an_encoded_image_is_stored_as_a_jpeg_after_each_change() -> None:
    part = seen(encoded=True).part(np.float32([0, 0, 0.5, 0.5]), None)
    stored = cv2.imdecode(cv2.imencode(".jpg", PICTURE[:10, :15])[1], cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(part.image, stored.transpose(2, 0, 1))
    assert not np.array_equal(stored, PICTURE[:10, :15])
    grey = BoxedImage(PICTURE[None, :, :, 0], rows_of(), True).part(np.float32([0, 0, 0.5, 0.5]), None)
    assert grey.image.shape == (1, 10, 15)


def test_numbers_that_are_no_pixels_are_refused() -> None:
    with pytest.raises(DataError, match="float_data can neither be cut"):
        BoxedImage(np.zeros((1, 4, 4), np.float32), rows_of(), False).part(np.float32([0, 0, 1, 1]), None)


@pytest.mark.parametrize("encoded", [False, True])
def test_an_image_lies_in_a_larger_one(encoded: bool) -> None:
    wide = Expansion.from_param(
        transform("expand_param { max_expand_ratio: 4 } mean_value: 104.4 mean_value: 117 mean_value: 123"),
        10**6,
    )
    assert wide is not None
    rng = np.random.default_rng(1)
    ratios, places = [], []
    for _ in range(40):
        got = wide(seen((0, 0, 1, 1), encoded=encoded), rng)
        _, height, width = got.image.shape
        assert abs(height / 20 - width / 30) < 0.05
        box = got.rows[0, 3:7] * np.float32([width, height, width, height])
        left, top, right, bottom = np.rint(box).astype(int)
        np.testing.assert_allclose(box, [left, top, right, bottom], atol=1e-3)
        assert (right - left, bottom - top) == (30, 20)
        if not encoded:
            np.testing.assert_array_equal(got.image[:, top:bottom, left:right], PICTURE.transpose(2, 0, 1))
            border = got.image.copy()
            border[:, top:bottom, left:right] = BARE_BORDER
            assert (border == BARE_BORDER).all()
        elif left > 16 and top > 16:  # blocks of the JPEG that see nothing of the image
            assert (np.abs(got.image[:, :8, :8].astype(int) - [[[104]], [[117]], [[123]]]) <= 2).all()
        ratios.append(height / 20)
        places.append(left / max(width - 30, 1))
    assert 1 <= min(ratios) < 1.6 and 3.4 < max(ratios) <= 4
    assert min(places) < 0.2 and max(places) > 0.8


def test_how_often_an_image_is_widened() -> None:
    rare = Expansion(0.25, 2, (), None)
    rng, before = np.random.default_rng(2), seen()
    assert 60 < sum(rare(before, rng) is not before for _ in range(400)) < 140
    never = Expansion(1, 1.005, (), None)
    assert never(before, rng) is before


def test_what_widens_too_far_or_does_not_fit_is_refused() -> None:
    rng = np.random.default_rng(3)
    with pytest.raises(ImageTooLargeError, match="widened by expand_param"):
        Expansion(1, 4, (), None, max_pixels=600)(seen(), rng)
    with pytest.raises(DataError, match="2 mean_values for 3 channels"):
        Expansion(1, 4, (1, 2), None)(seen(encoded=True), rng)
    with pytest.raises(DataError, match="must be above 1, got 1"):
        Expansion.from_param(transform("expand_param { prob: 0 }"), 1)
