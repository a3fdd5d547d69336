"""From cached posteriors and ground truth to results: errors of a combination and of its parts, and
mistakes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from vggrepro.data.arrays import Doubles, Ints
from vggrepro.evaluation.measuring.measurement import StreamCaches
from vggrepro.evaluation.measuring.view_cache import ViewCache
from vggrepro.evaluation.metrics import (
    ClassError,
    Confusion,
    TopErrors,
    confusions,
    guesses,
    per_class,
    top_errors,
    truth_ranks,
)
from vggrepro.evaluation.protocols import Member, Stream, fuse, parts, stream_shares

Members = tuple[Member, ...]

GUESSES = 5
_CHUNK_BYTES = 32 << 20


@dataclass(frozen=True)
class Outcome:
    """Errors of one combination of networks, protocols and scales."""

    members: Members
    errors: TopErrors

    @property
    def combination(self) -> str:
        """The members in words: "D:256;512 both Q=256,384,512 with flips + E:256;512 ..."."""
        return " + ".join(map(str, self.members))


@dataclass(frozen=True)
class Mistake:
    """An image whose most probable class is wrong. ``index`` is its place in the source, ``guesses`` are
    (class, probability), the most probable first."""

    index: int
    truth: int
    truth_probability: float
    guesses: tuple[tuple[int, float], ...]


@dataclass(frozen=True, eq=False)
class Results:
    """What an evaluation found about one combination, the ``whole``, and its ``parts``. ``images`` is how
    many were counted; ``worst`` are the most confident mistakes."""

    images: int
    whole: Outcome
    parts: tuple[Outcome, ...]
    classes: tuple[ClassError, ...]
    confusions: tuple[Confusion, ...]
    worst: tuple[Mistake, ...]
    best: Ints = field(repr=False)
    """The five most probable classes of every image, most probable first: (n, 5)."""
    probabilities: Doubles = field(repr=False)
    """Their probabilities: (n, 5)."""
    ranks: Ints = field(repr=False)
    """How many classes are at least as probable as the true one: (n,)."""


@dataclass(frozen=True, eq=False)
class _Answers:
    """Of each image under the whole combination: the rank of the truth (n,), the most probable classes (n, 5)
    and their probabilities (n, 5), and the truth's probability (n,)."""

    ranks: Ints
    best: Ints
    probabilities: Doubles
    truth_probabilities: Doubles


def collect_results(
    cache: ViewCache, members: Members, indexes: Ints, labels: Ints, *, worst: int = 24, pairs: int = 30
) -> Results:
    """Average the cached views of the images at ``indexes`` (n,) and compare the posteriors with ``labels``
    (n,).

    ``worst`` and ``pairs`` are the most mistakes and confusions to keep. Posteriors are read in pieces, so
    that memory grows by only a few numbers for each image. Raises ProtocolError if a view is missing in the
    cache.
    """
    combinations = parts(members)
    ranks: list[list[Ints]] = [[] for _ in combinations]
    answers = []
    shares = stream_shares(members)
    for place, means in _pieces(cache, list(shares), indexes):
        answers.append(_answers(fuse(means, shares), labels[place]))
        for found, combination in zip(ranks, combinations, strict=True):
            found.append(truth_ranks(fuse(means, stream_shares(combination)), labels[place]))
    whole = _joined(answers)
    return Results(
        images=len(indexes),
        whole=Outcome(members, top_errors(whole.ranks)),
        parts=tuple(
            Outcome(c, top_errors(np.concatenate(r))) for c, r in zip(combinations, ranks, strict=True)
        ),
        classes=tuple(per_class(whole.ranks, labels)),
        confusions=tuple(confusions(whole.best[:, 0], labels, pairs)),
        worst=tuple(_worst(whole, indexes, labels, worst)),
        best=whole.best,
        probabilities=whole.probabilities,
        ranks=whole.ranks,
    )


def collect_ranks(cache: ViewCache, members: Members, indexes: Ints, labels: Ints) -> Ints:
    """The ranks (n,) of the true classes ``labels`` (n,) under ``members`` alone. Raises ProtocolError if a
    view is missing in the cache."""
    shares = stream_shares(members)
    pieces = _pieces(cache, list(shares), indexes)
    return np.concatenate([truth_ranks(fuse(means, shares), labels[place]) for place, means in pieces])


def collect_answers(cache: ViewCache, members: Members, indexes: Ints) -> tuple[Ints, Doubles]:
    """The most probable classes (n, 5) of the images at ``indexes`` (n,) and their probabilities (n, 5), for
    images whose true classes are not known. Raises ProtocolError if a view is missing in the cache."""
    shares = stream_shares(members)
    classes, probabilities = [], []
    for _, means in _pieces(cache, list(shares), indexes):
        posteriors = fuse(means, shares)
        classes.append(guesses(posteriors, GUESSES))
        probabilities.append(np.take_along_axis(posteriors, classes[-1], axis=1))
    return np.concatenate(classes), np.concatenate(probabilities)


def _pieces(
    cache: ViewCache, streams: Sequence[Stream], indexes: Ints
) -> Iterator[tuple[slice, dict[Stream, Doubles]]]:
    """Means over views, (n, K) for each stream, of a piece of the images at a time, and the piece's place."""
    with StreamCaches(cache, streams) as caches:
        step = max(1, _CHUNK_BYTES // (3 * caches.image_bytes))  # float32 as stored, and float64 of it
        for at in range(0, len(indexes), step):
            place = slice(at, at + step)
            yield place, caches.means(indexes[place])


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
