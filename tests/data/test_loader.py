"""The training loader: the same batches from any number of threads, ranks and restarts."""

import re
import threading
import time
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from damaged_source import Damaged
from numpy.testing import assert_array_equal

from vggrepro.data.augment import Augmentation
from vggrepro.data.decode import Pixels
from vggrepro.data.loader import Batch, TrainingLoader
from vggrepro.data.reading import BadImages, Reader
from vggrepro.data.sources import Source, listed, open_images, select
from vggrepro.data.truth.labels import read_list
from vggrepro.errors import DataError

DEMO = Path(str(resources.files("vggrepro.demo")))
AUGMENTATION = Augmentation((64, 84), crop=64)


@pytest.fixture(scope="module")
def demo() -> Source:
    return listed(open_images(DEMO / "img_train.tar"), read_list(DEMO / "train.txt"), "train.txt")


def loader(source: Source, **settings) -> TrainingLoader:
    reader = Reader(source, settings.pop("bad", BadImages()))
    defaults = {"batch": 24, "seed": 7, "threads": 2}
    return TrainingLoader(reader, AUGMENTATION, **{**defaults, **settings})


def assert_equal(ours: Batch, theirs: Batch) -> None:
    assert ours.iteration == theirs.iteration
    for name in ("images", "shifts", "labels", "indices"):
        assert_array_equal(getattr(ours, name), getattr(theirs, name))


def test_batches_do_not_depend_on_threads(demo):
    one = loader(demo, threads=1, ahead=1).batches(0, 6)
    many = loader(demo, threads=7, ahead=4).batches(0, 6)
    for ours, theirs in zip(one, many, strict=True):
        assert_equal(ours, theirs)


def test_ranks_share_the_batch_of_one(demo):
    whole = list(loader(demo).batches(124, 127))  # 125 iterations an epoch: across its end
    for ranks in (2, 4, 8):
        parts = [list(loader(demo, rank=r, ranks=ranks).batches(124, 127)) for r in range(ranks)]
        for place, batch in enumerate(whole):
            for name in ("images", "shifts", "labels", "indices"):
                together = np.concatenate([getattr(part[place], name) for part in parts])
                assert_array_equal(together, getattr(batch, name))


def test_any_iteration_can_be_the_first(demo):
    through = list(loader(demo).batches(0, 9))
    for start in (3, 8):
        for ours, theirs in zip(loader(demo).batches(start, 9), through[start:], strict=True):
            assert_equal(ours, theirs)


def test_every_epoch_takes_every_image_once_in_its_own_order(demo):
    source = select(demo, range(50))
    places = [place for i in range(10) for place in loader(source, batch=15).places(i)]
    for epoch in range(3):
        images = [image for e, image in places if e == epoch]
        assert sorted(images) == list(range(50))
    assert [p for e, p in places if e == 0] != [p for e, p in places if e == 1]


def test_an_image_is_drawn_anew_each_epoch_and_seeds_differ(demo):
    source = select(demo, [5])
    batch = next(loader(source, batch=4).batches())
    assert len({image.tobytes() for image in batch.images}) == 4
    assert len(np.unique(batch.shifts, axis=0)) == 4
    other = next(loader(source, batch=4, seed=8).batches())
    assert not np.array_equal(batch.images, other.images)


def test_labels_and_pixels_belong_together(demo):
    batch = next(loader(demo).batches(3))
    assert batch.images.dtype == np.uint8
    assert batch.images.shape == (24, 64, 64, 3)
    assert (batch.shifts.dtype, batch.shifts.shape) == (np.float32, (24, 3))
    assert_array_equal(batch.labels, [demo.label(int(i)) for i in batch.indices])
    assert_array_equal(batch.indices, [image for _, image in loader(demo).places(3)])


def test_batches_that_are_kept_are_not_written_over(demo):
    kept, copies = [], []
    for batch in loader(demo, ahead=1).batches(0, 8):
        kept.append(batch.images)
        copies.append(batch.images.copy())
    for image, copy in zip(kept, copies, strict=True):
        assert_array_equal(image, copy)


