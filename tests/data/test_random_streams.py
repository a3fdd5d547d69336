"""Random streams by name: independent, repeatable, and the orders and samples that are drawn from them."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from vggrepro.data.random_streams import Purpose, epoch_order, passing_stream, sample, stream


def test_streams_depend_on_all_of_their_names():
    draws = {
        names: stream(*names).random(3).tobytes()
        for seed in (0, 1, -1)
        for epoch in (0, 1, 7)
        for index in (0, 1, 2**40)
        for names in ((seed, Purpose.IMAGE, epoch, index), (seed, Purpose.ORDER, epoch, index))
    }
    assert len(set(draws.values())) == len(draws)
    for names, values in draws.items():  # one generator for all gives the same
        passing = passing_stream(*names)
        assert passing.random(3).tobytes() == values
        passing.integers(5, dtype=np.uint32)  # leaves half a word behind for nobody


def test_orders_are_permutations_that_change_with_the_epoch():
    first, second = epoch_order(3, 0, 1000), epoch_order(3, 1, 1000)
    assert_array_equal(np.sort(first), np.arange(1000))
    assert (first != second).any()
    assert (epoch_order(4, 0, 1000) != first).any()
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 1


def test_samples_are_subsets_without_repetition():
    drawn = sample(0, 1000, 100)
    assert len(set(drawn.tolist())) == 100
    assert_array_equal(drawn, np.sort(drawn))
    assert_array_equal(sample(0, 5, 100), np.arange(5))


def test_the_streams_of_a_version_are_those_of_every_version():
    """Runs go on after an upgrade: the first draws are Philox's for (seed, purpose) and (minor, major)."""
    generator = np.random.Philox(key=[5, Purpose.IMAGE], counter=[0, 0, 4, 3])
    expected = np.random.Generator(generator).random(4)
    assert_array_equal(stream(5, Purpose.IMAGE, 3, 4).random(4), expected)
    assert_array_equal(passing_stream(5, Purpose.IMAGE, 3, 4).random(4), expected)
    halves = stream(5, Purpose.IMAGE, 3, 4).integers(1024, size=3, dtype=np.uint32)
    assert_array_equal(passing_stream(5, Purpose.IMAGE, 3, 4).integers(1024, size=3, dtype=np.uint32), halves)
    assert {purpose.name: int(purpose) for purpose in Purpose} == {
        "ORDER": 0,
        "IMAGE": 1,
        "BATCH": 2,
        "SAMPLE": 3,
        "SKIP": 4,
    }


def test_threads_do_not_share_a_passing_stream():
    mine = passing_stream(1, Purpose.IMAGE)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: passing_stream(2, Purpose.IMAGE) is mine).result() is False
    assert_array_equal(mine.random(3), stream(1, Purpose.IMAGE).random(3))


def test_parts_of_an_epoch_have_orders_of_their_own():
    orders = {part: epoch_order(3, 0, 50, part).tobytes() for part in range(4)}
    assert len(set(orders.values())) == 4
    assert all(epoch_order(3, 0, 50, part).tobytes() == order for part, order in orders.items())
