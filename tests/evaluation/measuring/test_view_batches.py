from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vggrepro.errors import ProtocolError
from vggrepro.evaluation.measuring.view_batches import (
    View,
    batch_length,
    batches_by_size,
    usual_length,
    windows,
)

SIZES = st.lists(st.one_of(st.none(), st.sampled_from([(8, 8), (8, 11), (11, 8), (9, 14)])), max_size=40)


@given(SIZES, st.integers(1, 6), st.integers(1, 1000))
def test_every_view_is_in_one_batch_of_its_size(sizes, count, pixels):
    batches = batches_by_size(sizes, count, pixels)
    views = [view for batch in batches for view in batch.views]
    assert sorted(views, key=lambda v: (v.position, v.number)) == [
        View(position, number)
        for position, size in enumerate(sizes)
        if size is not None
        for number in range(count)
    ]
    assert all(sizes[view.position] == batch.size for batch in batches for view in batch.views)


@given(SIZES, st.integers(1, 6), st.integers(1, 1000))
def test_a_batch_keeps_to_the_pixels_or_is_one_view(sizes, count, pixels):
    for batch in batches_by_size(sizes, count, pixels):
        height, width = batch.size
        assert len(batch.views) == 1 or len(batch.views) * height * width <= pixels


@given(SIZES, st.integers(1, 6), st.integers(1, 1000))
def test_a_device_sees_each_size_once_in_a_window(sizes, count, pixels):
    seen = [batch.size for batch in batches_by_size(sizes, count, pixels)]
    changes = sum(a != b for a, b in pairwise(seen))
    assert changes + bool(seen) == len(set(seen))


@given(st.integers(0, 300), st.integers(1, 50))
def test_windows_hold_every_place_once(count, length):
    found = [place for window in windows(np.arange(count), length) for place in window]
    assert found == list(range(count))


def test_a_window_of_nothing():
    with pytest.raises(ProtocolError, match="window of 0 images"):
        windows(np.arange(5), 0)


@given(SIZES, st.integers(1, 6), st.integers(1, 1000), st.integers(1, 9))
def test_batches_are_no_longer_than_asked(sizes, count, pixels, longest):
    for batch in batches_by_size(sizes, count, pixels, longest):
        assert len(batch.views) <= batch_length(batch.size, pixels, longest) <= longest


@pytest.mark.parametrize(
    ("sizes", "count", "length"),
    [
        ([(8, 8)] * 5, 1, 8),
        ([(8, 8)] * 4 + [None] * 9, 1, 4),
        ([(8, 8), (8, 9), (9, 8)], 1, 1),
        ([(8, 8), (8, 8), (8, 9)], 2, 4),
        ([], 3, 1),
    ],
)
def test_the_usual_length_follows_the_views_of_a_size(sizes, count, length):
    assert usual_length(sizes, count) == length
