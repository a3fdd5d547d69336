"""Posteriors of a few images, in memory: the protocols without a cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vggrepro.data.arrays import Doubles, Singles
from vggrepro.data.sources.base import Source
from vggrepro.data.sources.folder import FolderSource
from vggrepro.errors import ProtocolError
from vggrepro.evaluation.measuring.network import Network, Scorer, check_scales
from vggrepro.evaluation.measuring.pipeline import Odd, Pipeline, Running, Task
from vggrepro.evaluation.metrics import guesses
from vggrepro.evaluation.protocols import Member, Stream, log_posteriors, view_means, weights


def files(paths: Sequence[Path]) -> Source:
    """Images given one by one."""
    return FolderSource(Path(), tuple(str(path) for path in paths))


def classify(
    task: Task, members: Sequence[Member], networks: Sequence[Network], running: Running
) -> tuple[Doubles, dict[int, Odd]]:
    """Posteriors (N, K) of the task's images under the mean of ``members``, whose nets are among
    ``networks``. N counts all images of the source; the rows of others, and of images that cannot be decoded,
    are NaN. Images of which there is something to say come by index.

    One network at a time is on the device. Raises DataError for an image that cannot be decoded unless the
    task says to skip such images, and ProtocolError if the networks differ in their classes.
    """
    shares = weights(members)
    classes = {network.channels for network in networks}
    if len(classes) != 1:
        raise ProtocolError(f"networks with {sorted(classes)} classes cannot be fused: expected one number")
    total = np.full((len(task.source), classes.pop()), np.nan)
    total[task.indexes] = 0
    odd: dict[int, Odd] = {}
    for network in networks:
        streams = tuple(sorted(stream for stream in shares if stream.net == network.name))
        check_scales(network, streams)
        dense = any(stream.views == "dense" for stream in streams)
        scorer = Scorer(network, running.device, convolutional=dense, threads=running.threads)

        def score(stream: Stream, blob: Singles, scorer: Scorer = scorer) -> Singles:
            return log_posteriors(scorer(blob), stream.average)

        for found in Pipeline(task, streams, network.crop, network.mean, running).all_answers(score):
            if isinstance(found, Odd):
                odd[found.index] = found
            else:
                total[found.index] += shares[found.stream] * view_means(found.rows[None])[0]
    total[[index for index, found in odd.items() if found.kind == "bad"]] = np.nan
    return total, odd


@dataclass(frozen=True)
class Guess:
    """A class and its probability."""

    label: int
    probability: float


def best_guesses(posteriors: Doubles, k: int) -> list[list[Guess]]:
    """The ``k`` most probable classes of every image, most probable first; none for a row of NaN."""
    return [
        [] if np.isnan(row).any() else [Guess(int(label), float(row[label])) for label in labels]
        for row, labels in zip(posteriors, guesses(posteriors, k), strict=True)
    ]
