"""Answers for every image as files, and two runs compared."""

from __future__ import annotations

from math import comb
from pathlib import Path

import numpy as np
import pytest

from vggrepro.data.truth.labels import Synsets
from vggrepro.errors import DataError, ProtocolError
from vggrepro.evaluation.predictions import (
    Predictions,
    compare,
    read_truth_ranks,
    sign_test,
    to_csv,
    to_submission,
)

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
    assert read_truth_ranks(tmp_path / "p.csv") == FOUND.truth_ranks == {"b/2.png": 1, 'a,"1.png': 6}


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
    ],
)
def test_broken_files(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_truth_ranks(tmp_path / "p.csv")
    with pytest.raises(DataError, match="cannot be read"):
        read_truth_ranks(tmp_path / "nothing.csv")


@pytest.mark.parametrize(("one", "other"), [(0, 0), (3, 3), (0, 5), (2, 9), (30, 12), (400, 380)])
def test_the_exact_sign_test(one: int, other: int) -> None:
    total = one + other
    expected = 2 * sum(comb(total, i) for i in range(min(one, other) + 1)) / 2**total
    assert sign_test(one, other) == pytest.approx(min(1.0, expected), rel=1e-9)
    assert sign_test(other, one) == sign_test(one, other)


def test_two_runs_are_compared_on_their_common_images() -> None:
    ours = {"a": 1, "b": 1, "c": 6, "d": 2, "mine": 1}
    theirs = {"a": 2, "b": 1, "c": 1, "d": 9, "yours": 1}
    found = compare(ours, theirs, "other.csv")
    assert found.images == 4
    assert (found.top1.only_ours, found.top1.only_theirs) == (1, 1)
    assert (found.top5.only_ours, found.top5.only_theirs) == (1, 1)
    assert found.top1.p_value == 1.0
    better = compare({str(i): 1 for i in range(10)}, {str(i): 6 for i in range(10)}, "other.csv")
    assert (
        "top-1 error -100.00 points (10 images right here alone, 0 there alone, p = 0.002)" in better.sentence
    )
    assert better.facts()["top5"] == {
        "k": 5,
        "only_ours": 10,
        "only_theirs": 0,
        "p_value": pytest.approx(2 / 2**10),
    }
    with pytest.raises(ProtocolError, match=r"other\.csv: has none of the images"):
        compare({"a": 1}, {"b": 1}, "other.csv")
