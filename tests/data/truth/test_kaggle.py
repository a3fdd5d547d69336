"""Kaggle's ground truth of ILSVRC."""

from __future__ import annotations

from pathlib import Path

import pytest

from vggrepro.data.truth.kaggle import is_kaggle_solution, read_kaggle_solution
from vggrepro.errors import DataError

HEAD = "ImageId,PredictionString\n"


def write(folder: Path, text: str) -> Path:
    (folder / "LOC_val_solution.csv").write_text(text)
    return folder / "LOC_val_solution.csv"


def test_the_class_of_every_image(tmp_path: Path) -> None:
    boxes = "a_1,n03995372 85 1 499 272 \nb_2,n00000001 1 2 3 4 n00000001 5 6 7 8\n"
    path = write(tmp_path, HEAD + boxes)
    assert is_kaggle_solution(path)
    assert read_kaggle_solution(path) == {"a_1": "n03995372", "b_2": "n00000001"}
    assert not is_kaggle_solution(write(tmp_path, "a.jpg 1\n"))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("a,n00000001 1 2 3\n", r"solution\.csv:2: expected 'image,WNID left top right bottom"),
        ("a,cat 1 2 3 4\n", r"csv:2: expected"),
        ("a,\n", r"csv:2: expected"),
        ("a\n", r"csv:2: expected"),
        ("a,n00000001 1 2 3 4 n00000002 1 2 3 4\n", r"csv:2: boxes of several classes: n00000001, n00000002"),
        ("a,n00000001 1 2 3 4\na,n00000001 1 2 3 4\n", r"csv:3: image a occurs twice"),
        ("", "no images in this file"),
    ],
)
def test_broken_solutions(tmp_path: Path, lines: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_kaggle_solution(write(tmp_path, HEAD + lines))
