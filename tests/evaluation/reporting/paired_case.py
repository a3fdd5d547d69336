"""A made-up comparison and a made-up sweep, to report on."""

import numpy as np

from vggrepro.evaluation.goals import row_goals
from vggrepro.evaluation.measuring.rescaled_image import ImageReading
from vggrepro.evaluation.open_readings import open_readings
from vggrepro.evaluation.paired import Answers, compare
from vggrepro.evaluation.protocols import BEFORE
from vggrepro.evaluation.sweep import sweep
from vggrepro.paper.tables import table

RANKS = np.array([0, 0, 0, 1, 7, 0, 9, 2])
OTHERS = np.array([1, 0, 0, 0, 0, 0, 9, 2])


def answers(where, ranks):
    keys = [f"{number}.JPEG" for number in range(len(ranks))]
    rows = {"table 5, D:dense": ranks, "table 5, <D>:both": ranks}
    return Answers(where, "table 5, D:dense", keys, np.arange(len(ranks)), ranks, rows)


def make_comparison():
    """Both combinations: right here alone is one image by top-1, right there alone are two."""
    return compare(answers("this run", RANKS), answers("other|<b>.json", OTHERS))


def make_sweep():
    goals = row_goals(table(5)[:1], BEFORE)
    readings = open_readings(["average", "exif"], ImageReading(), BEFORE)
    return sweep(readings, goals, {goal.name: RANKS for goal in goals}, lambda _: OTHERS)
