"""Mean average precision of detections, as SSD's solver reports it with ``eval_type: "detection"`` (not from
BVLC Caffe; source: weiliu89/caffe, branch ssd, ``TestDetection`` and ``ComputeAP``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.errors import NetError
from vggrepro.layers.detection_evaluate import ROW

Curve = npt.NDArray[np.float32]
"""Precision or recall behind each detection, in the order of falling confidence: (D), D at least 1."""


def eleven_point(precision: Curve, recall: Curve) -> float:
    """The mean of the largest precisions at recalls of at least 0, 0.1, ..., 1 (VOC 2007)."""
    reached = recall[None].astype(np.float64) >= (np.arange(11) / 10)[:, None]  # (11, D)
    return float(np.where(reached, precision[None], 0).max(axis=1).mean())


def max_integral(precision: Curve, recall: Curve) -> float:
    """The area under the largest precisions from each detection on (VOC 2012, ILSVRC). Between two detections
    that of the first one counts, as in SSD."""
    largest = np.maximum.accumulate(precision[::-1])[::-1]
    return float(recall[0] * largest[0] + (np.diff(recall) * largest[:-1]).sum())


def integral(precision: Curve, recall: Curve) -> float:
    """The area under the precisions; between two detections that of the second one counts."""
    return float((np.diff(recall, prepend=np.float32(0)) * precision).sum())


VERSIONS: dict[str, Callable[[Curve, Curve], float]] = {
    "11point": eleven_point,
    "MaxIntegral": max_integral,
    "Integral": integral,
}
"""What a solver's ``ap_version`` may be."""


def average_precision(judged: npt.NDArray[Any], positives: int, version: str) -> float:
    """The average precision of a class, from 0 to 1. ``judged`` are the confidence, right and wrong of its
    detections, (D, 3), in the order in which they came, and ``positives`` is the number of its right boxes.
    Without detections or right boxes it is 0."""
    if not len(judged) or not positives:
        return 0.0
    judged = judged[np.argsort(-judged[:, 0], kind="stable")]
    right, wrong = np.cumsum(judged[:, 1:], axis=0, dtype=np.float32).T
    return VERSIONS[version](right / (right + wrong), right / np.float32(positives))


@dataclass
class Detections:
    """What a DetectionEvaluate layer gave, batch after batch. ``name`` is the blob's, for messages.

    DEVIATION: where nothing at all was detected the mean is 0; SSD reports nothing.
    """

    name: str
    _positives: dict[int, int] = field(default_factory=dict)
    _judged: list[npt.NDArray[Any]] = field(default_factory=list)

    def add(self, top: npt.NDArray[Any]) -> None:
        """Take a batch's rows, (1, 1, R, 5). Those that are neither right nor wrong do not count, nor do
        those of -1 that stand for none. Raises NetError for other shapes."""
        if top.ndim != 4 or top.shape[3] != ROW:
            raise NetError(
                f"test output {self.name!r}: shape {top.shape}, but the solver's eval_type is detection:"
                f" expected rows of {ROW}, as a DetectionEvaluate layer gives them"
            )
        rows = top.reshape(-1, ROW)
        classes = (rows[:, 0] == -1) & (rows[:, 1] != -1)
        for label, positives in rows[classes, 1:3].astype(int).tolist():
            self._positives[label] = self._positives.get(label, 0) + positives
        counts = (rows[:, 0] != -1) & (rows[:, 3:] != 0).any(axis=1)
        self._judged.append(rows[counts, 1:])

    def averages(self, version: str) -> dict[int, float]:
        """The average precision of each class by its label."""
        judged = np.concatenate([np.zeros((0, ROW - 1)), *self._judged])
        return {
            label: average_precision(judged[judged[:, 0] == label, 1:], positives, version)
            for label, positives in sorted(self._positives.items())
        }

    def mean(self, version: str) -> float:
        """The mean over all classes; a class without detections counts as 0."""
        return float(np.mean(list(self.averages(version).values()) or [0.0]))
