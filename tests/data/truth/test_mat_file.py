"""MATLAB files: what scipy.io.savemat writes is read as it was, and what is damaged is an error."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from vggrepro.data.truth.labels import read_devkit_meta
from vggrepro.data.truth.mat_file import read_structures
from vggrepro.errors import DataError

DAMAGED = Path(__file__).parents[1] / "damaged"

ROWS = [
    (2, "n00000005", "five, café", "a gloss", 0, np.zeros((1, 0)), 1300),
    (1, "n00000009", "nine", "", 0, np.zeros((1, 0)), 732),
    (3, "n00000100", "an inner node", "x" * 70000, 2, np.array([[1.0, 2.0]]), 0),
]


def write(
    path: Path, rows: list[tuple[object, ...]] = ROWS, number: str = "ILSVRC2012_ID", **settings: bool
) -> Path:
    names = (number, "WNID", "words", "gloss", "num_children", "children", "num_train_images")
    synsets = np.empty((len(rows), 1), [(name, "O") for name in names])
    for place, row in enumerate(rows):
        synsets[place, 0] = row
    savemat(
        path, {"before": np.eye(3), "synsets": synsets, "cells": np.array([{"a": 1}], object)}, **settings
    )
    return path


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("number", ["ILSVRC2012_ID", "ILSVRC2010_ID"])
def test_what_savemat_writes(tmp_path, compressed, number):
    path = write(tmp_path / "meta.mat", number=number, do_compression=compressed)
    synsets = read_devkit_meta(path)
    assert synsets.wnids == ("n00000009", "n00000005")
    assert synsets.words == ("nine", "five, café")
    rows = read_structures(path, "synsets")
    assert [row["gloss"] for row in rows] == ["a gloss", "", "x" * 70000]
    assert [row["children"].tolist() for row in rows] == [[], [], [1.0, 2.0]]


@pytest.mark.parametrize("dtype", ["u1", "i2", "u4", "i8", "f4", "f8"])
def test_numbers_of_every_type(tmp_path, dtype):
    rows = [
        (np.array(i + 1, dtype), f"n{i:08d}", "", "", np.array(0, dtype), np.zeros(0), 0) for i in range(100)
    ]
    assert len(read_devkit_meta(write(tmp_path / "meta.mat", rows))) == 100


def big_endian(name: str, number: float, wnid: str, words: str) -> bytes:
    """A MATLAB file from a big-endian machine, with one structure."""

    def element(kind: int, body: bytes) -> bytes:
        return struct.pack(">II", kind, len(body)) + body + bytes(-len(body) % 8)

    def matrix(code: int, sizes: tuple[int, int], name: str, *parts: bytes) -> bytes:
        head = element(6, struct.pack(">II", code, 0)) + element(5, struct.pack(">ii", *sizes))
        return element(14, head + element(1, name.encode()) + b"".join(parts))

    def double(value: float) -> bytes:
        return matrix(6, (1, 1), "", element(9, struct.pack(">d", value)))

    def text(value: str) -> bytes:
        return matrix(4, (1, len(value)), "", element(17, value.encode("utf-16-be")))

    fields = ("ILSVRC2012_ID", "WNID", "words", "num_children")
    length = struct.pack(">HHi", 4, 5, 32)  # a small element: bytes, type, values
    names = element(1, b"".join(field.encode().ljust(32, b"\0") for field in fields))
    values = (double(number), text(wnid), text(words), double(0))
    return bytes(124) + b"\x01\x00MI" + matrix(2, (1, 1), name, length, names, *values)


def test_a_big_endian_file(tmp_path):
    (tmp_path / "meta.mat").write_bytes(big_endian("synsets", 1, "n00000007", "sieben ä"))
    synsets = read_devkit_meta(tmp_path / "meta.mat")
    assert (synsets.wnids, synsets.words) == (("n00000007",), ("sieben ä",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no MATLAB file of version 5"),
        (bytes(200), "no MATLAB file of version 5"),
        (bytes(124) + b"\x00\x02IM" + bytes(600), "version 0002, expected version 5 "),
        (big_endian("other", 1, "n00000007", ""), "no array 'synsets', only 'other'"),
        (big_endian("synsets", 1.5, "n00000007", ""), r"ILSVRC2012_ID is \[1.5\], expected a number"),
        (big_endian("synsets", float("nan"), "n00000007", ""), "ILSVRC2012_ID is .*nan.*, expected a number"),
        (
            big_endian("synsets", 2, "n00000007", ""),
            "ids of the 1 classes without children are not 1",
        ),
        (big_endian("synsets", 1, "n00000007", "")[:300], "an element of"),
    ],
)
def test_files_that_are_none(tmp_path, content, message):
    (tmp_path / "meta.mat").write_bytes(content)
    with pytest.raises(DataError, match=rf"meta\.mat: .*{message}"):
        read_devkit_meta(tmp_path / "meta.mat")


def test_one_changed_byte_at_which_scipy_crashes():
    synsets = read_devkit_meta(DAMAGED / "meta_segv.mat")
    assert synsets.words[:2] == ("w 0", "w 1")


def test_a_file_cut_anywhere_is_an_error(tmp_path):
    for compressed in (False, True):
        rows = [(*row[:3], "", *row[4:]) for row in ROWS]
        whole = write(tmp_path / "whole.mat", rows, do_compression=compressed).read_bytes()
        synsets = read_devkit_meta(tmp_path / "whole.mat")
        for length in range(0, len(whole), 7):
            (tmp_path / "meta.mat").write_bytes(whole[:length])
            try:
                assert read_devkit_meta(tmp_path / "meta.mat").wnids == synsets.wnids  # cut behind synsets
            except DataError as error:
                assert "meta.mat: " in str(error)


def test_a_compressed_element_is_inflated_to_a_limit(tmp_path):
    body = zlib.compress(bytes(100 << 20))
    (tmp_path / "meta.mat").write_bytes(bytes(124) + b"\x00\x01IM" + struct.pack("<II", 15, len(body)) + body)
    with pytest.raises(DataError, match="cut, or of more than 67,108,864 bytes"):
        read_devkit_meta(tmp_path / "meta.mat")
