"""From images to one answer per image and stream, with a stand-in for the network."""

import cv2
import numpy as np
import pytest

from vggrepro.data.sources import open_images
from vggrepro.errors import DataError
from vggrepro.evaluation.measuring.pipeline import Answer, Execution, ImageProblem, ImageSet, Pipeline
from vggrepro.evaluation.measuring.rescaled_image import ImageReading
from vggrepro.evaluation.protocols import Stream

CROP = 8
MEAN = (10.0, 20.0, 30.0)
STREAMS = (Stream("n", "five", 9, flip=False), Stream("n", "dense", 12, flip=True))


class Score:
    """The mean over channels and positions of each view, and what it was called with."""

    def __init__(self):
        self.calls = []

    def __call__(self, stream, blob):
        self.calls.append((stream, blob.shape))
        return blob.mean(axis=(1, 2, 3), dtype=np.float64)[:, None].astype(np.float32)


class Bytes(Score):
    """As a device that subtracts the mean pixel itself."""

    def __call__(self, stream, blob):
        assert blob.dtype == np.uint8
        return super().__call__(stream, (blob - np.float32(MEAN)).transpose(0, 3, 1, 2))


def pipeline(source, *, indexes=None, streams=STREAMS, on_bad="error", **options):
    chosen = np.arange(len(source)) if indexes is None else np.array(indexes)
    run = Execution(**{"batch": 3, "window": 4, **options})
    return Pipeline(ImageSet(source, chosen, on_bad=on_bad), streams, CROP, MEAN, run)


def test_every_image_gets_an_answer_in_every_stream(images):
    source = open_images(images / "images")
    found = list(pipeline(source, indexes=[5, 2, 9, 20, 1]).all_answers(Score()))
    # Windows in order, streams in order within a window.
    assert [(a.stream, a.index in (5, 2, 9, 20)) for a in found] == [
        *[(STREAMS[0], True)] * 4,
        *[(STREAMS[1], True)] * 4,
        (STREAMS[0], False),
        (STREAMS[1], False),
    ]
    assert sorted({a.index for a in found}) == [1, 2, 5, 9, 20]
    for answer in found:
        pixels = cv2.imread(str(images / "images" / source.key(answer.index)))
        height, width = pixels.shape[:2]
        factor = answer.stream.scale / min(height, width)
        size = int(width * factor + 0.5), int(height * factor + 0.5)
        scaled = cv2.resize(pixels, size).astype(np.float64) - MEAN
        assert answer.rows.shape == (answer.stream.view_count, 1)
        if answer.stream.view_kind == "dense":
            assert answer.rows[0, 0] == pytest.approx(scaled.mean(), abs=1e-4)
        else:
            assert answer.rows[0, 0] == pytest.approx(scaled[:CROP, :CROP].mean(), abs=1e-4)
            assert answer.rows[3, 0] == pytest.approx(scaled[-CROP:, -CROP:].mean(), abs=1e-4)


def test_a_batch_has_the_pixels_of_so_many_crops(images):
    score = Score()
    list(pipeline(open_images(images / "images"), streams=STREAMS[1:], batch=4).all_answers(score))
    assert all(n == 1 or n * h * w <= 4 * CROP**2 for _, (n, _, h, w) in score.calls)
    score = Score()
    list(pipeline(open_images(images / "images"), streams=STREAMS[:1], batch=4).all_answers(score))
    assert max(shape[0] for _, shape in score.calls) == 4


def test_batches_of_which_nothing_is_wanted_are_not_scored(images):
    score = Score()
    wanted = {6}

    def is_wanted(_stream, indexes):
        return np.isin(indexes, list(wanted))

    work = pipeline(open_images(images / "images"), streams=STREAMS[:1], batch=5)
    found = list(work.answers([np.arange(4), np.arange(4, 8)], score, is_wanted))
    assert [answer.index for answer in found] == [6]  # a batch of five crops is one image's
    assert len(score.calls) == 1


def test_an_image_with_views_that_are_not_scored_has_no_answer(images):
    source = open_images(images / "images")
    work = pipeline(source, streams=STREAMS[:1], batch=3)  # batches cut images' five crops
    found = list(work.answers([np.arange(4)], Score(), lambda _, indexes: indexes == 0))
    assert [answer.index for answer in found] == [0]


def test_bad_images_are_answered_by_a_problem(images):
    (images / "images" / "val_002.png").write_bytes(b"no picture")
    source = open_images(images / "images")
    found = list(pipeline(source, indexes=[1, 2, 3], on_bad="skip").all_answers(Score()))
    problems = [item for item in found if isinstance(item, ImageProblem)]
    assert [(p.index, p.kind) for p in problems] == [(2, "bad")]
    assert "val_002.png" in problems[0].reason
    assert sorted(item.index for item in found if isinstance(item, Answer)) == [1, 1, 3, 3]
    with pytest.raises(DataError, match=r"val_002\.png"):
        list(pipeline(source, indexes=[1, 2, 3]).all_answers(Score()))


def test_images_that_end_early_are_answered_and_named(images):
    data = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8))[1].tobytes()
    (images / "images" / "val_002.png").write_bytes(data[: len(data) // 2])
    found = list(
        pipeline(open_images(images / "images"), indexes=[2], streams=STREAMS[:1]).all_answers(Score())
    )
    assert [(type(item), item.index) for item in found] == [(ImageProblem, 2), (Answer, 2)]
    assert found[0].kind == "truncated"
    assert found[0].reason.endswith("val_002.png: ends early") or "ends early" in found[0].reason


@pytest.mark.parametrize("streams", [STREAMS, STREAMS[::-1]])
def test_on_a_gpu_batches_are_filled_up_and_the_answers_are_the_same(images, streams):
    source = open_images(images / "images")
    score, filled = Score(), Bytes()
    plain = list(pipeline(source, streams=streams, window=50).all_answers(score))
    found = list(pipeline(source, streams=streams, window=50, device="cuda").all_answers(filled))
    rows = {(a.stream, a.index): a.rows for a in plain}
    assert len(found) == len(rows)
    for answer in found:
        np.testing.assert_allclose(answer.rows, rows[answer.stream, answer.index], rtol=1e-6)
    lengths = {}
    for stream, (n, *_, h, w) in filled.calls:
        lengths.setdefault((stream, h, w), set()).add(n)
    assert lengths and all(len(found) == 1 for found in lengths.values())


def test_streams_whose_views_have_one_size_take_turns(images):
    dense = tuple(Stream("n", "dense", 12, flip=flip) for flip in (False, True))
    score = Score()
    list(pipeline(open_images(images / "images"), streams=dense, window=50).all_answers(score))
    sizes = [shape[2:] for _, shape in score.calls]
    assert sizes == sorted(sizes)
    assert {stream for stream, _ in score.calls} == set(dense)


@pytest.mark.parametrize(
    "reading", [ImageReading(scale=0.5), ImageReading(channel_order="rgb"), ImageReading(scale=1.0)]
)
def test_what_a_device_cannot_make_of_bytes_is_made_here(images, reading):
    source, score = open_images(images / "images"), Score()
    run = Execution(device="cuda", batch=3)
    list(Pipeline(ImageSet(source, np.arange(2), reading), STREAMS[1:], CROP, MEAN, run).all_answers(score))
    channels = {shape[1] if reading != ImageReading() else shape[3] for _, shape in score.calls}
    assert channels == {3}
