"""What an evaluation ends in: exit codes of missed expectations, and what is printed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from report_case import errors, make_report

from vggrepro.cli.verdict import show, verdict
from vggrepro.evaluation.goals import CAFFE, PAPER, Expectation
from vggrepro.evaluation.reporting.report import Report, to_markdown
from vggrepro.evaluation.results import Outcome


def expecting(*expectations: Expectation | None) -> Report:
    """A report whose goals were all measured at 25.0 / 8.0."""
    report = make_report()
    goal = report.goal
    outcome = Outcome(goal.members, errors(25.0, 8.0))
    found = [
        (replace(goal, name=f"goal {place}", expectation=expectation), outcome)
        for place, expectation in enumerate(expectations)
    ]
    return replace(report, found=found)


@pytest.mark.parametrize(
    ("whose", "top1", "top5", "tolerance", "paper_counts", "code"),
    [
        ("--expect", 25.0, 8.0, 0.0, False, 0),
        ("--expect", 25.1, 8.0, 0.1, False, 0),
        ("--expect", 25.1, 8.0, 0.09, False, 1),
        ("--expect", 24.9, 8.0, 0.09, False, 1),
        ("--expect", None, 8.2, 0.1, False, 1),
        ("--expect", None, 8.1, 0.1, False, 0),
        (PAPER, 24.0, 8.0, 0.1, False, 0),
        (PAPER, 24.0, 8.0, 0.1, True, 1),
        (PAPER, 25.1, 8.0, 0.1, True, 0),
        (CAFFE, 25.1, 8.0, 0.5, False, 1),  # whatever the tolerance
        (CAFFE, 25.0, 8.0, 0.5, False, 0),
    ],
)
def test_exit_codes(
    whose: str, top1: float | None, top5: float | None, tolerance: float, paper_counts: bool, code: int
) -> None:
    report = expecting(Expectation(whose, top1, top5))
    assert verdict(report, tolerance, paper_counts=paper_counts) == code


def test_every_miss_is_named_and_one_is_enough(capsys: pytest.CaptureFixture[str]) -> None:
    met, missed = Expectation("--expect", 25.0, 8.0), Expectation("--expect", 20.0, 8.0)
    report = expecting(missed, None, met, Expectation(CAFFE, 25.0, 1.5))
    assert verdict(report, 1.0, paper_counts=True) == 1
    assert capsys.readouterr().err.splitlines() == [
        "missed: goal 0: --expect has 20.0 / 8.0",
        "missed: goal 3: Caffe has 25.0 / 1.5",
    ]
    assert verdict(expecting(None, met), 0.0, paper_counts=True) == 0
    assert capsys.readouterr().err == ""


def test_tables_go_to_the_screen_and_notices_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    report = replace(make_report(), notices=["the mean is odd", "so are the labels"])
    show(report)
    output = capsys.readouterr()
    assert output.out == to_markdown(report)
    assert output.err == "warning: the mean is odd\nwarning: so are the labels\n"
