"""What a cache keeps of a network's answers: a kind of rows, of which log posteriors are one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from vggrepro.data.arrays import Singles
from vggrepro.errors import ProtocolError
from vggrepro.evaluation.measuring.evaluated_net import EvaluatedNet, posterior_score
from vggrepro.evaluation.measuring.pipeline import Answer, Execution, Score
from vggrepro.evaluation.protocols import Stream, are_log_posteriors, log_mean


class RowKind(Protocol):
    """How a stream's rows (V, D) float32 are made of a network's answers, and known again.

    ``file`` is the name of their .npy, ``holds`` what they hold, in a word. Where ``keeps_views`` is false
    an image always has one row, the mean over its views. ``header`` is added to the cache's manifest.
    """

    @property
    def file(self) -> str: ...

    @property
    def holds(self) -> str: ...

    @property
    def keeps_views(self) -> bool: ...

    @property
    def header(self) -> Mapping[str, Any]: ...

    def width(self, network: EvaluatedNet) -> int:
        """How many numbers D a row of one network has."""

    def facts(self, network: EvaluatedNet) -> dict[str, Any]:
        """What a network's rows depend on besides the images, ready for JSON."""

    def score(self, network: EvaluatedNet, streams: Sequence[Stream], execution: Execution) -> Score:
        """The network at work, for views of the ``streams``."""

    def kept(self, answer: Answer, *, views: bool) -> Singles:
        """The row that is kept of an answer: all ``views``, (V, D), or their mean, (1, D)."""

    def intact(self, rows: Singles) -> npt.NDArray[np.bool_]:
        """Which of some rows (n, V, D) are what was once written: (n,). Zeros, which stand where a disk has
        lost something, are not."""


class PosteriorRows:
    """Logarithms of posteriors, a row for each view, or of their mean. Intact ones sum to 1."""

    file = "log_posteriors.npy"
    holds = "posteriors"
    keeps_views = True
    header: Mapping[str, Any] = {}

    def width(self, network: EvaluatedNet) -> int:
        return network.channels

    def facts(self, network: EvaluatedNet) -> dict[str, Any]:
        return network.facts()

    def score(self, network: EvaluatedNet, streams: Sequence[Stream], execution: Execution) -> Score:
        return posterior_score(network, streams, execution)

    def kept(self, answer: Answer, *, views: bool) -> Singles:
        """Raises ProtocolError for what is no logarithm of posteriors."""
        if not are_log_posteriors(answer.rows[None])[0]:
            raise ProtocolError(
                f"{answer.stream.net}: the scores of image number {answer.index} are no numbers that give"
                " posteriors"
            )
        return answer.rows if views else log_mean(answer.rows, axis=0)[None].astype(np.float32)

    def intact(self, rows: Singles) -> npt.NDArray[np.bool_]:
        return are_log_posteriors(rows)


POSTERIORS: RowKind = PosteriorRows()
