"""Data and ImageData, batch by batch, against what Caffe put into their tops."""

import re
from pathlib import Path

import numpy as np
import pytest
from feed_case import CASE, LMDB, TOLERANCE, data_layer, feed_of
from google.protobuf import text_format
from numpy.testing import assert_allclose, assert_array_equal

from vggrepro.caffe.messages import TEST, TRAIN, Datum, LayerParameter
from vggrepro.caffe.snapshot import write_blob
from vggrepro.data.feeds import open_feed, read_mean_file
from vggrepro.data.random_streams import Purpose, stream
from vggrepro.errors import DataError, ImageTooLargeError, UnsupportedError


@pytest.mark.parametrize("name", CASE["data_layer"])
def test_data_layer_equals_caffe(name):
    case, golden = CASE["data_layer"][name], np.load(LMDB / "data_layer.npz")
    feed = feed_of(data_layer(case["db"], case["batch_size"], case["transform_param"]))
    for iteration in range(case["batches"]):
        tops = feed.batch(iteration)
        expected = golden[f"data:{name}"][iteration]
        if expected.dtype == np.uint8:
            assert_array_equal(tops["data"], expected)
        else:
            assert_allclose(tops["data"], expected, **TOLERANCE)
        assert_array_equal(tops["label"], golden[f"label:{name}"][iteration])
        assert tops["data"].dtype == tops["label"].dtype == np.float32


def test_label_top_may_be_left_out():
    layer = text_format.Parse(f'name: "d" top: "x" {data_layer("raw_lmdb", 2)}', LayerParameter())
    assert list(open_feed(layer, TEST, folder=LMDB).batch(0)) == ["x"]


def image_list(tmp_path: Path, names: list[str]) -> Path:
    path = tmp_path / "list.txt"
    path.write_text("".join(f"{name} {place}\n" for place, name in enumerate(names)))
    return path


@pytest.mark.parametrize(
    "text",
    [
        'type: "Data" data_param { source: "db" backend: LMDB batch_size: 1 }',
        'type: "ImageData" image_data_param { source: "list" batch_size: 1 }',
    ],
)
def test_an_image_that_ends_early_is_named(tmp_path, text):
    lmdb = pytest.importorskip("lmdb")
    data = (LMDB / "pics" / "p01.jpg").read_bytes()
    cut = data[: len(data) // 2]
    (tmp_path / "cut.jpg").write_bytes(cut)
    (tmp_path / "list").write_text("cut.jpg 0\n")
    with lmdb.open(str(tmp_path / "db")) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"0_cut.jpg", Datum(encoded=True, data=cut).SerializeToString())
    with pytest.warns(UserWarning, match="cut.jpg: ends early"):
        feed_of(text, folder=tmp_path).batch(0)


def test_shuffled_epochs_hold_every_image_once_and_depend_on_the_seed_alone(tmp_path):
    names = [f"pics/p{i:02d}.{'png' if i % 3 == 0 else 'jpg'}" for i in range(12)]
    text = (
        f'type: "ImageData" image_data_param {{ source: "{image_list(tmp_path, names)}" batch_size: 5'
        " new_height: 4 new_width: 4 shuffle: true }"
    )

    def labels(seed: int) -> list[int]:
        return (
            np.concatenate([feed_of(text, seed=seed).batch(i)["label"] for i in range(12)])
            .astype(int)
            .tolist()
        )

    first = labels(1)
    assert [sorted(first[i : i + 12]) for i in range(0, 60, 12)] == [list(range(12))] * 5
    assert first[:12] != first[12:24]
    assert labels(1) == first
    assert labels(2) != first


def test_random_crops_and_mirrors_depend_on_the_iteration_alone():
    text = data_layer("raw_lmdb", 5, "crop_size: 11 mirror: true")
    one, other = feed_of(text, TRAIN, seed=3), feed_of(text, TRAIN, seed=3)
    third = one.batch(3)["data"]
    assert_array_equal([other.batch(i)["data"] for i in range(4)][3], third)
    assert not np.array_equal(feed_of(text, TRAIN, seed=4).batch(3)["data"], third)


def test_rand_skip_moves_the_start():
    starts = {
        feed_of(data_layer("raw_lmdb", 1, rand_skip=4), seed=s).batch(0)["label"].item() for s in range(30)
    }
    assert starts == {0.0, 1.0, 2.0, 3.0}


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (data_layer("raw_lmdb", 0), DataError, "Positive batch size required"),
        (data_layer("raw_lmdb", 2).replace("LMDB", "LEVELDB"), UnsupportedError, "LEVELDB"),
        (data_layer("nowhere", 2), DataError, "nowhere: not a readable LMDB"),
        (data_layer("encoded_asis_lmdb", 2), DataError, r"images of \(3, .* in one batch"),
        (
            'type: "ImageData" image_data_param { source: "list.txt" new_height: 3 }',
            DataError,
            "requires new_height and new_width to be set at the same time",
        ),
        (
            'type: "ImageData" image_data_param { source: "absent.txt" }',
            DataError,
            "absent.txt: Could not open",
        ),
        (
            'type: "ImageData" image_data_param { source: "list.txt" root_folder: "x/" }',
            DataError,
            "Could not open or find file: No such file",
        ),
    ],
)
def test_what_caffe_stops_at(text, error, message):
    with pytest.raises(error, match=message):
        feed_of(text).batch(0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (data_layer("raw_lmdb", 5), "raw_lmdb: 00000006_"),
        ('type: "ImageData" image_data_param { source: "list.txt" batch_size: 5 }', "list.txt: pics/p06"),
    ],
)
def test_a_feed_says_where_an_example_is(text, expected):
    assert expected in feed_of(text).place(1, 1)


def test_feeds_bound_the_pixels_of_an_image():
    layer = text_format.Parse(
        'name: "d" type: "ImageData" top: "x" image_data_param { source: "list.txt" batch_size: 1 }',
        LayerParameter(),
    )
    with pytest.raises(ImageTooLargeError, match="pixels, expected at most 10"):
        open_feed(layer, TEST, folder=LMDB, max_pixels=10).batch(0)


@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 3, 4, 5)])
def test_a_mean_file_that_holds_no_image(tmp_path, shape):
    path = tmp_path / "mean.binaryproto"
    write_blob(path, np.zeros(shape, np.float32))
    with pytest.raises(DataError, match=rf"mean\.binaryproto: holds an array of {re.escape(str(shape))}"):
        read_mean_file(path)


def test_a_list_that_is_shorter_than_what_is_skipped(tmp_path):
    (tmp_path / "list").write_text(f"{LMDB}/pics/p00.png 1\n")
    text = 'type: "ImageData" image_data_param { source: "list" batch_size: 1 rand_skip: 9 }'
    seed = next(seed for seed in range(99) if stream(seed, Purpose.SKIP).integers(9) == 1)
    message = "Not enough points to skip: 1 of 1 images"
    with pytest.raises(DataError, match=message):
        feed_of(text, seed=seed, folder=tmp_path)
