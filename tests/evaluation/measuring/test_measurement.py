"""Filling view caches: what is measured, what is counted, and what is not measured again."""

import numpy as np
import pytest

from vggrepro.data.sources import open_images
from vggrepro.errors import DataError, ProtocolError
from vggrepro.evaluation.goals import EvaluationPlan, Goal
from vggrepro.evaluation.image_posteriors import image_posteriors
from vggrepro.evaluation.measuring import measurement
from vggrepro.evaluation.measuring.evaluated_net import load_classifier
from vggrepro.evaluation.measuring.measurement import StreamCaches, measure, work_shares
from vggrepro.evaluation.measuring.pipeline import Execution, ImageSet
from vggrepro.evaluation.measuring.view_cache import ViewCache
from vggrepro.evaluation.protocols import Member, Stream, fuse, stream_shares
from vggrepro.system.ranks import Alone

MEAN = (104.5, 116.0, 123.25)
RUN = Execution(threads=1, batch=3, window=5)
CENTRE, FIVE, DENSE = (
    Stream("one", "centre", 9, flip=False),
    Stream("one", "five", 9, flip=True),
    Stream("one", "dense", 16, flip=False),
)
CLASSES, IMAGES = 7, 10
EVERY = np.arange(IMAGES)


@pytest.fixture
def cache(tmp_path):
    with ViewCache(tmp_path / "cache", {}, IMAGES) as cache:
        for stream in (CENTRE, FIVE, DENSE):
            cache.create(stream, CLASSES, {})
        yield cache


def write(cache, stream, done=(), bad=()):
    store = cache.open(stream)
    for index in done:
        store.write(index, np.zeros((stream.view_count, CLASSES), np.float32))
    for index in bad:
        store.write_bad(index)
    store.close()


def test_what_an_open_cache_lacks(cache):
    write(cache, CENTRE, done=range(8))
    write(cache, FIVE, done=range(1, 10))
    with StreamCaches(cache, [CENTRE, FIVE]) as caches:
        assert np.flatnonzero(caches.pending(CENTRE, EVERY)).tolist() == [8, 9]
        assert not caches.lacks(np.array([1, 7]))
        assert caches.lacks(np.array([7, 8]))
        assert caches.lacks(np.array([0]))
        assert caches.image_bytes == (1 + 5) * CLASSES * 4
        assert caches.missing_bytes(EVERY) == (2 * 1 + 1 * 5) * CLASSES * 4
        assert caches.missing_bytes(np.array([9, 0, 1])) == (1 + 5) * CLASSES * 4


def test_bad_images_are_bad_in_every_stream_and_need_no_work(cache):
    write(cache, CENTRE, done=[0], bad=[4])
    write(cache, FIVE, bad=[4, 6])
    with StreamCaches(cache, [CENTRE, FIVE]) as caches:
        assert np.flatnonzero(caches.bad(EVERY)).tolist() == [4, 6]
        assert caches.bad(np.array([6, 5])).tolist() == [True, False]
        assert not caches.lacks(np.array([4]))


def test_work_is_shared_out_by_pixels(cache):
    # Crops of 8 pixels: 1 and 5 of them, and the whole image at 16 pixels, which is as 4.
    assert work_shares([CENTRE, FIVE, DENSE], 8) == {CENTRE: 0.1, FIVE: 0.5, DENSE: 0.4}
    write(cache, CENTRE, done=range(10))
    write(cache, DENSE, done=range(5))
    with StreamCaches(cache, [CENTRE, FIVE, DENSE]) as caches:
        assert caches.finished(EVERY, 8) == pytest.approx(10 * 0.1 + 5 * 0.4)
        assert caches.finished(EVERY[:2], 8) == pytest.approx(2 * 0.1 + 2 * 0.4)


def filled(folder, source, network, streams, *, options=RUN, on_bad="error", keep_views=True):
    """Fill a cache; what its progress was told, and all rows of the first stream."""
    images = ImageSet.whole(source, on_bad=on_bad)
    told = []
    with ViewCache(folder, {}, len(source), keep_views=keep_views) as cache:
        for stream in streams:
            cache.create(stream, network.channels, {})
        with StreamCaches(cache, streams) as caches:
            caches.fill(network, images, options, Alone(), told.append)
            assert not caches.lacks(images.indexes)  # all of it is on the disk already
            bad = caches.bad(images.indexes)
        store = cache.open(streams[0])
        rows = store.read(images.indexes[~bad])
        store.close()
        return told, rows, bad, cache.notes("bad")


