"""Folders, tars and databases of images: what they hold, and what they say when they are damaged."""

import io
import tarfile
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from vggrepro.caffe.messages import Datum
from vggrepro.data.decode import decode
from vggrepro.data.sources import (
    LmdbSource,
    TarSource,
    alphabetical,
    listed,
    open_images,
    select,
    with_labels,
)
from vggrepro.data.truth.labels import read_list
from vggrepro.errors import DataError

GOLDEN = Path(__file__).parents[1] / "golden"
DEMO = Path(str(resources.files("vggrepro.demo")))


def write_tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def nested(tmp_path: Path) -> Path:
    inner = {
        name: write_tar(
            tmp_path / f"{name}.tar", {f"{name}_{i}.JPEG": f"{name} {i}".encode() for i in (10, 2)}
        )
        for name in ("n00000002", "n00000001")
    }
    return write_tar(
        tmp_path / "train.tar", {f"{name}.tar": path.read_bytes() for name, path in inner.items()}
    )


def test_validation_tar_holds_what_tarfile_finds():
    source = open_images(DEMO / "img_val.tar")
    with tarfile.open(DEMO / "img_val.tar") as archive:
        names = sorted(archive.getnames())
        assert [source.key(i) for i in range(len(source))] == names
        for index in (0, 123, 499):
            member = archive.extractfile(names[index])
            assert member is not None
            assert source.read(index) == member.read()
    assert source.label(0) is None
    assert source.decoded(7).pixels.shape[2] == 3


def test_training_tar_of_tars_has_the_keys_of_caffes_list():
    view = listed(open_images(DEMO / "img_train.tar"), read_list(DEMO / "train.txt"), "train.txt")
    assert len(view) == 3000
    assert (view.key(0), view.label(0)) == ("n90000001/n90000001_25.JPEG", 1)
    with (
        tarfile.open(DEMO / "img_train.tar") as outer,
        tarfile.open(fileobj=outer.extractfile("n90000001.tar")) as inner,
    ):
        member = inner.extractfile("n90000001_25.JPEG")
        assert member is not None
        assert view.read(0) == member.read()


def test_threads_read_a_tar_at_the_same_time(tmp_path):
    members = {f"{i:04d}.jpg": np.random.default_rng(i).bytes(3000 + i) for i in range(200)}
    source = TarSource.open(write_tar(tmp_path / "x.tar", members))
    order = np.random.default_rng(0).permutation(np.tile(np.arange(200), 5))
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(source.read, order.tolist()))
    assert read == [members[f"{i:04d}.jpg"] for i in order]


def test_tar_index_is_kept_and_renewed(tmp_path):
    path, index = nested(tmp_path), tmp_path / "index"
    first = TarSource.open(path, index)
    assert first.keys[0] == "n00000001/n00000001_10.JPEG"
    stored = index.read_bytes()
    again = TarSource.open(path, index)
    assert (again.keys, again.offsets.tolist()) == (first.keys, first.offsets.tolist())
    assert again.read(3) == b"n00000002 2"
    write_tar(path, {"other.jpg": b"another tar"})
    assert TarSource.open(path, index).keys == ("other.jpg",)
    assert index.read_bytes() != stored
    index.write_bytes(b"not an index")
    with pytest.raises(DataError, match="not an index of a tar"):
        TarSource.open(path, index)


def test_tar_skips_what_is_no_image(tmp_path):
    names = ("./a.JPEG", "b.png", "README", "._a.JPEG", "sub/c.jpg", "labels.txt")
    source = TarSource.open(write_tar(tmp_path / "x.tar", {name: name.encode() for name in names}))
    assert source.keys == ("a.JPEG", "b.png", "sub/c.jpg")
    assert source.read(0) == b"./a.JPEG"


def test_long_names_and_large_tars_are_tarfiles_business(tmp_path):
    name = "folder/" * 30 + "x.jpg"
    source = TarSource.open(write_tar(tmp_path / "x.tar", {name: b"data"}))
    assert (source.key(0), source.read(0)) == (name, b"data")


@pytest.mark.parametrize("kept", [0.05, 0.3, 0.62])
def test_truncated_tar_is_refused(tmp_path, kept):
    path = nested(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(DataError, match=r"train\.tar.*damaged"):
        TarSource.open(path)


def test_tar_cut_after_it_was_indexed_says_so_when_read(tmp_path):
    path = write_tar(tmp_path / "x.tar", {"a.jpg": b"a" * 5000, "b.jpg": b"b" * 5000})
    source = TarSource.open(path)
    with path.open("r+b") as file:
        file.truncate(7000)
    assert source.read(0) == b"a" * 5000
    with pytest.raises(DataError, match=r"x\.tar: b\.jpg: the tar ends after"):
        source.read(1)


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "not an uncompressed tar"), (b"text " * 400, "not an uncompressed tar")]
)
def test_no_tar_at_all(tmp_path, content, message):
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(DataError, match=message):
        open_images(tmp_path / "x.tar")


def test_compressed_tar_is_refused_and_empty_one_too(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("a.jpg"), io.BytesIO())
    with pytest.raises(DataError, match="not an uncompressed tar"):
        open_images(tmp_path / "x.tar")
    with pytest.raises(DataError, match="no image files in this tar"):
        open_images(write_tar(tmp_path / "y.tar", {"readme.txt": b"x"}))


