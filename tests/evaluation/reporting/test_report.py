"""The JSON and Markdown reports of a made-up evaluation of Table 5."""

import json
import re
from dataclasses import replace

import pytest
from paired_case import make_comparison, make_sweep
from report_case import errors, make_report

from vggrepro.evaluation.goals import row_goals
from vggrepro.evaluation.protocols import BEFORE
from vggrepro.evaluation.reporting.report import to_json, to_markdown
from vggrepro.evaluation.results import Outcome
from vggrepro.paper.rows import runnable_rows
from vggrepro.paper.tables import table


def test_the_json_has_every_number_and_setting():
    found = json.loads(json.dumps(to_json(make_report())))
    assert found["top1_error_percent"] == pytest.approx(24.5)
    low, high = found["top1_interval_95_percent"]
    assert low < 24.5 < high
    assert found["paper"]["table"] == 5
    expected = found["results"]["table 5, E:both"]["expected"]
    assert expected["top1_difference"] == pytest.approx(0.1)
    assert expected["top5_difference"] == pytest.approx(-0.04)
    assert list(found["results"]) == [f"table 5, {row.key}" for row in table(5)]
    assert found["images"]["bad"] == {"a.JPEG": "no image"}
    assert found["settings"]["networks"] == [{"name": "</pre><script>"}]
    replicated = [(r["result"], r["source"], r["top5"]) for r in found["replications"]]
    assert replicated == [(f"table 5, {net}:dense", "authors' model page", 7.5) for net in "DE"]


def test_the_markdown_puts_our_number_beside_the_papers():
    text = to_markdown(make_report())
    row = next(line for line in text.splitlines() if "table 5, E:both" in line)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells == [
        "table 5, E:both",
        "24.50 (24.12-24.88)",
        "7.06 (6.84-7.29)",
        "paper: 24.4 / 7.1",
        "+0.10 / -0.04",
    ]
    assert "| authors' model page, original weights, dense Q=256,384,512 | table 5, D:dense" in text
    assert "images that cannot be decoded, and count in no error (1): a.JPEG" in text


def test_tables_of_the_markdown_are_rectangular():
    lines = [line for line in to_markdown(make_report()).splitlines() if line.startswith("|")]
    blocks = re.split(r"\n\n+", to_markdown(make_report()))
    for block in blocks:
        counts = {line.count("|") for line in block.splitlines() if line.startswith("|")}
        assert len(counts) <= 1
    assert lines


def test_the_papers_errors_on_the_test_images_are_told():
    goals = row_goals(runnable_rows(6), BEFORE)
    report = replace(make_report(), found=[(goal, Outcome(goal.members, errors(25, 8))) for goal in goals])
    assert "paper: 23.7 / 6.8 (test: 6.8)" in to_markdown(report)
    assert "paper: 23.9 / 7.2 " in to_markdown(report)
    expected = to_json(report)["results"]["table 6, ensemble-2"]["expected"]
    assert expected["test_top5_error_percent"] == 6.8


def test_another_run_and_other_readings_are_told():
    report = replace(make_report(), comparison=make_comparison(), sweep=make_sweep())
    found = json.loads(json.dumps(to_json(report)))
    assert found["comparison"]["rows"]["table 5, D:dense"]["top1"]["only_theirs"] == 2
    assert found["sweep"]["average"]["nearest"] == ["after-softmax"]
    lines = to_markdown(report).splitlines()
    assert [
        line for line in lines if line.startswith("| table 5, D:dense") and "+12.50 (1, 2; p = 1)" in line
    ]
    assert [line for line in lines if line.startswith("| exif apply (table 5, D:dense)")]
    assert [line for line in lines if line.startswith("- against other|<b>.json on 8 common images")]
    assert [line for line in lines if line.startswith("- average: nearest to the expected errors (paper)")]


def test_squashed_images_are_told():
    report = make_report()
    counts = replace(report.counts, squashed="db: all 32 images looked at are 256 x 256")
    assert "- db: all 32 images looked at are 256 x 256" in to_markdown(replace(report, counts=counts))
    assert to_json(replace(report, counts=counts))["images"]["squashed"].startswith("db: ")
