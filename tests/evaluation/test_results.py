"""Results of a cache whose posteriors are known."""

import numpy as np
import pytest

from vggrepro.errors import ProtocolError
from vggrepro.evaluation import results as results_module
from vggrepro.evaluation.measuring.measurement import StreamCaches
from vggrepro.evaluation.measuring.view_cache import ViewCache
from vggrepro.evaluation.protocols import Member, stream_shares
from vggrepro.evaluation.results import collect_results

CLASSES, IMAGES = 6, 7
MEMBERS = (Member("n", "centre", (8, 9), flip=False),)
LABELS = np.array([0, 1, 2, 3, 4, 5, 0])


@pytest.fixture
def cache(tmp_path):
    """Two streams of one view: at scale 8 images 0 to 4 are right, at scale 9 images 0 and 1 and 6."""
    with ViewCache(tmp_path, {}, IMAGES) as cache:
        for stream in stream_shares(MEMBERS):
            cache.create(stream, CLASSES, {})
            store = cache.open(stream)
            right = (0, 1, 2, 3, 4) if stream.scale == 8 else (0, 1, 6)
            for index in range(IMAGES):
                if index != 5:
                    sure = 0.9 if stream.scale == 8 else 0.6
                    guess = LABELS[index] if index in right else (LABELS[index] + 1) % CLASSES
                    store.write(index, np.log(posterior(int(guess), sure))[None])
            store.close()
        yield cache


def posterior(label, probability):
    row = np.full(CLASSES, (1 - probability) / (CLASSES - 1), np.float32)
    row[label] = probability
    return row


INDEXES = np.array([0, 1, 2, 3, 4, 6])


@pytest.mark.parametrize("chunk", [1, 1 << 20])
def test_errors_of_the_whole_and_of_its_parts(cache, monkeypatch, chunk):
    monkeypatch.setattr(results_module, "_CHUNK_BYTES", chunk)  # one image at a time, and all of them
    found = collect_results(cache, MEMBERS, INDEXES, LABELS[INDEXES])
    assert found.images == 6
    # The mean follows scale 8, which is surer: image 6 alone is wrong, its truth in the second place.
    assert (found.whole.errors.top1.wrong, found.whole.errors.top5.wrong) == (1, 0)
    assert {part.combination: part.errors.top1.wrong for part in found.parts} == {
        "n centre Q=8 no flips": 1,
        "n centre Q=9 no flips": 3,
    }
    assert found.best[:, 0].tolist() == [0, 1, 2, 3, 4, 1]
    assert found.best.shape == (6, 5)


def test_mistakes_and_confusions(cache):
    found = collect_results(cache, MEMBERS, INDEXES, LABELS[INDEXES])
    (mistake,) = found.worst
    assert (mistake.index, mistake.truth) == (6, 0)
    assert mistake.truth_probability == pytest.approx((0.6 + 0.02) / 2)
    assert mistake.guesses[0] == (1, pytest.approx((0.9 + 0.08) / 2))
    assert [(c.truth, c.guess, c.count, c.total) for c in found.confusions] == [(0, 1, 1, 2)]
    assert [(c.label, c.errors.top1.wrong) for c in found.classes] == [(0, 1), (1, 0), (2, 0), (3, 0), (4, 0)]


def test_the_most_confident_mistakes_come_first(tmp_path):
    """Four mistakes and one right answer, of which the second is the surest."""
    (stream,) = stream_shares((Member("n", "centre", (9,), flip=False),))
    with ViewCache(tmp_path, {}, 5) as cache:
        cache.create(stream, CLASSES, {})
        store = cache.open(stream)
        for index, (label, sure) in enumerate([(1, 0.4), (1, 0.9), (0, 0.95), (1, 0.6), (1, 0.6)]):
            store.write(index, np.log(posterior(label, sure))[None])
        store.close()
        member = (Member("n", "centre", (9,), flip=False),)
        found = collect_results(cache, member, np.arange(5), np.zeros(5, np.int64), worst=3)
        assert [mistake.index for mistake in found.worst] == [1, 3, 4]  # equals in the order of the images
        assert collect_results(cache, member, np.arange(5), np.zeros(5, np.int64), worst=0).worst == ()


def test_an_image_that_was_not_measured(cache):
    with pytest.raises(ProtocolError, match="image number 5 has not been evaluated"):
        collect_results(cache, MEMBERS, np.arange(IMAGES), LABELS)


def test_mean_posteriors_of_open_caches(cache):
    streams = sorted(stream_shares(MEMBERS))
    with StreamCaches(cache, streams) as caches:
        means = caches.means(np.array([6, 0]))
    assert [stream.scale for stream in means] == [8, 9]
    assert means[streams[0]] == pytest.approx(np.stack([posterior(1, 0.9), posterior(0, 0.9)]), abs=1e-6)