def test_filling_measures_every_view_once(images, nets, tmp_path):
    source, network = open_images(images / "images"), load_classifier(nets[0], MEAN)
    told, rows, bad, _ = filled(tmp_path / "c", source, network, [FIVE, DENSE])
    assert rows.shape == (23, 5, 7)
    assert not bad.any()
    assert len(told) == 2 * 23
    assert sum(told) == pytest.approx(23)
    again, same, _, _ = filled(tmp_path / "c", source, network, [FIVE, DENSE])
    assert again == []
    assert np.array_equal(rows, same)


def test_means_are_those_of_the_views(images, nets, tmp_path):
    source, network = open_images(images / "images"), load_classifier(nets[0], MEAN)
    _, views, _, _ = filled(tmp_path / "views", source, network, [FIVE])
    _, means, _, _ = filled(tmp_path / "means", source, network, [FIVE], keep_views=False)
    assert means.shape == (23, 1, 7)
    assert np.exp(means[:, 0]) == pytest.approx(np.exp(views).mean(axis=1), abs=1e-6)


def test_bad_images_are_finished_and_noted(images, nets, tmp_path):
    (images / "images" / "val_003.png").write_bytes(b"not a picture")
    source, network = open_images(images / "images"), load_classifier(nets[0], MEAN)
    told, _, bad, notes = filled(tmp_path / "c", source, network, [CENTRE, DENSE], on_bad="skip")
    assert np.flatnonzero(bad).tolist() == [3]
    assert sum(told) == pytest.approx(23)
    assert list(notes) == [3]
    assert "val_003.png" in notes[3]


class Half:
    """The second of two ranks, which waits for nobody."""

    rank, size, local_rank = 1, 2, 1


def test_a_rank_measures_its_windows_alone(images, nets, tmp_path):
    source, network = open_images(images / "images"), load_classifier(nets[0], MEAN)
    with ViewCache(tmp_path / "c", {}, len(source)) as cache:
        cache.create(CENTRE, network.channels, {})
        with StreamCaches(cache, [CENTRE]) as caches:
            caches.fill(network, ImageSet.whole(source), RUN, Half(), lambda _: None)
            done = np.flatnonzero(~caches.pending(CENTRE, np.arange(23)))
    assert done.tolist() == [*range(5, 10), *range(15, 20)]


def plan(nets, *members):
    return EvaluationPlan([Goal(str(member), (member,)) for member in members], nets, MEAN)


def test_a_measurement_has_every_stream_of_the_plan(images, nets, tmp_path):
    source = open_images(images / "images")
    members = (Member("one", "both", (9, 12), flip=True), Member("two", "centre", (9,), flip=False))
    seen = []
    with measure(
        plan(nets, *members), ImageSet.whole(source), RUN, Alone(), tmp_path / "c", seen.append
    ) as found:
        shares = stream_shares(members)
        with StreamCaches(found.cache, list(shares)) as caches:
            fused = fuse(caches.means(found.indexes), shares)
    assert seen == [7, 7]
    assert (found.classes, found.indexes.tolist()) == (7, list(range(23)))
    assert [facts["name"] for facts in found.networks] == ["one", "two"]
    networks = [load_classifier(files, MEAN) for files in nets]
    expected, _ = image_posteriors(ImageSet.whole(source), members, networks, RUN)
    assert np.abs(fused - expected).max() < 1e-6


def test_a_temporary_cache_is_removed(images, nets):
    source, member = open_images(images / "images"), Member("one", "centre", (9,), flip=False)
    with measure(plan(nets[:1], member), ImageSet.whole(source), RUN, Alone(), None, lambda _: None) as found:
        root = found.cache.root
        assert root.is_dir()
        assert not found.cache.keep_views
    assert not root.exists()


def test_labels_are_checked_before_anything_is_measured(images, nets, tmp_path, monkeypatch):
    def check(classes):
        raise DataError(f"not {classes}")

    monkeypatch.setattr(measurement, "posterior_score", None)
    member = Member("one", "centre", (9,), flip=False)
    chosen = ImageSet.whole(open_images(images / "images"))
    with (
        pytest.raises(DataError, match="not 7"),
        measure(plan(nets[:1], member), chosen, RUN, Alone(), tmp_path / "c", check),
    ):
        pass


def test_posteriors_that_do_not_fit_on_the_disk(images, nets, tmp_path, monkeypatch):
    monkeypatch.setattr(measurement.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 643}))
    member = Member("one", "centre", (9,), flip=False)
    chosen = ImageSet.whole(open_images(images / "images"))  # 23 images of 7 classes in 4 bytes: 644
    with (
        pytest.raises(ProtocolError, match="give --cache a folder with more room"),
        measure(plan(nets[:1], member), chosen, RUN, Alone(), tmp_path / "c", lambda _: None),
    ):
        pass
