"""What a run answered for every image: as CSV, as the contest's submission, beside another run's."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from vggrepro.data.arrays import Doubles, Ints
from vggrepro.data.sources.base import file_name
from vggrepro.data.truth.labels import Synsets
from vggrepro.errors import DataError, ProtocolError

_HEAD = ["image", "truth", "rank"]
_WHOLE = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, eq=False)
class Predictions:
    """The answers of one combination for n images: their names ``keys``, the true classes ``labels`` (n,)
    from 0, how many classes are at least as probable as the true one ``ranks`` (n,), the most probable
    ``classes`` (n, k) and their ``probabilities`` (n, k), the most probable first. Labels and ranks are -1
    where the true classes are not known."""

    keys: Sequence[str]
    labels: Ints
    ranks: Ints
    classes: Ints
    probabilities: Doubles

    @property
    def truth_ranks(self) -> dict[str, int]:
        """The rank of the true class of each image by its name, 1 for a top-1 hit."""
        return {key: int(rank) + 1 for key, rank in zip(self.keys, self.ranks, strict=True)}


def to_csv(predictions: Predictions) -> str:
    """A line for each image: its name, its true class from 0, the rank of that (1: a top-1 hit), both empty
    where they are not known, and the most probable classes with their probabilities."""
    count = predictions.classes.shape[1]
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [name for place in range(1, count + 1) for name in (f"class{place}", f"probability{place}")]
    writer.writerow([*_HEAD, *columns])
    columns_of = (predictions.keys, predictions.labels, predictions.ranks)
    answers = zip(*columns_of, predictions.classes, predictions.probabilities, strict=True)
    for key, label, rank, classes, probabilities in answers:
        pairs = zip(classes, probabilities, strict=True)
        truth = (label, rank + 1) if label >= 0 else ("", "")
        told = [text for guess, p in pairs for text in (str(guess), f"{p:.9g}")]
        writer.writerow([key, *truth, *told])
    return text.getvalue()


def to_submission(predictions: Predictions, synsets: Synsets, devkit: Synsets) -> str:
    """The contest's file: for each image, in the order of the file names, its five most probable classes as
    ids of the ``devkit``, from 1. ``synsets`` is the network's order of the classes. Raises DataError for a
    class that the devkit lacks."""
    ids = devkit.labels_of(synsets.wnids, synsets.source) + 1
    order = sorted(range(len(predictions.keys)), key=lambda i: file_name(predictions.keys[i]))
    return "".join(" ".join(map(str, ids[predictions.classes[i]])) + "\n" for i in order)


def read_truth_ranks(path: Path) -> dict[str, int]:
    """The rank of the true class of each image, 1 for a top-1 hit, from a file that :func:`to_csv` wrote.

    Raises DataError for anything else, with the line.
    """
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as CSV: {error}") from error
    if not rows or rows[0][:3] != _HEAD:
        raise DataError(f"{path}:1: expected the heads {','.join(_HEAD)},..., as --predictions writes them")
    found: dict[str, int] = {}
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(rows[0]) or not _WHOLE.fullmatch(row[2]) or int(row[2]) < 1:
            raise DataError(
                f"{path}:{number}: expected an image, its truth, and a rank from 1, got {row[:3]}"
            )
        if row[0] in found:
            raise DataError(f"{path}:{number}: image {row[0]} occurs twice")
        found[row[0]] = int(row[2])
    return found


@dataclass(frozen=True)
class Disagreement:
    """How many images one run of two alone is right about, by top-``k``."""

    k: int
    only_ours: int
    only_theirs: int

    @property
    def p_value(self) -> float:
        """McNemar's exact test, two-sided: how probable so uneven a split is, or one more uneven, if both
        runs are right equally often."""
        return sign_test(self.only_ours, self.only_theirs)


@dataclass(frozen=True)
class PairedComparison:
    """Two runs on the same ``images``; ``other`` is the file of the other run's predictions."""

    other: str
    images: int
    top1: Disagreement
    top5: Disagreement

    @property
    def sentence(self) -> str:
        parts = [
            f"top-{d.k} error {100 * (d.only_theirs - d.only_ours) / self.images:+.2f} points"
            f" ({d.only_ours} images right here alone, {d.only_theirs} there alone, p = {d.p_value:.2g})"
            for d in (self.top1, self.top5)
        ]
        return f"against {self.other} on {self.images} common images: {'; '.join(parts)}"

    def facts(self) -> dict[str, Any]:
        """Ready for JSON."""
        pairs = {"top1": self.top1, "top5": self.top5}
        told = {name: {**asdict(d), "p_value": d.p_value} for name, d in pairs.items()}
        return {"other": self.other, "images": self.images, **told}


def compare(ours: Mapping[str, int], theirs: Mapping[str, int], other: str) -> PairedComparison:
    """Compare the ranks of the true classes, by the images' names, of two runs. Raises ProtocolError if they
    have no image in common."""
    common = [key for key in ours if key in theirs]
    if not common:
        raise ProtocolError(f"{other}: has none of the images of this run")

    def disagreement(k: int) -> Disagreement:
        hits = [(ours[key] <= k, theirs[key] <= k) for key in common]
        return Disagreement(k, hits.count((True, False)), hits.count((False, True)))

    return PairedComparison(other, len(common), disagreement(1), disagreement(5))


def sign_test(one: int, other: int) -> float:
    """The two-sided probability of a split of ``one`` + ``other`` fair coins at least as uneven as this."""
    total, fewer = one + other, min(one, other)
    if one == other:
        return 1.0
    log_ways = math.lgamma(total + 1) - total * math.log(2)
    terms = (math.exp(log_ways - math.lgamma(i + 1) - math.lgamma(total - i + 1)) for i in range(fewer + 1))
    return min(1.0, 2 * math.fsum(terms))
