"""The kept index of a tar: used again, renewed, and what happens when it is damaged."""

import numpy as np
import pytest
from source_files import nested, write_tar

from vggrepro.data.sources import TarSource
from vggrepro.data.sources.tar_index import StoredKeys, load_index, save_index
from vggrepro.errors import DataError


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


@pytest.mark.parametrize("keep", [10, 200, -30])
def test_a_damaged_index_is_told_and_made_anew(tmp_path, keep):
    path, index = write_tar(tmp_path / "x.tar", {"a.jpg": b"a", "b.jpg": b"b"}), tmp_path / "index"
    whole = TarSource.open(path, index)
    stored = index.read_bytes()
    index.write_bytes(stored[:keep])
    with pytest.warns(UserWarning, match="index: a damaged index of a tar, made anew"):
        assert TarSource.open(path, index).keys == whole.keys
    assert index.read_bytes() == stored


@pytest.mark.parametrize("change", ["offsets", "sizes", "keys"])
def test_an_index_that_does_not_fit_the_tar_is_made_anew(tmp_path, change):
    path, index = write_tar(tmp_path / "x.tar", {"a.jpg": b"a", "b.jpg": b"b"}), tmp_path / "index"
    whole = TarSource.open(path, index)
    with np.load(index) as stored:
        fields = dict(stored)
    fields[change] = {
        "offsets": fields["offsets"] + 100,
        "sizes": fields["sizes"] * -1,
        "keys": np.frombuffer(b"b.jpg\0a.jpg", np.uint8),
    }[change]
    with index.open("wb") as file:
        np.savez(file, **fields)
    with pytest.warns(UserWarning, match="index: a damaged index of a tar, made anew"):
        again = TarSource.open(path, index)
    assert (again.keys, again.offsets.tolist()) == (whole.keys, whole.offsets.tolist())


def test_names_in_an_index_need_not_be_utf8(tmp_path):
    path, index = (
        write_tar(tmp_path / "x.tar", {"caf\udce9\n.jpg": b"a", "b.jpg": b"b"}),
        tmp_path / "i",
    )
    assert (
        TarSource.open(path, index).keys == TarSource.open(path, index).keys == ("b.jpg", "caf\udce9\n.jpg")
    )


def test_an_index_is_what_was_saved(tmp_path):
    tar = write_tar(tmp_path / "x.tar", {"a.jpg": b"a" * 600, "b.jpg": b"b"})
    stamp = np.array([tar.stat().st_size, 17])
    table = ("a.jpg", "b.jpg"), np.array([512, 2048]), np.array([600, 1])
    save_index(tmp_path / "i", stamp, table)
    with tar.open("rb") as file:
        loaded = load_index(tmp_path / "i", stamp, file.fileno())
        assert loaded is not None
        assert (loaded[0], loaded[1].tolist(), loaded[2].tolist()) == (table[0], [512, 2048], [600, 1])
        assert load_index(tmp_path / "i", stamp + np.array([0, 1]), file.fileno()) is None
        assert load_index(tmp_path / "none", stamp, file.fileno()) is None


@pytest.mark.parametrize(
    ("keys", "offsets", "sizes", "problem"),
    [
        (("a", "b"), [512], [1], r"2 keys, offsets \(1,\), sizes \(1,\)"),
        (("a",), [512], [1 << 40], "'a' would leave the tar"),
        (("a",), [0], [1], "'a' would leave the tar"),
        (("b", "a"), [512, 512], [1, 1], "its keys are not in order"),
        (("a", "a"), [512, 512], [1, 1], "its keys are not in order"),
        (("a",), [1024], [1], "no header before byte 1024 of the tar"),
    ],
)
def test_an_index_that_lies_is_not_used(tmp_path, keys, offsets, sizes, problem):
    tar = write_tar(tmp_path / "x.tar", {"a.jpg": b"a"})
    stamp = np.array([tar.stat().st_size, 17])
    save_index(tmp_path / "i", stamp, (keys, np.array(offsets), np.array(sizes)))
    with (
        tar.open("rb") as file,
        pytest.warns(UserWarning, match=rf"i: a damaged index .* made anew: {problem}$"),
    ):
        assert load_index(tmp_path / "i", stamp, file.fileno()) is None


def test_stored_keys_are_a_sequence():
    keys = StoredKeys(np.frombuffer("a.jpg\0né.jpg\0z.jpg".encode(), np.uint8))
    assert keys == ("a.jpg", "né.jpg", "z.jpg")
    assert keys != ("a.jpg",)
    assert (keys[-1], keys[1:], next(reversed(keys))) == ("z.jpg", ("né.jpg", "z.jpg"), "z.jpg")
    with pytest.raises(IndexError):
        keys[3]
