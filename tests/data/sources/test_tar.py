"""Images in tars: what they hold, and what they say when they are damaged."""

import gc
import io
import tarfile
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from source_files import nested, write_tar

from vggrepro.data.sources import (
    TarSource,
    listed,
    open_images,
)
from vggrepro.data.truth.labels import read_list
from vggrepro.errors import DataError

DEMO = Path(str(resources.files("vggrepro.demo")))


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


def test_a_tar_that_nobody_holds_any_more_is_closed(tmp_path):
    source = TarSource.open(write_tar(tmp_path / "x.tar", {"a.jpg": b"a"}))
    file = source.file
    del source
    gc.collect()
    assert file.closed


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


def test_images_are_in_the_order_of_their_keys(tmp_path):
    source = TarSource.open(
        write_tar(tmp_path / "x.tar", {name: name.encode() for name in ("b.jpg", "a.jpg")})
    )
    assert source.keys == ("a.jpg", "b.jpg")
    assert [source.read(i) for i in range(2)] == [b"a.jpg", b"b.jpg"]
