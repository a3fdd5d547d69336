"""Rows of .npy files: complete writes, counted reads, and files that are mended."""

import os

import numpy as np
import pytest

from vggrepro.errors import ProtocolError
from vggrepro.evaluation.measuring.npy_rows import NpyRows, create_npy, mend_npy

SHAPE = (5, 2, 3)


def row(value):
    return np.full(SHAPE[1:], value, np.float32)


@pytest.fixture
def path(tmp_path):
    create_npy(tmp_path / "rows.npy", SHAPE, np.float32, holes=True)
    return tmp_path / "rows.npy"


def test_rows_are_what_numpy_reads(path):
    rows = NpyRows(path)
    rows.write(3, row(7))
    rows.sync()
    assert (rows.rows, rows.row_shape, rows.row_bytes) == (5, (2, 3), 24)
    assert (rows.read(np.array([3, 0])) == np.stack([row(7), row(0)])).all()
    rows.close()
    assert (np.load(path)[3] == 7).all()


def test_a_row_of_another_shape_or_type_is_refused(path):
    rows = NpyRows(path)
    for wrong in (row(1)[:1], row(1).astype(np.float64)):
        with pytest.raises(ProtocolError, match=r"got a row .* expected \(2, 3\) float32"):
            rows.write(0, wrong)
    rows.close()


def test_writes_that_come_back_short_go_on(path, monkeypatch):
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, offset: real(file, bytes(data)[:5], offset))
    rows = NpyRows(path)
    rows.write(4, row(9))
    rows.close()
    assert (np.load(path)[4] == 9).all()


def test_a_file_that_ends_early_is_told_and_mended(path):
    os.truncate(path, path.stat().st_size - 30)
    rows = NpyRows(path)
    with pytest.raises(ProtocolError, match=r"rows\.npy: ends before row 4"):
        rows.read(np.array([4]))
    assert (rows.read_all()[4] == 0).all()
    rows.close()
    assert mend_npy(path, SHAPE, np.float32, holes=True) == "ends early"
    assert mend_npy(path, SHAPE, np.float32, holes=True) == ""
    assert np.load(path).shape == SHAPE


@pytest.mark.parametrize("holes", [True, False])
def test_what_is_missing_or_no_npy_is_made_anew(tmp_path, holes):
    path = tmp_path / "rows.npy"
    assert mend_npy(path, SHAPE, np.float32, holes=holes) == "is missing"
    path.write_bytes(b"no array")
    assert mend_npy(path, SHAPE, np.float32, holes=holes) == "is damaged"
    assert mend_npy(path, (6, 2, 3), np.float32, holes=holes) == "is damaged"
    assert np.load(path).shape == (6, 2, 3)
