"""Detections as sets."""

import numpy as np

from vggrepro.verify.detections import in_the_order_of

FIRST = [0, 1, 0.9, 0.1, 0.1, 0.2, 0.2]
SECOND = [0, 1, 0.9, 0.5, 0.5, 0.7, 0.7]
THIRD = [0, 2, 0.9, 0.5, 0.5, 0.7, 0.7]
NONE = [-1.0] * 7


def rows(*found):
    return np.array(found, np.float32)[None, None]


def test_equally_sure_detections_may_stand_in_any_order():
    want = rows(FIRST, SECOND, THIRD, NONE, NONE)
    assert (in_the_order_of(want, rows(THIRD, SECOND, FIRST, NONE, NONE)) == want).all()


def test_sureness_that_is_off_by_rounding_finds_its_partner():
    less = [0, 1, 0.8999999, *SECOND[3:]]
    want = rows(FIRST, less, THIRD)
    got = rows(THIRD, SECOND, [0, 1, 0.8999998, *FIRST[3:]])
    np.testing.assert_allclose(in_the_order_of(want, got), want, atol=1e-6)


def test_a_detection_of_another_label_or_place_stays_a_difference():
    want = rows(FIRST, SECOND, NONE)
    assert (in_the_order_of(want, rows(THIRD, FIRST, NONE)) == rows(FIRST, THIRD, NONE)).all()
    assert (in_the_order_of(want, rows(FIRST, NONE, NONE)) != want).any()


def test_one_of_two_equal_detections_cannot_stand_for_both():
    want = rows(FIRST, FIRST, NONE)
    assert (in_the_order_of(want, rows(FIRST, NONE, NONE)) != want).any()


def test_another_shape_is_left_as_it_is():
    got = rows(FIRST)
    assert in_the_order_of(rows(FIRST, SECOND), got) is got
    got = rows(FIRST, SECOND, THIRD)
    assert in_the_order_of(rows(FIRST, SECOND, NONE, NONE), got) is got
    assert in_the_order_of(rows(FIRST, SECOND), got) is got
    for other in (rows(SECOND, FIRST)[..., :6], np.repeat(rows(SECOND, FIRST), 2, axis=0)):
        assert in_the_order_of(rows(FIRST, SECOND), other) is other


def test_a_detection_of_label_0_is_one():
    background = [0, 0, 0.9, 0.1, 0.1, 0.2, 0.2]
    assert (in_the_order_of(rows(background, NONE), rows(NONE, NONE)) != rows(background, NONE)).any()
    assert (in_the_order_of(rows(NONE, NONE), rows(background, NONE)) != rows(NONE, NONE)).any()


def test_rows_that_are_no_detection_are_the_same():
    zeros = [0.0] * 7
    want = rows(FIRST, THIRD, NONE, NONE)
    for got in (rows(THIRD, FIRST, zeros, zeros), rows(FIRST, THIRD), rows(FIRST, THIRD, *[zeros] * 9)):
        assert (in_the_order_of(want, got) == want).all()
    nobody = rows([0, *[-1.0] * 6], [1, *[-1.0] * 6], NONE)
    assert (in_the_order_of(nobody, rows(zeros, zeros)) == nobody).all()
    assert (in_the_order_of(nobody, rows(zeros, FIRST, zeros)) != nobody).any()
