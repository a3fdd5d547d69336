"""The ground truth of ILSVRC as Kaggle gives it out: LOC_val_solution.csv and LOC_train_solution.csv."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vggrepro.data.truth.labels import is_wnid, text_lines
from vggrepro.errors import DataError

_HEAD = "ImageId,PredictionString"
_BOX = 5
"""Words of a box: its class's WNID, and its left, top, right and bottom side in pixels."""


def is_kaggle_solution(path: Path) -> bool:
    """Whether a file begins as Kaggle's solutions do. Raises DataError for one that cannot be read."""
    return next((line for _, line in text_lines(path, "surrogateescape")), "") == _HEAD


def read_kaggle_solution(path: Path) -> Mapping[str, str]:
    """The WNID of every image, by its file's name without suffix.

    A line holds all boxes of an image (``ILSVRC2012_val_00048981,n03995372 85 1 499 272``), which are of one
    class. Raises DataError with the line where it does not, or where an image has two lines.
    """
    found: dict[str, str] = {}
    for number, line in text_lines(path):
        if line == _HEAD and not found:
            continue
        image, _, boxes = line.partition(",")
        words = boxes.split()
        classes = set(words[::_BOX])
        if not image or not words or len(words) % _BOX or not all(map(is_wnid, classes)):
            raise DataError(f"{path}:{number}: expected 'image,WNID left top right bottom ...', got {line!r}")
        if len(classes) > 1:
            raise DataError(f"{path}:{number}: boxes of several classes: {', '.join(sorted(classes))}")
        if image in found:
            raise DataError(f"{path}:{number}: image {image} occurs twice")
        found[image] = classes.pop()
    if not found:
        raise DataError(f"{path}: no images in this file")
    return found
