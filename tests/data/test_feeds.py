"""Caffe's data layers, batch by batch, against what Caffe put into their tops."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format
from numpy.testing import assert_allclose, assert_array_equal

from vggrepro.caffe.messages import TEST, TRAIN, Datum, LayerParameter, NetParameter
from vggrepro.data.feeds import Feed, memory_feed, open_feed
from vggrepro.data.label_check import check_labels
from vggrepro.errors import DataError, ImageTooLargeError, UnsupportedError

LMDB = Path(__file__).parents[1] / "golden" / "lmdb"
CASE = json.loads((LMDB / "case.json").read_text())
TOLERANCE = next(
    case["forward"]["float"]
    for case in json.loads((LMDB.parent / "index.json").read_text())["cases"]
    if case["name"] == "lmdb"
)


def feed_of(text: str, phase: int = TEST, seed: int = 0, folder: Path = LMDB) -> Feed:
    layer = text_format.Parse(f'name: "data" top: "data" top: "label" {text}', LayerParameter())
    return open_feed(layer, phase, seed=seed, folder=folder)


def data_layer(db: str, batch: int, transform: str = "", **more: int) -> str:
    extra = " ".join(f"{key}: {value}" for key, value in more.items())
    return (
        f'type: "Data" data_param {{ source: "{db}" backend: LMDB batch_size: {batch} {extra} }}'
        f" transform_param {{ {transform} }}"
    )


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


def test_hdf5_layer_equals_caffe():
    golden = np.load(LMDB / "hdf5_layer.npz")
    feed = feed_of('type: "HDF5Data" hdf5_data_param { source: "h5list.txt" batch_size: 4 }')
    for iteration in range(CASE["hdf5"]["batches"]):
        tops = feed.batch(iteration)
        assert_array_equal(tops["data"], golden["data"][iteration])
        assert_array_equal(tops["label"], golden["label"][iteration])


def test_memory_layer_equals_caffe():
    golden = np.load(LMDB / "memory_layer.npz")
    net = text_format.Parse((LMDB / "memory_net.prototxt").read_text(), NetParameter())
    feed = memory_feed(net.layer[0], golden["source_data"], golden["source_label"])
    for iteration in range(CASE["memory"]["batches"]):
        tops = feed.batch(iteration)
        assert_array_equal(tops["data"], golden["data"][iteration])
        assert_array_equal(tops["label"], golden["label"][iteration])


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


def test_hdf5_shuffles_files_and_rows_within_them(tmp_path):
    h5py = pytest.importorskip("h5py")
    for file in range(3):
        with h5py.File(tmp_path / f"{file}.h5", "w") as handle:
            handle["data"] = np.arange(4, dtype=np.float64)[:, None] + 10 * file
            handle["label"] = np.arange(4)
    (tmp_path / "list").write_text("".join(f"{tmp_path}/{file}.h5\n" for file in range(3)))
    text = f'type: "HDF5Data" hdf5_data_param {{ source: "{tmp_path}/list" batch_size: 6 shuffle: true }}'
    values = np.concatenate([feed_of(text, seed=5).batch(i)["data"] for i in range(4)])[:, 0].astype(int)
    for epoch in (values[:12], values[12:]):
        assert sorted(epoch) == [0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23]
        files = epoch // 10
        assert all(len(set(files[i : i + 4])) == 1 for i in (0, 4, 8))  # one file after the other
    assert values[:12].tolist() != values[12:].tolist()


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (data_layer("raw_lmdb", 0), DataError, "Positive batch size required"),
        (data_layer("raw_lmdb", 2).replace("LMDB", "LEVELDB"), UnsupportedError, "LEVELDB"),
        (data_layer("nowhere", 2), DataError, "nowhere: not a readable LMDB"),
        (data_layer("encoded_asis_lmdb", 2), DataError, r"images of \(3, .* in one batch"),
        ('type: "WindowData"', UnsupportedError, "layer 'data': reading data for layer type WindowData"),
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
        (
            'type: "HDF5Data" hdf5_data_param { source: "h5list.txt" batch_size: 1 }'
            " transform_param { scale: 2 }",
            DataError,
            "HDF5Data does not transform data",
        ),
        ('type: "HDF5Data" hdf5_data_param { source: "absent" }', DataError, "Failed to open source file"),
        (
            'type: "HDF5Data" hdf5_data_param { source: "list.txt" batch_size: 1 }',
            DataError,
            "Failed opening HDF5 file",
        ),
    ],
)
def test_what_caffe_stops_at(text, error, message):
    with pytest.raises(error, match=message):
        feed_of(text).batch(0)


def test_hdf5_without_a_top_s_dataset():
    layer = text_format.Parse(
        'name: "d" type: "HDF5Data" top: "other" hdf5_data_param { source: "h5list.txt" batch_size: 1 }',
        LayerParameter(),
    )
    with pytest.raises(DataError, match="Failed to find HDF5 dataset other"):
        open_feed(layer, TEST, folder=LMDB)


@pytest.mark.parametrize(
    ("shape", "labels", "message"),
    [
        ((5, 2, 3, 4), 5, r"n must be a multiple of batch size \(5 vs. 3\)"),
        ((6, 2, 3, 5), 6, r"expected \(n, \*\(2, 3, 4\)\) and n labels"),
        ((6, 2, 3, 4), 5, "5 labels"),
    ],
)
def test_memory_of_the_wrong_shape(shape, labels, message):
    net = text_format.Parse((LMDB / "memory_net.prototxt").read_text(), NetParameter())
    with pytest.raises(DataError, match=message):
        memory_feed(net.layer[0], np.zeros(shape, np.float32), np.zeros(labels, np.float32))


def test_missing_extra_names_the_command(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(DataError, match=r'pip install "vggrepro\[hdf5\]"'):
        feed_of('type: "HDF5Data" hdf5_data_param { source: "h5list.txt" batch_size: 4 }')


def test_a_dataset_that_declares_more_than_its_file_holds(tmp_path):
    damaged = Path(__file__).parent / "damaged" / "bomb.h5"
    (tmp_path / "list").write_text(str(damaged))
    layer = text_format.Parse(
        'name: "d" type: "HDF5Data" top: "data/c/0" hdf5_data_param { source: "list" batch_size: 1 }',
        LayerParameter(),
    )
    with pytest.raises(DataError, match=r"bomb\.h5: dataset data/c/0 of .* declares 2,147,483,648 bytes"):
        open_feed(layer, TEST, folder=tmp_path)


def test_the_names_in_an_hdf5_list_need_not_be_utf8(tmp_path):
    (tmp_path / "list").write_bytes(b"caf\xe9.h5\n")
    with pytest.raises(DataError, match="Failed opening HDF5 file"):
        feed_of('type: "HDF5Data" hdf5_data_param { source: "list" batch_size: 1 }', folder=tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (data_layer("raw_lmdb", 5), "raw_lmdb: 00000006_"),
        (
            'type: "HDF5Data" hdf5_data_param { source: "h5list.txt" batch_size: 4 }',
            "by_caffe.h5: row ",
        ),
        ('type: "ImageData" image_data_param { source: "list.txt" batch_size: 5 }', "list.txt: pics/p06"),
    ],
)
def test_a_feed_says_where_an_example_is(text, expected):
    assert expected in feed_of(text).place(1, 1)


def test_a_label_that_is_no_class_is_named_by_its_place(tmp_path):
    (tmp_path / "list").write_text(f"{LMDB}/pics/p00.png 1\n{LMDB}/pics/p01.jpg 7\n")
    text = 'type: "ImageData" image_data_param { source: "list" batch_size: 2 new_height: 4 new_width: 4 }'
    feed = feed_of(text, folder=tmp_path)
    with pytest.raises(DataError, match=r"^layer 'data': .*list: .*p01\.jpg: label 7, expected 0 to 4$"):
        check_labels(feed.batch(0)["label"], 5, "layer 'data'", place=partial(feed.place, 0))


def test_memory_s_examples_have_rows():
    net = text_format.Parse((LMDB / "memory_net.prototxt").read_text(), NetParameter())
    golden = np.load(LMDB / "memory_layer.npz")
    feed = memory_feed(net.layer[0], golden["source_data"], golden["source_label"])
    assert feed.place(0, 2).endswith(": row 2")


def test_feeds_bound_the_pixels_of_an_image():
    layer = text_format.Parse(
        'name: "d" type: "ImageData" top: "x" image_data_param { source: "list.txt" batch_size: 1 }',
        LayerParameter(),
    )
    with pytest.raises(ImageTooLargeError, match="pixels, expected at most 10"):
        open_feed(layer, TEST, folder=LMDB, max_pixels=10).batch(0)
