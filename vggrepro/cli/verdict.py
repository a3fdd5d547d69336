"""What an evaluation ends in: tables on the screen, and an exit code."""

from __future__ import annotations

import sys

from vggrepro.evaluation.goals import CAFFE, PAPER
from vggrepro.evaluation.reporting.report import Report, to_markdown
from vggrepro.system.terminal import printable


def show(report: Report) -> None:
    """Print the tables, and on stderr what is odd about them."""
    print(to_markdown(report), end="")
    for notice in report.notices:
        print(f"warning: {printable(notice)}", file=sys.stderr)


def verdict(report: Report, tolerance: float, *, paper_counts: bool) -> int:
    """Exit code 1 if an expectation is missed by more than ``tolerance`` percentage points: one that was
    given, Caffe's own numbers on the whole demo (which must be met exactly), and, if ``paper_counts``, the
    paper's."""
    code = 0
    for goal, outcome in report.found:
        wanted = goal.expectation
        if wanted is None or (wanted.whose == PAPER and not paper_counts):
            continue
        if not wanted.met(outcome.errors, 0.0 if wanted.whose == CAFFE else tolerance):
            missed = f"{goal.name}: {wanted.whose} has {wanted.top1} / {wanted.top5}"
            print(f"missed: {printable(missed)}", file=sys.stderr)
            code = 1
    return code
