"""Answers for every image as files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vggrepro.data.truth.labels import Synsets
from vggrepro.errors import DataError
from vggrepro.evaluation.predictions import Predictions, read_answers, to_csv, to_submission

WNIDS = tuple(f"n{number:08d}" for number in range(6))
FOUND = Predictions(
    ["b/2.png", 'a,"1.png'],
    np.array([3, 1]),
    np.array([0, 5]),
    np.array([[3, 1, 2, 0, 5], [0, 2, 3, 4, 5]]),
    np.array([[0.5, 0.25, 0.125, 0.0625, 0.03125], [0.3, 0.2, 0.15, 0.14, 0.13]]),
)


def test_csv_there_and_back(tmp_path: Path) -> None:
    text = to_csv(FOUND)
    head, first, _ = text.splitlines()
    assert head.startswith("image,truth,rank,class1,probability1,class2")
    assert first == "b/2.png,3,1,3,0.5,1,0.25,2,0.125,0,0.0625,5,0.03125"
    (tmp_path / "p.csv").write_text(text)
    found = read_answers(tmp_path / "p.csv")
    assert list(found.keys) == FOUND.keys
    assert (found.labels.tolist(), found.ranks.tolist()) == ([3, 1], [0, 5])
    assert (found.where, found.combinations) == (str(tmp_path / "p.csv"), {})


def test_csv_has_the_ranks_by_every_combination(tmp_path: Path) -> None:
    ranks = {"table 5, D:dense": FOUND.ranks, "table 5, D:both": np.array([4, 2])}
    text = to_csv(replace(FOUND, combinations=ranks))
    assert text.splitlines()[0].endswith(',probability5,"rank by table 5, D:dense","rank by table 5, D:both"')
    assert text.splitlines()[1].endswith(",0.03125,1,5")
    (tmp_path / "p.csv").write_text(text)
    found = read_answers(tmp_path / "p.csv").combinations
    assert {name: found[name].tolist() for name in found} == {n: r.tolist() for n, r in ranks.items()}
    (tmp_path / "p.csv").write_text(text.replace(",1,5\n", ",1,0\n"))
    with pytest.raises(DataError, match=r"p\.csv:2: expected an image"):
        read_answers(tmp_path / "p.csv")


def test_the_contests_format_has_the_devkits_ids_in_the_order_of_names() -> None:
    devkit = Synsets(WNIDS[::-1], ("",) * 6, "meta.mat")
    text = to_submission(FOUND, Synsets(WNIDS, ("",) * 6, "synsets.txt"), devkit)
    assert text == "3 5 4 6 1\n6 4 3 2 1\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"p\.csv:1: expected the heads image,truth,rank"),
        ("a,b\n", r"p\.csv:1: expected the heads"),
        ("image,truth,rank\na,1\n", r"p\.csv:2: expected an image, its truth, and a rank"),
        ("image,truth,rank\na,1,0\n", r"p\.csv:2: expected an image"),
        ("image,truth,rank\na,1,x\n", r"p\.csv:2: expected an image"),
        ("image,truth,rank\na,1,1\na,1,1\n", r"p\.csv:3: image a occurs twice"),
        ("image,truth,rank\na,,\n", r"p\.csv:2: expected an image"),
        ("image,truth,rank\n", r"p\.csv: has no images"),
        ("image,truth,rank\n" + "a" * 200_000, r"p\.csv: cannot be read as CSV"),
    ],
)
def test_broken_files(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_answers(tmp_path / "p.csv")
    with pytest.raises(DataError, match="cannot be read"):
        read_answers(tmp_path / "nothing.csv")
