"""Two runs compared image by image: McNemar's exact test."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vggrepro.data.arrays import Ints
from vggrepro.errors import ProtocolError


@dataclass(frozen=True, eq=False)
class Answers:
    """How good a run's answers were for n images, whose names are ``keys`` and whose true classes, from 0,
    ``labels`` (n,). Ranks (n,) say how many classes are at least as probable as the true one, 0 for a top-1
    hit: ``ranks`` are those by the combination that the run tells in detail, ``combinations`` those by all of
    them, by name, where they are known. ``name`` is that of the detailed one, empty if it is not known;
    ``where`` is what messages call the run."""

    where: str
    name: str
    keys: Sequence[str]
    labels: Ints
    ranks: Ints
    combinations: Mapping[str, Ints]


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

    @property
    def more_errors(self) -> int:
        """How many more errors ours has than theirs."""
        return self.only_theirs - self.only_ours


@dataclass(frozen=True)
class PairedErrors:
    """Two combinations on the same ``images``, by top-1 and by top-5. Ours is the first."""

    images: int
    top1: Disagreement
    top5: Disagreement

    def points(self, found: Disagreement) -> float:
        """Our error less theirs in percentage points."""
        return 100 * found.more_errors / self.images

    def facts(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            f"top{d.k}": {**asdict(d), "difference": self.points(d), "p_value": d.p_value}
            for d in (self.top1, self.top5)
        }


@dataclass(frozen=True)
class PairedRow:
    """Our combination ``name`` and the other run's ``their_name`` on the same images."""

    name: str
    their_name: str
    paired: PairedErrors


@dataclass(frozen=True)
class PairedComparison:
    """This run and the ``other`` on the same images: every combination that both have. ``detailed`` is the
    one that this run tells in detail, or the first of them."""

    other: str
    images: int
    rows: Sequence[PairedRow]
    detailed: PairedRow

    @property
    def sentence(self) -> str:
        """The detailed combination in words."""
        paired = self.detailed.paired
        parts = [
            f"top-{d.k} error {paired.points(d):+.2f} points"
            f" ({d.only_ours} images right here alone, {d.only_theirs} there alone, p = {d.p_value:.2g})"
            for d in (paired.top1, paired.top5)
        ]
        return f"against {self.other} on {self.images} common images: {'; '.join(parts)}"

    def facts(self) -> dict[str, Any]:
        """Ready for JSON: the detailed combination, and all rows."""
        rows = {row.name: {"with": row.their_name, **row.paired.facts()} for row in self.rows}
        return {"other": self.other, "images": self.images, **self.detailed.paired.facts(), "rows": rows}


def paired_errors(ours: Ints, theirs: Ints) -> PairedErrors:
    """Compare the ranks of the true classes (n,), 0 for a top-1 hit, of the same images in two runs."""

    def disagreement(k: int) -> Disagreement:
        we, they = ours < k, theirs < k
        return Disagreement(k, int(np.count_nonzero(we & ~they)), int(np.count_nonzero(they & ~we)))

    return PairedErrors(len(ours), disagreement(1), disagreement(5))


def compare(ours: Answers, theirs: Answers) -> PairedComparison:
    """Compare each combination of this run with the other run's of the same name. Where no name is in both,
    as of one net under two protocols, those that are told in detail are compared. Raises ProtocolError unless
    both runs are of the same images with the same true classes."""
    at = places(ours.keys, ours.labels, theirs)
    rows = [
        PairedRow(known, known, paired_errors(ranks, theirs.combinations[known][at]))
        for known, ranks in ours.combinations.items()
        if known in theirs.combinations
    ]
    if not rows:
        rows = [PairedRow(ours.name, theirs.name, paired_errors(ours.ranks, theirs.ranks[at]))]
    detailed = next((row for row in rows if row.name == ours.name), rows[0])
    return PairedComparison(theirs.where, len(ours.keys), rows, detailed)


def places(keys: Sequence[str], labels: Ints, theirs: Answers) -> Ints:
    """Where each of this run's images is among theirs: (n,). ``keys`` are the images' names, ``labels`` (n,)
    their true classes. Raises ProtocolError unless both runs are of the same images with the same classes."""
    found, ours = {key: place for place, key in enumerate(theirs.keys)}, set(keys)
    for run, missing in (
        (theirs.where, [key for key in keys if key not in found]),
        ("this run", [key for key in theirs.keys if key not in ours]),
    ):
        if missing:
            raise ProtocolError(
                f"{theirs.where}: not the same images: {run} lacks {len(missing)}, {missing[0]} first;"
                " expected a run with the same --images, --limit, --seed and --blacklist"
            )
    at = np.asarray([found[key] for key in keys], np.int64)
    wrong = np.flatnonzero(theirs.labels[at] != labels)
    if len(wrong):
        first = int(wrong[0])
        raise ProtocolError(
            f"{theirs.where}: image {keys[first]} is of class {theirs.labels[at][first]} there, here of"
            f" {labels[first]}; expected the same --labels"
        )
    return at


def sign_test(one: int, other: int) -> float:
    """The two-sided probability of a split of ``one`` + ``other`` fair coins at least as uneven as this."""
    total, fewer = one + other, min(one, other)
    if one == other:
        return 1.0
    log_ways = math.lgamma(total + 1) - total * math.log(2)
    terms = (math.exp(log_ways - math.lgamma(i + 1) - math.lgamma(total - i + 1)) for i in range(fewer + 1))
    return min(1.0, 2 * math.fsum(terms))
