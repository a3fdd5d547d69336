"""What a run answered for every image: as CSV, and as the contest's submission."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

import numpy as np

from vggrepro.data.arrays import Doubles, Ints
from vggrepro.data.sources.base import file_name
from vggrepro.data.truth.labels import Synsets
from vggrepro.errors import DataError
from vggrepro.evaluation.paired import Answers

_HEAD = ["image", "truth", "rank"]
_RANK_OF = "rank by "
"""What the head of a column with one combination's ranks begins with; the combination's name follows."""
_SHOWN = 40
"""Characters of a cell that a message shows."""
_WHOLE = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, eq=False)
class Predictions:
    """The answers of one combination for n images: their names ``keys``, the true classes ``labels`` (n,)
    from 0, how many classes are at least as probable as the true one ``ranks`` (n,), the most probable
    ``classes`` (n, k) and their ``probabilities`` (n, k), the most probable first. Labels and ranks are -1
    where the true classes are not known. ``name`` is the combination's, and ``combinations`` are the ranks by
    all that were evaluated, by name."""

    keys: Sequence[str]
    labels: Ints
    ranks: Ints
    classes: Ints
    probabilities: Doubles
    name: str = ""
    combinations: Mapping[str, Ints] = field(default_factory=dict)

    @property
    def answers(self) -> Answers:
        """What a comparison with another run takes of it."""
        return Answers("this run", self.name, self.keys, self.labels, self.ranks, self.combinations)


def to_csv(predictions: Predictions) -> str:
    """A line for each image: its name, its true class from 0, the rank of that (1: a top-1 hit), both empty
    where they are not known, and the most probable classes with their probabilities. Of several combinations
    the rank by each follows."""
    count = predictions.classes.shape[1]
    others = predictions.combinations if len(predictions.combinations) > 1 else {}
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [name for place in range(1, count + 1) for name in (f"class{place}", f"probability{place}")]
    writer.writerow([*_HEAD, *columns, *(f"{_RANK_OF}{name}" for name in others)])
    columns_of = (predictions.keys, predictions.labels, predictions.ranks)
    answers = zip(*columns_of, predictions.classes, predictions.probabilities, strict=True)
    for place, (key, label, rank, classes, probabilities) in enumerate(answers):
        pairs = zip(classes, probabilities, strict=True)
        truth = (label, rank + 1) if label >= 0 else ("", "")
        told = [text for guess, p in pairs for text in (str(guess), f"{p:.9g}")]
        writer.writerow([key, *truth, *told, *(ranks[place] + 1 for ranks in others.values())])
    return text.getvalue()


def to_submission(predictions: Predictions, synsets: Synsets, devkit: Synsets) -> str:
    """The contest's file: for each image, in the order of the file names, its five most probable classes as
    ids of the ``devkit``, from 1. ``synsets`` is the network's order of the classes. Raises DataError for a
    class that the devkit lacks."""
    ids = devkit.labels_of(synsets.wnids, synsets.source) + 1
    order = sorted(range(len(predictions.keys)), key=lambda i: file_name(predictions.keys[i]))
    return "".join(" ".join(map(str, ids[predictions.classes[i]])) + "\n" for i in order)


def read_answers(path: Path) -> Answers:
    """The ranks of the true classes from a file that :func:`to_csv` wrote. Raises DataError, with the line,
    for anything else."""
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            lines = list(csv.reader(file))
    except (OSError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as CSV: {error}") from error
    if not lines or lines[0][:3] != _HEAD:
        raise DataError(f"{path}:1: expected the heads {','.join(_HEAD)},..., as --predictions writes them")
    head, *rows = lines
    ranked = [2, *(at for at, text in enumerate(head) if text.startswith(_RANK_OF))]
    found: dict[str, list[str]] = {}
    for number, row in enumerate(rows, 2):
        if len(row) != len(head) or not all(_is_rank(row[at]) for at in ranked) or not _is_whole(row[1]):
            raise DataError(
                f"{path}:{number}: expected an image, its truth, and a rank from 1,"
                f" got {[text[:_SHOWN] for text in row[:3]]}"
            )
        if row[0] in found:
            raise DataError(f"{path}:{number}: image {row[0]} occurs twice")
        found[row[0]] = row
    if not found:
        raise DataError(f"{path}: has no images, expected a line for each")

    def column(at: int) -> Ints:
        return np.asarray([int(row[at]) for row in found.values()], np.int64)

    combinations = {head[at].removeprefix(_RANK_OF): column(at) - 1 for at in ranked[1:]}
    return Answers(str(path), "", tuple(found), column(1), column(2) - 1, combinations)


def _is_whole(text: str) -> bool:
    return _WHOLE.fullmatch(text) is not None


def _is_rank(text: str) -> bool:
    return _is_whole(text) and int(text) >= 1
