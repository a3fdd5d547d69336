"""HDF5Data and MemoryData, batch by batch, against what Caffe put into their tops."""

from pathlib import Path

import numpy as np
import pytest
from feed_case import CASE, LMDB, feed_of
from google.protobuf import text_format
from numpy.testing import assert_array_equal

from vggrepro.caffe.messages import TEST, LayerParameter, NetParameter
from vggrepro.data.feeds import RowFeed, memory_feed, open_feed
from vggrepro.errors import DataError


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
    damaged = Path(__file__).parents[1] / "damaged" / "bomb.h5"
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
        (
            'type: "HDF5Data" hdf5_data_param { source: "h5list.txt" batch_size: 4 }',
            "by_caffe.h5: row ",
        ),
    ],
)
def test_a_feed_says_where_an_example_is(text, expected):
    assert expected in feed_of(text).place(1, 1)


def test_memory_s_examples_have_rows():
    net = text_format.Parse((LMDB / "memory_net.prototxt").read_text(), NetParameter())
    golden = np.load(LMDB / "memory_layer.npz")
    feed = memory_feed(net.layer[0], golden["source_data"], golden["source_label"])
    assert feed.place(0, 2).endswith(": row 2")


def test_each_file_s_rows_have_an_order_of_their_own():
    rows = np.arange(50, dtype=np.float32)
    feed = RowFeed(("x",), (50, 50), lambda _: [rows], ("a", "b"), 50, seed=1, shuffle=True)
    first, second = feed.batch(0)["x"], feed.batch(1)["x"]
    assert_array_equal(np.sort(first), rows)
    assert_array_equal(np.sort(second), rows)
    assert (first != second).any()


def linked(tmp_path, make):
    """An HDF5Data layer over a file that ``make`` fills, beside another with the data."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["secret"] = np.ones((4, 2), np.float32)
    np.ones((4, 2), np.float32).tofile(tmp_path / "raw")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        make(h5py, file)
    (tmp_path / "list").write_text(str(tmp_path / "a.h5"))
    layer = text_format.Parse(
        'name: "d" type: "HDF5Data" top: "data" hdf5_data_param { source: "list" batch_size: 1 }',
        LayerParameter(),
    )
    return lambda: open_feed(layer, TEST, folder=tmp_path)


def soft(h5py, file):
    file["x"] = np.ones((4, 2), np.float32)
    file["data"] = h5py.SoftLink("/x")


def external_link(h5py, file):
    file["data"] = h5py.ExternalLink("other.h5", "/secret")


def external_data(h5py, file):
    file.create_dataset(
        "data", (4, 2), np.float32, external=[(str(Path(file.filename).parent / "raw"), 0, 32)]
    )


def virtual(h5py, file):
    layout = h5py.VirtualLayout((4, 2), np.float32)
    layout[:] = h5py.VirtualSource(str(Path(file.filename).parent / "other.h5"), "secret", (4, 2))
    file.create_virtual_dataset("data", layout)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (soft, "soft link"),
        (external_link, "external link"),
        (external_data, "external file"),
        (virtual, "virtual dataset"),
        (lambda _, file: file.create_group("data"), "Failed to find HDF5 dataset data"),
    ],
)
def test_nothing_but_the_file_itself_is_read(tmp_path, make, problem):
    with pytest.raises(DataError, match=rf"a\.h5: .*{problem}"):
        linked(tmp_path, make)()


def test_datasets_may_lie_in_groups_and_be_compressed(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("g/data", data=np.ones((4, 3), np.float32), compression="gzip")
        file["g/label"] = np.arange(4)
    (tmp_path / "list").write_text(str(tmp_path / "a.h5"))
    layer = text_format.Parse(
        'type: "HDF5Data" top: "g/data" top: "g/label" hdf5_data_param { source: "list" batch_size: 3 }',
        LayerParameter(),
    )
    batch = open_feed(layer, TEST, folder=tmp_path).batch(1)
    assert batch["g/label"].tolist() == [3, 0, 1]
    assert batch["g/data"].shape == (3, 3)


def test_values_that_the_file_does_not_hold_are_not_made_up(tmp_path):
    def empty(_, file):
        file.create_dataset("data", (4, 2), np.float32)

    with pytest.raises(DataError, match="the file holds fewer values"):
        linked(tmp_path, empty)().batch(0)
