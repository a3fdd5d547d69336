"""What an evaluation is to find out: combinations of networks and protocols, and the errors expected of
them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vggrepro.data.augment import ILSVRC_MEAN_BGR
from vggrepro.errors import ProtocolError
from vggrepro.evaluation.measuring.evaluated_net import Mean
from vggrepro.evaluation.metrics import TopErrors
from vggrepro.evaluation.net_files import NetFiles
from vggrepro.evaluation.open_readings import OpenReading
from vggrepro.evaluation.protocols import BEFORE, Member, Stream, stream_shares
from vggrepro.paper.tables import TableRow

PAPER, CAFFE = "paper", "Caffe"


@dataclass(frozen=True)
class Expectation:
    """Errors in percent that are expected, None where nothing is. ``whose`` says where they come from: PAPER,
    CAFFE or an option."""

    whose: str
    top1: float | None
    top5: float | None

    def met(self, found: TopErrors, tolerance: float) -> bool:
        """Whether both errors are within ``tolerance`` percentage points; a billionth of a point more is
        allowed, since decimal fractions are rounded."""
        off = (found.top1.less(self.top1), found.top5.less(self.top5))
        return all(points is None or abs(points) <= tolerance + 1e-9 for points in off)


@dataclass(frozen=True)
class Goal:
    """One combination to evaluate: the mean over ``members``. ``name`` is what results call it; ``row`` is
    the row of the paper that it is, if any."""

    name: str
    members: tuple[Member, ...]
    row: TableRow | None = None
    expectation: Expectation | None = None


@dataclass(frozen=True)
class EvaluationPlan:
    """What to find out, and the networks for it: the goals' members are nets of ``files``, by name. ``mean``
    is subtracted from pictures, ``score_blob`` the blob with the class scores (None: the one under the final
    softmax). ``readings`` are those of a sweep, each of which all goals are measured in."""

    goals: Sequence[Goal]
    files: Sequence[NetFiles]
    mean: Mean = ILSVRC_MEAN_BGR
    score_blob: str | None = None
    readings: Sequence[OpenReading] = ()

    def net_facts(self) -> list[dict[str, str]]:
        """The networks' names and files with their SHA-256, ready for JSON. Raises OSError."""
        return [files.facts() for files in self.files]

    @property
    def streams(self) -> list[Stream]:
        """All streams that must be measured."""
        usual = [goal.members for goal in self.goals]
        swept = [reading.members(members) for reading in self.readings for members in usual]
        return sorted({stream for members in [*usual, *swept] for stream in stream_shares(members)})


def row_members(row: TableRow, *, average: str = BEFORE) -> tuple[Member, ...]:
    """The nets and protocols that a row of the paper averages. Section 3.2 flips images under every
    protocol."""
    return tuple(
        Member(str(tested.net), tested.protocol, tested.scales, flip=True, average=average)
        for tested in row.tested
    )


def row_goals(rows: Sequence[TableRow], average: str) -> list[Goal]:
    """A goal for each row of the paper, with the row's errors as its expectation."""
    return [
        Goal(
            name=f"table {row.table}, {row.key}",
            members=row_members(row, average=average),
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
