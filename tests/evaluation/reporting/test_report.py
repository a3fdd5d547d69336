"""The JSON and Markdown reports of a made-up evaluation of Table 5."""

import json
import re

import pytest
from report_case import make_report

from vggrepro.evaluation.reporting.report import to_json, to_markdown
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
    assert {r["source"] for r in found["replications"]} >= {"MatConvNet", "keras-applications"}


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
    assert "| MatConvNet, original weights, centre" in text
    assert "images that cannot be decoded, and count in no error (1): a.JPEG" in text


def test_tables_of_the_markdown_are_rectangular():
    lines = [line for line in to_markdown(make_report()).splitlines() if line.startswith("|")]
    blocks = re.split(r"\n\n+", to_markdown(make_report()))
    for block in blocks:
        counts = {line.count("|") for line in block.splitlines() if line.startswith("|")}
        assert len(counts) <= 1
    assert lines