def test_waiting_is_measured(demo):
    class Slow(Source):
        name = "slow"

        def __len__(self) -> int:
            return 100

        def key(self, index: int) -> str:
            return str(index)

        def label(self, index: int) -> int:
            return 0

        def read(self, index: int) -> Pixels:
            time.sleep(0.02)
            return np.zeros((64, 64, 3), np.uint8)

    slow = loader(Slow(), batch=8, threads=2)
    list(slow.batches(0, 3))  # 24 images of 20 ms in 2 threads
    assert slow.waited > 0.1


def test_skipped_images_are_replaced_alike_on_all_ranks(demo):
    source = Damaged(select(demo, range(40)), unreadable={3, 4, 39}, truncated={7})
    bad = BadImages("skip")
    whole = list(loader(source, batch=20, bad=bad).batches(0, 2))
    indices = np.concatenate([batch.indices for batch in whole])
    assert sorted(indices.tolist()) == sorted([*(set(range(40)) - {3, 4, 39}), 5, 5, 0])
    report = bad.report()
    assert sorted(report["unreadable"]) == sorted(source.key(i) for i in (3, 4, 39))
    assert report["truncated"] == [source.key(7)]
    assert "3 unreadable images left out" in (bad.summary() or "")
    for rank in range(2):
        part = loader(source, batch=20, rank=rank, ranks=2, bad=BadImages("skip")).batches(0, 2)
        for ours, theirs in zip(part, whole, strict=True):
            assert_array_equal(ours.images, theirs.images[10 * rank : 10 * rank + 10])


def test_unreadable_image_ends_the_run_by_default(demo):
    source = Damaged(select(demo, range(4)), unreadable={2}, truncated=set())
    with pytest.raises(DataError, match=r"damaged: n9\d+/.*JPEG: Could not open or find file"):
        list(loader(source, batch=4).batches(0, 1))


def test_of_several_unreadable_images_the_first_of_the_batch_is_named(demo):
    source = Damaged(select(demo, range(40)), unreadable=set(range(0, 40, 3)), truncated=set())
    places = loader(source, batch=40).places(0)
    first = next(image for _, image in places if image % 3 == 0)
    for _ in range(5):
        with pytest.raises(DataError, match=re.escape(source.key(first))):
            list(loader(source, batch=40, threads=4).batches(0, 1))


def test_no_readable_image_at_all(demo):
    source = Damaged(select(demo, range(3)), unreadable={0, 1, 2}, truncated=set())
    with pytest.raises(DataError, match="none of the 3 images can be read"):
        list(loader(source, batch=3, bad=BadImages("skip")).batches(0, 1))


def test_images_without_labels_are_refused():
    with pytest.raises(DataError, match="the image has no label"):
        list(loader(open_images(DEMO / "img_val.tar"), batch=2).batches(0, 1))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch": 10, "ranks": 4}, "a batch of 10 images does not divide among 4 ranks"),
        ({"batch": 0}, "a batch of 0 images"),
        ({"rank": 2, "ranks": 2}, "rank 2, but there are 2 ranks"),
    ],
)
def test_numbers_that_do_not_fit(demo, settings, message):
    with pytest.raises(DataError, match=message):
        loader(demo, **settings)


def test_closing_early_stops_the_threads(demo):
    batches = loader(demo).batches()
    next(batches)
    batches.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("loader")]


@pytest.mark.parametrize("kind", ["raw", "encoded", "encoded_asis"])
def test_caffes_databases_train_too(kind):
    source = open_images(Path(__file__).parents[1] / "golden" / "lmdb" / f"{kind}_lmdb")
    augmentation = Augmentation((24, 30), crop=20, colour=None, mean_bgr=(0, 0, 0))
    batch = next(
        TrainingLoader(Reader(source, BadImages()), augmentation, batch=12, seed=0, threads=2).batches()
    )
    assert sorted(batch.indices.tolist()) == list(range(12))
    assert_array_equal(batch.labels, batch.indices % 4)
    means = np.array([source.decoded(int(i)).pixels.mean() for i in batch.indices])
    # A crop is most of the image, so bright pictures give bright crops.
    assert np.corrcoef(means, batch.images.reshape(12, -1).mean(axis=1))[0, 1] > 0.8
