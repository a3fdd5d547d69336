"""What the parsing of data layers shares, and the layers that no feed reads."""

import pytest
from feed_case import feed_of

from vggrepro.caffe.messages import DataParameter
from vggrepro.data.feeds.base import batch_size, random_skip
from vggrepro.errors import DataError, UnsupportedError


def test_a_batch_has_at_least_one_image():
    assert batch_size(DataParameter(batch_size=1), "x") == 1
    for data in (DataParameter(batch_size=0), DataParameter()):
        with pytest.raises(DataError, match=r"^layer 'x': Positive batch size required$"):
            batch_size(data, "layer 'x'")


def test_the_skip_is_below_rand_skip_and_depends_on_the_seed_alone():
    data = DataParameter(rand_skip=5)
    skips = [random_skip(data, seed) for seed in range(100)]
    assert set(skips) == {0, 1, 2, 3, 4}
    assert [random_skip(data, seed) for seed in range(100)] == skips
    assert {random_skip(DataParameter(), seed) for seed in range(5)} == {0}


def test_a_layer_that_is_not_read_is_refused_by_its_type():
    message = "^layer 'data': reading data for layer type MemoryData$"
    with pytest.raises(UnsupportedError, match=message):
        feed_of('type: "MemoryData"')
