"""Blobs of a network as rows of a cache: one for each image and stream, the mean over its views."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.data.arrays import Singles
from vggrepro.evaluation.descriptor import Pool
from vggrepro.evaluation.measuring.evaluated_net import EvaluatedNet, Scorer
from vggrepro.evaluation.measuring.pipeline import Answer, Execution, Score
from vggrepro.evaluation.protocols import Stream


@dataclass(frozen=True)
class FeatureRows:
    """The values of ``blobs``, one after the other, and behind them their CRC-32, by which a row that a disk
    has lost is known.

    ``pool`` "average" takes the mean of a blob (C, h, w) over positions, "none" keeps all its values.
    """

    blobs: tuple[str, ...]
    pool: Pool

    file = "features.npy"
    holds = "features"
    keeps_views = False
    header = {"rows": "features"}

    def shape(self, network: EvaluatedNet, blob: str) -> tuple[int, ...]:
        """What is kept of one blob: (C,), or (C, h, w) or (C,) as the net has it."""
        shape = network.of_blob(blob).blob_shape
        return shape if self.pool == "none" else shape[:1]

    def width(self, network: EvaluatedNet) -> int:
        return sum(math.prod(self.shape(network, blob)) for blob in self.blobs) + 1

    def facts(self, network: EvaluatedNet) -> dict[str, Any]:
        return {**network.facts(), "blob": list(self.blobs), "pool": self.pool}

    def score(self, network: EvaluatedNet, streams: Sequence[Stream], execution: Execution) -> Score:
        scorer = Scorer.for_streams(network, streams, execution, self.blobs)

        def score(_stream: Stream, views: Singles) -> Singles:
            found = scorer.blobs(views)
            return np.concatenate([self._values(found[blob]) for blob in self.blobs], axis=1)

        return score

    def _values(self, found: Singles) -> Singles:
        """(n, C) or (n, C, h, w) as rows (n, D)."""
        if found.ndim == 4 and self.pool == "average":
            found = found.mean(axis=(2, 3), dtype=np.float64).astype(np.float32)
        return found.reshape(len(found), -1)

    def kept(self, answer: Answer, *, views: bool) -> Singles:
        """(1, D): the mean over the views, whatever ``views`` says."""
        del views
        mean = answer.rows.mean(axis=0, dtype=np.float64).astype(np.float32)
        return np.concatenate([mean, _seal(mean)])[None]

    def intact(self, rows: Singles) -> npt.NDArray[np.bool_]:
        found = [_seal(row[:-1]).tobytes() == row[-1:].tobytes() for row in rows[:, 0]]
        return np.array(found, np.bool_)

    def parts(self, network: EvaluatedNet, rows: Singles) -> Mapping[str, Singles]:
        """Each blob's values (n, C) or (n, C, h, w), from rows (n, 1, D)."""
        found, at = {}, 0
        for blob in self.blobs:
            shape = self.shape(network, blob)
            found[blob] = rows[:, 0, at : at + math.prod(shape)].reshape(len(rows), *shape)
            at += math.prod(shape)
        return found


def _seal(values: Singles) -> Singles:
    """The bits of the CRC-32 of some values, as one float32."""
    return np.array([zlib.crc32(np.ascontiguousarray(values).tobytes())], np.uint32).view(np.float32)
