"""Errors in percent from posteriors and ground truth, the way Caffe's Accuracy layer counts them.

A class that ties with the true one counts as better than it, so a net that answers the same for every class
is always wrong instead of right by luck.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.data.arrays import Ints
from vggrepro.errors import ProtocolError

_Z = 1.959963984540054
"""97.5% quantile of the standard normal: two sides of 2.5% leave 95%."""


def truth_ranks(posteriors: npt.NDArray[Any], labels: Ints) -> Ints:
    """How many classes are at least as probable as the true one, itself left out: (N,), 0 is a top-1 hit.

    ``posteriors`` (N, K), ``labels`` (N,) in 0..K-1. Raises ProtocolError for labels outside and for
    posteriors that are not finite.
    """
    count, classes = posteriors.shape
    if count and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise ProtocolError(
            f"labels run from {int(labels.min())} to {int(labels.max())}, expected 0 to {classes - 1}"
        )
    if not np.isfinite(posteriors).all():
        bad = int(np.flatnonzero(~np.isfinite(posteriors).all(axis=1))[0])
        raise ProtocolError(f"posterior number {bad} is not finite: the weights or the mean cannot be right")
    of_truth = np.take_along_axis(posteriors, labels[:, None], axis=1)  # (N, 1)
    at_least: Ints = np.count_nonzero(posteriors >= of_truth, axis=1).astype(np.int64)
    return at_least - 1


def guesses(posteriors: npt.NDArray[Any], k: int) -> Ints:
    """The ``k`` most probable classes, most probable first, the smaller index first among equals: (N, k)."""
    return np.argsort(-posteriors, axis=1, kind="stable")[:, :k].astype(np.int64)


@dataclass(frozen=True)
class ErrorRate:
    """``wrong`` answers for ``total`` images."""

    wrong: int
    total: int

    @property
    def percent(self) -> float:
        """The error, 0 to 100."""
        return 100.0 * self.wrong / self.total

    def less(self, other: float | None) -> float | None:
        """The error less another one in percent, in percentage points; None where there is no other."""
        return None if other is None else self.percent - other

    @property
    def interval(self) -> tuple[float, float]:
        """Ends of the error's 95% confidence interval, in percent: Wilson's score interval, which stays
        between 0 and 100 and holds for small counts too."""
        n, p = self.total, self.wrong / self.total
        centre = p + _Z * _Z / (2 * n)
        spread = _Z * math.sqrt(p * (1 - p) / n + _Z * _Z / (4 * n * n))
        scale = 100.0 / (1 + _Z * _Z / n)
        # At the ends the formula gives 0 and 100 but for rounding.
        low = (centre - spread) * scale if self.wrong else 0.0
        high = (centre + spread) * scale if self.wrong < n else 100.0
        return low, high


@dataclass(frozen=True)
class TopErrors:
    """Top-1 and top-5 error of the same images."""

    top1: ErrorRate
    top5: ErrorRate


def top_errors(ranks: Ints) -> TopErrors:
    """Errors from the ``ranks`` (N,) that :func:`truth_ranks` gives. Raises ProtocolError if there is no
    image."""
    if not len(ranks):
        raise ProtocolError("no image was evaluated: expected at least one")
    return TopErrors(*(ErrorRate(int(np.count_nonzero(ranks >= k)), len(ranks)) for k in (1, 5)))


@dataclass(frozen=True)
class ClassError:
    """Errors of the images of one class."""

    label: int
    errors: TopErrors


def per_class(ranks: Ints, labels: Ints) -> list[ClassError]:
    """Errors of every class that has images, in label order, from ranks and labels (N,)."""
    return [ClassError(int(label), top_errors(ranks[labels == label])) for label in np.unique(labels)]


@dataclass(frozen=True)
class Confusion:
    """``count`` images of class ``truth`` (of ``total``) whose best guess was ``guess``."""

    truth: int
    guess: int
    count: int
    total: int


def confusions(best: Ints, labels: Ints, most: int) -> list[Confusion]:
    """The ``most`` frequent wrong pairs, most frequent first, then in label order. ``best`` (N,) is the most
    probable class of each image."""
    wrong = best != labels
    pairs, counts = np.unique(np.stack([labels[wrong], best[wrong]], axis=1), axis=0, return_counts=True)
    totals: dict[int, int] = dict(_counts(labels))
    found = [
        Confusion(int(truth), int(guess), int(count), totals[int(truth)])
        for (truth, guess), count in zip(pairs, counts, strict=True)
    ]
    return sorted(found, key=lambda c: (-c.count, c.truth, c.guess))[:most]


def _counts(labels: Ints) -> Iterable[tuple[int, int]]:
    values, counts = np.unique(labels, return_counts=True)
    return zip(map(int, values), map(int, counts), strict=True)
