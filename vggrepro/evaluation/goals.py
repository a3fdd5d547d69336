"""What a run is to find out: combinations of networks and protocols, with the numbers they should give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vggrepro.data.augment import ILSVRC_MEAN_BGR
from vggrepro.errors import ProtocolError
from vggrepro.evaluation.measuring.network import Mean
from vggrepro.evaluation.metrics import Errors
from vggrepro.evaluation.presets import NetFiles, members
from vggrepro.evaluation.protocols import Member, Stream, weights
from vggrepro.paper.tables import Row

PAPER, CAFFE = "paper", "Caffe"


@dataclass(frozen=True)
class Expectation:
    """Errors in percent that ``whose`` numbers say; None where they say nothing."""

    whose: str
    top1: float | None
    top5: float | None

    def met(self, found: Errors, tolerance: float) -> bool:
        """Whether both errors are within ``tolerance`` percentage points; a billionth of a point is forgiven
        to decimal fractions."""
        pairs = ((found.top1, self.top1), (found.top5, self.top5))
        return all(value is None or abs(rate.percent - value) <= tolerance + 1e-9 for rate, value in pairs)


@dataclass(frozen=True)
class Goal:
    """One combination to evaluate. ``row`` is the paper's, where it is one."""

    name: str
    members: tuple[Member, ...]
    row: Row | None = None
    expectation: Expectation | None = None


@dataclass(frozen=True)
class Plan:
    """What to find out, and the networks for it: the goals' members name the nets of ``files``."""

    goals: Sequence[Goal]
    files: Sequence[NetFiles]
    mean: Mean = ILSVRC_MEAN_BGR
    score_blob: str | None = None

    @property
    def streams(self) -> list[Stream]:
        """All that must be measured."""
        return sorted({stream for goal in self.goals for stream in weights(goal.members)})


def row_goals(rows: Sequence[Row], average: str) -> list[Goal]:
    """A goal for each row of the paper, which is also what is expected."""
    return [
        Goal(
            name=f"table {row.table}, {row.key}",
            members=members(row, average=average),
            row=row,
            expectation=Expectation(PAPER, row.top1, row.top5),
        )
        for row in rows
    ]


def parse_expectation(text: str) -> Expectation:
    """``TOP1,TOP5`` in percent. Raises ProtocolError for anything else."""
    try:
        top1, top5 = (float(part) for part in text.split(","))
    except ValueError:
        raise ProtocolError(
            f"--expect {text!r}: expected paper, or two errors in percent as 25.6,8.1"
        ) from None
    return Expectation("--expect", top1, top5)
