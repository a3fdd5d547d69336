"""Filling view caches: what is measured, what is counted, and what is not measured again."""

import numpy as np
import pytest

from vggrepro.data.sources import open_images
from vggrepro.errors import DataError, DeviceError, ProtocolError
from vggrepro.evaluation import demo
from vggrepro.evaluation.goals import EvaluationPlan, Goal
from vggrepro.evaluation.image_posteriors import image_posteriors
from vggrepro.evaluation.measuring import cache_folder, measurement, row_kind
from vggrepro.evaluation.measuring.evaluated_net import load_classifier, posterior_score
from vggrepro.evaluation.measuring.image_choice import source_fingerprint
from vggrepro.evaluation.measuring.measurement import StreamCaches, measure, measure_network, work_shares
from vggrepro.evaluation.measuring.pipeline import Execution, ImageSet
from vggrepro.evaluation.measuring.size_order import ordered_by_size
from vggrepro.evaluation.measuring.view_cache import ViewCache
from vggrepro.evaluation.protocols import Member, Stream, fuse, stream_shares
from vggrepro.system.lock import locked
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


def test_the_device_is_tried_before_images_are_read_and_only_where_one_is_measured(
    images, nets, tmp_path, monkeypatch
):
    def fails(device):
        raise DeviceError(f"device {device} does not work")

    source, network = open_images(images / "images"), load_classifier(nets[0], MEAN)
    told = (network, [CENTRE], ImageSet.whole(source), RUN, Alone(), "net")
    with ViewCache(tmp_path / "whole", {}, len(source)) as cache:
        measure_network(cache, *told)
        monkeypatch.setattr(measurement, "require", fails)
        measure_network(cache, *told)
    monkeypatch.setattr(measurement, "ordered_by_size", lambda *_: pytest.fail("read"))
    with (
        ViewCache(tmp_path / "empty", {}, len(source)) as cache,
        pytest.raises(DeviceError, match="device cpu does not work"),
    ):
        measure_network(cache, *told)


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

    monkeypatch.setattr(row_kind, "posterior_score", None)
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


def means_of(images, nets, folder):
    """The mean posteriors of a centre crop, from a cache in ``folder`` that is filled where it lacks some."""
    source, member = open_images(images / "images"), Member("one", "centre", (9,), flip=False)
    chosen = ImageSet.whole(source, on_bad="skip")
    with (
        measure(plan(nets[:1], member), chosen, RUN, Alone(), folder, lambda _: None) as found,
        StreamCaches(found.cache, [CENTRE]) as caches,
    ):
        return found.indexes, caches.means(found.indexes)[CENTRE]


def test_rows_that_a_disk_has_lost_are_measured_again(images, nets, tmp_path):
    _, whole = means_of(images, nets, tmp_path / "c")
    rows = np.load(next((tmp_path / "c").glob("*/log_posteriors.npy")), mmap_mode="r+")
    rows[3], rows[7, 0, 2] = 0, np.nan
    rows.flush()
    with pytest.warns(UserWarning, match=r"rows of 2 images \(number 3, 7\): measured again"):
        _, again = means_of(images, nets, tmp_path / "c")
    assert np.array_equal(again, whole)


def test_a_row_that_is_lost_after_that_is_never_averaged(images, nets, tmp_path):
    source, member = open_images(images / "images"), Member("one", "centre", (9,), flip=False)
    settings = plan(nets[:1], member), ImageSet.whole(source), RUN, Alone(), tmp_path / "c", lambda _: None
    with measure(*settings) as found, StreamCaches(found.cache, [CENTRE]) as caches:
        rows = np.load(next((tmp_path / "c").glob("*/log_posteriors.npy")), mmap_mode="r+")
        rows[3] = 0
        rows.flush()
        with pytest.raises(ProtocolError, match="no posteriors in the rows of 1 images \\(number 3\\)"):
            caches.means(found.indexes)


def test_a_bad_image_whose_note_is_lost_is_looked_at_again(images, nets, tmp_path):
    (images / "images" / "val_003.png").write_bytes(b"not a picture")
    indexes, _ = means_of(images, nets, tmp_path / "c")
    assert 3 not in indexes
    (tmp_path / "c" / "notes.jsonl").unlink()
    with pytest.warns(UserWarning, match=r"\(number 3\): measured again"):
        indexes, _ = means_of(images, nets, tmp_path / "c")
    assert 3 not in indexes
    with ViewCache(tmp_path / "c", source_fingerprint(open_images(images / "images")), 23) as cache:
        assert list(cache.notes("bad")) == [3]


def test_scores_that_are_no_numbers_are_refused(images, nets, tmp_path, monkeypatch):
    def score(*_):
        return lambda _, blob: np.full((len(blob), 7), np.nan, np.float32)

    monkeypatch.setattr(row_kind, "posterior_score", score)
    with pytest.raises(ProtocolError, match="one: the scores of image number 0 are no numbers"):
        means_of(images, nets, tmp_path / "c")


def test_a_temporary_cache_of_a_killed_run_is_removed_by_the_next(images, nets, tmp_path, monkeypatch):
    monkeypatch.setattr(cache_folder.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(cache_folder.tempfile, "tempdir", str(tmp_path))
    abandoned, busy, other = (
        tmp_path / f"{name}" for name in (".vggrepro-cache-a", ".vggrepro-cache-b", "c")
    )
    for folder in (abandoned, busy, other):
        folder.mkdir()
        (folder / "lock").write_text("1 on here")
        (folder / "manifest.json").write_text("{}")
    with locked(busy / "lock", "it"):
        means_of(images, nets, None)
        assert not abandoned.exists()
        assert busy.exists()
        assert other.exists()


def test_numbers_do_not_depend_on_how_images_are_grouped():
    """To the last bit, whole images of many sizes and crops alike."""
    network = load_classifier(demo.FILES, demo.mean_bgr())
    streams = [Stream(network.name, "dense", 64, flip=True), Stream(network.name, "five", 72, flip=False)]
    source, score = demo.truth().source, posterior_score(network, streams, Execution(threads=1))
    found = []
    for window, batch, indexes in ((30, 8, range(30)), (7, 2, range(29, -1, -1))):
        images = ordered_by_size(ImageSet(source, np.array(indexes)), streams, 1)
        pipeline = network.pipeline(images, streams, Execution(window=window, batch=batch))
        found.append({(a.stream, a.index): a.rows.tobytes() for a in pipeline.all_answers(score)})
    assert len(found[0]) == 60
    assert found[0] == found[1]