def test_folder_is_read_in_the_order_of_paths(tmp_path):
    for name in ("n2/b.JPEG", "n1/c.jpg", "n1/a.PNG", "n1/notes.txt", "n1/.hidden.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "n2" / "loop").symlink_to(tmp_path)
    source = open_images(tmp_path)
    assert [source.key(i) for i in range(len(source))] == ["n1/a.PNG", "n1/c.jpg", "n2/b.JPEG"]
    assert source.read(2) == b"n2/b.JPEG"
    (tmp_path / "n1/c.jpg").unlink()
    with pytest.raises(DataError, match=r"c\.jpg: Could not open or find file: No such file"):
        source.read(1)


def test_nothing_there(tmp_path):
    with pytest.raises(DataError, match="no image files in this folder"):
        open_images(tmp_path)
    with pytest.raises(DataError, match="no such folder or tar"):
        open_images(tmp_path / "missing")


@pytest.mark.parametrize("kind", ["raw", "encoded", "encoded_asis", "grey"])
def test_lmdb_holds_the_listed_pictures(kind):
    source = open_images(GOLDEN / "lmdb" / f"{kind}_lmdb")
    entries = read_list(GOLDEN / "lmdb" / "list.txt")
    assert [source.key(i) for i in range(len(source))] == [f"{i:08d}_{k}" for i, (k, _) in enumerate(entries)]
    assert [source.label(i) for i in range(len(source))] == [label for _, label in entries]
    pixels = source.decoded(5, grey=kind == "grey").pixels
    if kind == "encoded_asis":
        file = GOLDEN / "lmdb" / entries[5][0]
        assert_array_equal(pixels, decode(file.read_bytes(), "p").pixels)
    else:
        assert pixels.shape == (24, 28, 1 if kind == "grey" else 3)


def test_lmdb_of_bare_grey_images_gives_no_colour():
    source = open_images(GOLDEN / "lmdb" / "grey_lmdb")
    with pytest.raises(DataError, match="stored with 1 channels, 3 are needed"):
        source.decoded(0)


def test_damaged_lmdb(tmp_path):
    (tmp_path / "data.mdb").write_bytes(b"no database" * 1000)
    with pytest.raises(DataError, match="not a readable LMDB"):
        open_images(tmp_path)


def write_lmdb(path: Path, values: list[bytes]) -> Path:
    lmdb = pytest.importorskip("lmdb")
    with lmdb.open(str(path)) as environment, environment.begin(write=True) as transaction:
        for number, value in enumerate(values):
            transaction.put(f"{number:08d}".encode(), value)
    return path


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"\xff\xff\xff", "is not a Datum"),
        (Datum(channels=3, height=2, width=2, data=b"1234").SerializeToString(), "holds 4 uint8 values"),
        (Datum(channels=1, height=1, width=2, float_data=[1, 2]).SerializeToString(), "no image"),
        (Datum(encoded=True, data=b"junk").SerializeToString(), "Could not open or find file"),
    ],
)
def test_values_that_hold_no_image(tmp_path, value, message):
    source = LmdbSource.open(write_lmdb(tmp_path / "db", [value]))
    with pytest.raises(DataError, match=f"00000000: .*{message}"):
        source.decoded(0)


def test_empty_lmdb(tmp_path):
    with pytest.raises(DataError, match="the database is empty"):
        open_images(write_lmdb(tmp_path / "db", []))


def folder_of(tmp_path: Path, names: list[str]) -> Path:
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def test_list_orders_and_labels_a_source(tmp_path):
    source = open_images(folder_of(tmp_path, ["a.jpg", "b.jpg", "c.jpg"]))
    view = listed(source, [("c.jpg", 7), ("a.jpg", 5)], "list")
    assert [(view.key(i), view.label(i), view.read(i)) for i in range(2)] == [
        ("c.jpg", 7, b"c.jpg"),
        ("a.jpg", 5, b"a.jpg"),
    ]
    part = select(view, [1])
    assert (len(part), part.key(0), part.label(0)) == (1, "a.jpg", 5)


def test_list_finds_images_one_folder_deeper(tmp_path):
    source = open_images(folder_of(tmp_path, ["val/n1/a.jpg", "val/n2/b.jpg"]))
    view = listed(source, [("b.jpg", 1), ("x/a.jpg", 0)], "list")
    assert [view.key(i) for i in range(2)] == ["val/n2/b.jpg", "val/n1/a.jpg"]


def test_one_image_never_stands_for_two_of_the_list(tmp_path):
    source = open_images(folder_of(tmp_path, ["a/1.jpg", "a/2.jpg"]))
    with pytest.raises(DataError, match=r"list: 1 of 2 images are not in .*: b/1\.jpg"):
        listed(source, [("a/1.jpg", 0), ("b/1.jpg", 1)], "list")


def test_ambiguous_names_are_missing(tmp_path):
    source = open_images(folder_of(tmp_path, ["a/1.jpg", "b/1.jpg"]))
    with pytest.raises(DataError, match=r"list: 1 of 1 images are not in .*: 1\.jpg"):
        listed(source, [("1.jpg", 0)], "list")


def test_alphabetical_order_is_of_file_names_whatever_folders_they_are_in(tmp_path):
    source = open_images(folder_of(tmp_path, ["n2/a.jpg", "n1/c.jpg", "n3/b.jpg"]))
    assert [source.key(i) for i in alphabetical(source)] == ["n2/a.jpg", "n3/b.jpg", "n1/c.jpg"]


def test_labels_need_one_for_each_image():
    source = open_images(DEMO / "img_val.tar")
    assert with_labels(source, range(500)).label(499) == 499
    with pytest.raises(DataError, match="500 images, but 3 labels"):
        with_labels(source, [1, 2, 3])


def test_an_lmdb_is_read_without_lmdb_s_package(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "lmdb", None)
    assert len(open_images(GOLDEN / "lmdb" / "raw_lmdb")) > 0
