import json

import numpy as np
import pytest

from vggrepro.errors import ProtocolError
from vggrepro.evaluation.measuring.view_cache import BAD, DONE, PENDING, ViewCache
from vggrepro.evaluation.protocols import BEFORE, Stream, log_posteriors

GRID = Stream("D:256;512", "grid", 256, flip=True)
HEADER = {"listing_sha256": "abc"}
FACTS = {"weights_sha256": "123", "mean_bgr": [1.0, 2.0, 3.0]}


def posteriors(seed=0, shape=(25, 4)):
    """Log posteriors of random scores."""
    return log_posteriors(np.random.default_rng(seed).random(shape, np.float32), BEFORE)


def all_of(count):
    return np.arange(count, dtype=np.int64)


def open_cache(*arguments):
    with ViewCache(*arguments):
        pass


def test_rows_come_back_and_the_rest_is_pending(tmp_path):
    rows = posteriors()
    with ViewCache(tmp_path, HEADER, 6) as cache:
        cache.create(GRID, 4, FACTS)
        store = cache.open(GRID)
        store.write(3, rows)
        store.write_bad(5)
        store.close()
    with ViewCache(tmp_path, HEADER, 6) as cache:
        cache.create(GRID, 4, FACTS)
        store = cache.open(GRID)
        assert store.states(all_of(6)).tolist() == [PENDING, PENDING, PENDING, DONE, PENDING, BAD]
        assert np.array_equal(store.read(np.array([3])), rows[None])
        store.close()


def test_a_row_counts_only_after_its_flush(tmp_path):
    with ViewCache(tmp_path, HEADER, 2) as cache:
        cache.create(GRID, 4, FACTS)
        store = cache.open(GRID)
        store.write(0, np.ones((25, 4), np.float32))
        assert store.states(all_of(2)).tolist() == [PENDING, PENDING]
        store.flush()
        assert store.states(all_of(2)).tolist() == [DONE, PENDING]
        store.close()


def test_reading_what_is_not_there_raises(tmp_path):
    with ViewCache(tmp_path, HEADER, 2) as cache:
        cache.create(GRID, 4, FACTS)
        store = cache.open(GRID)
        with pytest.raises(ProtocolError, match="image number 1 has not been evaluated"):
            store.read(np.array([1]))
        store.close()


def test_a_row_of_the_wrong_shape_is_refused(tmp_path):
    with ViewCache(tmp_path, HEADER, 2) as cache:
        cache.create(GRID, 4, FACTS)
        store = cache.open(GRID)
        with pytest.raises(ProtocolError, match=r"got a row \(25, 5\) float32, expected \(25, 4\) float32"):
            store.write(0, np.ones((25, 5), np.float32))
        store.close()


@pytest.mark.parametrize(
    ("facts", "classes", "named"),
    [
        ({**FACTS, "weights_sha256": "456"}, 4, "weights_sha256 = '123', this run has '456'"),
        ({**FACTS, "mean_bgr": [1.0, 2.0, 3.5]}, 4, "mean_bgr"),
        ({**FACTS, "kernel": "cubic"}, 4, "kernel = None, this run has 'cubic'"),
        ({"weights_sha256": "123"}, 4, "mean_bgr"),
        (FACTS, 5, "shape"),
    ],
)
def test_a_stream_made_otherwise_is_refused(tmp_path, facts, classes, named):
    with ViewCache(tmp_path, HEADER, 6) as cache:
        cache.create(GRID, 4, FACTS)
        with pytest.raises(ProtocolError, match=named):
            cache.create(GRID, classes, facts)


def test_a_cache_of_other_images_is_refused(tmp_path):
    with ViewCache(tmp_path, HEADER, 6):
        pass
    with pytest.raises(ProtocolError, match="the cache was made with images = 6, this run has 7"):
        open_cache(tmp_path, HEADER, 7)
    with pytest.raises(ProtocolError, match="listing_sha256"):
        open_cache(tmp_path, {"listing_sha256": "other"}, 6)


def test_a_second_run_at_the_same_time_is_refused(tmp_path):
    with (
        ViewCache(tmp_path, HEADER, 6),
        pytest.raises(ProtocolError, match="another run is using this cache"),
    ):
        open_cache(tmp_path, HEADER, 6)
    with ViewCache(tmp_path, HEADER, 6):  # and the lock ends with the run
        pass


@pytest.mark.parametrize("content", ["[1]", "{"])
def test_a_damaged_manifest_is_refused(tmp_path, content):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(ProtocolError, match="not a cache manifest"):
        open_cache(tmp_path, HEADER, 6)


def test_streams_whose_names_look_alike_are_not_mixed(tmp_path):
    with ViewCache(tmp_path, HEADER, 6) as cache:
        cache.create(GRID, 4, FACTS)
        with pytest.raises(ProtocolError, match="net = 'D:256;512'"):
            cache.create(Stream("D-256-512", "grid", 256, flip=True), 4, FACTS)


def test_means_alone_take_one_row(tmp_path):
    with ViewCache(tmp_path, HEADER, 6, keep_views=False) as cache:
        cache.create(GRID, 4, FACTS)
        store = cache.open(GRID)
        assert store.row_bytes == 4 * 4
        store.close()


def test_an_unfilled_cache_takes_no_room(tmp_path):
    with ViewCache(tmp_path, HEADER, 50_000) as cache:
        cache.create(GRID, 1000, FACTS)
    files = [path.stat() for path in tmp_path.rglob("*") if path.is_file()]
    assert sum(s.st_size for s in files) > 4.9e9
    assert sum(s.st_blocks * 512 for s in files) < 1e6


def test_a_note_that_was_cut_off_is_dropped(tmp_path):
    with ViewCache(tmp_path, HEADER, 6) as cache:
        cache.note(4, "b.png", "bad", "no image")
        cache.note(1, "a.png", "truncated", "ends early")
        with (tmp_path / "notes.jsonl").open("a") as file:
            file.write(json.dumps({"index": 5})[:-3])
    with ViewCache(tmp_path, HEADER, 6) as cache:
        cache.note(2, "c.png", "bad", "empty")
        assert cache.notes("bad") == {2: "empty", 4: "no image"}
        assert cache.notes("truncated") == {1: "ends early"}
