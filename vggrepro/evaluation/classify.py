"""Posteriors of a few images, in memory: the protocols without a cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vggrepro.data.sources.base import Source
from vggrepro.data.sources.folder import FolderSource
from vggrepro.errors import ProtocolError
from vggrepro.evaluation.batches import windows
from vggrepro.evaluation.feed import Feed, Indexes, Odd, Running
from vggrepro.evaluation.feed import Floats as Singles
from vggrepro.evaluation.metrics import guesses
from vggrepro.evaluation.network import Network, Scorer, check_scales
from vggrepro.evaluation.protocols import Floats, Member, Stream, log_posteriors, view_means, weights
from vggrepro.evaluation.views import Reading


def files(paths: Sequence[Path]) -> Source:
    """Images given one by one."""
    return FolderSource(Path(), tuple(str(path) for path in paths))


def all_windows(source: Source, running: Running) -> list[Indexes]:
    """Every image of the source, in windows."""
    return [np.arange(w.start, w.stop, dtype=np.int64) for w in windows(len(source), running.window)]


def classify(
    source: Source,
    members: Sequence[Member],
    networks: Mapping[str, Network],
    reading: Reading,
    running: Running,
) -> Floats:
    """Posteriors (N, K) of all images under the mean of ``members``, whose nets are in ``networks``.

    One network at a time is on the device. Raises DataError for an image that cannot be decoded, and
    ProtocolError if the networks differ in their classes.
    """
    shares = weights(members)
    classes = {network.channels for network in networks.values()}
    if len(classes) != 1:
        raise ProtocolError(f"networks with {sorted(classes)} classes cannot be fused: expected one number")
    total = np.zeros((len(source), classes.pop()))
    for name, network in networks.items():
        streams = tuple(sorted(stream for stream in shares if stream.net == name))
        check_scales(network, streams)
        dense = any(stream.views == "dense" for stream in streams)
        scorer = Scorer(network, running.device, convolutional=dense, threads=running.threads)

        def score(stream: Stream, blob: Singles, scorer: Scorer = scorer) -> Singles:
            return log_posteriors(scorer(blob), stream.average)

        feed = Feed(source, streams, network.crop, network.mean, running, reading)
        for found in feed.answers(all_windows(source, running), score):
            if not isinstance(found, Odd):
                total[found.index] += shares[found.stream] * view_means(found.rows[None])[0]
    return total


@dataclass(frozen=True)
class Guess:
    """A class and its probability."""

    label: int
    probability: float


def best_guesses(posteriors: Floats, k: int) -> list[list[Guess]]:
    """The ``k`` most probable classes of every image, most probable first."""
    return [
        [Guess(int(label), float(row[label])) for label in labels]
        for row, labels in zip(posteriors, guesses(posteriors, k), strict=True)
    ]
