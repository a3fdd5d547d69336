"""Files of image descriptors."""

import errno
import json
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from vggrepro.errors import ProtocolError
from vggrepro.evaluation.feature_files import blob_files, check_described, check_name, feature_file

ROWS = np.arange(12, dtype=np.float32).reshape(3, 4)
NAMES = ["a.png", "b.png", "c.png"]


def write(path, labels):
    with feature_file(path, (3, 4)) as file:
        file.features[:] = ROWS
        file.describe(NAMES, labels, {"blob": "fc7"})


def test_each_of_several_blobs_has_a_file_that_bears_its_name():
    assert blob_files(Path("a/f.npy"), ["fc7"]) == {"fc7": Path("a/f.npy")}
    assert blob_files(Path("a/f.v2.h5"), ["fc6", "inception_3a/output"]) == {
        "fc6": Path("a/f.v2.fc6.h5"),
        "inception_3a/output": Path("a/f.v2.inception_3a-output.h5"),
    }


def test_an_npy_has_a_json_beside_it(tmp_path):
    write(tmp_path / "f.npy", np.array([2, 0, 1]))
    assert np.array_equal(np.load(tmp_path / "f.npy"), ROWS)
    assert json.loads((tmp_path / "f.json").read_text()) == {
        "names": NAMES,
        "labels": [2, 0, 1],
        "blob": "fc7",
    }


def test_an_hdf5_file_has_all_inside(tmp_path):
    write(tmp_path / "f.h5", None)
    with h5py.File(tmp_path / "f.h5") as file:
        assert np.array_equal(file["features"], ROWS)
        assert [name.decode() for name in file["names"]] == NAMES
        assert "labels" not in file
        assert json.loads(file.attrs["settings"]) == {"blob": "fc7"}
    assert [path.name for path in tmp_path.iterdir()] == ["f.h5"]


@pytest.mark.parametrize("name", ["f.npy", "f.h5"])
def test_an_error_leaves_nothing_behind(tmp_path, name):
    with pytest.raises(RuntimeError, match="in between"), feature_file(tmp_path / name, (3, 4)) as file:
        file.features[:] = 1
        raise RuntimeError("in between")
    assert list(tmp_path.iterdir()) == []


def test_names_of_other_kinds_are_refused(tmp_path):
    check_name(tmp_path / "f.npy")
    check_name(tmp_path / "f.hdf5")
    with pytest.raises(ProtocolError, match=r"f\.txt: expected a name that ends in \.npy, \.h5 or \.hdf5"):
        check_name(tmp_path / "f.txt")


def test_names_that_are_no_utf8_are_carried_through(tmp_path):
    names = [os.fsdecode(b"caf\xe9.png"), "b.png", "卷.png"]
    for name in ("f.npy", "f.h5"):
        with feature_file(tmp_path / name, (3, 4)) as file:
            file.describe(names, None, {})
    assert json.loads((tmp_path / "f.json").read_bytes())["names"] == names
    with h5py.File(tmp_path / "f.h5") as file:
        assert [os.fsdecode(name) for name in file["names"]] == names


@pytest.mark.parametrize("name", ["f.npy", "f.h5"])
def test_a_disk_without_room_is_told_before_any_work(tmp_path, monkeypatch, name):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    write_begins = pytest.raises(OSError, match="No space left")
    with write_begins, feature_file(tmp_path / name, (3, 4)):
        pytest.fail("work has begun")
    assert list(tmp_path.iterdir()) == []


def test_a_json_file_of_something_else_is_not_lost(tmp_path):
    write(tmp_path / "f.npy", None)
    check_described(tmp_path / "f.npy")
    for content in ('{"mine": 1}', "no JSON", "3"):
        (tmp_path / "f.json").write_text(content)
        with pytest.raises(ProtocolError, match=r"f\.json: describes no features"):
            check_described(tmp_path / "f.npy")
        check_described(tmp_path / "f.h5")
