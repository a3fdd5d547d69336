"""What an evaluation ends in: tables on the screen, and an exit code."""

from __future__ import annotations

import json
import sys

from vggrepro.evaluation.goals import CAFFE, PAPER
from vggrepro.evaluation.reporting.report import Report, to_json, to_markdown
from vggrepro.evaluation.reporting.stored_report import StoredReport
from vggrepro.system.atomic import json_bytes
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


def verdict_of_repetition(stored: StoredReport, report: Report) -> int:
    """Exit code 1, with a line on stderr for each number that is not as in the ``stored`` report."""
    differences = stored.differences(json.loads(json_bytes(to_json(report))))
    for line in differences:
        print(f"differs: {printable(line)}", file=sys.stderr)
    if not differences:
        print(f"every number is as in {printable(str(stored.path))}", file=sys.stderr)
    return 1 if differences else 0
