"""MATLAB files: what scipy.io.savemat writes is read as it was, and what is damaged is an error."""

import struct
import tracemalloc
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


def element(kind: int, body: bytes) -> bytes:
    return struct.pack(">II", kind, len(body)) + body + bytes(-len(body) % 8)


def matrix(code: int, sizes: tuple[int, int], name: str, *parts: bytes) -> bytes:
    head = element(6, struct.pack(">II", code, 0)) + element(5, struct.pack(">ii", *sizes))
    return element(14, head + element(1, name.encode()) + b"".join(parts))


def compressed(body: bytes) -> bytes:
    body = zlib.compress(body)
    return struct.pack(">II", 15, len(body)) + body


BIG_ENDIAN = bytes(124) + b"\x01\x00MI"
LENGTH = struct.pack(">HHi", 4, 5, 32)  # a small element: bytes, type, values
NAMES = element(1, b"a".ljust(32, b"\0"))


def big_endian(name: str, number: float, wnid: str, words: str) -> bytes:
    """A MATLAB file from a big-endian machine, with one structure."""

    def double(value: float) -> bytes:
        return matrix(6, (1, 1), "", element(9, struct.pack(">d", value)))

    def text(value: str) -> bytes:
        return matrix(4, (1, len(value)), "", element(17, value.encode("utf-16-be")))

    fields = ("ILSVRC2012_ID", "WNID", "words", "num_children")
    names = element(1, b"".join(field.encode().ljust(32, b"\0") for field in fields))
    values = (double(number), text(wnid), text(words), double(0))
    return BIG_ENDIAN + matrix(2, (1, 1), name, LENGTH, names, *values)


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
    with pytest.raises(DataError, match="cut, or makes more than 16,777,216 bytes"):
        read_devkit_meta(tmp_path / "meta.mat")


def test_all_compressed_elements_are_inflated_to_a_limit(tmp_path):
    large = compressed(matrix(6, (1, 1), "n" * (9 << 20), element(9, bytes(8))))
    (tmp_path / "meta.mat").write_bytes(BIG_ENDIAN + large + large)
    with pytest.raises(DataError, match="cut, or makes more than 16,777,216 bytes"):
        read_structures(tmp_path / "meta.mat", "synsets")


def test_a_message_names_no_more_arrays_than_fit_in_it(tmp_path):
    (tmp_path / "meta.mat").write_bytes(BIG_ENDIAN + matrix(6, (1, 1), "other") * 1000)
    with pytest.raises(
        DataError, match=r"no array 'synsets', only 'other'; 'other'.*; and [0-9]+ more$"
    ) as told:
        read_structures(tmp_path / "meta.mat", "synsets")
    assert len(str(told.value)) < 1000


@pytest.mark.parametrize("length", [float("nan"), float("inf"), 32.0])
def test_the_length_of_names_is_an_integer(tmp_path, length):
    array = matrix(2, (1, 1), "synsets", element(9, struct.pack(">d", length)), NAMES, element(14, b""))
    (tmp_path / "meta.mat").write_bytes(BIG_ENDIAN + array)
    with pytest.raises(DataError, match="the names of the fields are damaged"):
        read_structures(tmp_path / "meta.mat", "synsets")


@pytest.mark.parametrize("sizes", [(1, 1), (1, 3), (2**31 - 1, 2**31 - 1)])
def test_values_are_as_many_as_the_sizes_say(tmp_path, sizes):
    array = matrix(2, sizes, "synsets", LENGTH, NAMES, element(14, b"") * 2)
    (tmp_path / "meta.mat").write_bytes(BIG_ENDIAN + array)
    with pytest.raises(DataError, match=f"not those of {sizes[0] * sizes[1]} structures of 1 fields"):
        read_structures(tmp_path / "meta.mat", "synsets")


def test_no_more_values_are_looked_at_than_the_sizes_say(tmp_path):
    """Each takes 200 bytes of memory: a short file would take gigabytes."""
    array = matrix(2, (1, 1), "synsets", LENGTH, NAMES, element(14, b"") * 2_000_000)
    (tmp_path / "meta.mat").write_bytes(BIG_ENDIAN + compressed(array))
    tracemalloc.start()
    with pytest.raises(DataError, match="not those of 1 structures"):
        read_structures(tmp_path / "meta.mat", "synsets")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 100 << 20
