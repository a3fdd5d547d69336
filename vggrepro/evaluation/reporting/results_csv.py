"""An evaluation's errors as one table, CSV in the columns of timm's result files."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from io import StringIO
from typing import Any

from vggrepro.evaluation.protocols import stream_shares
from vggrepro.evaluation.reporting.report import Report
from vggrepro.evaluation.results import Outcome

COLUMNS = (
    "model",
    "top1",
    "top1_err",
    "top5",
    "top5_err",
    "param_count",
    "img_size",
    "crop_pct",
    "interpolation",
)
"""The columns of pytorch-image-models' results/results-imagenet.csv."""

_INTERPOLATIONS = {"linear": "bilinear", "cubic": "bicubic"}
"""timm's words for those of ``--kernel`` that differ."""


def to_results_csv(report: Report) -> str:
    """A line for each combination of nets and protocols that was measured, parts included, once each.

    ``model`` is what the JSON report calls ``what``, and the errors are its numbers, in percent; ``top1`` and
    ``top5`` are the images that are right, in percent. ``param_count`` is in millions, over all nets of the
    combination. ``img_size`` is the side in pixels of what a net sees, the crop or the smaller side of a
    whole image, ``crop_pct`` that side over the scale Q; several values have semicolons between them.
    """
    networks = {network["name"]: network for network in report.settings["networks"]}
    kernel = report.settings["reading"]["kernel"]
    outcomes = {outcome.members: outcome for _, outcome in report.compared}
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for outcome in outcomes.values():
        interpolation = _INTERPOLATIONS.get(kernel, kernel)
        writer.writerow([*_errors(outcome), *_sizes(outcome, networks), interpolation])
    return text.getvalue()


def _errors(outcome: Outcome) -> list[str | float]:
    cells: list[str | float] = [outcome.combination]
    for rate in (outcome.errors.top1, outcome.errors.top5):
        cells += [100 * (rate.total - rate.wrong) / rate.total, rate.percent]
    return cells


def _sizes(outcome: Outcome, networks: Mapping[str, Mapping[str, Any]]) -> list[str | float]:
    """``param_count``, ``img_size`` and ``crop_pct``."""
    views = [
        (stream.scale if stream.view_kind == "dense" else int(networks[stream.net]["crop"]), stream.scale)
        for stream in sorted(stream_shares(outcome.members))
    ]
    nets = dict.fromkeys(member.net for member in outcome.members)
    parameters = sum(int(networks[net]["parameters"]) for net in nets)
    sides = _joined(side for side, _ in views)
    return [parameters / 1e6, sides, _joined(round(side / scale, 4) for side, scale in views)]


def _joined(values: Iterable[float]) -> str:
    """Different values, in the order in which they come first."""
    return ";".join(f"{value:g}" for value in dict.fromkeys(values))
