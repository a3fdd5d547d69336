"""Which images are evaluated, and how a source of images is recognised."""

import numpy as np
import pytest

from vggrepro.data.sources import FolderSource, select
from vggrepro.errors import ProtocolError
from vggrepro.evaluation.measuring.image_choice import choose_images, source_fingerprint


@pytest.fixture
def source(tmp_path):
    """20 files, of which 0, 2, 5, 8, 10, 13, 16 and 19 are the samples."""
    names = tuple(f"{number:02}.png" for number in range(20))
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
    return FolderSource(tmp_path, names)


def test_the_same_images_are_recognised(source):
    assert source_fingerprint(source) == source_fingerprint(select(source, np.arange(20)))


def test_another_order_or_name_is_another_source(source):
    found = source_fingerprint(source)
    swapped = source_fingerprint(select(source, [1, 0, *range(2, 20)]))
    assert found["listing_sha256"] != swapped["listing_sha256"]


def test_other_contents_under_the_same_names_are_noticed(source):
    before = source_fingerprint(source)
    (source.root / "13.png").write_bytes(b"resized")
    after = source_fingerprint(source)
    assert before["listing_sha256"] == after["listing_sha256"]
    assert before["samples_sha256"] != after["samples_sha256"]
    (source.root / "13.png").unlink()  # a file that cannot be read is no reason to stop here
    assert source_fingerprint(source)["samples_sha256"] not in (
        before["samples_sha256"],
        after["samples_sha256"],
    )


def test_all_images_but_those_left_out():
    assert choose_images(6, {1, 4}, None, seed=0).tolist() == [0, 2, 3, 5]


def test_a_sample_is_ascending_and_follows_its_seed():
    one, same, other = (choose_images(100, {7}, 20, seed) for seed in (3, 3, 4))
    assert one.tolist() == same.tolist() == sorted(set(one.tolist()))
    assert len(one) == 20
    assert 7 not in one
    assert one.tolist() != other.tolist()
    assert choose_images(6, {1}, 50, seed=0).tolist() == [0, 2, 3, 4, 5]


@pytest.mark.parametrize(("without", "limit"), [({0, 1}, None), ((), 0)])
def test_no_images_are_left(without, limit):
    with pytest.raises(ProtocolError, match=rf"2 listed, {len(without)} left out, limit {limit}"):
        choose_images(2, without, limit, seed=0)
