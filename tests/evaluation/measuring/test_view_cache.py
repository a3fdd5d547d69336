import errno
import json
import os

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


def filled(root, indexes=range(6)):
    """A cache of six images with the rows of ``indexes``."""
    with ViewCache(root, HEADER, 6) as cache:
        cache.create(GRID, 4, FACTS)
        store = cache.open(GRID)
        for index in indexes:
            store.write(index, posteriors(index))
        store.close()
    return root / "D-256-512-grid-Q256-flip"


def states_again(root):
    """The states of a cache that is opened again, and the images whose rows are damaged."""
    with ViewCache(root, HEADER, 6) as cache:
        cache.create(GRID, 4, FACTS)
        store = cache.open(GRID)
        found = store.states(all_of(6)).tolist(), store.damaged(all_of(6)).tolist()
        store.close()
    return found


def test_a_short_write_on_a_full_disk_marks_no_row(tmp_path, monkeypatch):
    filled(tmp_path, [])
    real, room = os.pwrite, [300]

    def pwrite(descriptor, data, offset):
        if len(data) > 1 and not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        count = min(len(data), room[0]) if len(data) > 1 else 1
        room[0] -= count if len(data) > 1 else 0
        return real(descriptor, bytes(data)[:count], offset)

    with ViewCache(tmp_path, HEADER, 6) as cache:
        store = cache.open(GRID)
        monkeypatch.setattr(os, "pwrite", pwrite)
        with pytest.raises(OSError, match="No space left") as caught:
            store.write(2, posteriors())
        assert caught.value.filename.endswith("log_posteriors.npy")
        store.close()
    monkeypatch.undo()
    assert states_again(tmp_path) == ([PENDING] * 6, [])


def test_rows_that_did_not_reach_the_disk_are_never_marked(tmp_path, monkeypatch):
    filled(tmp_path, [])
    real = os.fsync
    with ViewCache(tmp_path, HEADER, 6) as cache:
        store = cache.open(GRID)
        store.write(2, posteriors())

        def fails_once(descriptor):
            monkeypatch.setattr(os, "fsync", real)
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(os, "fsync", fails_once)
        with pytest.raises(OSError, match="Input/output"):
            store.flush()
        store.close()  # the system tells a lost write once: the next fsync succeeds
    assert states_again(tmp_path) == ([PENDING] * 6, [])


@pytest.mark.parametrize("damage", ["zeros", "nan", "half", "other"])
def test_a_row_that_does_not_sum_to_one_is_damaged(tmp_path, damage):
    folder = filled(tmp_path)
    rows = np.load(folder / "log_posteriors.npy", mmap_mode="r+")
    rows[3, 7] = {"zeros": 0, "nan": np.nan, "half": [*rows[3, 7][:2], 0, 0], "other": 0.5}[damage]
    rows.flush()
    assert states_again(tmp_path) == ([DONE] * 6, [3])


def test_forgotten_rows_are_pending_for_good(tmp_path):
    filled(tmp_path)
    with ViewCache(tmp_path, HEADER, 6) as cache:
        store = cache.open(GRID)
        store.forget(np.array([1, 4]))
        store.close()
    assert states_again(tmp_path)[0] == [DONE, PENDING, DONE, DONE, PENDING, DONE]


@pytest.mark.parametrize(
    ("name", "content", "problem", "states", "damaged"),
    [
        ("states.npy", None, "states.npy: is missing", [PENDING] * 6, []),
        ("states.npy", b"", "states.npy: is damaged", [PENDING] * 6, []),
        ("states.npy", 130, "states.npy: ends early", [DONE] * 2 + [PENDING] * 4, []),
        ("log_posteriors.npy", None, "posteriors.npy: is missing", [DONE] * 6, list(range(6))),
        ("log_posteriors.npy", b"junk", "posteriors.npy: is damaged", [DONE] * 6, list(range(6))),
        ("log_posteriors.npy", 128 + 1000, "posteriors.npy: ends early", [DONE] * 6, [2, 3, 4, 5]),
        ("manifest.json", None, "manifest.json: missing or empty", [PENDING] * 6, []),
        ("manifest.json", b"\0\0", "manifest.json: missing or empty", [PENDING] * 6, []),
    ],
)
def test_files_that_a_disk_has_lost_are_told_and_made_anew(tmp_path, name, content, problem, states, damaged):
    path = filled(tmp_path) / name
    if content is None:
        path.unlink()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        os.truncate(path, content)
    with pytest.warns(UserWarning, match=problem):
        assert states_again(tmp_path) == (states, damaged)


@pytest.mark.parametrize("content", [None, b"", b"\n"])
def test_a_cache_without_its_manifest_is_measured_again(tmp_path, content):
    filled(tmp_path)
    (tmp_path / "notes.jsonl").write_text('{"index": 1, "name": "", "kind": "bad", "reason": "of others"}\n')
    (tmp_path / "manifest.json").unlink()
    if content is not None:
        (tmp_path / "manifest.json").write_bytes(content)
    with pytest.warns(UserWarning, match="everything is measured again"):
        assert states_again(tmp_path)[0] == [PENDING] * 6
    assert not (tmp_path / "notes.jsonl").exists()


def test_a_folder_with_notes_of_something_else_is_left_as_it_is(tmp_path):
    (tmp_path / "notes.jsonl").write_text("my notes")
    with pytest.raises(ProtocolError, match=r"not a cache: has notes\.jsonl and no manifest\.json"):
        open_cache(tmp_path, HEADER, 6)
    assert (tmp_path / "notes.jsonl").read_text() == "my notes"


def test_a_damaged_note_is_told_and_its_image_pending(tmp_path):
    filled(tmp_path)
    with ViewCache(tmp_path, HEADER, 6) as cache:
        cache.note(1, "a.png", "truncated", "ends early")
        cache.note(4, "b.png", "truncated", "ends early")
    notes = tmp_path / "notes.jsonl"
    notes.write_bytes(notes.read_bytes().replace(b'"a.png"', b'"\0.png', 1))
    with pytest.warns(UserWarning, match=r"notes\.jsonl: line 1 is damaged"):
        assert states_again(tmp_path)[0] == [DONE, PENDING, DONE, DONE, DONE, DONE]
    with ViewCache(tmp_path, HEADER, 6) as cache:
        assert cache.notes("truncated") == {4: "ends early"}


def test_the_run_that_holds_the_lock_is_named(tmp_path):
    with (
        ViewCache(tmp_path, HEADER, 6),
        pytest.raises(ProtocolError, match=rf"another run is using this cache \({os.getpid()} on "),
    ):
        open_cache(tmp_path, HEADER, 6)
    assert not (tmp_path / "lock").exists()
