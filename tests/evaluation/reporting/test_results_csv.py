"""Errors as a table in timm's columns: the JSON report's numbers, a line for each combination."""

from __future__ import annotations

import csv
from dataclasses import replace
from io import StringIO

import pytest
from report_case import make_report

from vggrepro.evaluation.reporting.report import Report, outcome_json, to_json
from vggrepro.evaluation.reporting.results_csv import COLUMNS, to_results_csv
from vggrepro.evaluation.results import Outcome


@pytest.fixture
def report() -> Report:
    nets = sorted({member.net for goal, _ in make_report().found for member in goal.members})
    networks = [{"name": net, "parameters": 10**6 * (n + 1), "crop": 224} for n, net in enumerate(nets)]
    return replace(make_report(), settings={"networks": networks, "reading": {"kernel": "linear"}})


def rows(report: Report) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(to_results_csv(report))))


def test_every_combination_is_a_line_with_the_reports_numbers(report: Report) -> None:
    written = to_json(report)
    outcomes = {found["what"]: found for found in [*written["parts"], *written["results"].values()]}
    found = rows(report)
    assert tuple(found[0]) == COLUMNS
    assert sorted(row["model"] for row in found) == sorted(outcomes)
    for row in found:
        for name in ("top1", "top5"):
            error = outcomes[row["model"]][f"{name}_error_percent"]
            assert float(row[f"{name}_err"]) == error
            assert float(row[name]) == pytest.approx(100 - error, abs=1e-9)


def test_sizes_are_those_of_the_views(report: Report) -> None:
    found = {outcome.members: row for (_, outcome), row in zip(report.compared, rows(report), strict=True)}
    sizes = {
        (member.protocol, member.scales): (row["img_size"], row["crop_pct"])
        for (member, *others), row in found.items()
        if not others
    }
    assert sizes["dense", (256, 384, 512)] == ("256;384;512", "1")
    assert sizes["multicrop", (256, 384, 512)] == ("224", "0.875;0.5833;0.4375")
    assert sizes["dense", (384,)] == ("384", "1")
    assert sizes["both", (256, 384, 512)] == ("256;384;512;224", "1;0.875;0.5833;0.4375")


def test_nets_count_once_in_an_ensemble(report: Report) -> None:
    members = tuple(member for goal, _ in report.found for member in goal.members)
    assert len(members) > len({member.net for member in members}) == 2
    ensemble = Outcome(members, report.found[0][1].errors)
    (*_, last) = rows(
        replace(
            report,
            found=[*report.found, (replace(report.goal, members=members), ensemble)],
            results=replace(report.results, parts=()),
        )
    )
    assert last["model"] == outcome_json(ensemble)["what"]
    assert float(last["param_count"]) == 3.0


@pytest.mark.parametrize(("kernel", "word"), [("cubic", "bicubic"), ("matlab", "matlab")])
def test_interpolation_is_timms_word(report: Report, kernel: str, word: str) -> None:
    other = replace(report, settings={**report.settings, "reading": {"kernel": kernel}})
    assert {row["interpolation"] for row in rows(other)} == {word}
