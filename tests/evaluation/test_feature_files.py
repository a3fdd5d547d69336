"""Files of image descriptors."""

import json

import h5py
import numpy as np
import pytest

from vggrepro.errors import ProtocolError
from vggrepro.evaluation.feature_files import check_name, feature_file

ROWS = np.arange(12, dtype=np.float32).reshape(3, 4)
NAMES = ["a.png", "b.png", "c.png"]


def write(path, labels):
    with feature_file(path, (3, 4)) as file:
        file.features[:] = ROWS
        file.describe(NAMES, labels, {"blob": "fc7"})


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
