"""Posteriors of a few images under the protocols, in memory and without a cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vggrepro.data.arrays import Doubles
from vggrepro.data.sources.base import Source
from vggrepro.data.sources.folder import FolderSource
from vggrepro.errors import ProtocolError
from vggrepro.evaluation.measuring.evaluated_net import EvaluatedNet, check_scales, posterior_score
from vggrepro.evaluation.measuring.pipeline import Execution, ImageProblem, ImageSet
from vggrepro.evaluation.metrics import guesses
from vggrepro.evaluation.protocols import Member, fuse, stream_shares, view_means


def image_files(paths: Sequence[Path]) -> Source:
    """A source of single image files."""
    return FolderSource(Path(), tuple(str(path) for path in paths))


def image_posteriors(
    images: ImageSet, members: Sequence[Member], networks: Sequence[EvaluatedNet], execution: Execution
) -> tuple[Doubles, dict[int, ImageProblem]]:
    """The mean posteriors (N, K) under ``members``, whose nets are among ``networks``, and the images that
    are bad or truncated, by index. N counts all images of the source; the rows of those that ``images`` does
    not select, or that cannot be decoded, are NaN.

    One network at a time is on the device. Raises DataError for an image that cannot be decoded unless
    ``images`` says to skip such images, and ProtocolError if the networks differ in their classes.
    """
    shares = stream_shares(members)
    classes = {network.channels for network in networks}
    if len(classes) != 1:
        raise ProtocolError(f"networks with {sorted(classes)} classes cannot be fused: expected one number")
    shape = len(images.source), classes.pop()
    means = {stream: np.full(shape, np.nan) for stream in shares}
    problems: dict[int, ImageProblem] = {}
    for network in networks:
        streams = tuple(sorted(stream for stream in shares if stream.net == network.name))
        check_scales(network, streams)
        score = posterior_score(network, streams, execution)
        for found in network.pipeline(images, streams, execution).all_answers(score):
            if isinstance(found, ImageProblem):
                problems[found.index] = found
            else:
                means[found.stream][found.index] = view_means(found.rows[None])[0]
    return fuse(means, shares), problems


@dataclass(frozen=True)
class Guess:
    """A class, from 0, and its probability."""

    label: int
    probability: float


def best_guesses(posteriors: Doubles, k: int) -> list[list[Guess]]:
    """The ``k`` most probable classes of every row of ``posteriors`` (N, K), most probable first; none for a
    row of NaN."""
    return [
        [] if np.isnan(row).any() else [Guess(int(label), float(row[label])) for label in labels]
        for row, labels in zip(posteriors, guesses(posteriors, k), strict=True)
    ]
