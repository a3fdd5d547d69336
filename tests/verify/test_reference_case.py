"""Stored reference cases: their files, their tolerances, and what is compared."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden_suite import ROOT

from vggrepro.errors import DataError
from vggrepro.verify.reference_case import ReferenceCase, Tolerance, check_case

RELU = ROOT / "layers" / "relu"


def copied(folder: Path, source: Path = RELU, **changes: np.ndarray[Any, Any] | None) -> ReferenceCase:
    """A golden case away from its index; arrays that are None are left out."""
    target = folder / source.name
    shutil.copytree(source, target)
    with np.load(target / "io.npz") as arrays:
        io = {**{key: arrays[key] for key in arrays.files}, **changes}
    np.savez(target / "io.npz", **{key: array for key, array in io.items() if array is not None})
    return ReferenceCase(target)


def write_index(folder: Path, **entry: object) -> None:
    (folder / "index.json").write_text(json.dumps({"cases": [{"path": RELU.name, **entry}]}))


def test_arrays_by_kind_and_name() -> None:
    case = ReferenceCase(RELU)
    assert set(case.arrays("in")) == set(case.load().inputs)
    assert case.keys("in", "out") == [k for k in case.io if k.startswith(("in:", "out:"))]
    assert case.arrays("param_after") == {}


@pytest.mark.parametrize("name", ["relu", "bn_train_twice"])
def test_everything_that_a_case_stores_is_compared(name: str) -> None:
    case = ReferenceCase(ROOT / "layers" / name)
    found = check_case(case)
    assert sorted(d.blob for d in found) == sorted(
        k for k in case.io if k.split(":")[0] not in ("in", "in2", "dout")
    )
    assert len({k.split(":")[0] for k in case.io}) > 3
    assert all(d.passed for d in found)


def test_without_an_index_the_callers_tolerance_holds(tmp_path: Path) -> None:
    case = copied(tmp_path)
    (key,) = case.keys("out")
    off = case.io[key] + np.float32(1e-3) * np.abs(case.io[key]).max()
    assert not case.compare(key, off).passed
    assert ReferenceCase(case.folder, Tolerance(0.0, 1.1e-3)).compare(key, off).passed


def test_the_nearest_index_gives_the_tolerances(tmp_path: Path) -> None:
    case = copied(tmp_path)
    (key,), (gradient,) = case.keys("out"), case.keys("din")
    write_index(
        tmp_path,
        forward={"atol": 0.5, "rtol": 0.0},
        backward_tol={"atol": 0.25, "rtol": 0.0},
        atol_by_key={key: 2.0},
    )
    fresh = ReferenceCase(case.folder)
    assert fresh.compare(key, fresh.io[key] + np.float32(1.9)).passed  # its own, not 0.5
    assert not fresh.compare(key, fresh.io[key] + np.float32(2.1)).passed
    assert fresh.compare(gradient, fresh.io[gradient] + np.float32(0.2)).passed
    assert not fresh.compare(gradient, fresh.io[gradient] + np.float32(0.3)).passed


def test_a_gradient_that_is_wrong_is_named(tmp_path: Path) -> None:
    (key,) = ReferenceCase(RELU).keys("din")
    case = copied(tmp_path, **{key: ReferenceCase(RELU).io[key] + np.float32(1)})
    assert [d.blob for d in check_case(case) if not d.passed] == [key]


def test_a_name_that_the_net_lacks(tmp_path: Path) -> None:
    case = copied(tmp_path, **{"param_after:no:0": np.zeros(1, np.float32)})
    with pytest.raises(DataError, match=r"io\.npz: 'param_after:no:0': the net has nothing of that name"):
        check_case(case)


def test_files_that_are_missing_or_damaged(tmp_path: Path) -> None:
    case = copied(tmp_path)
    (case.folder / "case.json").write_text('{"phase": "BOTH"}')
    with pytest.raises(DataError, match=r"case\.json: expected a phase, TRAIN or TEST"):
        _ = ReferenceCase(case.folder).about
    (case.folder / "case.json").write_text("[]")
    with pytest.raises(DataError, match=r"case\.json: expected a JSON object, got list"):
        _ = ReferenceCase(case.folder).about
    (case.folder / "case.json").write_text("{")
    with pytest.raises(DataError, match=r"case\.json: not JSON"):
        _ = ReferenceCase(case.folder).about
    (case.folder / "io.npz").write_bytes(b"PK no archive")
    with pytest.raises(DataError, match=r"io\.npz: not readable as \.npz"):
        _ = ReferenceCase(case.folder).io
    (case.folder / "io.npz").unlink()
    with pytest.raises(DataError, match=r"io\.npz: No such file"):
        _ = ReferenceCase(case.folder).io


def test_an_array_beyond_all_memory_is_told_by_its_files_name(tmp_path: Path) -> None:
    case = copied(tmp_path)
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (%d,), }\n" % (1 << 60)
    with zipfile.ZipFile(case.folder / "io.npz", "w") as file:
        file.writestr("in:x.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(MemoryError, match=r"io\.npz: Unable to allocate"):
        _ = ReferenceCase(case.folder).io


def test_keys_of_unknown_kinds_are_refused(tmp_path: Path) -> None:
    case = copied(tmp_path, **{"other:y": np.zeros(1, np.float32)})
    with pytest.raises(DataError, match="key 'other:y' is of no known kind"):
        _ = case.io
    np.savez(case.folder / "io.npz")
    with pytest.raises(DataError, match="empty"):
        _ = ReferenceCase(case.folder).io


@pytest.mark.parametrize(
    "about",
    [
        '{"phase": "TEST", "stages": 3}',
        '{"phase": "TEST", "stages": [1]}',
        '{"phase": "TEST", "level": "x"}',
        '{"phase": ["TEST"]}',
        "[" * 100_000,
        "\xff",
    ],
)
def test_a_case_json_of_other_types(tmp_path: Path, about: str) -> None:
    case = copied(tmp_path)
    (case.folder / "case.json").write_bytes(about.encode("latin-1"))
    with pytest.raises(DataError, match=r"case\.json: "):
        check_case(ReferenceCase(case.folder))


@pytest.mark.parametrize("index", ['{"cases": 3}', '{"cases": [1]}', "{"])
def test_an_index_of_other_types(tmp_path: Path, index: str) -> None:
    case = copied(tmp_path)
    (tmp_path / "index.json").write_text(index)
    with pytest.raises(DataError, match=r"index\.json: "):
        check_case(case)


@pytest.mark.parametrize("forward", [3, {}, {"atol": "x", "rtol": 0}, {"atol": 0, "rtol": None}])
def test_tolerances_of_other_types(tmp_path: Path, forward: object) -> None:
    case = copied(tmp_path)
    write_index(tmp_path, forward=forward)
    with pytest.raises(DataError, match=r"tolerances of its index\.json"):
        check_case(case)


def test_arrays_that_are_no_numbers(tmp_path: Path) -> None:
    case = copied(tmp_path, **{"out:y": np.array(["text"])})
    with pytest.raises(DataError, match="'out:y' holds <U4, expected numbers"):
        _ = case.io
    case = copied(tmp_path / "other", out=np.zeros(1, np.float32))
    with pytest.raises(DataError, match="key 'out' is of no known kind"):
        _ = case.io


def test_an_npz_with_bytes_that_flipped_is_one_error(tmp_path: Path) -> None:
    case = copied(tmp_path)
    with np.load(case.folder / "io.npz") as arrays:
        stored = {key: arrays[key] for key in arrays.files}
    np.savez_compressed(case.folder / "io.npz", **stored)
    good = (case.folder / "io.npz").read_bytes()
    rng = np.random.default_rng(0)
    for number in range(150):
        damaged = bytearray(good[: rng.integers(1, len(good))] if number % 3 == 0 else good)
        for place in rng.integers(0, len(damaged), 4):
            damaged[place] = rng.integers(256)
        (case.folder / "io.npz").write_bytes(damaged)
        try:
            _ = ReferenceCase(case.folder).io
        except DataError as error:
            assert "io.npz: " in str(error)
