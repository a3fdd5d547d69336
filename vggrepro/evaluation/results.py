"""From cached posteriors and ground truth to numbers: errors of the whole and of its parts, mistakes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from vggrepro.data.arrays import Doubles, Ints
from vggrepro.evaluation.measuring.view_cache import ViewCache
from vggrepro.evaluation.metrics import (
    ClassError,
    Confusion,
    Errors,
    confusions,
    errors,
    guesses,
    per_class,
    truth_ranks,
)
from vggrepro.evaluation.protocols import Member, Stream, fuse, parts, view_means, weights

Members = tuple[Member, ...]

GUESSES = 5
_CHUNK_BYTES = 32 << 20


@dataclass(frozen=True)
class Outcome:
    """Errors of one combination of networks, protocols and scales."""

    members: Members
    errors: Errors

    @property
    def label(self) -> str:
        return describe(self.members)


def describe(members: Sequence[Member]) -> str:
    """A combination in words: "D:256;512 both Q=256,384,512 with flips + E:256;512 ..."."""
    return " + ".join(map(str, members))


@dataclass(frozen=True)
class Mistake:
    """An image whose best guess is wrong. ``guesses`` are (class, probability), best first."""

    index: int
    truth: int
    truth_probability: float
    guesses: tuple[tuple[int, float], ...]


@dataclass(frozen=True, eq=False)
class Results:
    """What an evaluation found. ``images`` is how many were counted."""

    images: int
    whole: Outcome
    parts: tuple[Outcome, ...]
    classes: tuple[ClassError, ...]
    confusions: tuple[Confusion, ...]
    worst: tuple[Mistake, ...]
    best: Ints = field(repr=False)
    """The five guesses of every image, best first: (n, 5)."""


@dataclass(frozen=True, eq=False)
class _Answers:
    """Per image, of the whole: rank of the truth, guesses (n, 5) and their probabilities."""

    ranks: Ints
    best: Ints
    probabilities: Doubles
    truth_probabilities: Doubles


def collect(
    cache: ViewCache, members: Members, indexes: Ints, labels: Ints, *, worst: int = 24, pairs: int = 30
) -> Results:
    """Average the cached views of the images at ``indexes`` and compare with ``labels``, one each.

    Reads in pieces: memory does not grow with the number of images but for a few numbers each. Raises
    ProtocolError if a view is missing in the cache.
    """
    combinations = parts(members)
    ranks: list[list[Ints]] = [[] for _ in combinations]
    answers = []
    for place, means in _pieces(cache, list(weights(members)), indexes):
        answers.append(_answers(fuse(means, weights(members)), labels[place]))
        for found, combination in zip(ranks, combinations, strict=True):
            found.append(truth_ranks(fuse(means, weights(combination)), labels[place]))
    whole = _joined(answers)
    return Results(
        images=len(indexes),
        whole=Outcome(members, errors(whole.ranks)),
        parts=tuple(Outcome(c, errors(np.concatenate(r))) for c, r in zip(combinations, ranks, strict=True)),
        classes=tuple(per_class(whole.ranks, labels)),
        confusions=tuple(confusions(whole.best[:, 0], labels, pairs)),
        worst=tuple(_worst(whole, indexes, labels, worst)),
        best=whole.best,
    )


Means = dict[Stream, Doubles]


def _pieces(cache: ViewCache, streams: Sequence[Stream], indexes: Ints) -> Iterator[tuple[slice, Means]]:
    """Means over views, (n, K) for each stream, of a piece of the images at a time."""
    open_streams = {stream: cache.open(stream) for stream in streams}
    try:
        image = sum(3 * store.row_bytes for store in open_streams.values())  # float32, and float64 of it
        step = max(1, _CHUNK_BYTES // image)
        for at in range(0, len(indexes), step):
            place = slice(at, at + step)
            yield place, {s: view_means(store.read(indexes[place])) for s, store in open_streams.items()}
    finally:
        for store in open_streams.values():
            store.close()


def _answers(posteriors: Doubles, labels: Ints) -> _Answers:
    best = guesses(posteriors, GUESSES)
    return _Answers(
        truth_ranks(posteriors, labels),
        best,
        np.take_along_axis(posteriors, best, axis=1),
        np.take_along_axis(posteriors, labels[:, None], axis=1)[:, 0],
    )


def _joined(answers: Sequence[_Answers]) -> _Answers:
    return _Answers(
        np.concatenate([a.ranks for a in answers]),
        np.concatenate([a.best for a in answers]),
        np.concatenate([a.probabilities for a in answers]),
        np.concatenate([a.truth_probabilities for a in answers]),
    )


def _worst(answers: _Answers, indexes: Ints, labels: Ints, most: int) -> Iterator[Mistake]:
    """The most confident mistakes: by how much the best guess is more probable than the truth."""
    margin = answers.probabilities[:, 0] - answers.truth_probabilities
    wrong = answers.best[:, 0] != labels
    order = np.argsort(np.where(wrong, -margin, np.inf), kind="stable")[: min(most, int(wrong.sum()))]
    for place in order:
        shown = zip(answers.best[place], answers.probabilities[place], strict=True)
        yield Mistake(
            index=int(indexes[place]),
            truth=int(labels[place]),
            truth_probability=float(answers.truth_probabilities[place]),
            guesses=tuple((int(label), float(p)) for label, p in shown),
        )
